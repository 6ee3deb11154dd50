package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"aistore/errs"
)

// The people of the tests; canonical ids are other than names.
var (
	ann      = Caller{ID: "ann-id", Name: "ann"}
	bob      = Caller{ID: "bob-id", Name: "bob"}
	root     = Caller{ID: "root-id", Name: "root", Admin: true}
	reader   = Caller{ID: "bob-id", Name: "bob", ReadOnly: true}
	stranger = Caller{Anonymous: true}
)

func with(pairs ...string) func(string) []string {
	m := map[string][]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = append(m[pairs[i]], pairs[i+1])
	}
	return func(key string) []string { return m[key] }
}

func codeOf(err error) string {
	var f *Fault
	switch {
	case err == nil:
		return ""
	case errors.As(err, &f):
		return f.Code
	}
	return err.Error()
}

// statementOf makes a policy of one statement on bucket b.
func statementOf(effect, principal, action, resource, condition string) string {
	s := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":%q,"Principal":%s,"Action":%s,"Resource":%s`, effect, principal, action, resource)
	if condition != "" {
		s += `,"Condition":` + condition
	}
	return s + "}]}"
}

func mustParse(t *testing.T, doc string) *Policy {
	t.Helper()
	p, err := Parse([]byte(doc), "b")
	if err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	return p
}

func TestDecidePrincipals(t *testing.T) {
	for _, c := range []struct {
		principal string
		yes, no   []Caller
	}{
		{`"*"`, []Caller{ann, bob, stranger}, nil},
		{`{"AWS":"*"}`, []Caller{ann, bob, stranger}, nil},
		{`{"AWS":["*"]}`, []Caller{ann, stranger}, nil},
		{`{"AWS":"ann"}`, []Caller{ann}, []Caller{bob, stranger}},
		{`{"AWS":"ann-id"}`, []Caller{ann}, []Caller{bob, stranger}},
		{`{"AWS":["bob","arn:aws:iam:::user/ann"]}`, []Caller{ann, bob}, []Caller{root, stranger}},
		{`{"AWS":"arn:aws:iam::ann-id:user/ann"}`, []Caller{ann}, []Caller{bob, stranger}},
		{`{"AWS":"arn:aws:iam::bob-id:user/ann"}`, nil, []Caller{ann, bob, stranger}},
		{`{"AWS":"arn:aws:iam:::user/team/ann"}`, []Caller{ann}, []Caller{bob}},
		{`{"AWS":"arn:aws:iam::ann-id:root"}`, []Caller{ann}, []Caller{bob, stranger}},
		{`{"AWS":"arn:aws:iam::s3tenant1:root"}`, nil, []Caller{ann, bob, stranger}},
		{`{"AWS":"arn:aws:iam::1:role/ann"}`, nil, []Caller{ann, stranger}},
		{`{"AWS":"arn:aws:sts::1:assumed-role/ann/x"}`, nil, []Caller{ann, stranger}},
		{`{"CanonicalUser":"ann-id"}`, []Caller{ann}, []Caller{bob, stranger}},
		{`{"CanonicalUser":"ann"}`, nil, []Caller{ann, bob, stranger}},
		{`{"Service":"logging.s3.amazonaws.com"}`, nil, []Caller{ann, stranger}},
		{`{"Service":"x","AWS":"bob"}`, []Caller{bob}, []Caller{ann, stranger}},
	} {
		p := mustParse(t, statementOf("Allow", c.principal, `"s3:GetObject"`, `"arn:aws:s3:::b/*"`, ""))
		for i, callers := range [][]Caller{c.yes, c.no} {
			for _, who := range callers {
				got := p.Decide(&Request{Caller: who, Action: "s3:GetObject", Bucket: "b", Key: "k"})
				if (got == Allow) != (i == 0) {
					t.Errorf("%s: %+v: %v", c.principal, who, got)
				}
			}
		}
	}
}

