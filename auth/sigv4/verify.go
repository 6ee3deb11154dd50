package sigv4

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Verify returns who signed r, or a *Fault within the error. A request without any signature is anonymous.
// The body has yet to be read through Reader, which can still refuse it.
func (v *Verifier) Verify(r *Request, secrets Secrets) (Caller, error) {
	s := v.getScratch()
	defer v.putScratch(s)
	s.load(r)
	authorization, _ := s.header("authorization")
	inQuery := s.hasParam("X-Amz-Signature") || s.hasParam("X-Amz-Algorithm") || s.hasParam("X-Amz-Credential")
	inQueryV2 := s.hasParam("Signature") || s.hasParam("AWSAccessKeyId")
	switch {
	case authorization != "" && (inQuery || inQueryV2):
		return Caller{}, fault("sigv4.Verify", codeArgument, "Only one auth mechanism allowed; only the X-Amz-Algorithm "+
			"query parameter, Signature query string parameter or the Authorization header should be specified")
	case (inQuery || inQueryV2) && s.repeated() != "":
		return Caller{}, fault("sigv4.Verify", codeQuery, "The query parameter "+s.repeated()+" must not appear more than once.")
	case inQuery:
		return v.verifyQuery(r, s, secrets)
	case inQueryV2:
		return v.verifyQueryV2(r, s, secrets)
	case authorization == "":
		return anonymous(s)
	case strings.HasPrefix(authorization, algorithm):
		return v.verifyHeader(r, s, secrets, authorization[len(algorithm):])
	case strings.HasPrefix(authorization, "AWS "):
		return v.verifyHeaderV2(r, s, secrets, authorization[len("AWS "):])
	}
	return Caller{}, fault("sigv4.Verify", codeArgument, "Unsupported Authorization Type")
}

// repeated returns a parameter of the signature that the query has more than once, "" if there is none: which of them counts is not for us to guess.
func (s *scratch) repeated() string {
	s.sortParams()
	for i := 1; i < len(s.params); i++ {
		name := s.query[s.params[i].from:s.params[i].mid]
		if !bytes.Equal(name, s.query[s.params[i-1].from:s.params[i-1].mid]) {
			continue
		}
		if n := string(name); strings.HasPrefix(n, "X-Amz-") || n == "Signature" || n == "AWSAccessKeyId" || n == "Expires" {
			return n
		}
	}
	return ""
}

func (s *scratch) hasParam(key string) bool {
	for _, p := range s.params {
		if string(s.query[p.from:p.mid]) == key {
			return true
		}
	}
	return false
}

// anonymous returns the caller of a request that is not signed at all.
func anonymous(s *scratch) (Caller, error) {
	payload, _ := s.header("x-amz-content-sha256")
	body, err := s.declared(payload, nil)
	return Caller{Body: body}, err
}

// verifyHeader verifies an Authorization header; rest is what follows the algorithm.
func (v *Verifier) verifyHeader(r *Request, s *scratch, secrets Secrets, rest string) (Caller, error) {
	const op = "sigv4.Verify"
	malformed := func(wrong string) error {
		return fault(op, codeHeader, "The authorization header is malformed; "+wrong)
	}
	var c claim
	if wrong := c.parseAuthorization(rest); wrong != "" {
		return Caller{}, malformed(wrong)
	}
	secret, ok := secrets(c.access)
	if !ok {
		return Caller{}, unknownAccess(op, c.access)
	}
	if err := c.headerDate(s); err != nil {
		return Caller{}, err
	}
	if skew := r.Now.Sub(c.date); skew > maxSkew || skew < -maxSkew {
		return Caller{}, tooSkewed(op, c.stamp, r.Now)
	}
	if c.stamp[:8] != c.scope.date {
		return Caller{}, malformed(`Invalid credential date "` + c.scope.date +
			`". This date is not the same as X-Amz-Date: "` + c.stamp[:8] + `".`)
	}
	if c.payload, ok = s.header("x-amz-content-sha256"); !ok || c.payload == "" {
		return Caller{}, fault(op, codeInvalidRequest, "Missing required header for this request: x-amz-content-sha256")
	}
	return v.check(r, s, &c, secret)
}

