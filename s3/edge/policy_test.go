package edge_test

import (
	"fmt"
	"strings"
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

// TestPolicyMustAllowWhatHeadersAsk: whom a policy lets write may give what is written an ACL or tags only if it allows that, too.
func TestPolicyMustAllowWhatHeadersAsk(t *testing.T) {
	w := newWorld(t, 2)
	acl, tags := []string{"x-amz-acl", "bucket-owner-full-control"}, []string{"x-amz-tagging", "a=b"}
	const allow = `{"Effect":"Allow","Principal":{"AWS":"bob"},"Action":[%s],"Resource":["arn:aws:s3:::data","arn:aws:s3:::data/*"]}`
	writes := []call{
		{method: "PUT", path: "/data/k", body: []byte("x"), who: &bob},
		{method: "PUT", path: "/data/k", header: []string{"x-amz-copy-source", "data/source"}, who: &bob},
		{method: "POST", path: "/data/k?uploads", who: &bob},
	}
	try := func(what string, header []string, status int) {
		t.Helper()
		for _, c := range writes {
			c.header = append(c.header[:len(c.header):len(c.header)], header...)
			if a := w.do(c); a.StatusCode != status {
				t.Errorf("%s, %s %s with %q: %d %s, want %d", what, c.method, c.path, header, a.StatusCode, a.code(), status)
			}
		}
	}
	w.want(200, "", call{method: "PUT", path: "/data/source", body: []byte("x")})
	w.policy(fmt.Sprintf(allow, `"s3:PutObject","s3:GetObject"`))
	try("PutObject", nil, 200)
	try("PutObject", acl, 403)
	try("PutObject", tags, 403)
	w.policy(fmt.Sprintf(allow, `"s3:PutObject","s3:GetObject","s3:PutObjectAcl"`))
	try("and PutObjectAcl", acl, 200)
	try("and PutObjectAcl", tags, 403)
	w.policy(fmt.Sprintf(allow, `"s3:PutObject","s3:GetObject","s3:PutObjectTagging"`))
	try("and PutObjectTagging", tags, 200)
	try("and PutObjectTagging", acl, 403)
	w.want(200, "", call{method: "PUT", path: "/data/k", body: []byte("x"), header: append(acl, tags...)}) // its owner needs no Allow

	w.policy(fmt.Sprintf(allow, `"s3:GetObject"`))
	w.want(200, "", call{method: "PUT", path: "/data?acl", header: []string{"x-amz-acl", "public-read-write"}})
	try("the bucket's ACL", append(acl, tags...), 200) // nor does who writes by an ACL
}

// TestPolicyPrincipalsAreKnown: a policy that speaks of a user whom nobody knows, such as one that was mistyped, is refused.
func TestPolicyPrincipalsAreKnown(t *testing.T) {
	w := newWorld(t, 1)
	put := func(principal string, status int, code string) *answer {
		t.Helper()
		return w.want(status, code, call{method: "PUT", path: "/data?policy", body: []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":` + principal + `,"Action":"s3:GetObject","Resource":"arn:aws:s3:::data/*"}]}`)})
	}
	for _, p := range []string{
		`"*"`, `{"AWS":"*"}`, `{"AWS":"bob"}`, `{"AWS":"bob-id"}`, `{"AWS":"arn:aws:iam:::user/bob"}`, `{"AWS":"arn:aws:iam::bob-id:user/bob"}`, `{"AWS":"arn:aws:iam::bob-id:root"}`, `{"CanonicalUser":"bob-id"}`,
		`{"AWS":"arn:aws:iam::123456789012:root"}`, `{"AWS":"123456789012"}`, `{"AWS":"arn:aws:iam::123456789012:role/r"}`, `{"Service":"cloudtrail.amazonaws.com"}`,
	} {
		put(p, 204, "")
	}
	for _, p := range []string{
		`{"AWS":"bobb"}`, `{"AWS":["bob","bobb"]}`, `{"AWS":"arn:aws:iam:::user/bobb"}`, `{"AWS":"arn:aws:iam::alice-id:user/bob"}`, `{"AWS":"arn:aws:iam::123456789012:user/bob"}`, `{"CanonicalUser":"bob"}`,
	} {
		put(p, 400, "MalformedPolicy")
	}
	if a := put(`{"AWS":["bob","bobb"]}`, 400, "MalformedPolicy"); !strings.Contains(string(a.body), "<Message>Invalid principal in policy: bobb is no user") {
		t.Errorf("the reply does not say who is unknown: %s", a.body)
	}
	w.want(403, "AccessDenied", call{method: "PUT", path: "/data?policy", who: &bob, body: []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"bobb"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::data/*"}]}`)}) // users are not his to find out
}
