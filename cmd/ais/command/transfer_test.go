package command

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aistore/api/client"
	"aistore/cmd/ais/term"
	"aistore/cmd/ais/tree"
	"aistore/errs"
)

// refusing is a client whose writes are read to the end and then refused, and whose reads are cut off in their midst.
func refusing(t *testing.T) (*client.Client, *app) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/objects/") {
			w.Header().Set("ETag", `"x"`)
			w.Header().Set("Content-Length", "600000")
			if r.Header.Get("Range") == "" {
				_, _ = w.Write(make([]byte, 300_000))
				return
			}
		}
		w.Header().Set("Content-Length", "0")
		w.Header().Set("ais-error-kind", "invalid")
		w.WriteHeader(http.StatusBadRequest)
	}))
	t.Cleanup(srv.Close)
	c, err := client.New(client.Options{Endpoints: []string{srv.URL}, NoDirect: true, NoVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, newApp(Process{Getenv: os.Getenv, Stdin: strings.NewReader(""), Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}})
}

// TestBytesOfFailures: the bytes of an object that was not stored, or not kept, are not among those that were moved.
func TestBytesOfFailures(t *testing.T) {
	c, a := refusing(t)
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, make([]byte, 3<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	u := &upload{a: a, bucket: c.Bucket("b"), progress: a.out.StartProgress(t.Context(), term.Transfer{})}
	if _, err := u.store(t.Context(), file, "k"); !errs.Is(err, errs.Invalid) {
		t.Errorf("put: %v", err)
	}
	if objects, bytes := u.progress.Counts(); objects != 0 || bytes != 0 {
		t.Errorf("put: %d objects, %d bytes", objects, bytes)
	}

	d := &download{a: a, bucket: c.Bucket("b"), progress: a.out.StartProgress(t.Context(), term.Transfer{})}
	r, err := d.open(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := d.save(r, func() (*tree.Pending, error) { return tree.CreateFile(file) }, nil); err == nil {
		t.Error("get: no error")
	}
	if objects, bytes := d.progress.Counts(); objects != 0 || bytes != 0 {
		t.Errorf("get: %d objects, %d bytes", objects, bytes)
	}
}
