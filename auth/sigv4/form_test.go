package sigv4

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"strings"
	"testing"
	"time"

	"aistore/errs"
)

var formNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// The policy that the tests below change.
const formPolicyText = `{"expiration": "2026-03-01T13:00:00Z", "conditions": [
	{"bucket": "b"}, ["starts-with", "$key", "foo"], {"acl": "private"}, ["starts-with", "$Content-Type", "text/plain"],
	["content-length-range", 0, 1024]]}`

func encodePolicy(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func signPolicyV2(encoded string) string {
	h := hmac.New(sha1.New, []byte(secret))
	h.Write([]byte(encoded))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// formOf returns a form signed the V2 way.
func formOf(policy string) *Form {
	encoded := encodePolicy(policy)
	return &Form{Bucket: "b", Filename: "up.txt", Now: formNow, Fields: map[string]string{
		"key": "foo.txt", "awsaccesskeyid": access, "acl": "private", "content-type": "text/plain", "policy": encoded, "signature": signPolicyV2(encoded),
	}}
}

func TestForms(t *testing.T) {
	change := func(old, new string) string {
		if !strings.Contains(formPolicyText, old) {
			t.Fatalf("%q is not in the policy", old)
		}
		return strings.Replace(formPolicyText, old, new, 1)
	}
	more := func(condition string) string {
		return change(`["content-length-range"`, condition+`, ["content-length-range"`)
	}
	field := func(name, value string) func(*Form) { return func(f *Form) { f.Fields[name] = value } }
	without := func(names ...string) func(*Form) {
		return func(f *Form) {
			for _, name := range names {
				delete(f.Fields, name)
			}
		}
	}
	for name, c := range map[string]struct {
		policy string
		change func(*Form)
		want   string
	}{
		"plain":                         {formPolicyText, nil, ""},
		"names in any case":             {`{"expiration": "2026-03-01T13:00:00.5Z", "conditions": [{"bUcKeT": "b"}, ["StArTs-WiTh", "$KeY", "foo"], {"AcL": "private"}, ["EQ", "$CoNtEnT-TyPe", "text/plain"]]}`, nil, ""},
		"unknown access key":            {formPolicyText, field("awsaccesskeyid", "foo"), codeInvalidAccess},
		"signature":                     {formPolicyText, field("signature", "AAAA"), codeMismatch},
		"signature missing":             {formPolicyText, without("signature"), codeArgument},
		"access key missing":            {formPolicyText, without("awsaccesskeyid"), codeArgument},
		"policy missing":                {formPolicyText, without("policy"), codeArgument},
		"policy changed":                {formPolicyText, field("policy", encodePolicy(change("1024", "9999"))), codeMismatch},
		"nothing of it":                 {formPolicyText, without("policy", "signature", "awsaccesskeyid"), ""},
		"no key":                        {formPolicyText, without("key"), codeArgument},
		"date format":                   {change("2026-03-01T13:00:00Z", "2026-03-01 13:00:00+00:00"), nil, codePolicy},
		"date with zone":                {change("2026-03-01T13:00:00Z", "2026-03-01T13:00:00+01:00"), nil, codePolicy},
		"expired":                       {change("13:00:00Z", "12:00:00Z"), nil, codeAccessDenied},
		"expiration missing":            {change("expiration", "EXPIRATION"), nil, codePolicy},
		"expiration no string":          {change(`"2026-03-01T13:00:00Z"`, "7"), nil, codePolicy},
		"conditions missing":            {change("conditions", "CONDITIONS"), nil, codePolicy},
		"conditions null":               {`{"expiration": "2026-03-01T13:00:00Z", "conditions": null}`, nil, codePolicy},
		"conditions no list":            {`{"expiration": "2026-03-01T13:00:00Z", "conditions": {}}`, nil, codePolicy},
		"empty condition":               {`{"expiration": "2026-03-01T13:00:00Z", "conditions": [{ }]}`, nil, codePolicy},
		"two members":                   {more(`{"a": "b", "c": "d"}`), nil, codePolicy},
		"value no string":               {more(`{"a": 1}`), nil, codePolicy},
		"unknown condition":             {more(`["ends-with", "$key", "x"]`), nil, codePolicy},
		"field without dollar sign":     {more(`["eq", "key", "foo.txt"]`), nil, codePolicy},
		"condition no string":           {more(`[1, "$key", "foo.txt"]`), nil, codePolicy},
		"condition of two":              {more(`["eq", "$key"]`), nil, codePolicy},
		"not JSON":                      {"policy", nil, codePolicy},
		"more behind the JSON":          {formPolicyText + "{}", nil, codePolicy},
		"too long":                      {formPolicyText + strings.Repeat(" ", maxFormPolicy), nil, codePolicy},
		"too many conditions":           {more(strings.Repeat(`{"a":""},`, maxFormConditions) + `{"a":""}`), nil, codePolicy},
		"no condition on the bucket":    {change(`{"bucket": "b"}, `, ""), nil, codeAccessDenied},
		"another bucket":                {change(`"b"`, `"c"`), nil, codeAccessDenied},
		"another bucket in the form":    {change(`"b"`, `"c"`), field("bucket", "c"), codeAccessDenied},
		"bucket in the form":            {formPolicyText, field("bucket", "b"), ""},
		"key":                           {formPolicyText, field("key", "bar.txt"), codeAccessDenied},
		"acl":                           {formPolicyText, field("acl", "public-read"), codeAccessDenied},
		"acl missing":                   {formPolicyText, without("acl"), codeAccessDenied},
		"content type missing":          {formPolicyText, without("content-type"), codeAccessDenied},
		"content types":                 {formPolicyText, field("content-type", "text/plain, text/plain;charset=x"), ""},
		"content types, one wrong":      {formPolicyText, field("content-type", "text/plain,text/html"), codeAccessDenied},
		"field that no condition names": {formPolicyText, field("x-amz-meta-foo", "bar"), codeAccessDenied},
		"field to be ignored":           {formPolicyText, field("x-ignore-foo", "bar"), ""},
		"checksum":                      {formPolicyText, field("x-amz-checksum-sha256", "abc"), ""},
		"metadata":                      {more(`["starts-with", "$x-amz-meta-foo", "bar"]`), field("x-amz-meta-foo", "barclamp"), ""},
		"metadata missing":              {more(`["starts-with", "$x-amz-meta-foo", "bar"]`), nil, codeAccessDenied},
		"metadata must be empty":        {more(`["eq", "$x-amz-meta-foo", ""]`), field("x-amz-meta-foo", "barclamp"), codeAccessDenied},
		"anything":                      {more(`["starts-with", "$tagging", ""]`), field("tagging", "<Tagging/>"), ""},
		"anything, or nothing":          {more(`["starts-with", "$tagging", ""]`), nil, ""},
		"backslash":                     {change(`"foo"`, `"\\$foo"`), field("key", `\$foo.txt`), ""},
		"file's name":                   {change(`"foo"`, `"foo/up.txt"`), field("key", "foo/${filename}"), ""},
		"range of one":                  {change("0, 1024", "0"), nil, codePolicy},
		"negative range":                {change("0, 1024", "-1, 0"), nil, codePolicy},
		"range the wrong way round":     {change("0, 1024", "5, 4"), nil, codePolicy},
		"range of words":                {change("0, 1024", `"a", "b"`), nil, codePolicy},
		"range in quotes":               {change("0, 1024", `"0", "1024"`), nil, ""},
	} {
		f := formOf(c.policy)
		if c.change != nil {
			c.change(f)
		}
		got, err := New().VerifyForm(f, secrets)
		if codeOf(err) != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
			continue
		}
		switch anonymous := name == "nothing of it"; {
		case err != nil && got != (Post{}):
			t.Errorf("%s: refused, and %+v", name, got)
		case err == nil && anonymous && got != (Post{Max: -1}):
			t.Errorf("%s: %+v", name, got)
		case err == nil && !anonymous && (got.Access != access || got.Signature != "AWS"):
			t.Errorf("%s: %+v", name, got)
		}
	}
	f := formOf(formPolicyText)
	f.Fields["policy"] = "%%%"
	f.Fields["signature"] = signPolicyV2("%%%")
	if _, err := New().VerifyForm(f, secrets); codeOf(err) != codePolicy {
		t.Errorf("not base64: %v", err)
	}
}

func TestFormLengths(t *testing.T) {
	f := formOf(strings.Replace(formPolicyText, "0, 1024", "512, 1000", 1))
	p, err := New().VerifyForm(f, secrets)
	if err != nil || p.Min != 512 || p.Max != 1000 {
		t.Fatalf("%+v, %v", p, err)
	}
	for size, want := range map[int64]string{0: codeTooSmall, 511: codeTooSmall, 512: "", 1000: "", 1001: codeTooLarge} {
		if err := p.Check(size); codeOf(err) != want {
			t.Errorf("%d: %v", size, err)
		}
	}
	if codeOf(p.TooLarge(0)) != "" || codeOf(p.TooLarge(1001)) != codeTooLarge {
		t.Error("TooLarge")
	}
	if err := (&Post{Max: -1}).Check(1 << 50); err != nil {
		t.Error(err)
	}
	if !errs.Is(p.Check(1001), errs.TooLarge) {
		t.Error("kind")
	}
}

func TestFilenameIsExpanded(t *testing.T) {
	for filename, want := range map[string]string{"a.txt": "d/a.txt", `C:\dir\a.txt`: "d/a.txt", "/etc/a.txt": "d/a.txt", "": "d/"} {
		f := &Form{Bucket: "b", Filename: filename, Now: formNow, Fields: map[string]string{"key": "d/${filename}", "x-amz-meta-name": "${filename}"}}
		if _, err := New().VerifyForm(f, secrets); err != nil || f.Fields["key"] != want || "d/"+f.Fields["x-amz-meta-name"] != want {
			t.Errorf("%q: %v, %v", filename, f.Fields, err)
		}
	}
}

// docForm is the example of "POST policy" signed with the fourth version.
func docForm() *Form {
	policy := strings.ReplaceAll(`{ "expiration": "2015-12-30T12:00:00.000Z",
  "conditions": [
    {"bucket": "sigv4examplebucket"},
    ["starts-with", "$key", "user/user1/"],
    {"acl": "public-read"},
    {"success_action_redirect": "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html"},
    ["starts-with", "$Content-Type", "image/"],
    {"x-amz-meta-uuid": "14365123651274"},
    {"x-amz-server-side-encryption": "AES256"},
    ["starts-with", "$x-amz-meta-tag", ""],

    {"x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"},
    {"x-amz-algorithm": "AWS4-HMAC-SHA256"},
    {"x-amz-date": "20151229T000000Z" }
  ]
}`, "\n", "\r\n")
	return &Form{Bucket: "sigv4examplebucket", Filename: "me.jpg", Now: time.Date(2015, 12, 29, 1, 0, 0, 0, time.UTC), Fields: map[string]string{
		"key": "user/user1/${filename}", "acl": "public-read", "success_action_redirect": "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html",
		"content-type": "image/jpeg", "x-amz-meta-uuid": "14365123651274", "x-amz-server-side-encryption": "AES256",
		"x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request", "x-amz-algorithm": "AWS4-HMAC-SHA256", "x-amz-date": "20151229T000000Z",
		"x-amz-meta-tag": "", "policy": encodePolicy(policy), "x-amz-signature": "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e",
	}}
}

func TestDocumentedForm(t *testing.T) {
	v := New()
	for range 2 { // the second time with the key from the cache
		p, err := v.VerifyForm(docForm(), docSecrets)
		if err != nil || p.Access != docAccess || p.Signature != algorithm || p.Max != -1 {
			t.Fatalf("%+v, %v", p, err)
		}
	}
	for name, c := range map[string]struct{ field, value, want string }{
		"signature":           {"x-amz-signature", sha("x"), codeMismatch},
		"signature not hex":   {"x-amz-signature", "xyz", codeMismatch},
		"signature missing":   {"x-amz-signature", "", codeArgument},
		"algorithm":           {"x-amz-algorithm", "AWS4-HMAC-SHA1", codeArgument},
		"algorithm missing":   {"x-amz-algorithm", "", codeArgument},
		"credential":          {"x-amz-credential", "AKOTHER/20151229/us-east-1/s3/aws4_request", codeInvalidAccess},
		"credential short":    {"x-amz-credential", "AKOTHER", codeArgument},
		"region":              {"x-amz-credential", docAccess + "/20151229/us-east-2/s3/aws4_request", codeMismatch},
		"date of another day": {"x-amz-date", "20151228T000000Z", codeArgument},
		"date":                {"x-amz-date", "20151229T000001Z", codeAccessDenied},
		"date nonsense":       {"x-amz-date", "now", codeArgument},
		"field more":          {"x-amz-meta-more", "x", codeAccessDenied},
		"value":               {"x-amz-meta-uuid", "1", codeAccessDenied},
	} {
		f := docForm()
		f.Fields = maps.Clone(f.Fields)
		f.Fields[c.field] = c.value
		if _, err := v.VerifyForm(f, docSecrets); codeOf(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFormRanges: of several ranges all hold.
func TestFormRanges(t *testing.T) {
	for _, ranges := range []string{`["content-length-range", 10, 20], ["content-length-range", 0, 1024]`, `["content-length-range", 0, 20], ["content-length-range", 10, 1024]`} {
		p, err := New().VerifyForm(formOf(strings.Replace(formPolicyText, `["content-length-range", 0, 1024]`, ranges, 1)), secrets)
		if err != nil || p.Min != 10 || p.Max != 20 {
			t.Errorf("%s: %d to %d, %v", ranges, p.Min, p.Max, err)
		}
	}
}

func FuzzForm(f *testing.F) {
	f.Add(formPolicyText, "foo.txt", "up.txt", "text/plain", true)
	f.Add(`{"expiration":"2030-01-01T00:00:00Z","conditions":[{"bucket":"b"},["starts-with","$key",""],["content-length-range","1",2]]}`, "${filename}", `a\b`, "", false)
	f.Fuzz(func(t *testing.T, policy, key, filename, contentType string, v4 bool) {
		form := formOf(policy)
		form.Fields["key"], form.Filename, form.Fields["content-type"] = key, filename, contentType
		if v4 {
			delete(form.Fields, "awsaccesskeyid")
			delete(form.Fields, "signature")
			form.Fields["x-amz-algorithm"], form.Fields["x-amz-date"] = algorithm, "20260301T000000Z"
			form.Fields["x-amz-credential"] = access + "/20260301/r/s3/aws4_request"
			k := mac(mac(mac(mac("AWS4"+secret, "20260301"), "r"), "s3"), "aws4_request")
			form.Fields["x-amz-signature"] = hex.EncodeToString([]byte(mac(k, form.Fields["policy"])))
		}
		p, err := New().VerifyForm(form, secrets)
		if err == nil && (p.Access != access || p.Min < 0 || p.Max >= 0 && p.Max < p.Min || form.Fields["key"] == "") {
			t.Errorf("%+v", p)
		}
		if code := codeOf(err); code == codeMismatch || code == codeInvalidAccess {
			t.Errorf("the signature was right: %v", err)
		}
		form.Fields["policy"] += "AAAA"
		if _, err := New().VerifyForm(form, secrets); err == nil {
			t.Error("a changed policy was accepted")
		}
	})
}
