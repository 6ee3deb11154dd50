package target_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"aistore/api"
	"aistore/cksum"
	"aistore/cluster"
	"aistore/errs"
	"aistore/object"
	"aistore/store"
)

const objects = api.PathObjects + "/"

// TestPutGetHeadDelete walks objects of every size class through their life.
func TestPutGetHeadDelete(t *testing.T) {
	w := newWorld(t, 1)
	o := w.targets[0]
	for _, bucket := range []string{"bk", "plain", "volatile", "checked"} {
		for _, n := range []int{0, 1, 4096, 128 << 10, 128<<10 + 1, 1 << 20, 3_000_001} {
			path := fmt.Sprintf("%s%s/dir//o %d?#%%", objects, bucket, n)
			path = strings.NewReplacer(" ", "%20", "?", "%3F", "#", "%23", "%%", "%25").Replace(path[:len(path)-1]) + "%25"
			body := random(n)
			put := o.want(t, 200, call{method: "PUT", path: path, body: body, header: []string{
				"ais-custom-md", "z=last", "ais-custom-md", "a=1", "Content-Type", "text/x-test", "Cache-Control", "no-store"}})
			durability := "local"
			if bucket == "volatile" {
				durability = "volatile"
			}
			sum := cksum.Of(cksum.XXHash, body)
			etag := `"` + sum.Value + `"`
			if bucket == "plain" {
				etag, sum = `"`+put.Header.Get(api.HeaderVersion)+`"`, cksum.Value{}
			}
			for k, v := range map[string]string{"ETag": etag, api.HeaderDurability: durability, api.HeaderChecksumValue: sum.Value} {
				if got := put.Header.Get(k); got != v {
					t.Errorf("PUT %s: %s is %q, want %q", path, k, got, v)
				}
			}
			for _, base := range []string{objects, api.PathEasy + "/"} {
				for _, method := range []string{"GET", "HEAD"} {
					got := o.want(t, 200, call{method: method, path: strings.Replace(path, objects, base, 1)})
					if method == "GET" && !bytes.Equal(got.body, body) {
						t.Errorf("GET %s: %d other bytes", path, len(got.body))
					}
					for k, v := range map[string]string{
						"Content-Length": fmt.Sprint(n), "ETag": etag, "Content-Type": "text/x-test", "Cache-Control": "no-store", "Accept-Ranges": "bytes",
						api.HeaderChecksumValue: sum.Value, api.HeaderCustomMD: "a=1,z=last", api.HeaderVersion: put.Header.Get(api.HeaderVersion),
						api.HeaderBucketName: bucket, api.HeaderBucketProvider: "ais", api.HeaderName: fmt.Sprintf("dir//o %d?#%%", n)[:len(fmt.Sprintf("dir//o %d?#", n))] + "",
						api.HeaderPresent: "true", api.HeaderLocation: "t[t1]",
					} {
						if k == api.HeaderName {
							continue
						}
						if g := got.Header.Get(k); g != v {
							t.Errorf("%s %s: %s is %q, want %q", method, path, k, g, v)
						}
					}
					if _, err := http.ParseTime(got.Header.Get("Last-Modified")); err != nil {
						t.Errorf("%s %s: %v", method, path, err)
					}
				}
			}
			o.want(t, 200, call{method: "DELETE", path: path})
			for _, method := range []string{"GET", "HEAD", "DELETE"} {
				if a := o.want(t, 404, call{method: method, path: path}); a.kind() != errs.NotFound {
					t.Errorf("%s %s: kind %v", method, path, a.kind())
				}
			}
		}
	}
}

