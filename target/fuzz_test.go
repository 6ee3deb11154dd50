package target_test

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"aistore/httpx"
)

// FuzzRequests sends object requests with arbitrary names, queries, headers and bodies: whatever is wrong with
// them is the client's fault (4xx) or not supported (501), never an internal error, and the node lives on.
func FuzzRequests(f *testing.F) {
	f.Add(0, "o", "", "Range", "bytes=0-1,3-", []byte{})
	f.Add(0, "o", "props=size", "If-None-Match", `"x", *`, []byte{})
	f.Add(1, "o", "props=size,custom", "If-Range", "x", []byte{})
	f.Add(2, "o", "", "ais-custom-md", "k=v", []byte("content"))
	f.Add(2, "o", "", "Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA==", []byte("content"))
	f.Add(2, "o", "append_type=append&append_handle=", "ais-checksum-value", "00", []byte("content"))
	f.Add(2, "o", "append_type=flush&append_handle=1.2.3", "a", "", []byte("content"))
	f.Add(2, "o", "object_to=ais/@%23/bk/p", "a", "", []byte{})
	f.Add(4, "o", "set-new-custom=true", "a", "", []byte(`{"action":"","value":{"a":"b"}}`))
	f.Add(5, "o", "", "a", "", []byte(`{"action":"rename","name":"p"}`))
	f.Add(0, "o", "ais-e=1&ais-b=1&ais-x=1&ais-s=x&namespace=%23n&provider=ais", "ais-map-version", "7", []byte{})
	methods := []string{"GET", "HEAD", "PUT", "DELETE", "PATCH", "POST"}
	w := newWorld(f, 1)
	base := w.targets[0].url + objects + "bk/"
	f.Fuzz(func(t *testing.T, m int, key, query, header, value string, body []byte) {
		if len(body) > 1<<16 || len(key) > 2000 || len(query) > 4000 || len(value) > 4000 {
			t.Skip("too long to be of use")
		}
		u, err := url.Parse(base + string(httpx.AppendPath(nil, key)))
		if err != nil {
			t.Skip("net/url does not send it")
		}
		u.RawQuery = strings.Map(func(r rune) rune {
			if r <= ' ' || r >= 0x7f {
				return -1
			}
			return r
		}, query)
		req, err := http.NewRequest(methods[uint(m)%6], u.String(), bytes.NewReader(body))
		if err != nil {
			t.Skip("net/http does not send it")
		}
		req.Header[header] = []string{value}
		resp, err := noFollow.Do(req)
		if err != nil {
			alive, err := http.Get(w.targets[0].url + "/v1/health")
			if err != nil {
				t.Fatalf("the node died: %v", err)
			}
			alive.Body.Close()
			return // net/http refused the header, or the server the framing it announced
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode >= 500 && resp.StatusCode != 501 {
			t.Errorf("%s %s %q: %q: %d %v %.300q", req.Method, u, header, value, resp.StatusCode, err, text)
		}
	})
}
