package s3

import (
	"crypto/md5" //nolint:gosec // the protocol's digest of a key
	"encoding/base64"
)

// Encryption is what a request says of server-side encryption, which is not served: the values are there for the conditions of policies, and
// to tell what no store would do from what this one does not.
type Encryption struct {
	Method, KMSKey           string // x-amz-server-side-encryption, ...-aws-kms-key-id
	Algorithm, Key, DigestOf string // ...-customer-algorithm, -key, -key-md5
}

const encryptionPrefix = "x-amz-server-side-encryption"

// add takes in one header whose name begins with encryptionPrefix.
func (e *Encryption) add(name, value string) {
	switch name[len(encryptionPrefix):] {
	case "":
		e.Method = value
	case "-aws-kms-key-id":
		e.KMSKey = value
	case "-customer-algorithm":
		e.Algorithm = value
	case "-customer-key":
		e.Key = value
	case "-customer-key-md5":
		e.DigestOf = value
	}
}

// check returns AWS's error for headers that contradict each other, or that op does not take; nil if AWS would encrypt.
// Source: "Protecting data with server-side encryption" of the S3 user guide.
func (e *Encryption) check(op Op) error {
	refuse := func(name, value, why string) error {
		return E("s3.Encryption", name, "InvalidArgument", why, Field{"ArgumentName", name}, Field{"ArgumentValue", value})
	}
	customer := e.Algorithm != "" || e.Key != "" || e.DigestOf != ""
	switch {
	case (e.Method != "" || e.KMSKey != "") && !makesObject(op):
		return refuse(encryptionPrefix, e.Method, encryptionPrefix+" header is not supported for this operation.")
	case customer && (e.Method != "" || e.KMSKey != ""):
		return refuse(encryptionPrefix, e.Method, "Server Side Encryption with Customer provided key is incompatible with the encryption method specified")
	case customer:
		return e.checkCustomer(refuse)
	}
	switch e.Method {
	case "aws:kms", "aws:kms:dsse":
		return nil
	case "AES256", "":
		if e.KMSKey != "" {
			return refuse(encryptionPrefix, e.Method, "Server Side Encryption with AWS KMS managed key requires HTTP header "+encryptionPrefix+" : aws:kms")
		}
		return nil
	}
	return refuse(encryptionPrefix, e.Method, "The encryption method specified is not supported")
}

// checkCustomer is check of a key that the client keeps.
func (e *Encryption) checkCustomer(refuse func(name, value, why string) error) error {
	const customer, must = encryptionPrefix + "-customer-", "Requests specifying Server Side Encryption with Customer provided keys must provide "
	key, err := base64.StdEncoding.DecodeString(e.Key)
	sum := md5.Sum(key) //nolint:gosec // as above
	switch {
	case e.Algorithm == "":
		return refuse(customer+"algorithm", "", must+"a valid encryption algorithm.")
	case e.Algorithm != "AES256":
		return E("s3.Encryption", customer+"algorithm", "InvalidEncryptionAlgorithmError", "", Field{"ArgumentName", customer + "algorithm"}, Field{"ArgumentValue", e.Algorithm})
	case e.Key == "":
		return refuse(customer+"key", "", must+"an appropriate secret key.")
	case e.DigestOf == "":
		return refuse(customer+"key-MD5", "", must+"the client calculated MD5 of the secret key.")
	case err != nil || len(key) != 32:
		return refuse(customer+"key", "", "The secret key was invalid for the specified algorithm.")
	case e.DigestOf != base64.StdEncoding.EncodeToString(sum[:]):
		return refuse(customer+"key-MD5", e.DigestOf, "The calculated MD5 hash of the key did not match the hash that was provided.")
	}
	return nil
}

// makesObject reports whether op says how an object is kept.
func makesObject(op Op) bool {
	switch op {
	case PutObject, CopyObject, CreateMultipartUpload:
		return true
	}
	return false
}