// TestWrongInput gives every route what it must refuse, and looks for the name of what was wrong.
func TestWrongInput(t *testing.T) {
	w := newWorld(t, 1)
	o := w.targets[0]
	o.want(t, 200, call{method: "PUT", path: objects + "bk/o", body: []byte("hello")})
	md5sum := md5.Sum([]byte("other"))
	long := strings.Repeat("k", 5000)
	for _, c := range []struct {
		call
		status int
		text   string
	}{
		{call{method: "GET", path: objects + "bk/"}, 400, "object name"},
		{call{method: "GET", path: objects}, 400, "bucket"},
		{call{method: "GET", path: objects + "bk/a%00"}, 400, "NUL"},
		{call{method: "GET", path: objects + "bk/%ff"}, 400, "UTF-8"},
		{call{method: "PUT", path: objects + "bk/" + strings.Repeat("x", 1025)}, 400, "1024"},
		{call{method: "GET", path: objects + "nope/o"}, 404, "ais://nope"},
		{call{method: "GET", path: objects + "bk/o?provider=s3"}, 501, "provider"},
		{call{method: "GET", path: objects + "bk/o?provider=zz"}, 400, "provider"},
		{call{method: "GET", path: objects + "bk/o?namespace=%23x"}, 404, "#x"},
		{call{method: "GET", path: objects + "bk/o?archpath=x"}, 501, "archpath"},
		{call{method: "PUT", path: objects + "bk/o?uploadId=x&partNumber=1"}, 501, "uploadId"},
		{call{method: "GET", path: objects + "bk/o?etl_name=x"}, 501, "etl_name"},
		{call{method: "HEAD", path: objects + "bk/o?props=size,color"}, 400, "color"},
		{call{method: "GET", path: objects + "bk/o", header: []string{"ais-map-version", "x"}}, 400, "ais-map-version"},
		{call{method: "GET", path: objects + "bk/o?ais-s=abc"}, 401, "gateway"},
		{call{method: "GET", path: objects + "bk/o?ais-s=abc&ais-e=1&ais-b=1&ais-x=99999999999"}, 401, "signature"},
		{call{method: "GET", path: objects + "bk/o", header: []string{"Range", "bytes=5-"}}, 416, "5 bytes"},
		{call{method: "PUT", path: objects + "bk/o", header: []string{"ais-checksum-type", "md9", "ais-checksum-value", "00"}}, 400, "md9"},
		{call{method: "PUT", path: objects + "bk/o", header: []string{"ais-checksum-type", "md5", "ais-checksum-value", "00"}}, 400, "32 hex"},
		{call{method: "PUT", path: objects + "bk/o", header: []string{"ais-checksum-value", "00"}}, 400, "ais-checksum"},
		{call{method: "PUT", path: objects + "bk/o", header: []string{"Content-MD5", "!"}}, 400, "Content-MD5"},
		{call{method: "PUT", path: objects + "bk/o", body: []byte("x"), header: []string{"Content-MD5", base64.StdEncoding.EncodeToString(md5sum[:])}}, 400, "checksum"},
		{call{method: "PUT", path: objects + "bk/o", body: []byte("x"), header: []string{"ais-checksum-type", "xxhash", "ais-checksum-value", "0011223344556677"}}, 400, "checksum"},
		{call{method: "PUT", path: objects + "bk/o", header: []string{"ais-custom-md", "novalue"}}, 400, "KEY=VALUE"},
		{call{method: "PUT", path: objects + "bk/o", header: []string{"ais-custom-md", "=v"}}, 400, "key"},
		{call{method: "PUT", path: objects + "bk/o", header: []string{"ais-custom-md", "a,b=v"}}, 400, "a,b"},
		{call{method: "PUT", path: objects + "bk/o", header: []string{"ais-custom-md", "a=x,b=v"}}, 400, "behind a ','"},
		{call{method: "PUT", path: objects + "bk/o", header: []string{"ais-custom-md", "a=" + long, "ais-custom-md", "b=" + long}}, 413, "8192"},
		{call{method: "PUT", path: objects + "bk/o", header: []string{"Content-Disposition", long}}, 413, "4096"},
		{call{method: "PUT", path: objects + "bk/o?append_type=add"}, 400, "append_type"},
		{call{method: "PUT", path: objects + "bk/o?append_type=flush"}, 400, "append_handle"},
		{call{method: "PUT", path: objects + "bk/o?append_type=append&append_handle=zz", body: []byte("x")}, 400, "handle"},
		{call{method: "PUT", path: objects + "bk/o?object_to=x"}, 400, "object_to"},
		{call{method: "PUT", path: objects + "bk/o?object_to=ais/@%23/bk/o"}, 400, "same object"},
		{call{method: "PUT", path: objects + "bk/o?object_to=ais/@%23/nope/o"}, 404, "ais://nope"},
		{call{method: "PUT", path: objects + "bk/absent?object_to=ais/@%23/bk/x"}, 404, "ais://bk/absent"},
		{call{method: "PATCH", path: objects + "bk/o", body: []byte(`{`)}, 400, "JSON"},
		{call{method: "PATCH", path: objects + "bk/o"}, 400, "empty"},
		{call{method: "PATCH", path: objects + "bk/o", body: []byte(`{"value":{"a":"1","a":"2"}}`)}, 400, `key \"value.a\" stands there twice`},
		{call{method: "PATCH", path: objects + "bk/o", body: []byte(`{"action":"x","value":{"a":"b"}}`)}, 400, "action"},
		{call{method: "PATCH", path: objects + "bk/o", body: []byte(`{"value":{}}`)}, 400, "value"},
		{call{method: "PATCH", path: objects + "bk/o", body: []byte(`{"value":["a"]}`)}, 400, "value"},
		{call{method: "PATCH", path: objects + "bk/o", body: []byte(`{"value":{"a":"x\ny"}}`)}, 400, "control"},
		{call{method: "PATCH", path: objects + "bk/o", body: []byte(`{"value":{"a":"x, y,b=v"}}`)}, 400, "behind a ','"},
		{call{method: "PATCH", path: objects + "bk/absent", body: []byte(`{"value":{"a":"b"}}`)}, 404, "ais://bk/absent"},
		{call{method: "PATCH", path: objects + "bk/o", body: random(1<<20 + 1)}, 413, "1048576"},
		{call{method: "POST", path: objects + "bk/o", body: []byte(`{"action":"fly"}`)}, 400, "fly"},
		{call{method: "POST", path: objects + "bk/o", body: []byte(`{"action":"promote"}`)}, 501, "promote"},
		{call{method: "POST", path: objects + "bk/o", body: []byte(`{"action":"rename"}`)}, 400, "object name"},
		{call{method: "POST", path: objects + "bk/o", body: []byte(`{"action":"rename","name":"o"}`)}, 400, "old one"},
		{call{method: "POST", path: objects + "bk/absent", body: []byte(`{"action":"rename","name":"x"}`)}, 404, "ais://bk/absent"},
		{call{method: "OPTIONS", path: objects + "bk/o"}, 405, "OPTIONS"},
		{call{method: "GET", path: "/intra/objects/1/o"}, 404, "no such route"},
	} {
		a := o.do(t, c.call)
		if c.method == "HEAD" {
			a.body = []byte(a.Header.Get("ais-error"))
		}
		if a.StatusCode != c.status || !strings.Contains(string(a.body), c.text) {
			t.Errorf("%s %.80s %.80q: status %d, want %d and %q in: %.300s", c.method, c.path, c.header, a.StatusCode, c.status, c.text, a.body)
		}
		var f struct {
			Status int    `json:"status_code"`
			Path   string `json:"url_path"`
		}
		if c.method != "HEAD" && (json.Unmarshal(a.body, &f) != nil || f.Status != c.status || f.Path == "") {
			t.Errorf("%s %.80s: body %.200s", c.method, c.path, a.body)
		}
	}
	if a := o.want(t, 200, call{method: "GET", path: objects + "bk/o"}); string(a.body) != "hello" {
		t.Errorf("after all this the object is %q", a.body)
	}
}

