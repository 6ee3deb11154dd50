// Package sigv4 signs S3 requests (AWS Signature Version 4, header form) for a load generator: the signing key
// is kept for its day and the payload is declared UNSIGNED-PAYLOAD, so one signature costs two hashes
// of short texts. It signs what it is given and sends nothing; its tests compare it with the AWS SDK's signer.
//
// Described at https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html.
// Start at New and (*Signer).Append.
package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"time"
)

const (
	unsigned = "UNSIGNED-PAYLOAD"
	stamp    = "20060102T150405Z"
)

// Credentials of an S3 user, and the region it signs for.
type Credentials struct {
	AccessKey, SecretKey, Region string
}

// Signer belongs to one goroutine.
type Signer struct {
	cred  Credentials
	day   string // of the scope below
	scope string // DAY/REGION/s3/aws4_request
	mac   hash.Hash
	sha   hash.Hash
	text  []byte // scratch
}

// New returns a signer.
func New(c Credentials) *Signer { return &Signer{cred: c, sha: sha256.New()} }

func sign(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// roll derives the signing key of a new day.
func (s *Signer) roll(day string) {
	k := sign([]byte("AWS4"+s.cred.SecretKey), day)
	k = sign(sign(sign(k, s.cred.Region), "s3"), "aws4_request")
	s.mac = hmac.New(sha256.New, k)
	s.day, s.scope = day, day+"/"+s.cred.Region+"/s3/aws4_request"
}

// Request is what a signature covers.
type Request struct {
	Method string
	Host   string
	Path   string // percent-encoded once, as it is sent
	Query  string // encoded, in the order of its keys, every key with '='; "" for none
}

// Append adds the header lines x-amz-content-sha256, x-amz-date and Authorization to head.
func (s *Signer) Append(head []byte, r Request, now time.Time) []byte {
	date := now.UTC().Format(stamp)
	if day := date[:8]; day != s.day {
		s.roll(day)
	}
	t := append(s.text[:0], r.Method...)
	t = append(append(t, '\n'), r.Path...)
	t = append(append(t, '\n'), r.Query...)
	t = append(append(t, "\nhost:"...), r.Host...)
	t = append(t, "\nx-amz-content-sha256:"+unsigned+"\nx-amz-date:"...)
	t = append(t, date...)
	t = append(t, "\n\nhost;x-amz-content-sha256;x-amz-date\n"+unsigned...)
	s.sha.Reset()
	s.sha.Write(t)
	var sum [sha256.Size]byte
	s.sha.Sum(sum[:0])

	t = append(t[:0], "AWS4-HMAC-SHA256\n"...)
	t = append(append(t, date...), '\n')
	t = append(append(t, s.scope...), '\n')
	t = hex.AppendEncode(t, sum[:])
	s.mac.Reset()
	s.mac.Write(t)
	s.mac.Sum(sum[:0])
	s.text = t

	head = append(append(head, "x-amz-content-sha256: "+unsigned+"\r\nx-amz-date: "...), date...)
	head = append(append(head, "\r\nAuthorization: AWS4-HMAC-SHA256 Credential="...), s.cred.AccessKey...)
	head = append(append(append(head, '/'), s.scope...), ", SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature="...)
	head = hex.AppendEncode(head, sum[:])
	return append(head, "\r\n"...)
}