func TestDecideNotPrincipal(t *testing.T) {
	p := mustParse(t, `{"Statement":{"Effect":"Deny","NotPrincipal":{"AWS":"ann"},"Action":"*","Resource":"*"}}`)
	for who, want := range map[*Caller]Decision{&ann: Silent, &bob: Deny, &stranger: Deny} {
		if got := p.Decide(&Request{Caller: *who, Action: "s3:GetObject", Bucket: "b"}); got != want {
			t.Errorf("%+v: %v", who, got)
		}
	}
}

func TestDecideActionsAndResources(t *testing.T) {
	for _, c := range []struct {
		member, value string // of the statement
		action, key   string
		want          Decision
	}{
		{"Action", `"s3:GetObject"`, "s3:GetObject", "k", Allow},
		{"Action", `"s3:getobject"`, "s3:GetObject", "k", Allow},
		{"Action", `"s3:GetObject"`, "s3:GetObjectAcl", "k", Silent},
		{"Action", `"s3:Get*"`, "s3:GetObjectAcl", "k", Allow},
		{"Action", `"s3:Get*"`, "s3:PutObject", "k", Silent},
		{"Action", `"s3:?etObject"`, "s3:GetObject", "k", Allow},
		{"Action", `["s3:PutObject","s3:*"]`, "s3:DeleteBucket", "", Allow},
		{"Action", `"*"`, "s3:DeleteBucket", "", Allow},
		{"NotAction", `"s3:Put*"`, "s3:PutObject", "k", Silent},
		{"NotAction", `["s3:Put*"]`, "s3:GetObject", "k", Allow},
		{"Resource", `"arn:aws:s3:::b"`, "s3:ListBucket", "", Allow},
		{"Resource", `"arn:aws:s3:::b"`, "s3:GetObject", "k", Silent},
		{"Resource", `"arn:aws:s3:::b/*"`, "s3:ListBucket", "", Silent},
		{"Resource", `"arn:aws:s3:::b/*"`, "s3:GetObject", "a/b/c", Allow},
		{"Resource", `"arn:aws:s3:::b/a/*"`, "s3:GetObject", "a/b/c", Allow},
		{"Resource", `"arn:aws:s3:::b/a/*"`, "s3:GetObject", "b/c", Silent},
		{"Resource", `"arn:aws:s3:::b/?.txt"`, "s3:GetObject", "a.txt", Allow},
		{"Resource", `"arn:aws:s3:::b/?.txt"`, "s3:GetObject", "aa.txt", Silent},
		{"Resource", `"arn:aws:s3:::*"`, "s3:GetObject", "k", Allow},
		{"Resource", `"arn:aws-cn:s3:::b*"`, "s3:GetObject", "k", Allow},
		{"Resource", `["arn:aws:s3:::b/x","arn:aws:s3:::b/k"]`, "s3:GetObject", "k", Allow},
		{"NotResource", `"arn:aws:s3:::b/a/*"`, "s3:GetObject", "a/b", Silent},
		{"NotResource", `"arn:aws:s3:::b/a/*"`, "s3:GetObject", "b", Allow},
		{"Resource", `"arn:aws:s3:::b/home/${aws:username}/*"`, "s3:GetObject", "home/ann/x", Allow},
		{"Resource", `"arn:aws:s3:::b/home/${aws:username}/*"`, "s3:GetObject", "home/bob/x", Silent},
		{"Resource", `"arn:aws:s3:::b/${aws:nothing}*"`, "s3:GetObject", "x", Silent},
		{"Resource", `"arn:aws:s3:::b/${aws:nothing, 'all'}/x"`, "s3:GetObject", "all/x", Allow},
		{"Resource", `"arn:aws:s3:::b/${*}/*"`, "s3:GetObject", "*/x", Allow},
		{"Resource", `"arn:aws:s3:::b/${*}/*"`, "s3:GetObject", "a/x", Silent},
		{"Resource", `"arn:aws:s3:::b/${aws:star}/x"`, "s3:GetObject", "a/x", Silent},
		{"Resource", `"arn:aws:s3:::b/${aws:star}/x"`, "s3:GetObject", "*/x", Allow},
	} {
		members := map[string]string{"Action": `"*"`, "Resource": `"*"`}
		delete(members, strings.TrimPrefix(c.member, "Not"))
		members[c.member] = c.value
		doc := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*"`
		for name, value := range members {
			doc += fmt.Sprintf(",%q:%s", name, value)
		}
		p := mustParse(t, doc+"}]}")
		r := &Request{Caller: ann, Action: c.action, Bucket: "b", Key: c.key, Values: with("aws:star", "*")}
		if got := p.Decide(r); got != c.want {
			t.Errorf("%s %s: %s of %q: %v", c.member, c.value, c.action, c.key, got)
		}
	}
	// Variables are of the newer version only.
	p := mustParse(t, `{"Version":"2008-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"arn:aws:s3:::b/${aws:username}"}}`)
	if p.Decide(&Request{Caller: ann, Action: "s3:GetObject", Bucket: "b", Key: "ann"}) != Silent {
		t.Error("a variable in a policy of 2008")
	}
}