// TestRanges compares every range of a table with a reference: slices of the content.
func TestRanges(t *testing.T) {
	w := newWorld(t, 1)
	o := w.targets[0]
	for _, n := range []int{0, 1, 10, 5000, 300_000} {
		body := random(n)
		path := fmt.Sprintf("%sbk/r%d", objects, n)
		etag := o.want(t, 200, call{method: "PUT", path: path, body: body}).Header.Get("ETag")
		for _, h := range []string{
			"bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-5", "bytes=-999999", "bytes=1-3", "bytes=3-1", "bytes=9-", "bytes=10-", "bytes=4999-5000",
			"bytes=131071-131073", "bytes=131072-262143", "bytes=0-299999", "bytes=0-9999999", "bytes=-0", "bytes=", "bytes=a-b", "items=0-1", "bytes=0-0,2-2",
			"bytes=0-1, 4-5 ,-2", "bytes=0-1,99999999-", "bytes=5-2,0-1", "bytes=0-,0-,0-", "bytes=99999999-,88888888-", "bytes=131000-132000,262000-262200,0-10",
		} {
			spans, err := object.ParseRange(h, int64(n)) // tested against RFC 9110 in package object
			for _, cond := range []string{"", etag, `"other"`, "Mon, 02 Jan 2006 15:04:05 GMT"} {
				c := call{method: "GET", path: path, header: []string{"Range", h}}
				whole := len(spans) == 0
				if cond != "" {
					c.header = append(c.header, "If-Range", cond)
					whole = whole || cond != etag
				}
				name := fmt.Sprintf("%d bytes, %s, If-Range %s", n, h, cond)
				a := o.do(t, c)
				switch {
				case err != nil && (cond == "" || cond == etag):
					if a.StatusCode != 416 || a.Header.Get("Content-Range") != fmt.Sprintf("bytes */%d", n) {
						t.Errorf("%s: status %d, Content-Range %q", name, a.StatusCode, a.Header.Get("Content-Range"))
					}
				case whole:
					if a.StatusCode != 200 || !bytes.Equal(a.body, body) {
						t.Errorf("%s: status %d, %d bytes", name, a.StatusCode, len(a.body))
					}
				case len(spans) == 1:
					sp := spans[0]
					if a.StatusCode != 206 || a.Header.Get("Content-Range") != sp.ContentRange(int64(n)) || !bytes.Equal(a.body, body[sp.Start:sp.Start+sp.Length]) {
						t.Errorf("%s: status %d, %d bytes, %s", name, a.StatusCode, len(a.body), a.Header.Get("Content-Range"))
					}
				default:
					checkParts(t, name, a, spans, body)
				}
			}
		}
	}
}

func checkParts(t *testing.T, name string, a *answer, spans []object.Span, body []byte) {
	t.Helper()
	typ, params, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if types := a.Header["Content-Type"]; a.StatusCode != 206 || err != nil || typ != "multipart/byteranges" || len(types) != 1 {
		t.Errorf("%s: status %d, types %q", name, a.StatusCode, types)
		return
	}
	if fmt.Sprint(len(a.body)) != a.Header.Get("Content-Length") {
		t.Errorf("%s: %d bytes, declared %s", name, len(a.body), a.Header.Get("Content-Length"))
	}
	r := multipart.NewReader(bytes.NewReader(a.body), params["boundary"])
	for i, sp := range spans {
		p, err := r.NextRawPart()
		if err != nil {
			t.Errorf("%s: part %d: %v", name, i, err)
			return
		}
		b, err := io.ReadAll(p)
		if err != nil || p.Header.Get("Content-Range") != sp.ContentRange(int64(len(body))) || !bytes.Equal(b, body[sp.Start:sp.Start+sp.Length]) {
			t.Errorf("%s: part %d: %v %v, %d bytes", name, i, err, p.Header, len(b))
		}
	}
	if _, err := r.NextPart(); err != io.EOF {
		t.Errorf("%s: after the last part: %v", name, err)
	}
}

