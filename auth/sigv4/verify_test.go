package sigv4

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aistore/errs"
)

// signed returns a request that the AWS SDK has signed in the header, as mutable parts.
func signed(t testing.TB) (*Request, map[string]string) {
	r, err := http.NewRequest("PUT", "http://s3.test:8080/bucket/a%20key?partNumber=1&uploadId=x", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Content-Sha256", emptySHA256)
	r.Header.Set("X-Amz-Meta-One", "1")
	r.Header.Set("Content-Type", "text/plain")
	s, creds := sdkSigner()
	if err := s.SignHTTP(context.Background(), creds, r, emptySHA256, "s3", "us-east-1", docNow); err != nil {
		t.Fatal(err)
	}
	headers := map[string]string{}
	for name := range r.Header {
		headers[strings.ToLower(name)] = r.Header.Get(name)
	}
	q := received(r, docNow)
	q.Each = func(f func(name, value string)) {
		for name, value := range headers {
			f(name, value)
		}
	}
	return q, headers
}

func TestTamperedHeaders(t *testing.T) {
	if q, _ := signed(t); true {
		if _, err := New().Verify(q, secrets); err != nil {
			t.Fatal(err)
		}
	}
	auth := func(old, new string) func(*Request, map[string]string) {
		return func(_ *Request, h map[string]string) {
			if !strings.Contains(h["authorization"], old) {
				t.Fatalf("%q is not in %q", old, h["authorization"])
			}
			h["authorization"] = strings.Replace(h["authorization"], old, new, 1)
		}
	}
	set := func(name, value string) func(*Request, map[string]string) {
		return func(_ *Request, h map[string]string) { h[name] = value }
	}
	for name, c := range map[string]struct {
		change func(r *Request, h map[string]string)
		want   string
	}{
		"method":                  {func(r *Request, _ map[string]string) { r.Method = "GET" }, codeMismatch},
		"path":                    {func(r *Request, _ map[string]string) { r.RawPath = "/bucket/b%20key" }, codeMismatch},
		"query value":             {func(r *Request, _ map[string]string) { r.RawQuery = "partNumber=2&uploadId=x" }, codeMismatch},
		"query parameter more":    {func(r *Request, _ map[string]string) { r.RawQuery += "&acl" }, codeMismatch},
		"query parameter less":    {func(r *Request, _ map[string]string) { r.RawQuery = "partNumber=1" }, codeMismatch},
		"query in another order":  {func(r *Request, _ map[string]string) { r.RawQuery = "uploadId=x&partNumber=1" }, ""},
		"query escaped otherwise": {func(r *Request, _ map[string]string) { r.RawQuery = "partNumber=%31&&uploadId=%78" }, ""},
		"path escaped otherwise":  {func(r *Request, _ map[string]string) { r.RawPath = "/%62ucket/a key" }, ""},
		"host":                    {func(r *Request, _ map[string]string) { r.Host = "other:8080" }, codeMismatch},
		"payload's hash":          {set("x-amz-content-sha256", sha("x")), codeMismatch},
		"payload unsigned":        {set("x-amz-content-sha256", "UNSIGNED-PAYLOAD"), codeMismatch},
		"payload streaming":       {set("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"), codeMissingLength},
		"payload nonsense":        {set("x-amz-content-sha256", "nonsense"), codeArgument},
		"payload missing":         {func(_ *Request, h map[string]string) { delete(h, "x-amz-content-sha256") }, codeInvalidRequest},
		"signed header":           {set("x-amz-meta-one", "2"), codeMismatch},
		"signed header missing":   {func(_ *Request, h map[string]string) { delete(h, "x-amz-meta-one") }, codeMismatch},
		"header spaced otherwise": {set("x-amz-meta-one", "  1 "), ""},
		"x-amz header more":       {set("X-Amz-Acl", "public-read"), codeAccessDenied},
		"other header more":       {set("user-agent", "me"), ""},
		"content type":            {set("content-type", "text/html"), codeMismatch},
		"date":                    {set("x-amz-date", "20130524T000001Z"), codeMismatch},
		"date of another day":     {set("x-amz-date", "20130523T235959Z"), codeHeader},
		"date long ago":           {set("x-amz-date", "20130523T000000Z"), codeSkewed},
		"date nonsense":           {set("x-amz-date", "now"), codeAccessDenied},
		"date that is none":       {set("x-amz-date", "20130230T000000Z"), codeAccessDenied},
		"date missing":            {func(_ *Request, h map[string]string) { delete(h, "x-amz-date") }, codeAccessDenied},
		"date in Date instead": {func(_ *Request, h map[string]string) {
			delete(h, "x-amz-date")
			h["date"] = "Fri, 24 May 2013 00:00:00 GMT"
		}, codeMismatch},
		"late":               {func(r *Request, _ map[string]string) { r.Now = docNow.Add(maxSkew + time.Second) }, codeSkewed},
		"early":              {func(r *Request, _ map[string]string) { r.Now = docNow.Add(-maxSkew - time.Second) }, codeSkewed},
		"just in time":       {func(r *Request, _ map[string]string) { r.Now = docNow.Add(maxSkew) }, ""},
		"access key":         {auth(access, "AKOTHER"), codeInvalidAccess},
		"access key empty":   {auth(access, ""), codeHeader},
		"region":             {auth("us-east-1", "us-west-1"), codeMismatch},
		"region empty":       {auth("us-east-1", ""), codeHeader},
		"region odd":         {auth("us-east-1", "us east;1"), codeHeader},
		"service":            {auth("/s3/", "/sqs/"), codeHeader},
		"terminal":           {auth("aws4_request", "aws5_request"), codeHeader},
		"scope's date":       {auth("20130524", "20130525"), codeHeader},
		"scope's date short": {auth("20130524", "2013"), codeHeader},
		"scope short":        {auth("/s3/aws4_request", ""), codeHeader},
		"signature":          {auth("Signature=", "Signature=00"), codeMismatch},
		"signature empty": {func(_ *Request, h map[string]string) {
			h["authorization"], _, _ = strings.Cut(h["authorization"], "Signature=")
			h["authorization"] += "Signature="
		}, codeHeader},
		"signature missing":     {auth("Signature=", "Sig="), codeHeader},
		"credential missing":    {auth("Credential=", "Cred="), codeHeader},
		"headers missing":       {auth("SignedHeaders=", "Headers="), codeHeader},
		"no equals sign":        {auth("SignedHeaders=", "SignedHeaders"), codeHeader},
		"too many headers":      {auth("SignedHeaders=", "SignedHeaders="+strings.Repeat("a;", maxSigned)), codeHeader},
		"one header not signed": {auth(";x-amz-meta-one", ""), codeMismatch},
		"another algorithm":     {auth("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), codeArgument},
		"basic":                 {set("authorization", "Basic eDp5"), codeArgument},
		"both ways":             {func(r *Request, _ map[string]string) { r.RawQuery += "&X-Amz-Signature=x" }, codeArgument},
		"V2 nonsense":           {set("authorization", "AWS HAHAHA"), codeArgument},
		"V2 wrong":              {set("authorization", "AWS "+access+":FWeDfwojDSdS2Ztmpfeubhd9isU="), codeMismatch},
		"V2 unknown":            {set("authorization", "AWS AKIAIGR7ZNNBHC5BKSUB:FWeDfwojDSdS2Ztmpfeubhd9isU="), codeInvalidAccess},
	} {
		q, h := signed(t)
		c.change(q, h)
		got, err := New().Verify(q, secrets)
		if codeOf(err) != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if err != nil && got.Access != "" {
			t.Errorf("%s: refused, and a caller: %+v", name, got)
		}
	}
	// A signature that is right and does not cover the host.
	s := New().getScratch()
	key := derive(scope{access, "20130524", "us-east-1"}, secret)
	for name, c := range map[string]struct{ headers, not string }{"host": {"x-amz-date", "host"}, "x-amz-meta": {"host;x-amz-date", "x-amz-meta-a"}} {
		q := &Request{Method: "GET", RawPath: "/b", Host: "h", Now: docNow, Each: each("x-amz-date", "20130524T000000Z", "x-amz-content-sha256", "UNSIGNED-PAYLOAD")}
		if name == "x-amz-meta" {
			q.Each = each("x-amz-date", "20130524T000000Z", "x-amz-content-sha256", "UNSIGNED-PAYLOAD", "X-Amz-Meta-A", "1")
		}
		s.load(q)
		s.build(q, q.RawPath, "", c.headers, "UNSIGNED-PAYLOAD")
		sum := slices.Clone(s.sign(key, "20130524T000000Z", "20130524/us-east-1/s3/aws4_request"))
		inner := q.Each
		q.Each = func(f func(name, value string)) {
			inner(f)
			f("authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/20130524/us-east-1/s3/aws4_request, SignedHeaders=%s, Signature=%x", access, c.headers, sum))
		}
		if _, err := New().Verify(q, secrets); codeOf(err) != codeAccessDenied || detailOf(err, "HeadersNotSigned") != c.not {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMismatchTellsWhatWasSigned(t *testing.T) {
	q, _ := signed(t)
	q.Method = "POST"
	_, err := New().Verify(q, secrets)
	if !errs.Is(err, errs.Unauthorized) || detailOf(err, "AWSAccessKeyId") != access ||
		!strings.HasPrefix(detailOf(err, "StringToSign"), "AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n") ||
		!strings.HasPrefix(detailOf(err, "CanonicalRequest"), "POST\n/bucket/a%20key\npartNumber=1&uploadId=x\n") ||
		!strings.HasPrefix(detailOf(err, "CanonicalRequestBytes"), "50 4f 53 54 0a ") ||
		len(detailOf(err, "SignatureProvided")) != 64 {
		t.Errorf("%v: %s", err, detailOf(err, "CanonicalRequest"))
	}
	for _, d := range []string{"StringToSign", "CanonicalRequest"} {
		if strings.Contains(detailOf(err, d), secret) {
			t.Error("the secret is told")
		}
	}
}

// presigned returns a URL that the AWS SDK has presigned, as parameters.
func presigned(t testing.TB, expires string) (*Request, url.Values) {
	r, err := http.NewRequest("GET", "http://s3.test:8080/bucket/key?x-id=GetObject&X-Amz-Expires="+expires, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, creds := sdkSigner()
	signed, _, err := s.PresignHTTP(context.Background(), creds, r, "UNSIGNED-PAYLOAD", "s3", "us-east-1", docNow)
	if err != nil {
		t.Fatal(err)
	}
	r.URL, err = url.Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	return received(r, docNow), r.URL.Query()
}

func TestTamperedPresigned(t *testing.T) {
	set := func(name, value string) func(*Request, url.Values) {
		return func(_ *Request, q url.Values) { q.Set(name, value) }
	}
	for name, c := range map[string]struct {
		expires string
		change  func(r *Request, q url.Values)
		want    string
	}{
		"nothing":              {"60", func(*Request, url.Values) {}, ""},
		"a week":               {"604800", func(*Request, url.Values) {}, ""},
		"more than a week":     {"604801", func(*Request, url.Values) {}, codeAccessDenied},
		"zero":                 {"0", func(*Request, url.Values) {}, codeAccessDenied},
		"negative":             {"-7", func(*Request, url.Values) {}, codeAccessDenied},
		"not a number":         {"soon", func(*Request, url.Values) {}, codeQuery},
		"expired":              {"60", func(r *Request, _ url.Values) { r.Now = docNow.Add(61 * time.Second) }, codeAccessDenied},
		"at the last second":   {"60", func(r *Request, _ url.Values) { r.Now = docNow.Add(60 * time.Second) }, ""},
		"from the future":      {"60", func(r *Request, _ url.Values) { r.Now = docNow.Add(-maxSkew - time.Second) }, codeAccessDenied},
		"method":               {"60", func(r *Request, _ url.Values) { r.Method = "PUT" }, codeMismatch},
		"path":                 {"60", func(r *Request, _ url.Values) { r.RawPath = "/bucket/other" }, codeMismatch},
		"host":                 {"60", func(r *Request, _ url.Values) { r.Host = "other" }, codeMismatch},
		"longer life":          {"60", set("X-Amz-Expires", "600"), codeMismatch},
		"later":                {"60", set("X-Amz-Date", "20130524T000100Z"), codeMismatch},
		"date":                 {"60", set("X-Amz-Date", "today"), codeQuery},
		"date of another day":  {"60", set("X-Amz-Date", "20130525T000000Z"), codeQuery},
		"signature":            {"60", set("X-Amz-Signature", sha("x")), codeMismatch},
		"signature not hex":    {"60", set("X-Amz-Signature", "x"), codeMismatch},
		"signature missing":    {"60", func(_ *Request, q url.Values) { q.Del("X-Amz-Signature") }, codeQuery},
		"algorithm":            {"60", set("X-Amz-Algorithm", "AWS4-HMAC-SHA1"), codeQuery},
		"algorithm missing":    {"60", func(_ *Request, q url.Values) { q.Del("X-Amz-Algorithm") }, codeQuery},
		"signature twice":      {"60", func(_ *Request, q url.Values) { q.Add("X-Amz-Signature", q.Get("X-Amz-Signature")) }, codeQuery},
		"two signatures":       {"60", func(_ *Request, q url.Values) { q.Add("X-Amz-Signature", sha("x")) }, codeQuery},
		"date twice":           {"60", func(_ *Request, q url.Values) { q.Add("X-Amz-Date", q.Get("X-Amz-Date")) }, codeQuery},
		"credential twice":     {"60", func(_ *Request, q url.Values) { q.Add("X-Amz-Credential", "other") }, codeQuery},
		"security token twice": {"60", func(_ *Request, q url.Values) { q["X-Amz-Security-Token"] = []string{"", "x"} }, codeQuery},
		"headers":              {"60", set("X-Amz-SignedHeaders", "range"), codeMismatch},
		"headers missing":      {"60", func(_ *Request, q url.Values) { q.Del("X-Amz-SignedHeaders") }, codeQuery},
		"too many headers":     {"60", set("X-Amz-SignedHeaders", strings.Repeat("a;", maxSigned+1)), codeQuery},
		"credential":           {"60", set("X-Amz-Credential", "AKOTHER/20130524/us-east-1/s3/aws4_request"), codeInvalidAccess},
		"credential short":     {"60", set("X-Amz-Credential", access), codeQuery},
		"credential missing":   {"60", func(_ *Request, q url.Values) { q.Del("X-Amz-Credential") }, codeQuery},
		"own parameter":        {"60", set("x-id", "PutObject"), codeMismatch},
		"own parameter less":   {"60", func(_ *Request, q url.Values) { q.Del("x-id") }, codeMismatch},
		"another parameter":    {"60", set("versionId", "x"), codeMismatch},
		"payload":              {"60", set("X-Amz-Content-Sha256", emptySHA256), codeMismatch},
		"x-amz header":         {"60", func(r *Request, _ url.Values) { r.Each = each("Host", "s3.test:8080", "x-amz-acl", "public-read") }, codeAccessDenied},
		"other header":         {"60", func(r *Request, _ url.Values) { r.Each = each("Host", "s3.test:8080", "range", "bytes=0-1") }, ""},
		"all gone but one": {"60", func(_ *Request, q url.Values) {
			for name := range q {
				if name != "X-Amz-Credential" {
					q.Del(name)
				}
			}
		}, codeQuery},
		"V2 of nobody": {"60", func(_ *Request, q url.Values) { clear(q); q.Set("Signature", "x"); q.Set("Expires", "99999999999") }, codeInvalidAccess},
		"V2 twice": {"60", func(_ *Request, q url.Values) {
			clear(q)
			q["Signature"] = []string{"x", "y"}
			q.Set("Expires", "99999999999")
			q.Set("AWSAccessKeyId", access)
		}, codeQuery},
		"V2 wrong": {"60", func(_ *Request, q url.Values) {
			clear(q)
			q.Set("Signature", "x")
			q.Set("Expires", "99999999999")
			q.Set("AWSAccessKeyId", access)
		}, codeMismatch},
		"V2 never ends": {"60", func(_ *Request, q url.Values) { clear(q); q.Set("Signature", "x"); q.Set("AWSAccessKeyId", access) }, codeAccessDenied},
	} {
		r, q := presigned(t, c.expires)
		c.change(r, q)
		r.RawQuery = q.Encode()
		got, err := New().Verify(r, secrets)
		if codeOf(err) != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if err != nil && got.Access != "" {
			t.Errorf("%s: refused, and a caller: %+v", name, got)
		}
	}
}

func TestAnonymous(t *testing.T) {
	for name, c := range map[string]struct {
		query   string
		headers []string
		mode    Mode
		want    string
	}{
		"plain":               {"", nil, Unsigned, ""},
		"with parameters":     {"list-type=2&prefix=Signature", nil, Unsigned, ""},
		"empty authorization": {"", []string{"Authorization", ""}, Unsigned, ""},
		"hash":                {"", []string{"x-amz-content-sha256", emptySHA256}, Hashed, ""},
		"trailer":             {"", []string{"x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-trailer", crc, "x-amz-decoded-content-length", "3"}, UnsignedTrailer, ""},
		"trailer of a client that says nothing about the payload": {"", []string{"Content-Encoding", "gzip, aws-chunked", "X-Amz-Trailer", crc, "X-Amz-Decoded-Content-Length", "3"}, UnsignedTrailer, ""},
		"signed chunks":            {"", []string{"x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}, 0, codeAccessDenied},
		"trailer without a length": {"", []string{"x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}, 0, codeMissingLength},
		"negative length":          {"", []string{"x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-decoded-content-length", "-1"}, 0, codeArgument},
		"unknown trailer":          {"", []string{"x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-decoded-content-length", "1", "x-amz-trailer", "x-amz-foo"}, 0, codeInvalidRequest},
		"trailer twice":            {"", []string{"x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-decoded-content-length", "1", "x-amz-trailer", crc, "x-amz-trailer", crc}, 0, codeInvalidRequest},
	} {
		got, err := New().Verify(&Request{Method: "PUT", RawPath: "/b/k", RawQuery: c.query, Now: docNow, Each: each(c.headers...)}, secrets)
		if codeOf(err) != c.want || err == nil && (got.Access != "" || got.Body.Mode != c.mode) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestChangedSecret: a key derived from a former secret is of no use, nor is the former secret.
func TestChangedSecret(t *testing.T) {
	v := New()
	q, _ := signed(t)
	for range 2 {
		if _, err := v.Verify(q, secrets); err != nil {
			t.Fatal(err)
		}
	}
	other := func(a string) (string, bool) { return "changed", a == access }
	if _, err := v.Verify(q, other); codeOf(err) != codeMismatch {
		t.Errorf("the former secret: %v", err)
	}
	gone := func(string) (string, bool) { return "", false }
	if _, err := v.Verify(q, gone); codeOf(err) != codeInvalidAccess {
		t.Errorf("a removed key: %v", err)
	}
	if _, err := v.Verify(q, secrets); err != nil {
		t.Errorf("changed back: %v", err)
	}
}

func TestKeysAreBounded(t *testing.T) {
	k := keys{max: 10, m: map[scope]*signingKey{}}
	for i := range 100 {
		sc := scope{"a", fmt.Sprint(i), "r"}
		k.put(sc, &signingKey{access: "a", secret: "s"})
		if k.get(sc, "s") == nil || k.get(sc, "t") != nil {
			t.Fatalf("%v was put and is not there", sc)
		}
		if len(k.m) > 10 {
			t.Fatalf("%d keys", len(k.m))
		}
	}
	// What fails leaves no key behind.
	v := New()
	q, h := signed(t)
	h["x-amz-meta-one"] = "2"
	if _, err := v.Verify(q, secrets); err == nil || len(v.keys.m) != 0 {
		t.Errorf("%v, %d keys", err, len(v.keys.m))
	}
}

func TestConcurrentUse(t *testing.T) {
	v := New()
	v.keys.max = 4
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 200 {
				if i%3 == 0 {
					r, encoded := docChunked()
					c, err := v.Verify(r, docSecrets)
					if err != nil {
						t.Error(err)
						return
					}
					d, err := v.Reader(strings.NewReader(encoded), c.Access, &c.Body, docSecrets)
					if err != nil {
						t.Error(err)
						return
					}
					buf := make([]byte, 70_000)
					for err == nil {
						_, err = d.Read(buf)
					}
					if err.Error() != "EOF" {
						t.Error(err)
					}
					d.Close()
					continue
				}
				q, _ := signed(t)
				if c, err := v.Verify(q, secrets); err != nil || c.Access != access {
					t.Error(c, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestStringsAreOwn: nothing of a Caller points into the request's memory, which a server uses again.
func TestStringsAreOwn(t *testing.T) {
	r, _ := docTrailer()
	var memory [][]byte
	inner := r.Each
	var names, values []string
	inner(func(name, value string) {
		b := []byte(value)
		memory = append(memory, b)
		names = append(names, name)
		values = append(values, unsafeString(b))
	})
	r.Each = func(f func(name, value string)) {
		for i := range names {
			f(names[i], values[i])
		}
	}
	c, err := New().Verify(r, docSecrets)
	if err != nil {
		t.Fatal(err)
	}
	before := fmt.Sprintf("%+v", c)
	for _, b := range memory {
		for i := range b {
			b[i] = '#'
		}
	}
	if after := fmt.Sprintf("%+v", c); after != before {
		t.Errorf("%s\nbecame\n%s", before, after)
	}
}

// typicalGet is the GET of an SDK: the headers that it signs, and those that it does not.
func typicalGet(t testing.TB) *Request {
	r, err := http.NewRequest("GET", "http://127.0.0.1:8080/training-data/shard-000123.tar", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Content-Sha256", emptySHA256)
	s, creds := sdkSigner()
	if err := s.SignHTTP(context.Background(), creds, r, emptySHA256, "s3", "us-east-1", docNow); err != nil {
		t.Fatal(err)
	}
	q := received(r, docNow)
	pairs := []string{"Host", q.Host, "User-Agent", "Boto3/1.40.1 md/Botocore#1.40.1 ua/2.1 os/linux#6.8 md/arch#x86_64 lang/python#3.12", "Accept-Encoding", "identity"}
	for name := range r.Header {
		pairs = append(pairs, name, r.Header.Get(name))
	}
	q.Each = each(pairs...)
	return q
}

func BenchmarkVerify(b *testing.B) {
	header := typicalGet(b)
	pre, _ := presigned(b, "600")
	for name, r := range map[string]*Request{"header": header, "presigned": pre} {
		b.Run(name, func(b *testing.B) {
			v := New()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(r, secrets); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReader(b *testing.B) {
	content := strings.Repeat("x", 1<<20)
	for name, mode := range map[string]Mode{"signed": Chunked, "unsigned": UnsignedTrailer} {
		text, body := encode(mode, content, 64<<10)
		b.Run(name, func(b *testing.B) {
			v := New()
			buf := make([]byte, 128<<10)
			src := strings.NewReader(text)
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				src.Reset(text)
				d, err := v.Reader(src, access, body, secrets)
				for err == nil {
					_, err = d.Read(buf)
				}
				if err.Error() != "EOF" {
					b.Fatal(err)
				}
				d.Close()
			}
		})
	}
}
