package edge_test

import (
	"fmt"
	"testing"
	"time"
)

func (w *world) policy(statement string) {
	w.t.Helper()
	w.want(204, "", call{method: "PUT", path: "/data?policy", body: []byte(`{"Version":"2012-10-17","Statement":[` + statement + `]}`)})
}

// TestPolicyKnowsTheSignature: how a request was signed, and when, is what policies may ask.
func TestPolicyKnowsTheSignature(t *testing.T) {
	w := newWorld(t, 2)
	w.want(200, "", call{method: "PUT", path: "/data/k", body: []byte("x")})
	const deny = `{"Effect":"Deny","Principal":"*","Action":%q,"Resource":["arn:aws:s3:::data","arn:aws:s3:::data/*"],"Condition":{%q:{%q:%q}}}`
	for via := range w.urls {
		get := func(status int, path string) {
			t.Helper()
			code := ""
			if status == 403 {
				code = "AccessDenied"
			}
			w.want(status, code, call{method: "GET", path: path, who: &nobody, via: via})
		}
		w.policy(fmt.Sprintf(deny, "s3:*", "StringEquals", "s3:signatureversion", "AWS"))
		get(403, presignedV2("GET", "/data/k", ""))
		get(403, presignedV2("GET", "/data", ""))
		get(200, w.presigned("GET", "/data/k", 0, via))
		get(200, w.presigned("GET", "/data", 0, via))
		w.want(403, "AccessDenied", newForm("up/x", text(20)).call())
		w.want(200, "", call{method: "GET", path: "/data/k", via: via})

		w.policy(fmt.Sprintf(deny, "s3:*", "NumericGreaterThan", "s3:signatureAge", "600000"))
		get(403, w.presigned("GET", "/data/k", 20*time.Minute, via))
		get(403, w.presigned("GET", "/data", 20*time.Minute, via))
		get(200, w.presigned("GET", "/data/k", time.Minute, via))
		get(200, w.presigned("GET", "/data", time.Minute, via))
		get(200, presignedV2("GET", "/data/k", "")) // always young
		w.want(200, "", call{method: "GET", path: "/data/k", via: via})

		w.policy(fmt.Sprintf(deny, "s3:PutObject", "StringEquals", "s3:authType", "POST"))
		w.want(403, "AccessDenied", newForm("up/x", text(20)).call())
		w.want(200, "", call{method: "PUT", path: "/data/k", body: []byte("x"), via: via})
	}
}

// TestPolicyDeniesWhatHeadersAsk: an ACL or tags that a write brings along are those that a policy denies.
func TestPolicyDeniesWhatHeadersAsk(t *testing.T) {
	w := newWorld(t, 2)
	w.policy(`{"Effect":"Deny","Principal":"*","Action":["s3:PutObjectAcl","s3:PutObjectTagging"],"Resource":"arn:aws:s3:::data/*"}`)
	w.want(200, "", call{method: "PUT", path: "/data/source", body: []byte("x")})
	for _, c := range []call{
		{method: "PUT", path: "/data/k", body: []byte("x")},
		{method: "PUT", path: "/data/k", header: []string{"x-amz-copy-source", "data/source"}},
		{method: "POST", path: "/data/k?uploads"},
	} {
		plain := c
		w.want(200, "", plain)
		for _, more := range [][]string{{"x-amz-acl", "public-read"}, {"x-amz-grant-read", `uri="http://acs.amazonaws.com/groups/global/AllUsers"`}, {"x-amz-tagging", "a=b"}} {
			c.header = append(plain.header[:len(plain.header):len(plain.header)], more...)
			if a := w.do(c); a.StatusCode != 403 || a.code() != "AccessDenied" {
				t.Errorf("%s %s with %q: %d %s", c.method, c.path, c.header, a.StatusCode, a.code())
			}
		}
	}
	w.want(403, "AccessDenied", call{method: "GET", path: "/data/k", who: &nobody})
}