func TestConditions(t *testing.T) {
	w := newWorld(t, 1)
	o := w.targets[0]
	path := objects + "bk/o"
	etag := o.want(t, 200, call{method: "PUT", path: path, body: []byte("v1")}).Header.Get("ETag")
	past, future := "Mon, 02 Jan 2006 15:04:05 GMT", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	for _, c := range []struct {
		method, path, key, value string
		status                   int
	}{
		{"GET", path, "If-None-Match", etag, 304}, {"HEAD", path, "If-None-Match", etag, 304}, {"GET", path, "If-None-Match", "*", 304},
		{"GET", path, "If-None-Match", `"x"`, 200}, {"GET", path, "If-None-Match", `"x", W/` + etag, 304},
		{"GET", path, "If-Match", etag, 200}, {"GET", path, "If-Match", `"x"`, 412}, {"GET", path, "If-Match", "*", 200}, {"HEAD", path, "If-Match", `"x"`, 412},
		{"GET", path, "If-Modified-Since", past, 200}, {"GET", path, "If-Modified-Since", future, 304}, {"GET", path, "If-Modified-Since", "yesterday", 200},
		{"GET", path, "If-Unmodified-Since", past, 412}, {"GET", path, "If-Unmodified-Since", future, 200},
		{"GET", objects + "bk/absent", "If-Match", "*", 404}, {"GET", objects + "bk/absent", "If-None-Match", "*", 404},
		{"PUT", path, "If-None-Match", "*", 412}, {"PUT", path, "If-Match", `"x"`, 412}, {"PUT", path, "If-Unmodified-Since", past, 412},
		{"PUT", objects + "bk/new1", "If-Match", "*", 412}, {"PUT", objects + "bk/new2", "If-None-Match", "*", 200}, {"PUT", objects + "bk/new2", "If-None-Match", "*", 412},
		{"DELETE", path, "If-Match", `"x"`, 412}, {"PATCH", path, "If-Match", `"x"`, 412}, {"PATCH", path, "If-Match", etag, 200},
		{"PUT", path, "If-Match", etag, 200}, {"DELETE", objects + "bk/new2", "If-Match", "*", 200}, {"DELETE", objects + "bk/new2", "If-Match", "*", 404},
	} {
		for _, size := range []int{2, 200_000} { // from memory, and as a stream
			if size > 2 && (c.status < 400 || c.method != "PUT") {
				continue
			}
			body := random(size)
			if c.method == "PATCH" {
				body = []byte(`{"value":{"k":"v"}}`)
			}
			a := o.do(t, call{method: c.method, path: c.path, body: body, header: []string{c.key, c.value}})
			if a.StatusCode != c.status && !(c.status == 404 && a.StatusCode == 412 && c.method == "DELETE") {
				t.Errorf("%s %s %s: %s: status %d, want %d: %s", c.method, c.path, c.key, c.value, a.StatusCode, c.status, a.body)
			}
			if c.status == 304 && (a.Header.Get("ETag") != etag || len(a.body) > 0) {
				t.Errorf("%s %s: 304 with ETag %q and %d bytes", c.key, c.value, a.Header.Get("ETag"), len(a.body))
			}
		}
	}
}

func TestDeclaredChecksums(t *testing.T) {
	w := newWorld(t, 1)
	o := w.targets[0]
	for _, n := range []int{0, 100, 300_000} {
		body := random(n)
		for _, typ := range []cksum.Type{cksum.XXHash, cksum.CRC32C, cksum.MD5, cksum.SHA256} {
			v := cksum.Of(typ, body)
			path := fmt.Sprintf("%sbk/%v-%d", objects, typ, n)
			h := []string{"ais-checksum-type", typ.String(), "ais-checksum-value", strings.ToUpper(v.Value)}
			o.want(t, 200, call{method: "PUT", path: path, body: body, header: h})
			a := o.want(t, 400, call{method: "PUT", path: path, body: append([]byte("x"), body...), header: h})
			if a.kind() != errs.Checksum {
				t.Errorf("%s: kind %v", path, a.kind())
			}
			if got := o.want(t, 200, call{method: "GET", path: path}); !bytes.Equal(got.body, body) {
				t.Errorf("%s: a refused PUT changed it", path)
			}
		}
	}
}

