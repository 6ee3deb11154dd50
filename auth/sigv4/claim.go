package sigv4

import (
	"strings"
	"time"
)

const (
	algorithm   = "AWS4-HMAC-SHA256"
	stampLayout = "20060102T150405Z"
	week        = 7 * 24 * 60 * 60 // seconds: the longest a presigned URL may live
	maxSkew     = 15 * time.Minute
	maxSigned   = 256 // headers that a request may name as signed: looking each up is not free
)

// A claim is what a request says about its signature. Its strings belong to the request.
type claim struct {
	scope             // access key, date, region
	scopeText  string // date/region/s3/aws4_request
	headers    string // signed headers, joined by semicolons
	signature  string // hex
	stamp      string // when it was signed, as in the string to sign
	date       time.Time
	payload    string // last line of the canonical request
	skip       string // the query parameter that holds the signature
	presigned  bool
	withinSpan int64 // presigned: seconds it is valid
}

// parseCredential takes ACCESS/20060102/region/s3/aws4_request apart. what is wrong with it is said in AWS's words.
func (c *claim) parseCredential(text string) (wrong string) {
	const form = `the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`
	rest, terminal, ok1 := cutLast(text)
	rest, svc, ok2 := cutLast(rest)
	rest, region, ok3 := cutLast(rest)
	access, date, ok4 := cutLast(rest)
	switch {
	case !ok1 || !ok2 || !ok3 || !ok4 || access == "" || len(access) > 128 || !plain(access):
		return form
	case terminal != "aws4_request":
		return `incorrect terminal "` + terminal + `". This endpoint uses "aws4_request".`
	case svc != service:
		return `incorrect service "` + svc + `". This endpoint belongs to "s3".`
	case len(date) != 8 || !digits(date):
		return `incorrect date format "` + date + `". This date in the credential must be in the format "yyyyMMdd".`
	case region == "" || len(region) > 64 || !plainRegion(region):
		return `the region "` + region + `" is wrong; expecting a name such as "us-east-1".`
	}
	c.scope = scope{access, date, region}
	c.scopeText = text[len(access)+1:]
	return ""
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// parseAuthorization takes the rest of an Authorization header after its algorithm apart.
func (c *claim) parseAuthorization(text string) (wrong string) {
	var credential string
	for rest := text; rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, ",")
		key, value, ok := strings.Cut(trim(part), "=")
		if !ok {
			return `the authorization component "` + part + `" is malformed.`
		}
		switch key {
		case "Credential":
			credential = value
		case "SignedHeaders":
			c.headers = value
		case "Signature":
			c.signature = value
		}
	}
	switch {
	case credential == "":
		return "the authorization header requires three components: Credential, SignedHeaders, and Signature."
	case c.headers == "":
		return "the authorization component SignedHeaders is missing."
	case c.signature == "":
		return "the authorization component Signature is missing."
	}
	if wrong := c.parseCredential(credential); wrong != "" {
		return wrong
	}
	return c.checkParts()
}

// checkParts looks at the parts that header and query share.
func (c *claim) checkParts() (wrong string) {
	if strings.Count(c.headers, ";") >= maxSigned {
		return "too many signed headers."
	}
	return ""
}

// signsHost reports whether the host is among the signed headers.
func (c *claim) signsHost() bool { return c.signs("host") }

func (c *claim) signs(name string) bool {
	for rest := c.headers; rest != ""; {
		var signed string
		signed, rest, _ = strings.Cut(rest, ";")
		if signed == name {
			return true
		}
	}
	return false
}

// parseStamp reads 20060102T150405Z.
func parseStamp(s string) (time.Time, bool) {
	if len(s) != len(stampLayout) || s[8] != 'T' || s[15] != 'Z' || !digits(s[:8]) || !digits(s[9:15]) {
		return time.Time{}, false
	}
	two := func(i int) int { return int(s[i]-'0')*10 + int(s[i+1]-'0') }
	t := time.Date(two(0)*100+two(2), time.Month(two(4)), two(6), two(9), two(11), two(13), 0, time.UTC)
	// A date such as the 31st of February becomes another one.
	return t, int(t.Month()) == two(4) && t.Day() == two(6) && t.Hour() == two(9) && t.Minute() == two(11)
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// plain reports whether s is printable ASCII without space.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func plainRegion(s string) bool {
	for i := range len(s) {
		if c := s[i]; !unreserved(c) || c == '~' {
			return false
		}
	}
	return true
}
