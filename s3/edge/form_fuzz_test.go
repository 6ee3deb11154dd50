package edge

import (
	"io"
	"mime/multipart"
	"strings"
	"testing"

	"aistore/auth/sigv4"
)

// FuzzForm reads any bytes as a form: it ends, keeps no more than it may, and makes of fields only headers that are some.
func FuzzForm(f *testing.F) {
	for _, s := range []string{
		"--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\nContent-Type: a/b\r\n\r\ndata\r\n--b--\r\n",
		"--b\r\nContent-Disposition: form-data; name=\"x-amz-meta-a b\"\r\n\r\nv\r\nw\r\n--b--", "--b\r\n\r\n\r\n--b", "--b--", "", "--b\r\nContent-Disposition: form-data; name=\"tagging\"\r\n\r\n<Tagging/>\r\n--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n",
		"--b\r\nContent-Disposition: form-data; name*=utf-8''file\r\n\r\n\r\n--b--",
	} {
		f.Add([]byte(s), "b")
	}
	f.Fuzz(func(t *testing.T, body []byte, boundary string) {
		if boundary == "" || len(boundary) > 70 {
			return
		}
		var in sigv4.Form
		file, err := readForm(multipart.NewReader(strings.NewReader(string(body)), boundary), &in)
		total := 0
		for name, v := range in.Fields {
			total += len(name) + len(v)
		}
		if total > maxFields+len(body) && total > 2*maxFields || len(in.Fields) > maxFieldCount+1 {
			t.Fatalf("%d fields of %d bytes", len(in.Fields), total)
		}
		if err != nil {
			if file != nil {
				t.Fatal("a file and an error")
			}
			return
		}
		if n, err := io.Copy(io.Discard, file); n > int64(len(body)) {
			t.Fatalf("a file of %d bytes in %d (%v)", n, len(body), err)
		}
		r := &form{&request{}}
		hs, err := r.formHeaders(in.Fields)
		if err != nil {
			return
		}
		for _, h := range hs {
			if !token(h.Key) || strings.ContainsAny(h.Value, "\r\n\x00") {
				t.Fatalf("header %q: %q", h.Key, h.Value)
			}
		}
	})
}