func TestHeadProps(t *testing.T) {
	w := newWorld(t, 1)
	o := w.targets[0]
	o.want(t, 200, call{method: "PUT", path: objects + "bk/o", body: []byte("hello"), header: []string{"ais-custom-md", "k=v"}})
	all := []string{api.HeaderName, api.HeaderVersion, api.HeaderChecksumValue, api.HeaderAtime, api.HeaderLocation, api.HeaderCustomMD, "Last-Modified", "ETag", api.HeaderNodeURL}
	for props, want := range map[string][]string{
		"":                         {},
		"name,size":                {api.HeaderName},
		"version, checksum":        {api.HeaderVersion, api.HeaderChecksumValue},
		"atime,location,custom":    {api.HeaderAtime, api.HeaderLocation, api.HeaderCustomMD},
		"last-modified,etag":       {"Last-Modified", "ETag"},
		"copies,ec,chunked,cached": {},
		"target_url":               {api.HeaderNodeURL},
	} {
		a := o.want(t, 200, call{method: "HEAD", path: objects + "bk/o?props=" + strings.ReplaceAll(props, " ", "%20")})
		if a.ContentLength != 5 || a.Header.Get(api.HeaderPresent) != "true" {
			t.Errorf("%q: length %d, present %q", props, a.ContentLength, a.Header.Get(api.HeaderPresent))
		}
		for _, h := range all {
			wanted := false
			for _, x := range want {
				wanted = wanted || x == h
			}
			if got := a.Header.Get(h) != ""; got != wanted {
				t.Errorf("%q: header %s sent: %v, want %v", props, h, got, wanted)
			}
		}
	}
}

func TestCustomMetadata(t *testing.T) {
	w := newWorld(t, 1)
	o := w.targets[0]
	path := objects + "bk/o"
	first := o.want(t, 200, call{method: "PUT", path: path, body: random(200_000), header: []string{"ais-custom-md", "a=1"}})
	for _, c := range []struct{ query, body, want string }{
		{"", `{"action":"","value":{"b":"2","c":"x=y"}}`, "a=1,b=2,c=x=y"},
		{"", `{"value":{"a":"9"}}`, "a=9,b=2,c=x=y"},
		{"?set-new-custom=true", `{"action":"","value":{"d":"4"}}`, "d=4"},
		{"?set-new-custom=true", `{"value":{"e":"x=y,z"}}`, "e=x=y,z"},
		{"?set-new-custom=true", `{"action":"","value":{}}`, ""},
	} {
		o.want(t, 200, call{method: "PATCH", path: path + c.query, body: []byte(c.body)})
		a := o.want(t, 200, call{method: "HEAD", path: path})
		if got := a.Header.Get(api.HeaderCustomMD); got != c.want || a.Header.Get("ETag") != first.Header.Get("ETag") {
			t.Errorf("%s%s: %q, want %q; ETag %s", c.query, c.body, got, c.want, a.Header.Get("ETag"))
		}
	}
}

func TestAppend(t *testing.T) {
	w := newWorld(t, 1)
	o := w.targets[0]
	for _, size := range []int{10, 100_000} {
		path := fmt.Sprintf("%sbk/a%d", objects, size)
		var whole []byte
		handle := ""
		for i := range 4 {
			piece := random(size)
			sum := cksum.Of(cksum.MD5, piece)
			h := []string{"ais-checksum-type", "md5", "ais-checksum-value", sum.Value}
			if i == 2 { // a damaged piece is refused, and the session goes on
				o.want(t, 400, call{method: "PUT", path: path + "?append_type=append&append_handle=" + handle, body: random(size), header: h})
			}
			a := o.want(t, 200, call{method: "PUT", path: path + "?append_type=append&append_handle=" + handle, body: piece, header: h})
			handle = a.Header.Get(api.HeaderAppendHandle)
			whole = append(whole, piece...)
			o.want(t, 404, call{method: "GET", path: path})
		}
		last := random(7)
		whole = append(whole, last...)
		a := o.want(t, 200, call{method: "PUT", path: path + "?append_type=flush&append_handle=" + handle, body: last, header: []string{"ais-custom-md", "k=v"}})
		if a.Header.Get("ETag") == "" || a.Header.Get(api.HeaderDurability) != "local" {
			t.Errorf("flush replied %v", a.Header)
		}
		if a = o.want(t, 200, call{method: "GET", path: path}); !bytes.Equal(a.body, whole) || a.Header.Get(api.HeaderCustomMD) != "k=v" {
			t.Errorf("%d bytes, want %d", len(a.body), len(whole))
		}
		if a := o.do(t, call{method: "PUT", path: path + "?append_type=flush&append_handle=" + handle}); a.StatusCode < 400 || a.StatusCode >= 500 {
			t.Errorf("a handle that was flushed: status %d", a.StatusCode)
		}
	}
	o.want(t, 200, call{method: "PUT", path: objects + "bk/at-once?append_type=flush&append_handle=", body: []byte("all")})
	before, _ := o.store.Appends()
	for _, kind := range []string{"append", "flush"} { // a first piece that is refused leaves no session: its handle is not told
		o.want(t, 400, call{method: "PUT", path: objects + "bk/none?append_type=" + kind + "&append_handle=", body: []byte("all"),
			header: []string{"ais-checksum-type", "md5", "ais-checksum-value", cksum.Of(cksum.MD5, nil).Value}})
	}
	if n, _ := o.store.Appends(); n != before {
		t.Errorf("%d append sessions, %d before", n, before)
	}
	if a := o.want(t, 200, call{method: "GET", path: objects + "bk/at-once"}); string(a.body) != "all" {
		t.Errorf("flushed at once: %q", a.body)
	}
	w.plane.set(func(v *cluster.View) { v.Config.Limits.MaxObjectSize = 10 })
	handle := ""
	for range 3 { // each is short enough, the whole is not
		handle = o.want(t, 200, call{method: "PUT", path: objects + "bk/long?append_type=append&append_handle=" + handle, body: random(4)}).Header.Get(api.HeaderAppendHandle)
	}
	o.want(t, 413, call{method: "PUT", path: objects + "bk/long?append_type=flush&append_handle=" + handle})
	o.want(t, 404, call{method: "GET", path: objects + "bk/long"})
}

