package edge

import (
	"slices"
	"strings"

	"aistore/s3"
)

// preflight answers what a browser asks before a request: by the bucket's rules, without authentication.
func (r *request) preflight() error {
	const op = "edge.preflight"
	q := s3.CORSRequest{
		Origin: r.c.Header("Origin"), Method: r.c.Header("Access-Control-Request-Method"), Headers: r.c.Header("Access-Control-Request-Headers"),
	}
	switch {
	case q.Origin == "":
		return s3.E(op, "Origin", "BadRequest", "Insufficient information. Origin request header needed.")
	case !slices.Contains([]string{"GET", "PUT", "POST", "DELETE", "HEAD"}, q.Method):
		method := q.Method
		if method == "" {
			method = "null"
		}
		return s3.E(op, "Access-Control-Request-Method", "BadRequest", "Invalid Access-Control-Request-Method: "+method)
	}
	var err error
	if r.view, err = r.e.node.View(); err != nil {
		return err
	}
	if r.level == s3.Service {
		return forbidden()
	}
	if err := r.find(); err != nil {
		return err
	}
	if r.bucket.Props.S3.CORS == "" {
		return s3.E(op, "CORS", "AccessForbidden", "CORSResponse: CORS is not enabled for this bucket.")
	}
	rule := r.set.CORS.Match(&q)
	if rule == nil {
		return forbidden()
	}
	r.c.AddHeaders(rule.AppendHeaders(nil, &q))
	return nil
}

// forbidden has the words of AWS, letter by letter: there are clients that look for them.
func forbidden() error {
	return s3.E("edge.preflight", "CORS", "AccessForbidden", "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.") //nolint:misspell // AWS's
}

// cors adds what the bucket's rules say to a request with an Origin, whether it succeeds or not.
func (r *request) cors(origin string) {
	v, err := r.e.node.View()
	if err != nil || r.name == "" {
		return
	}
	b := v.Buckets.Get("", r.name)
	if b == nil {
		return
	}
	set, err := r.e.settings.Of(v, b)
	if err != nil {
		return
	}
	q := s3.CORSRequest{Origin: origin, Method: r.c.Method()}
	if m := r.c.Header("Access-Control-Request-Method"); m != "" {
		q.Method = m
	}
	rule := set.CORS.Match(&q)
	if rule == nil {
		return
	}
	for rest := string(rule.AppendHeaders(nil, &q)); rest != ""; {
		var line string
		line, rest, _ = strings.Cut(rest, "\r\n")
		if k, val, ok := strings.Cut(line, ": "); ok {
			r.c.SetHeader(k, val)
			r.c.SetFailHeader(k, val)
		}
	}
}
