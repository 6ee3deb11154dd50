package edge_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // signature version 2
	"encoding/base64"
	"fmt"
	"mime/multipart"
	"strings"
	"testing"
	"time"
)

// form is a form that a browser would post: alice's to put something below "up/" into data, 10 to 400,000 bytes of it.
type form struct {
	fields   [][2]string
	filename string
	file     []byte
	more     func(*multipart.Writer) // behind the file
}

func (f *form) set(name, value string) *form {
	for i := range f.fields {
		if f.fields[i][0] == name {
			f.fields[i][1] = value
			return f
		}
	}
	f.fields = append(f.fields, [2]string{name, value})
	return f
}

func (f *form) without(name string) *form {
	for i := range f.fields {
		if f.fields[i][0] == name {
			f.fields = append(f.fields[:i], f.fields[i+1:]...)
			break
		}
	}
	return f
}

func newForm(key string, file []byte) *form {
	policy := fmt.Sprintf(`{"expiration":%q,"conditions":[{"bucket":"data"},["starts-with","$key","up/"],["starts-with","$x-amz-meta-note",""],
		["starts-with","$success_action_status",""],["starts-with","$success_action_redirect",""],["content-length-range",10,400000]]}`,
		time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05Z"))
	f := &form{filename: "a file.txt", file: file}
	f.set("key", key).set("x-amz-meta-note", "of the form").set("success_action_status", "").set("success_action_redirect", "")
	return f.sign(policy, alice)
}

func (f *form) sign(policy string, by user) *form {
	encoded := base64.StdEncoding.EncodeToString([]byte(policy))
	mac := hmac.New(sha1.New, []byte(by.secret))
	mac.Write([]byte(encoded))
	return f.set("AWSAccessKeyId", by.access).set("policy", encoded).set("signature", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

func (f *form) call() call {
	var b bytes.Buffer
	mw := multipart.NewWriter(&b)
	for _, kv := range f.fields {
		_ = mw.WriteField(kv[0], kv[1]) // into memory
	}
	if f.file != nil {
		p, _ := mw.CreateFormFile("file", f.filename)
		_, _ = p.Write(f.file)
	}
	if f.more != nil {
		f.more(mw)
	}
	_ = mw.Close()
	return call{method: "POST", path: "/data", body: b.Bytes(), header: []string{"Content-Type", mw.FormDataContentType()}, who: &nobody}
}

func text(n int) []byte { return bytes.Repeat([]byte("0123456789"), n/10+1)[:n] }

func TestForm(t *testing.T) {
	w := newWorld(t, 2)
	for _, size := range []int{10, 1000, 256<<10 - 1, 256 << 10, 400_000} { // files up to 256 KiB are sent on with their length
		for via := range w.urls {
			key := fmt.Sprintf("up/%d-%d", size, via)
			c := newForm(key, text(size)).call()
			c.via = via
			a := w.want(204, "", c)
			if a.Header.Get("ETag") == "" || !strings.HasSuffix(a.Header.Get("Location"), "/data/"+key) {
				t.Errorf("%d bytes: %v", size, a.Header)
			}
			g := w.want(200, "", call{method: "GET", path: "/data/" + key})
			if !bytes.Equal(g.body, text(size)) || g.Header.Get("x-amz-meta-note") != "of the form" || g.Header.Get("Content-Type") != "application/octet-stream" {
				t.Errorf("%d bytes came back as %d, %v", size, len(g.body), g.Header)
			}
		}
	}
	f := newForm("up/${filename}", text(20))
	a := w.want(201, "", f.set("success_action_status", "201").call())
	if !strings.Contains(string(a.body), "<Key>up/a file.txt</Key>") {
		t.Errorf("%s", a.body)
	}
	w.want(200, "", call{method: "GET", path: "/data/up/a%20file.txt"})
	a = w.want(303, "", newForm("up/there", text(20)).set("success_action_redirect", "http://elsewhere/?x=y").call())
	if l := a.Header.Get("Location"); !strings.HasPrefix(l, "http://elsewhere/?x=y&bucket=data&key=up%2Fthere&etag=%22") {
		t.Errorf("sent to %s", l)
	}
	a = w.want(303, "", newForm("up/there", text(20)).set("success_action_redirect", "http://elsewhere/?x=y#part").call())
	if l := a.Header.Get("Location"); !strings.HasPrefix(l, "http://elsewhere/?x=y&bucket=data&key=up%2Fthere&etag=%22") || !strings.HasSuffix(l, "%22#part") {
		t.Errorf("sent to %s", l)
	}
	for _, to := range []string{"not a url", "/there", "javascript:there"} { // as if none had been sent
		a = w.want(204, "", newForm("up/there", text(20)).set("success_action_redirect", to).call())
		if l := a.Header.Get("Location"); !strings.HasSuffix(l, "/data/up/there") {
			t.Errorf("%q: location %s", to, l)
		}
	}
	f = newForm("up/first", text(20))
	f.more = func(mw *multipart.Writer) { _ = mw.WriteField("key", "up/second") }
	w.want(204, "", f.call()) // what follows the file does not count
	w.want(200, "", call{method: "HEAD", path: "/data/up/first"})
	w.want(404, "", call{method: "HEAD", path: "/data/up/second"})
}

// TestFormRefused posts what may not be, whole or cut off. Nothing of it is kept.
func TestFormRefused(t *testing.T) {
	w := newWorld(t, 2)
	past := `{"expiration":"2020-01-01T00:00:00Z","conditions":[{"bucket":"data"},["starts-with","$key",""],["starts-with","$x-amz-meta-note",""],["starts-with","$success_action_status",""],["starts-with","$success_action_redirect",""]]}`
	for name, c := range map[string]struct {
		f      *form
		status int
		code   string
	}{
		"signature":        {newForm("up/x", text(20)).set("signature", "AAAA"), 403, "SignatureDoesNotMatch"},
		"unknown key":      {newForm("up/x", text(20)).set("AWSAccessKeyId", "nobody"), 403, "InvalidAccessKeyId"},
		"expired":          {newForm("up/x", text(20)).sign(past, alice), 403, "AccessDenied"},
		"a stranger's":     {newForm("up/x", text(20)).sign(strings.Replace(past, "2020", "2999", 1), bob), 403, "AccessDenied"},
		"other key":        {newForm("down/x", text(20)), 403, "AccessDenied"},
		"field not named":  {newForm("up/x", text(20)).set("x-amz-meta-other", "y"), 403, "AccessDenied"},
		"without a policy": {newForm("up/x", text(20)).without("policy").without("signature").without("AWSAccessKeyId"), 403, "AccessDenied"},
		"without a key":    {newForm("up/x", text(20)).without("key"), 400, "InvalidArgument"},
		"without a file":   {newForm("up/x", nil), 400, "InvalidArgument"},
		"too small":        {newForm("up/x", text(9)), 400, "EntityTooSmall"},
		"too large":        {newForm("up/x", text(400_001)), 400, "EntityTooLarge"},
		"much too large":   {newForm("up/x", text(3<<20)), 400, "EntityTooLarge"},
		"long fields":      {newForm("up/x", text(20)).set("x-amz-meta-note", string(text(21<<10))), 400, "MaxPostPreDataLengthExceededError"},
		"line in a header": {newForm("up/x", text(20)).set("x-amz-meta-note", "a\r\nx-amz-acl: public-read"), 400, "InvalidArgument"},
	} {
		a := w.do(c.f.call())
		if a.StatusCode != c.status || a.code() != c.code {
			t.Errorf("%s: %d %s, want %d %s: %.300s", name, a.StatusCode, a.code(), c.status, c.code, a.body)
		}
	}
	for name, value := range map[string]string{"x-amz-server-side-encryption": "AES256", "x-amz-server-side-encryption-bucket-key-enabled": "true"} { // what a PUT is refused for
		open := fmt.Sprintf(`{"expiration":"2999-01-01T00:00:00Z","conditions":[{"bucket":"data"},["starts-with","$key",""],["starts-with","$x-amz-meta-note",""],["starts-with","$success_action_status",""],["starts-with","$success_action_redirect",""],{%q:%q}]}`, name, value)
		w.want(501, "NotImplemented", newForm("up/x", text(20)).set(name, value).sign(open, alice).call())
	}
	long := newForm("up/x", text(20)).call() // in headers of a part, which are no fields
	long.body = bytes.Replace(long.body, []byte("Content-Disposition"), append(append([]byte("X-Note: "), text(300<<10)...), "\r\nContent-Disposition"...), 1)
	w.want(400, "MaxPostPreDataLengthExceededError", long)
	whole := newForm("up/x", text(300_000)).call()
	cut := whole
	cut.body = whole.body[:len(whole.body)-1000] // the end of the file is missing, and so is that of the form
	w.want(400, "MalformedPOSTRequest", cut)
	cut.body = whole.body[:200]
	w.want(400, "InvalidArgument", cut)
	cut.body, cut.header = whole.body, []string{"Content-Type", "multipart/form-data"}
	w.want(412, "PreconditionFailed", cut)
	l := w.want(200, "", call{method: "GET", path: "/data?list-type=2"})
	if !strings.Contains(string(l.body), "<KeyCount>0</KeyCount>") {
		t.Errorf("something was kept: %s", l.body)
	}
}

// TestFormChecksum: the reply to a form has the checksum that the form declared.
func TestFormChecksum(t *testing.T) {
	w := newWorld(t, 2)
	policy := fmt.Sprintf(`{"expiration":%q,"conditions":[{"bucket":"data"},["starts-with","$key","up/"],["starts-with","$x-amz-checksum-crc32",""],["starts-with","$x-amz-meta-note",""],
		["starts-with","$success_action_status",""],["starts-with","$success_action_redirect",""]]}`, time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05Z"))
	f := newForm("up/sum", []byte("hello")).sign(policy, alice)
	a := w.want(204, "", f.set("x-amz-checksum-crc32", "NhCmhg==").call())
	if a.Header.Get("x-amz-checksum-crc32") != "NhCmhg==" || a.Header.Get("x-amz-checksum-type") != "FULL_OBJECT" || a.Header.Get("ETag") == "" {
		t.Errorf("reply: %v", a.Header)
	}
	w.want(400, "BadDigest", f.set("x-amz-checksum-crc32", "NhCmhw==").call())
}

// TestFormPartWithoutName: what has no name is no field.
func TestFormPartWithoutName(t *testing.T) {
	w := newWorld(t, 1)
	f := newForm("up/x", nil)
	f.more = func(mw *multipart.Writer) {
		p, _ := mw.CreateFormFile("", "a file.txt")
		_, _ = p.Write(text(30_000)) // into memory
	}
	w.want(400, "MalformedPOSTRequest", f.call())
}