// TestCopyAndRename goes inside a target, between targets, and between buckets with other checksums.
func TestCopyAndRename(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.targets[0], w.targets[1]
	for _, n := range []int{0, 1000, 2_000_000} {
		for i, dst := range []struct {
			bucket string
			to     *one
		}{{"bk", a}, {"bk", b}, {"plain", a}, {"plain", b}} {
			body := random(n)
			from := w.keyOf(a, "bk", fmt.Sprintf("from%d-%d/", n, i))
			to := w.keyOf(dst.to, dst.bucket, fmt.Sprintf("to %d-%d/", n, i))
			src := a.want(t, 200, call{method: "PUT", path: objects + "bk/" + from, body: body, header: []string{"ais-custom-md", "k=v", "Content-Type", "x/y"}})
			uname := strings.NewReplacer("#", "%23", " ", "+").Replace("ais/@#/" + dst.bucket + "/" + to)
			a.want(t, 200, call{method: "PUT", path: objects + "bk/" + from + "?object_to=" + uname + "&latest-ver=false&synchronize=false"})
			path := objects + dst.bucket + "/" + strings.ReplaceAll(to, " ", "%20")
			got := dst.to.want(t, 200, call{method: "GET", path: path})
			if !bytes.Equal(got.body, body) || got.Header.Get(api.HeaderCustomMD) != "k=v" || got.Header.Get("Content-Type") != "x/y" {
				t.Errorf("copy %s to %s/%s: %d bytes, %v", from, dst.bucket, to, len(got.body), got.Header)
			}
			if same := got.Header.Get("ETag") == src.Header.Get("ETag"); same != (dst.bucket == "bk") {
				t.Errorf("copy to %s: ETag %s, was %s", dst.bucket, got.Header.Get("ETag"), src.Header.Get("ETag"))
			}
			a.want(t, 200, call{method: "GET", path: objects + "bk/" + from})
		}
		for _, to := range []*one{a, b} {
			body := random(n)
			old, name := w.keyOf(a, "bk", fmt.Sprintf("old%d", n)), w.keyOf(to, "bk", fmt.Sprintf("new%d", n))
			a.want(t, 200, call{method: "PUT", path: objects + "bk/" + old, body: body})
			a.want(t, 200, call{method: "POST", path: objects + "bk/" + old, body: []byte(`{"action":"rename","name":"` + name + `"}`)})
			a.want(t, 404, call{method: "GET", path: objects + "bk/" + old})
			if got := to.want(t, 200, call{method: "GET", path: objects + "bk/" + name}); !bytes.Equal(got.body, body) {
				t.Errorf("renamed to %s: %d bytes", name, len(got.body))
			}
		}
	}
}