func TestDenyWins(t *testing.T) {
	allow := `{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}`
	deny := `{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"*"}`
	for _, list := range []string{allow + "," + deny, deny + "," + allow} {
		p := mustParse(t, `{"Version":"2012-10-17","Statement":[`+list+`]}`)
		if got := p.Decide(&Request{Caller: ann, Action: "s3:PutObject", Bucket: "b", Key: "k"}); got != Deny {
			t.Error(got)
		}
		if got := p.Decide(&Request{Caller: ann, Action: "s3:GetObject", Bucket: "b", Key: "k"}); got != Allow {
			t.Error(got)
		}
	}
}

func TestConditions(t *testing.T) {
	values := with(
		"s3:prefix", "home/ann", "s3:max-keys", "10", "aws:sourceip", "10.1.2.3", "aws:securetransport", "true", "aws:referer", "http://a/b",
		"aws:currenttime", "2026-03-01T12:00:00Z", "s3:existingobjecttag/Security", "public", "s3:requestobjecttagkeys", "a", "s3:requestobjecttagkeys", "b",
		"aws:sourcearn", "arn:aws:s3:::src", "aws:six", "2001:db8::1", "aws:mapped", "::ffff:10.1.2.3", "aws:epoch", "1772366400",
	)
	for _, c := range []struct {
		op, key, value string
		want           bool
	}{
		{"StringEquals", "s3:prefix", `"home/ann"`, true},
		{"StringEquals", "S3:Prefix", `"home/ann"`, true},
		{"StringEquals", "s3:prefix", `["x","home/ann"]`, true},
		{"StringEquals", "s3:prefix", `"home/*"`, false},
		{"StringEquals", "s3:prefix", `"home/${aws:username}"`, true},
		{"StringEquals", "aws:none", `"x"`, false},
		{"StringNotEquals", "s3:prefix", `"home/ann"`, false},
		{"StringNotEquals", "s3:prefix", `["x","home/ann"]`, false},
		{"StringNotEquals", "s3:prefix", `["x","y"]`, true},
		{"StringNotEquals", "aws:none", `"x"`, true},
		{"StringEqualsIgnoreCase", "s3:prefix", `"HOME/ann"`, true},
		{"StringNotEqualsIgnoreCase", "s3:prefix", `"HOME/ann"`, false},
		{"StringLike", "s3:prefix", `"home/*"`, true},
		{"StringLike", "s3:prefix", `"home/?nn"`, true},
		{"StringLike", "s3:prefix", `"away/*"`, false},
		{"StringNotLike", "s3:prefix", `"home/*"`, false},
		{"StringNotLike", "aws:none", `"*"`, true},
		{"StringLikeIfExists", "aws:none", `"x"`, true},
		{"StringLikeIfExists", "s3:prefix", `"x"`, false},
		{"StringEquals", "s3:ExistingObjectTag/Security", `"public"`, true},
		{"StringEquals", "s3:ExistingObjectTag/security", `"public"`, false},
		{"StringEquals", "aws:username", `"ann"`, true},
		{"StringEquals", "aws:userid", `"ann-id"`, true},
		{"StringEquals", "aws:PrincipalType", `"User"`, true},
		{"ArnEquals", "aws:PrincipalArn", `"arn:aws:iam:::user/ann"`, true},
		{"NumericEquals", "s3:max-keys", `"10"`, true},
		{"NumericEquals", "s3:max-keys", `10`, true},
		{"NumericNotEquals", "s3:max-keys", `"10"`, false},
		{"NumericNotEquals", "aws:none", `"10"`, true},
		{"NumericLessThan", "s3:max-keys", `"10"`, false},
		{"NumericLessThanEquals", "s3:max-keys", `"10"`, true},
		{"NumericGreaterThan", "s3:max-keys", `"9.5"`, true},
		{"NumericGreaterThanEquals", "s3:max-keys", `"11"`, false},
		{"NumericEquals", "s3:prefix", `"10"`, false},
		{"DateLessThan", "aws:CurrentTime", `"2026-03-02T00:00:00Z"`, true},
		{"DateGreaterThan", "aws:CurrentTime", `"2026-03-02"`, false},
		{"DateEquals", "aws:epoch", `"2026-03-01T12:00:00Z"`, true},
		{"DateNotEquals", "aws:CurrentTime", `"2026-03-01T12:00:00Z"`, false},
		{"DateLessThanEquals", "aws:CurrentTime", `"1772366400"`, true},
		{"DateGreaterThanEquals", "aws:CurrentTime", `1772366401`, false},
		{"Bool", "aws:SecureTransport", `"true"`, true},
		{"Bool", "aws:SecureTransport", `true`, true},
		{"Bool", "aws:SecureTransport", `"false"`, false},
		{"Bool", "aws:none", `"false"`, false},
		{"BoolIfExists", "aws:none", `"false"`, true},
		{"IpAddress", "aws:SourceIp", `"10.0.0.0/8"`, true},
		{"IpAddress", "aws:SourceIp", `"10.1.2.3"`, true},
		{"IpAddress", "aws:SourceIp", `["192.168.0.0/16","10.1.2.4"]`, false},
		{"IpAddress", "aws:six", `"2001:db8::/32"`, true},
		{"IpAddress", "aws:six", `"10.0.0.0/8"`, false},
		{"IpAddress", "aws:mapped", `"10.0.0.0/8"`, true},
		{"NotIpAddress", "aws:SourceIp", `"10.0.0.0/8"`, false},
		{"NotIpAddress", "aws:SourceIp", `"11.0.0.0/8"`, true},
		{"Null", "aws:none", `"true"`, true},
		{"Null", "aws:none", `"false"`, false},
		{"Null", "s3:prefix", `true`, false},
		{"Null", "s3:prefix", `false`, true},
		{"ArnLike", "aws:SourceArn", `"arn:aws:s3:*:*:src"`, true},
		{"ArnLike", "aws:SourceArn", `"arn:aws:s3:::s*"`, true},
		{"ArnLike", "aws:SourceArn", `"arn:aws:sns:::src"`, false},
		{"ArnLike", "aws:SourceArn", `"arn*src"`, false},
		{"ArnNotLike", "aws:SourceArn", `"arn:aws:s3:::src"`, false},
		{"ArnNotEquals", "aws:none", `"arn:aws:s3:::src"`, true},
		{"BinaryEquals", "s3:prefix", `"home/ann"`, true},
		{"ForAllValues:StringEquals", "s3:RequestObjectTagKeys", `["a","b","c"]`, true},
		{"ForAllValues:StringEquals", "s3:RequestObjectTagKeys", `["a"]`, false},
		{"ForAllValues:StringEquals", "aws:none", `["a"]`, true},
		{"ForAllValues:StringNotEquals", "s3:RequestObjectTagKeys", `["c"]`, true},
		{"ForAllValues:StringNotEquals", "s3:RequestObjectTagKeys", `["b"]`, false},
		{"ForAnyValue:StringEquals", "s3:RequestObjectTagKeys", `["b","z"]`, true},
		{"ForAnyValue:StringEquals", "s3:RequestObjectTagKeys", `["z"]`, false},
		{"ForAnyValue:StringEquals", "aws:none", `["z"]`, false},
		{"ForAnyValue:StringNotEquals", "s3:RequestObjectTagKeys", `["a"]`, true},
		{"ForAnyValue:StringNotEquals", "aws:none", `["a"]`, false},
		{"ForAnyValue:StringLikeIfExists", "aws:none", `["a"]`, true},
	} {
		p := mustParse(t, statementOf("Allow", `"*"`, `"*"`, `"*"`, fmt.Sprintf(`{%q:{%q:%s}}`, c.op, c.key, c.value)))
		r := &Request{Caller: ann, Action: "s3:GetObject", Bucket: "b", Key: "k", Values: values}
		if got := p.Decide(r) == Allow; got != c.want {
			t.Errorf("%s %s %s: %v", c.op, c.key, c.value, got)
		}
	}
	// All operators and all keys must hold.
	p := mustParse(t, statementOf("Allow", `"*"`, `"*"`, `"*"`, `{"StringEquals":{"s3:prefix":"home/ann","aws:referer":"http://a/b"},"Bool":{"aws:SecureTransport":"true"}}`))
	if p.Decide(&Request{Caller: ann, Action: "s3:GetObject", Bucket: "b", Values: values}) != Allow {
		t.Error("all conditions hold")
	}
	if p.Decide(&Request{Caller: ann, Action: "s3:GetObject", Bucket: "b", Values: with("s3:prefix", "home/ann", "aws:securetransport", "true")}) != Silent {
		t.Error("one condition does not hold")
	}
}