// headerDate finds when the request was signed: x-amz-date, else Date.
func (c *claim) headerDate(s *scratch) error {
	text, ok := s.header("x-amz-date")
	if !ok {
		text, _ = s.header("date")
	}
	if c.date, ok = parseStamp(text); ok {
		c.stamp = text
		return nil
	}
	if c.date, ok = parseHTTPDate(text); !ok {
		return badDate()
	}
	c.stamp = c.date.Format(stampLayout)
	return nil
}

func badDate() error {
	return fault("sigv4.Verify", codeAccessDenied, "AWS authentication requires a valid Date or x-amz-date header")
}

// parseHTTPDate reads a date of RFC 9110, or one with a numeric zone. What lies before 1970 is none.
func parseHTTPDate(text string) (time.Time, bool) {
	for _, layout := range []string{"Mon, 02 Jan 2006 15:04:05 GMT", time.RFC1123, time.RFC1123Z, time.RFC850, time.ANSIC} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), t.Unix() >= 0
		}
	}
	return time.Time{}, false
}

// verifyQuery verifies a presigned URL.
func (v *Verifier) verifyQuery(r *Request, s *scratch, secrets Secrets) (Caller, error) {
	const op = "sigv4.Verify"
	c := claim{presigned: true, skip: "X-Amz-Signature"}
	if err := c.parseQuery(s); err != nil {
		return Caller{}, err
	}
	secret, ok := secrets(c.access)
	if !ok {
		return Caller{}, unknownAccess(op, c.access)
	}
	switch age := r.Now.Sub(c.date); {
	case age < -maxSkew:
		return Caller{}, fault(op, codeAccessDenied, "Request is not yet valid", Detail{"X-Amz-Date", c.stamp},
			Detail{"ServerTime", r.Now.UTC().Format(time.RFC3339)})
	case age > time.Duration(c.withinSpan)*time.Second:
		return Caller{}, fault(op, codeAccessDenied, "Request has expired", Detail{"X-Amz-Expires", strconv.FormatInt(c.withinSpan, 10)},
			Detail{"Expires", c.date.Add(time.Duration(c.withinSpan) * time.Second).Format(time.RFC3339)},
			Detail{"ServerTime", r.Now.UTC().Format(time.RFC3339)})
	}
	c.payload = "UNSIGNED-PAYLOAD"
	if p, ok := s.param("X-Amz-Content-Sha256"); ok {
		c.payload = p
	} else if p, ok := s.header("x-amz-content-sha256"); ok && c.signs("x-amz-content-sha256") {
		c.payload = p
	}
	return v.check(r, s, &c, secret)
}

// parseQuery reads the parameters of a presigned URL.
func (c *claim) parseQuery(s *scratch) error {
	const op = "sigv4.Verify"
	var name, credential, expires string
	var missing bool
	for _, want := range []struct {
		key string
		to  *string
	}{
		{"X-Amz-Algorithm", &name},
		{"X-Amz-Credential", &credential},
		{"X-Amz-Date", &c.stamp},
		{"X-Amz-Expires", &expires},
		{"X-Amz-SignedHeaders", &c.headers},
		{"X-Amz-Signature", &c.signature},
	} {
		text, _ := s.param(want.key)
		*want.to = text
		missing = missing || text == ""
	}
	switch {
	case missing:
		return fault(op, codeQuery, "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "+
			"X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.")
	case name != algorithm:
		return fault(op, codeQuery, `X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"`)
	}
	if wrong := c.parseCredential(credential); wrong != "" {
		return fault(op, codeQuery, "Error parsing the X-Amz-Credential parameter; "+wrong)
	}
	if wrong := c.checkParts(); wrong != "" {
		return fault(op, codeQuery, "Error parsing the X-Amz-SignedHeaders parameter; "+wrong)
	}
	var ok bool
	if c.date, ok = parseStamp(c.stamp); !ok {
		return fault(op, codeQuery, `X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`)
	}
	if c.stamp[:8] != c.scope.date {
		return fault(op, codeQuery, fmt.Sprintf("Invalid credential date %q. This date is not the same as X-Amz-Date: %q.",
			c.scope.date, c.stamp[:8]))
	}
	return c.parseExpires(expires)
}