// TestCopyOfParts copies and renames what was uploaded in parts: here it keeps its parts, and everywhere its ETag.
func TestCopyOfParts(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.targets[0], w.targets[1]
	ctx := t.Context()
	from := w.keyOf(a, "bk", "from")
	n := object.Name{Bucket: w.plane.get().Buckets.Get("", "bk").ID, Key: from}
	u, err := a.store.CreateUpload(ctx, n, store.UploadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var named []store.CompletePart
	var body []byte
	for i := range 3 {
		part := random(100_000 + i)
		p, err := a.store.PutPart(ctx, n, u.ID, i+1, bytes.NewReader(part), store.PartOptions{Size: int64(len(part))})
		if err != nil {
			t.Fatal(err)
		}
		named, body = append(named, store.CompletePart{Number: i + 1, ETag: p.ETag}), append(body, part...)
	}
	info, err := a.store.CompleteUpload(ctx, n, u.ID, named, store.CompleteOptions{PutOptions: store.PutOptions{Checksum: cksum.XXHash}})
	if err != nil {
		t.Fatal(err)
	}
	check := func(to *one, bucket, key string, parts int) {
		t.Helper()
		got := to.want(t, 200, call{method: "GET", path: objects + bucket + "/" + key})
		if !bytes.Equal(got.body, body) || strings.Trim(got.Header.Get("ETag"), `"`) != info.ETag {
			t.Errorf("%s/%s: %d bytes, ETag %s, want %s", bucket, key, len(got.body), got.Header.Get("ETag"), info.ETag)
		}
		ps, err := to.store.Parts(object.Name{Bucket: w.plane.get().Buckets.Get("", bucket).ID, Key: key}, "")
		if err != nil || len(ps) != parts {
			t.Errorf("%s/%s has parts %v (%v), want %d", bucket, key, ps, err, parts)
		}
	}
	for _, c := range []struct {
		to     *one
		bucket string
		parts  int
	}{{a, "bk", 3}, {a, "plain", 3}, {b, "bk", 0}, {b, "plain", 0}} {
		to := w.keyOf(c.to, c.bucket, "to")
		a.want(t, 200, call{method: "PUT", path: objects + "bk/" + from + "?object_to=ais/@%23/" + c.bucket + "/" + to + "&latest-ver=false&synchronize=false"})
		check(c.to, c.bucket, to, c.parts)
	}
	name := w.keyOf(a, "bk", "renamed")
	a.want(t, 200, call{method: "POST", path: objects + "bk/" + from, body: []byte(`{"action":"rename","name":"` + name + `"}`)})
	check(a, "bk", name, 3)
}

// TestOwnership sends requests to the wrong target.
func TestOwnership(t *testing.T) {
	w := newWorld(t, 2)
	mine, other := w.owner("bk", "o")
	mine.want(t, 200, call{method: "PUT", path: objects + "bk/o", body: []byte("x")})
	a := other.want(t, 307, call{method: "GET", path: objects + "bk/o?x=1"})
	loc := a.Header.Get("Location")
	if !strings.HasPrefix(loc, mine.url+objects+"bk/o?") || !strings.Contains(loc, "ais-s=") || !strings.HasSuffix(loc, "&x=1") {
		t.Errorf("redirected to %s", loc)
	}
	mine.want(t, 200, call{method: "GET", path: strings.TrimPrefix(loc, mine.url)})
	a = mine.want(t, 200, call{method: "GET", path: objects + "bk/o", header: []string{api.HeaderMapVersion, "1"}})
	if got := a.Header.Get(api.HeaderMapVersion); got != "" {
		t.Errorf("same map version, and the reply names %q", got)
	}
	a = other.want(t, 421, call{method: "GET", path: objects + "bk/o", header: []string{api.HeaderMapVersion, "1"}})
	if a.Header.Get(api.HeaderMapVersion) != "1" || a.kind() != errs.WrongOwner {
		t.Errorf("kind %v, map version %q", a.kind(), a.Header.Get(api.HeaderMapVersion))
	}
	w.plane.set(func(v *cluster.View) { v.Map.Nodes[mine.id].Alive = false })
	if a = other.want(t, 503, call{method: "GET", path: objects + "bk/o"}); a.Header.Get("Retry-After") == "" {
		t.Errorf("no Retry-After")
	}
	// A client with a newer map than the target's makes it look for the newer one.
	w.plane.setAhead(func(v *cluster.View) {
		v.Map.Version, v.Map.Epoch = 9, 9
		v.Map.Nodes[mine.id].State = cluster.Maintenance
	})
	a = other.want(t, 404, call{method: "GET", path: objects + "bk/o", header: []string{api.HeaderMapVersion, "9"}})
	if a.kind() != errs.NotFound {
		t.Errorf("kind %v", a.kind())
	}
}

// TestLease pauses a target at each look at its lease: nothing may be acknowledged by one that has lost it.
func TestLease(t *testing.T) {
	w := newWorld(t, 1)
	o := w.targets[0]
	o.want(t, 200, call{method: "PUT", path: objects + "bk/o", body: []byte("old")})
	lost := errs.E("test", "lease", errs.Unavailable, "lost")
	for _, c := range []call{
		{method: "GET", path: objects + "bk/o"}, {method: "HEAD", path: objects + "bk/o"},
		{method: "PUT", path: objects + "bk/o", body: []byte("new")}, {method: "PUT", path: objects + "bk/o", body: random(300_000)},
		{method: "PATCH", path: objects + "bk/o", body: []byte(`{"value":{"a":"b"}}`)},
		{method: "POST", path: objects + "bk/o", body: []byte(`{"action":"rename","name":"p"}`)},
		{method: "PUT", path: objects + "bk/o?object_to=ais/@%23/bk/q"},
		{method: "PUT", path: objects + "bk/o?append_type=append&append_handle=", body: []byte("x")},
		{method: "DELETE", path: objects + "bk/o"},
		{method: "GET", path: objects + "bk/absent"}, {method: "HEAD", path: objects + "bk/absent"}, {method: "DELETE", path: objects + "bk/absent"},
		{method: "GET", path: objects + "bk/o", header: []string{"If-Match", `"other"`}},
		{method: "PUT", path: objects + "bk/o", body: []byte("new"), header: []string{"If-None-Match", "*"}},
	} {
		for n := 1; ; n++ {
			o.ctl.setLease(nil, func(look int) error {
				if look >= n {
					return lost
				}
				return nil
			})
			a := o.do(t, c)
			o.ctl.mu.Lock()
			looks := o.ctl.looks
			o.ctl.mu.Unlock()
			if looks == 0 {
				t.Errorf("%s %s answers %d without a look at the lease", c.method, c.path, a.StatusCode)
			}
			if looks < n { // it was acknowledged before the n-th look
				if a.StatusCode >= 400 && a.StatusCode != 404 && a.StatusCode != 412 {
					t.Errorf("%s %s: status %d", c.method, c.path, a.StatusCode)
				}
				break
			}
			if a.StatusCode != 503 {
				t.Errorf("%s %s with the lease lost at look %d: status %d", c.method, c.path, n, a.StatusCode)
			}
			o.ctl.setLease(nil, nil)
			if n == 1 { // lost before the commit: nothing has changed
				if got := o.want(t, 200, call{method: "GET", path: objects + "bk/o"}); string(got.body) != "old" || got.Header.Get(api.HeaderCustomMD) != "" {
					t.Errorf("%s %s without a lease changed the object", c.method, c.path)
				}
			}
			if n > 10 {
				t.Fatal("endless")
			}
			o.want(t, 200, call{method: "PUT", path: objects + "bk/o", body: []byte("old")})
		}
		o.ctl.setLease(nil, nil)
		o.want(t, 200, call{method: "PUT", path: objects + "bk/o", body: []byte("old")})
	}
}

// TestDestroyedBucket: a write that is under way when its bucket goes is refused, and the data goes.
func TestDestroyedBucket(t *testing.T) {
	w := newWorld(t, 1)
	o := w.targets[0]
	for i := range 20 {
		o.want(t, 200, call{method: "PUT", path: fmt.Sprintf("%sbk/o%d", objects, i), body: random(10_000 * (i + 1))})
	}
	o.want(t, 200, call{method: "PUT", path: objects + "plain/stays", body: []byte("x")})
	id := w.plane.get().Buckets.Get("", "bk").ID

	pr, pw := io.Pipe()
	got := make(chan *http.Response, 1)
	go func() {
		req, _ := http.NewRequest("PUT", o.url+objects+"bk/late", pr)
		req.ContentLength = 200_000
		resp, err := noFollow.Do(req)
		if err != nil {
			t.Error(err)
			resp = &http.Response{Body: io.NopCloser(bytes.NewReader(nil))}
		}
		resp.Body.Close()
		got <- resp
	}()
	_, _ = pw.Write(random(150_000)) // the server has begun to read the body
	w.plane.set(func(v *cluster.View) { delete(v.Buckets.Buckets, cluster.BucketKey("", "bk")); v.Buckets.Version++ })
	_, _ = pw.Write(random(50_000))
	pw.Close()
	if resp := <-got; resp.StatusCode != 404 || resp.Header.Get("ais-error-kind") != "no-bucket" {
		t.Errorf("late PUT: %d %v", resp.StatusCode, resp.Header)
	}
	waitFor(t, func() bool {
		ids, err := o.store.Buckets()
		return err == nil && len(ids) == 1 && ids[0] != id
	})
	o.want(t, 200, call{method: "GET", path: objects + "plain/stays"})
	o.want(t, 404, call{method: "GET", path: objects + "bk/o1"})
}

// waitFor polls what the background does; the test's own deadline ends it.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("it did not happen")
		}
	}
}