func TestParseRefuses(t *testing.T) {
	for doc, want := range map[string]string{
		``:                   "valid JSON",
		`[]`:                 "valid JSON",
		`null`:               "valid JSON",
		`{"Statement":[]} x`: "valid JSON",
		`{}`:                 "Missing required field Statement",
		`{"Statement":[]}`:   "Missing required field Statement",
		`{"Version":"2020-01-01","Statement":[]}`:                                                         "version",
		`{"Version":7,"Statement":[]}`:                                                                    "version",
		`{"Extra":1,"Statement":[]}`:                                                                      "Unknown field Extra",
		`{"Id":1,"Statement":[]}`:                                                                         "Id must be a string",
		`{"Statement":["x"]}`:                                                                             "valid JSON",
		`{"Statement":{"Principal":"*","Action":"*","Resource":"*"}}`:                                     "Invalid effect",
		`{"Statement":{"Effect":"allow","Principal":"*","Action":"*","Resource":"*"}}`:                    "Invalid effect",
		`{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`:                                    "Missing required field Principal",
		`{"Statement":{"Effect":"Allow","Principal":"*","Resource":"*"}}`:                                 "Missing required field Action",
		`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*"}}`:                                   "Missing required field Resource",
		`{"Statement":{"Effect":"Allow","Principal":"*","NotPrincipal":"*","Action":"*","Resource":"*"}}`: "either Principal or NotPrincipal",
		`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","NotAction":"*","Resource":"*"}}`:    "either Action or NotAction",
		`{"Statement":{"Effect":"Allow","NotPrincipal":{"AWS":"arn:aws:iam::s3tenant1:root"},"Action":"s3:ListBucket","Resource":"arn:aws:s3:::b"}}`: "NotPrincipal",
		`{"Statement":{"Effect":"Allow","Principal":"ann","Action":"*","Resource":"*"}}`:                                                             "Invalid principal",
		`{"Statement":{"Effect":"Allow","Principal":{},"Action":"*","Resource":"*"}}`:                                                                "Invalid principal",
		`{"Statement":{"Effect":"Allow","Principal":{"AWS":[]},"Action":"*","Resource":"*"}}`:                                                        "Invalid principal",
		`{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam:::user/*"},"Action":"*","Resource":"*"}}`:                                    "Invalid principal",
		`{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:s3:::b"},"Action":"*","Resource":"*"}}`:                                          "Invalid principal",
		`{"Statement":{"Effect":"Allow","Principal":{"Who":"x"},"Action":"*","Resource":"*"}}`:                                                       "Invalid principal",
		`{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:Fly","Resource":"*"}}`:                                                          "invalid action",
		`{"Statement":{"Effect":"Allow","Principal":"*","Action":"ec2:*","Resource":"*"}}`:                                                           "invalid action",
		`{"Statement":{"Effect":"Allow","Principal":"*","Action":[],"Resource":"*"}}`:                                                                "Action must be",
		`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"arn:aws:s3:::other/*"}}`:                                            "invalid resource",
		`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"arn:aws:s3::t:b/*"}}`:                                               "invalid resource",
		`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"b/*"}}`:                                                             "invalid resource",
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"arn:aws:s3:::b/${aws:username"}}`:            "invalid resource",
		`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":[]}}`:                                                "Condition must be",
		`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{"StringIs":{"aws:x":"y"}}}}`:                        "Invalid Condition type",
		`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{"NullIfExists":{"aws:x":"true"}}}}`:                 "Invalid Condition type",
		`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{"StringEquals":{"x":"y"}}}}`:                        "invalid condition key",
		`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:x":{}}}}}`:                     "must be strings",
		`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:x":null}}}}`:                   "must be strings",
		`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{"NumericEquals":{"aws:x":"ten"}}}}`:                 "Invalid value",
		`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/33"}}}}`:      "Invalid value",
		`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{"DateEquals":{"aws:x":"soon"}}}}`:                   "Invalid value",
		`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{"Bool":{"aws:x":"maybe"}}}}`:                        "Invalid value",
		`{"Id":"` + strings.Repeat("x", maxPolicy) + `"}`:                                                                                            "20480 bytes",
	} {
		_, err := Parse([]byte(doc), "b")
		if codeOf(err) != "MalformedPolicy" || !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.150s: %v, want %q", doc, err, want)
		}
	}
	if _, err := Parse([]byte(statementOf("Allow", `"*"`, `"*"`, `"arn:aws:s3:::former/*"`, "")), ""); err != nil {
		t.Error("without a bucket, resources are not looked at:", err)
	}
}