// parseExpires answers a number out of range with 403, as other servers do, where AWS has 400.
func (c *claim) parseExpires(text string) error {
	const op = "sigv4.Verify"
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		return fault(op, codeQuery, "X-Amz-Expires should be a number")
	case n < 0:
		return fault(op, codeAccessDenied, "X-Amz-Expires must be non-negative")
	case n == 0:
		return fault(op, codeAccessDenied, "X-Amz-Expires must be at least 1")
	case n > week:
		return fault(op, codeAccessDenied, "X-Amz-Expires must be less than a week (in seconds); that is, "+
			"the given X-Amz-Expires must be less than 604800 seconds")
	}
	c.withinSpan = n
	return nil
}

// check compares the signature and returns the caller.
func (v *Verifier) check(r *Request, s *scratch, c *claim, secret string) (Caller, error) {
	const op = "sigv4.Verify"
	body, err := s.declared(c.payload, c)
	if err != nil {
		return Caller{}, err
	}
	key, fresh := v.key(c.scope, secret)
	path := r.RawPath
	if path == "" {
		path = "/"
	}
	if !s.matches(r, path, c, key) {
		// A client may escape less on the wire than it signed. Both forms name the same object.
		escaped := string(appendEscaped(nil, path, pathText))
		if escaped == path || !s.matches(r, escaped, c, key) {
			return Caller{}, s.mismatch(c)
		}
	}
	if name, ok := s.unsigned(); ok {
		return Caller{}, notSigned(op, name)
	}
	if !c.signsHost() {
		return Caller{}, notSigned(op, "host")
	}
	if fresh {
		v.keys.put(c.scope, key)
	}
	return Caller{Access: key.access, Presigned: c.presigned, Signature: algorithm, Date: c.date, Body: body}, nil
}

// matches reports whether c's signature is k's for r with this path.
func (s *scratch) matches(r *Request, path string, c *claim, k *signingKey) bool {
	s.build(r, path, c.skip, c.headers, c.payload)
	made := s.sign(k, c.stamp, c.scopeText)
	var given [sha256.Size]byte
	return decodeHex(given[:], c.signature) && subtle.ConstantTimeCompare(made, given[:]) == 1
}

func notSigned(op, name string) error {
	return fault(op, codeAccessDenied, "There were headers present in the request which were not signed",
		Detail{"HeadersNotSigned", strings.ToLower(name)})
}

func unknownAccess(op, access string) error {
	return fault(op, codeInvalidAccess, "The AWS Access Key Id you provided does not exist in our records.",
		Detail{"AWSAccessKeyId", strings.Clone(access)})
}

func tooSkewed(op, stamp string, now time.Time) error {
	return fault(op, codeSkewed, "The difference between the request time and the current time is too large.",
		Detail{"RequestTime", strings.Clone(stamp)},
		Detail{"ServerTime", now.UTC().Format(time.RFC3339)},
		Detail{"MaxAllowedSkewMilliseconds", strconv.FormatInt(maxSkew.Milliseconds(), 10)})
}

const mismatchText = "The request signature we calculated does not match the signature you provided. Check your key and signing method."

// mismatch tells the signer what was signed here, so that it can find the difference.
func (s *scratch) mismatch(c *claim) error {
	toSign := string(s.text)
	request := string(s.request)
	return fault("sigv4.Verify", codeMismatch, mismatchText,
		Detail{"AWSAccessKeyId", strings.Clone(c.access)},
		Detail{"StringToSign", toSign},
		Detail{"SignatureProvided", strings.Clone(c.signature)},
		Detail{"StringToSignBytes", fmt.Sprintf("% x", toSign)},
		Detail{"CanonicalRequest", request},
		Detail{"CanonicalRequestBytes", fmt.Sprintf("% x", request)})
}
