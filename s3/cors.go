package s3

import (
	"strconv"
	"strings"
)

// CORS is a bucket's configuration of what browsers may do with it.
type CORS struct{ Rules []CORSRule }

// CORSRule is one rule. Origins and headers may have one "*" each.
type CORSRule struct {
	ID                                 string
	Origins, Methods, Headers, Exposed []string
	MaxAge                             int // seconds, -1 = not set
}

const maxCORSRules = 100

// ParseCORS reads a CORSConfiguration document.
func ParseCORS(doc []byte) (*CORS, error) {
	const op = "s3.ParseCORS"
	root, err := parseXML(doc, "CORSConfiguration")
	if err != nil {
		return nil, err
	}
	if len(root.kids) == 0 || len(root.kids) > maxCORSRules || !root.only("CORSRule") {
		return nil, malformed("CORSConfiguration")
	}
	c := &CORS{}
	for i := range root.kids {
		r := CORSRule{MaxAge: -1}
		for j := range root.kids[i].kids {
			k := &root.kids[i].kids[j]
			v := strings.TrimSpace(k.text)
			switch k.name {
			case "ID":
				r.ID = v
			case "AllowedOrigin":
				r.Origins = append(r.Origins, v)
			case "AllowedMethod":
				r.Methods = append(r.Methods, v)
			case "AllowedHeader":
				r.Headers = append(r.Headers, v)
			case "ExposeHeader":
				r.Exposed = append(r.Exposed, v)
			case "MaxAgeSeconds":
				if r.MaxAge, err = strconv.Atoi(v); err != nil || r.MaxAge < 0 {
					return nil, malformed("MaxAgeSeconds")
				}
			default:
				return nil, malformed(k.name)
			}
		}
		if err := r.check(op); err != nil {
			return nil, err
		}
		c.Rules = append(c.Rules, r)
	}
	return c, nil
}

func (r *CORSRule) check(op string) error {
	if len(r.Origins) == 0 || len(r.Methods) == 0 || len(r.ID) > 255 {
		return malformed("CORSRule")
	}
	for _, o := range r.Origins {
		if strings.Count(o, "*") > 1 {
			return E(op, "AllowedOrigin", "InvalidRequest", "AllowedOrigin \""+o+"\" can not have more than one wildcard.")
		}
	}
	for _, h := range r.Headers {
		if strings.Count(h, "*") > 1 {
			return E(op, "AllowedHeader", "InvalidRequest", "AllowedHeader \""+h+"\" can not have more than one wildcard.")
		}
	}
	for _, h := range r.Exposed {
		if strings.Contains(h, "*") {
			return E(op, "ExposeHeader", "InvalidRequest", "ExposeHeader \""+h+"\" contains wildcard. We currently do not support wildcard for ExposeHeader.")
		}
	}
	for _, m := range r.Methods {
		switch m {
		case "GET", "PUT", "POST", "DELETE", "HEAD":
		default:
			return E(op, "AllowedMethod", "InvalidRequest", "Found unsupported HTTP method in CORS config. Unsupported method is "+m)
		}
	}
	return nil
}

// AppendXML appends the document of c.
func (c *CORS) AppendXML(b []byte) []byte {
	b = append(b, xmlHeader+"<CORSConfiguration"+xmlns+">"...)
	for i := range c.Rules {
		r := &c.Rules[i]
		b = append(b, "<CORSRule>"...)
		b = appendSome(b, "ID", r.ID)
		for _, l := range [...]struct {
			name string
			vs   []string
		}{{"AllowedHeader", r.Headers}, {"AllowedMethod", r.Methods}, {"AllowedOrigin", r.Origins}, {"ExposeHeader", r.Exposed}} {
			for _, v := range l.vs {
				b = appendText(b, l.name, v)
			}
		}
		if r.MaxAge >= 0 {
			b = appendInt(b, "MaxAgeSeconds", int64(r.MaxAge))
		}
		b = append(b, "</CORSRule>"...)
	}
	return append(b, "</CORSConfiguration>"...)
}

// CORSRequest is what a browser asks: the Origin header and, of a preflight, Access-Control-Request-Method and -Headers.
type CORSRequest struct {
	Origin, Method string
	Headers        string // comma-separated, "" = none
}

// Match returns the first rule that fits r, nil if none does.
func (c *CORS) Match(r *CORSRequest) *CORSRule {
	if c == nil {
		return nil
	}
	for i := range c.Rules {
		if c.Rules[i].fits(r) {
			return &c.Rules[i]
		}
	}
	return nil
}

func (r *CORSRule) fits(q *CORSRequest) bool {
	if !anyWild(r.Origins, q.Origin) {
		return false
	}
	method := false
	for _, m := range r.Methods {
		method = method || m == q.Method
	}
	if !method {
		return false
	}
	for rest := q.Headers; rest != ""; {
		var h string
		h, rest, _ = strings.Cut(rest, ",")
		if h = strings.ToLower(strings.TrimSpace(h)); h != "" && !anyWildFold(r.Headers, h) {
			return false
		}
	}
	return true
}

func anyWild(patterns []string, s string) bool {
	for _, p := range patterns {
		if wild(p, s) {
			return true
		}
	}
	return false
}

func anyWildFold(patterns []string, lower string) bool {
	for _, p := range patterns {
		if wild(strings.ToLower(p), lower) {
			return true
		}
	}
	return false
}

// wild matches a pattern with at most one "*".
func wild(pattern, s string) bool {
	before, after, ok := strings.Cut(pattern, "*")
	if !ok {
		return pattern == s
	}
	return len(s) >= len(before)+len(after) && strings.HasPrefix(s, before) && strings.HasSuffix(s, after)
}

// AppendHeaders appends the header lines of a reply to which the rule applies. Those about methods and headers are a preflight's.
func (r *CORSRule) AppendHeaders(b []byte, q *CORSRequest) []byte {
	origin := q.Origin
	all := false
	for _, o := range r.Origins {
		all = all || o == "*"
	}
	if all {
		origin = "*"
	}
	b = appendHeader(b, "Access-Control-Allow-Origin", origin)
	b = appendHeader(b, "Access-Control-Allow-Methods", strings.Join(r.Methods, ", "))
	b = appendHeader(b, "Access-Control-Allow-Headers", strings.ToLower(q.Headers))
	b = appendHeader(b, "Access-Control-Expose-Headers", strings.Join(r.Exposed, ", "))
	if r.MaxAge >= 0 {
		b = appendHeader(b, "Access-Control-Max-Age", itoa(r.MaxAge))
	}
	if !all {
		b = append(b, "Access-Control-Allow-Credentials: true\r\n"...)
	}
	return append(b, "Vary: Origin, Access-Control-Request-Headers, Access-Control-Request-Method\r\n"...)
}