func TestPublic(t *testing.T) {
	for _, c := range []struct {
		effect, principal, condition string
		want                         bool
	}{
		{"Allow", `"*"`, "", true},
		{"Allow", `{"AWS":"*"}`, "", true},
		{"Deny", `"*"`, "", false},
		{"Allow", `{"AWS":"arn:aws:iam::s3tenant1:root"}`, "", false},
		{"Allow", `"*"`, `{"IpAddress":{"aws:SourceIp":"10.0.0.0/32"}}`, false},
		{"Allow", `"*"`, `{"IpAddress":{"aws:SourceIp":["10.0.0.0/32","0.0.0.0/1"]}}`, true},
		{"Allow", `"*"`, `{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}`, true},
		{"Allow", `"*"`, `{"IpAddress":{"aws:SourceIp":"2001:db8::/32"}}`, false},
		{"Allow", `"*"`, `{"IpAddressIfExists":{"aws:SourceIp":"10.0.0.0/32"}}`, true},
		{"Allow", `"*"`, `{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/32"}}`, true},
		{"Allow", `"*"`, `{"StringEquals":{"aws:userid":"ann-id"}}`, false},
		{"Allow", `"*"`, `{"StringLike":{"aws:userid":"ann-*"}}`, true},
		{"Allow", `"*"`, `{"StringEquals":{"aws:userid":"${aws:userid}"}}`, true},
		{"Allow", `"*"`, `{"ForAllValues:StringEquals":{"aws:userid":"ann-id"}}`, true},
		{"Allow", `"*"`, `{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::x"}}`, false},
		{"Allow", `"*"`, `{"StringLike":{"aws:Referer":"http://a/"}}`, true},
	} {
		if got := mustParse(t, statementOf(c.effect, c.principal, `"s3:GetObject"`, `"arn:aws:s3:::b/*"`, c.condition)).Public(); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if (*Policy)(nil).Public() {
		t.Error("no policy")
	}
}
