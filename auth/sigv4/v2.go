package sigv4

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The second version of AWS's signatures: old clients (and old presigned URLs) still use it. It covers neither the query but for
// sub-resources nor the body, nor the host, but for the bucket that it names.
// Source: "Signing and authenticating REST requests (AWS signature version 2)".

// verifyHeaderV2 verifies Authorization: AWS ACCESS:SIGNATURE.
func (v *Verifier) verifyHeaderV2(r *Request, s *scratch, secrets Secrets, rest string) (Caller, error) {
	const op = "sigv4.Verify"
	access, signature, ok := strings.Cut(trim(rest), ":")
	if !ok || access == "" || signature == "" {
		return Caller{}, fault(op, codeArgument, "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature",
			Detail{"ArgumentName", "Authorization"})
	}
	secret, ok := secrets(access)
	if !ok {
		return Caller{}, unknownAccess(op, access)
	}
	date, amzDate := "", true
	text, ok := s.header("x-amz-date")
	if !ok {
		date, _ = s.header("date")
		text, amzDate = date, false
	}
	t, ok := parseHTTPDate(text)
	if !ok {
		if t, ok = parseStamp(text); !ok {
			return Caller{}, badDate()
		}
	}
	if skew := r.Now.Sub(t); skew > maxSkew || skew < -maxSkew {
		return Caller{}, tooSkewed(op, text, r.Now)
	}
	if amzDate {
		date = ""
	}
	if err := s.checkV2(r, secret, access, signature, date); err != nil {
		return Caller{}, err
	}
	return s.callerV2(access, t)
}

// verifyQueryV2 verifies ?AWSAccessKeyId=..&Expires=..&Signature=..
func (v *Verifier) verifyQueryV2(r *Request, s *scratch, secrets Secrets) (Caller, error) {
	const op = "sigv4.Verify"
	access, _ := s.param("AWSAccessKeyId")
	signature, _ := s.param("Signature")
	text, _ := s.param("Expires")
	expires, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return Caller{}, fault(op, codeAccessDenied, "Invalid date (should be seconds since epoch): "+text)
	}
	secret, ok := secrets(access)
	if !ok {
		return Caller{}, unknownAccess(op, access)
	}
	if r.Now.Unix() > expires {
		return Caller{}, fault(op, codeAccessDenied, "Request has expired",
			Detail{"Expires", time.Unix(expires, 0).UTC().Format(time.RFC3339)},
			Detail{"ServerTime", r.Now.UTC().Format(time.RFC3339)})
	}
	if err := s.checkV2(r, secret, access, signature, text); err != nil {
		return Caller{}, err
	}
	c, err := s.callerV2(access, time.Time{})
	c.Presigned = true
	return c, err
}

func (s *scratch) callerV2(access string, date time.Time) (Caller, error) {
	payload, _ := s.header("x-amz-content-sha256")
	body, err := s.declared(payload, nil)
	return Caller{Access: strings.Clone(access), Signature: "AWS", Date: date, Body: body}, err
}

func (s *scratch) checkV2(r *Request, secret, access, signature, date string) error {
	path := r.RawPath
	if path == "" {
		path = "/"
	}
	if r.Bucket != "" {
		path = "/" + r.Bucket + path
	}
	if matchesV2(secret, signature, s.textV2(r, path, date)) {
		return nil
	}
	// Some clients ask for /bucket and sign /bucket/.
	if strings.LastIndexByte(path, '/') == 0 && len(path) > 1 && matchesV2(secret, signature, s.textV2(r, path+"/", date)) {
		return nil
	}
	return fault("sigv4.Verify", codeMismatch, mismatchText,
		Detail{"AWSAccessKeyId", strings.Clone(access)},
		Detail{"StringToSign", string(s.request)},
		Detail{"SignatureProvided", strings.Clone(signature)})
}

// matchesV2 reports whether signature is base64 of the HMAC-SHA1 of text.
func matchesV2(secret, signature string, text []byte) bool {
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write(text)
	given, err := base64.StdEncoding.DecodeString(signature)
	return err == nil && subtle.ConstantTimeCompare(mac.Sum(nil), given) == 1
}

// textV2 makes the string to sign.
func (s *scratch) textV2(r *Request, path, date string) []byte {
	b := append(s.request[:0], r.Method...)
	for _, name := range []string{"content-md5", "content-type"} {
		value, _ := s.header(name)
		b = append(append(b, '\n'), value...)
	}
	b = append(append(append(b, '\n'), date...), '\n')
	b = s.appendAmzHeaders(b)
	b = append(b, path...)
	b = s.appendSubresources(b)
	s.request = b
	return b
}

// appendAmzHeaders appends the x-amz-* headers sorted by name, the values of one name joined.
func (s *scratch) appendAmzHeaders(b []byte) []byte {
	var amz []header
	for _, h := range s.headers {
		if name := strings.ToLower(h.name); strings.HasPrefix(name, "x-amz-") {
			amz = append(amz, header{name: name, value: trim(h.value)})
		}
	}
	slices.SortStableFunc(amz, func(x, y header) int { return strings.Compare(x.name, y.name) })
	for i, h := range amz {
		if i > 0 && amz[i-1].name == h.name {
			b = append(b, ',')
		} else {
			if i > 0 {
				b = append(b, '\n')
			}
			b = append(append(b, h.name...), ':')
		}
		b = append(b, h.value...)
	}
	if len(amz) > 0 {
		b = append(b, '\n')
	}
	return b
}

// appendSubresources appends the query parameters that a signature covers, sorted, with their values unescaped.
func (s *scratch) appendSubresources(b []byte) []byte {
	var parts []string
	for _, p := range s.params {
		key := unescape(s.query[p.from:p.mid])
		if !subresource(key) {
			continue
		}
		if p.to > p.mid {
			key += "=" + unescape(s.query[p.mid:p.to])
		}
		parts = append(parts, key)
	}
	if len(parts) == 0 {
		return b
	}
	slices.Sort(parts)
	return append(append(b, '?'), strings.Join(parts, "&")...)
}

func subresource(key string) bool {
	switch key {
	case "accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory", "lifecycle", "location", "logging",
		"metrics", "notification", "object-lock", "partNumber", "policy", "replication", "requestPayment", "restore", "select",
		"select-type", "storageClass", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website",
		"response-content-type", "response-content-language", "response-expires", "response-cache-control",
		"response-content-disposition", "response-content-encoding":
		return true
	}
	return false
}
