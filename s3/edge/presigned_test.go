package edge_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestPresignedQueryForHeaders: signers that put headers into the query of a URL mean them.
func TestPresignedQueryForHeaders(t *testing.T) {
	w := newWorld(t, 2)
	for via := range w.urls {
		key := fmt.Sprintf("/data/k%d", via)
		put := w.presigned("PUT", key+"?x-amz-meta-color=light%20blue&x-amz-acl=public-read", 0, via)
		w.want(200, "", call{method: "PUT", path: put, body: []byte("x"), who: &nobody, via: via})
		a := w.want(200, "", call{method: "GET", path: key, who: &nobody, via: via})
		if got := a.Header.Get("x-amz-meta-color"); got != "light blue" {
			t.Errorf("via %d: metadata %q", via, got)
		}
		key += "-2"
		w.want(200, "", call{method: "PUT", path: presignedV2("PUT", key, "") + "&x-amz-acl=public-read", body: []byte("x"), who: &nobody, via: via})
		w.want(403, "AccessDenied", call{method: "GET", path: key, who: &nobody, via: via}) // the second version does not sign it
	}
}

// TestContentNeedsALength: a request that says nothing of its body has none, which is no reason to overwrite an object with nothing.
func TestContentNeedsALength(t *testing.T) {
	w := newWorld(t, 2)
	host := strings.TrimPrefix(w.urls[0], "http://")
	for i := range 4 { // on both targets
		key := fmt.Sprintf("/data/k%d", i)
		w.want(200, "", call{method: "PUT", path: key, body: []byte("content")})
		for _, path := range []string{key, key + "?partNumber=1&uploadId=00000000000000000000000000000000"} {
			_, br := w.dial("PUT " + w.presigned("PUT", path, 0, 0) + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
			resp, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != 411 || !strings.Contains(string(body), "<Code>MissingContentLength</Code>") {
				t.Errorf("%s: %d %s %v", path, resp.StatusCode, body, err)
			}
		}
		if a := w.want(200, "", call{method: "GET", path: key}); string(a.body) != "content" {
			t.Errorf("%s: %q", key, a.body)
		}
		w.want(200, "", call{method: "PUT", path: key + "-empty"})
	}
	f := newForm("up/empty", []byte{})
	f.sign(`{"expiration":"2999-01-01T00:00:00Z","conditions":[{"bucket":"data"},["starts-with","$key",""],["starts-with","$x-amz-meta-note",""],["starts-with","$success_action_status",""],["starts-with","$success_action_redirect",""]]}`, alice)
	w.want(204, "", f.call())
}

// TestHostNamesTheBucket: a signature of the second version does not cover the host, but is about one bucket.
func TestHostNamesTheBucket(t *testing.T) {
	w := newWorld(t, 2)
	w.want(200, "", call{method: "PUT", path: "/other"})
	w.want(200, "", call{method: "PUT", path: "/data/k", body: []byte("k in data")})
	w.want(200, "", call{method: "PUT", path: "/other/data/k", body: []byte("data/k in other")})
	url := presignedV2("GET", "/data/k", "")
	for via := range w.urls {
		if a := w.want(200, "", call{method: "GET", path: url, who: &nobody, via: via}); string(a.body) != "k in data" {
			t.Errorf("by path: %q", a.body)
		}
		if a := w.want(200, "", call{method: "GET", path: strings.TrimPrefix(url, "/data"), host: "data.s3.test", who: &nobody, via: via}); string(a.body) != "k in data" {
			t.Errorf("by host: %q", a.body)
		}
		w.want(403, "SignatureDoesNotMatch", call{method: "GET", path: url, host: "other.s3.test", who: &nobody, via: via})
		if a := w.want(200, "", call{method: "GET", path: "/k", host: "data.s3.test", via: via}); string(a.body) != "k in data" {
			t.Errorf("by host, version 4: %q", a.body)
		}
	}
}

// TestKeysNamedAsNativePaths: on a bucket's own host every path is a key, also one that the native API, or /s3, has on other hosts.
func TestKeysNamedAsNativePaths(t *testing.T) {
	w := newWorld(t, 1)
	for via := range w.urls {
		for _, key := range []string{"v1", "v1/train/0.tar", "v1/objects/data/k", "v1/buckets/data", "v1/health", "metrics", "metrics/x", "health", "ui/", "ui/index.html", "s3", "s3/k"} {
			for _, host := range []string{"data.s3.test", "DATA.S3.test:8080"} {
				body := []byte(key + " of " + host)
				w.want(200, "", call{method: "PUT", path: "/" + key, host: host, body: body, via: via})
				for _, c := range []call{{path: "/" + key, host: host}, {path: "/data/" + key}} {
					c.method, c.via = "GET", via
					if a := w.want(200, "", c); !bytes.Equal(a.body, body) {
						t.Errorf("%s at %q: %q", key, c.host, a.body)
					}
				}
				w.want(204, "", call{method: "DELETE", path: "/" + key, host: host, via: via})
				w.want(404, "NoSuchKey", call{method: "GET", path: "/data/" + key, via: via})
			}
		}
	}
	w.want(200, "", call{method: "PUT", path: "/data/k", body: []byte("x")})
	for _, host := range []string{"s3.test", "g1.s3.test", "G1.s3.test.:80"} { // a node's own name is no bucket's
		w.want(200, "", call{method: "GET", path: "/data/k", host: host})
		w.want(200, "", call{method: "GET", path: "/v1/health", host: host, who: &nobody})
	}
}

// TestDomainInADomain: a host belongs to the longest of the domains, and the domains themselves are no buckets.
func TestDomainInADomain(t *testing.T) {
	w := newWorld(t, 1)
	w.want(200, "", call{method: "PUT", path: "/data/k", body: []byte("x")})
	for _, c := range []struct{ host, path string }{
		{"data.s3.test", "/k"}, {"data.eu.s3.test", "/k"}, {"data.store", "/k"},
		{"s3.test", "/data/k"}, {"eu.s3.test", "/data/k"}, {"store", "/data/k"}, {"mystore", "/data/k"}, {"us3.test", "/data/k"},
	} {
		if a := w.want(200, "", call{method: "GET", path: c.path, host: c.host}); string(a.body) != "x" {
			t.Errorf("%s at %s: %q", c.path, c.host, a.body)
		}
	}
}

// TestLocationOfAnUpload: the URL that completing an upload tells is that of the object, whatever names the bucket.
func TestLocationOfAnUpload(t *testing.T) {
	w := newWorld(t, 2)
	element := func(a *answer, name string) string {
		_, rest, _ := strings.Cut(string(a.body), "<"+name+">")
		text, _, _ := strings.Cut(rest, "</"+name+">")
		return text
	}
	for _, c := range []struct{ host, path string }{{"s3.test", "/data/by-path"}, {"data.s3.test:80", "/by-host"}} {
		id := element(w.want(200, "", call{method: "POST", path: c.path + "?uploads", host: c.host}), "UploadId")
		part := w.want(200, "", call{method: "PUT", path: c.path + "?partNumber=1&uploadId=" + id, host: c.host, body: []byte("x")})
		doc := "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + part.Header.Get("ETag") + "</ETag></Part></CompleteMultipartUpload>"
		a := w.want(200, "", call{method: "POST", path: c.path + "?uploadId=" + id, host: c.host, body: []byte(doc)})
		host, path, _ := strings.Cut(strings.TrimPrefix(element(a, "Location"), "http://"), "/")
		if g := w.want(200, "", call{method: "GET", path: "/" + path, host: host}); string(g.body) != "x" {
			t.Errorf("at %s: %q", element(a, "Location"), g.body)
		}
	}
}
