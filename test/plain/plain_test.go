package plain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestEscape(t *testing.T) {
	for name, want := range map[string]string{
		"a/b": "a/b", "a b": "a%20b", "a+b": "a%2Bb", "a%2Fb": "a%252Fb", "..": "%2E%2E", "a/./b": "a/%2E/b", "a..b": "a..b", "ä": "%C3%A4", "a//b": "a//b", "?#": "%3F%23",
	} {
		if got := Escape(name); got != want {
			t.Errorf("Escape(%q) = %q, want %q", name, got, want)
		}
	}
}

// TestOutcomes runs one request against servers that answer, refuse, break off and are not there.
func TestOutcomes(t *testing.T) {
	answer := func(f http.HandlerFunc) string {
		s := httptest.NewServer(f)
		t.Cleanup(s.Close)
		return s.URL
	}
	second := answer(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	gone := httptest.NewServer(nil)
	gone.Close()
	for _, c := range []struct {
		name, url string
		want      Outcome
	}{
		{"200", second, Done},
		{"307", answer(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, second+r.URL.Path, http.StatusTemporaryRedirect)
		}), Done},
		{"412", answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(412) }), NotDone},
		{"503", answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }), Unknown},
		{"503 busy", answer(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ais-error-kind", "busy")
			w.WriteHeader(503)
		}), NotDone},
		{"cut", answer(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), Unknown},
		{"gone", gone.URL, NotDone},
	} {
		_, err := New(c.url).Put(context.Background(), "b", "x", []byte("data"))
		if got := OutcomeOf(err); got != c.want {
			t.Errorf("%s: %v has outcome %v, want %v", c.name, err, got, c.want)
		}
	}
}

// TestShortBody makes sure that a reply cut before its end is an error and no short object.
func TestShortBody(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		fmt.Fprint(w, "12345")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}))
	defer s.Close()
	_, _, err := New(s.URL).Get(context.Background(), "b", "x")
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a cut reply gave %v", err)
	}
}
