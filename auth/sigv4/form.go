package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"strings"
	"time"
)

// A Form is a POST form up to its file field.
type Form struct {
	Bucket   string            // of the request's path or host
	Fields   map[string]string // by lower-case name; without "file"
	Filename string            // of the file field: replaces ${filename} in every field
	Now      time.Time
}

// A Post is what a verified form allows.
type Post struct {
	Access    string // "" = anonymous: the form has no policy
	Signature string // as Caller.Signature
	Min, Max  int64  // of the file's length; Max -1 = no limit
}

// VerifyForm expands ${filename} in f's fields, checks the signature of the policy (V4, or V2 with
// AWSAccessKeyId) and that every field satisfies it. Permissions are not its business.
func (v *Verifier) VerifyForm(f *Form, secrets Secrets) (Post, error) {
	const op = "sigv4.VerifyForm"
	f.expand()
	if f.Fields["key"] == "" {
		return Post{}, badForm("key", "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.")
	}
	encoded, ok := f.Fields["policy"]
	if !ok || encoded == "" {
		return f.anonymous()
	}
	p := Post{Max: -1}
	var err error
	if _, v4 := f.Fields["x-amz-algorithm"]; v4 || f.Fields["x-amz-signature"] != "" {
		p.Access, err = v.formV4(f, encoded, secrets)
		p.Signature = algorithm
	} else {
		p.Access, err = formV2(f, encoded, secrets)
		p.Signature = "AWS"
	}
	if err != nil {
		return Post{}, err
	}
	policy, err := parseFormPolicy(encoded)
	if err != nil {
		return Post{}, err
	}
	if !f.Now.Before(policy.expiration) {
		return Post{}, fault(op, codeAccessDenied, "Invalid according to Policy: Policy expired.")
	}
	if err := policy.check(f, &p); err != nil {
		return Post{}, err
	}
	return p, nil
}

func badForm(field, message string) error {
	return fault("sigv4.VerifyForm", codeArgument, message, Detail{"ArgumentName", field}, Detail{"ArgumentValue", ""})
}

// anonymous is a form without policy, which must not pretend to have a signature.
func (f *Form) anonymous() (Post, error) {
	for _, name := range []string{"signature", "awsaccesskeyid", "x-amz-signature", "x-amz-credential", "x-amz-algorithm"} {
		if f.Fields[name] != "" {
			return Post{}, badForm("policy", "Bucket POST must contain a field named 'policy'.  If it is specified, please check the order of the fields.")
		}
	}
	return Post{Max: -1}, nil
}

// expand puts the file's name where fields ask for it. Only its last element counts: browsers of old sent the path.
func (f *Form) expand() {
	name := f.Filename[strings.LastIndexAny(f.Filename, `/\`)+1:]
	for field, value := range f.Fields {
		if signs := field == "policy" || field == "signature" || field == "x-amz-signature"; !signs && strings.Contains(value, "${filename}") {
			f.Fields[field] = strings.ReplaceAll(value, "${filename}", name)
		}
	}
}

// formV4 verifies x-amz-signature over the encoded policy.
func (v *Verifier) formV4(f *Form, encoded string, secrets Secrets) (access string, err error) {
	const op = "sigv4.VerifyForm"
	for _, name := range []string{"x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"} {
		if f.Fields[name] == "" {
			return "", badForm(name, "Bucket POST must contain a field named '"+name+"'.  If it is specified, please check the order of the fields.")
		}
	}
	if f.Fields["x-amz-algorithm"] != algorithm {
		return "", badForm("x-amz-algorithm", `x-amz-algorithm only supports "AWS4-HMAC-SHA256"`)
	}
	var c claim
	if wrong := c.parseCredential(f.Fields["x-amz-credential"]); wrong != "" {
		return "", badForm("x-amz-credential", "Error parsing the x-amz-credential field; "+wrong)
	}
	stamp := f.Fields["x-amz-date"]
	if _, ok := parseStamp(stamp); !ok || stamp[:8] != c.scope.date {
		return "", badForm("x-amz-date", fmt.Sprintf("x-amz-date %q is not a date like 20060102T150405Z of the credential's day", stamp))
	}
	secret, ok := secrets(c.access)
	if !ok {
		return "", unknownAccess(op, c.access)
	}
	key, fresh := v.key(c.scope, secret)
	made := key.sumText(encoded)
	var given [sha256.Size]byte
	if !decodeHex(given[:], f.Fields["x-amz-signature"]) || subtle.ConstantTimeCompare(made, given[:]) != 1 {
		return "", formMismatch(c.access, encoded, f.Fields["x-amz-signature"])
	}
	if fresh {
		v.keys.put(c.scope, key)
	}
	return key.access, nil
}

// formV2 verifies signature over the encoded policy.
func formV2(f *Form, encoded string, secrets Secrets) (access string, err error) {
	for _, name := range []string{"AWSAccessKeyId", "signature"} {
		if f.Fields[strings.ToLower(name)] == "" {
			return "", badForm(name, "Bucket POST must contain a field named '"+name+"'.  If it is specified, please check the order of the fields.")
		}
	}
	access = f.Fields["awsaccesskeyid"]
	secret, ok := secrets(access)
	if !ok {
		return "", unknownAccess("sigv4.VerifyForm", access)
	}
	if !matchesV2(secret, f.Fields["signature"], []byte(encoded)) {
		return "", formMismatch(access, encoded, f.Fields["signature"])
	}
	return access, nil
}

func formMismatch(access, toSign, given string) error {
	return fault("sigv4.VerifyForm", codeMismatch, mismatchText,
		Detail{"AWSAccessKeyId", access}, Detail{"StringToSign", toSign}, Detail{"SignatureProvided", given})
}

// Check refuses a file of the wrong length: EntityTooSmall, EntityTooLarge.
func (p *Post) Check(size int64) error {
	if size < p.Min {
		return fault("sigv4.Post", codeTooSmall, "Your proposed upload is smaller than the minimum allowed size",
			Detail{"ProposedSize", fmt.Sprint(size)}, Detail{"MinSizeAllowed", fmt.Sprint(p.Min)})
	}
	return p.TooLarge(size)
}

// TooLarge refuses a file that has grown past the limit already.
func (p *Post) TooLarge(size int64) error {
	if p.Max >= 0 && size > p.Max {
		return fault("sigv4.Post", codeTooLarge, "Your proposed upload exceeds the maximum allowed size",
			Detail{"ProposedSize", fmt.Sprint(size)}, Detail{"MaxSizeAllowed", fmt.Sprint(p.Max)})
	}
	return nil
}