// TestLyingClients send less or more than they say, or stop.
func TestLyingClients(t *testing.T) {
	w := newWorld(t, 1)
	o := w.targets[0]
	o.want(t, 200, call{method: "PUT", path: objects + "bk/o", body: []byte("old")})
	for _, request := range []string{
		"PUT /v1/objects/bk/o HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
		"PUT /v1/objects/bk/o HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + string(random(500_000)),
		"PUT /v1/objects/bk/o HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\nabc",
		"PUT /v1/objects/bk/o HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"PUT /v1/objects/bk/o HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
		"PUT /v1/objects/bk/o?append_type=append&append_handle= HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
	} {
		c, err := net.Dial("tcp", strings.TrimPrefix(o.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, request)
		_ = c.(*net.TCPConn).CloseWrite()
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		b, err := io.ReadAll(c)
		if errors.Is(err, os.ErrDeadlineExceeded) || strings.HasPrefix(string(b), "HTTP/1.1 2") {
			t.Errorf("%.60q was answered %.100q, %v", request, b, err)
		}
		c.Close()
	}
	if got := o.want(t, 200, call{method: "GET", path: objects + "bk/o"}); string(got.body) != "old" {
		t.Errorf("the object is now %d bytes", len(got.body))
	}
	// More than the declared length begins a new request, which is refused as such; the object has what was declared.
	c, err := net.Dial("tcp", strings.TrimPrefix(o.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "PUT /v1/objects/bk/o HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcdef\r\n\r\n")
	b, _ := io.ReadAll(c)
	if !strings.HasPrefix(string(b), "HTTP/1.1 200") || strings.Count(string(b), "HTTP/1.1 400") != 1 {
		t.Errorf("got %q", b)
	}
}

// TestDamage flips a bit in a blob: the reply breaks off, and no wrong byte is in it.
func TestDamage(t *testing.T) {
	w := newWorld(t, 1)
	o := w.targets[0]
	body := random(1 << 20)
	o.want(t, 200, call{method: "PUT", path: objects + "bk/o", body: body})
	flipBit(t, o.dir, 600_000)
	resp, err := noFollow.Get(o.url + objects + "bk/o")
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err == nil || !bytes.HasPrefix(body, got) {
		t.Errorf("%d bytes and no error: %v", len(got), err)
	}
	o.want(t, 206, call{method: "GET", path: objects + "bk/o", header: []string{"Range", "bytes=0-9"}})
	if a := o.want(t, 500, call{method: "GET", path: objects + "bk/o", header: []string{"Range", "bytes=600000-600001"}}); a.kind() != errs.Corrupt {
		t.Errorf("kind %v", a.kind())
	}
}
