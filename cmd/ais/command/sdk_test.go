package command

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aistore/api"
	"aistore/api/client"
)

// TestPortHint: who leaves the port out is told which one was tried; one that cannot be is refused before anybody is looked for there.
func TestPortHint(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"http://localhost:8080": "", "localhost:1, http://b:65535": "", "http://[::1]:80": "",
		"localhost":        "; without a port that is 80: a node's is 8080 unless it was told another",
		"http://a:1,b":     "; without a port that is 80: a node's is 8080 unless it was told another",
		"https://10.0.0.1": "; without a port that is 443: a node's is 8080 unless it was told another",
	} {
		if got, err := portHint(in); got != want || err != nil {
			t.Errorf("%s: %q %v", in, got, err)
		}
	}
	for _, in := range []string{"http://localhost:99999", "localhost:0", "http://a:1,http://b:70000"} {
		if got, err := portHint(in); err == nil {
			t.Errorf("%s: %q", in, got)
		}
	}
}

// TestOtherServers: what answers and is no node is said to be that, and that no node answers is said once.
func TestOtherServers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter)
		want   string
	}{
		"a web server":           {func(w http.ResponseWriter) { http.Error(w, "what?", http.StatusNotFound) }, "what answers there is no node of a cluster, but another server (status 404)\n"},
		"one that has all pages": {func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>welcome</html>")) }, "is not"},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { c.answer(w) }))
		defer srv.Close()
		code, _, stderr := run(t, nil, "", "ls", "--endpoint", srv.URL)
		if code != exitUnreachable || !strings.Contains(stderr, c.want) || strings.Count(stderr, "no node of the cluster answers") != 1 {
			t.Errorf("%s: exit code %d, %s", name, code, stderr)
		}
	}
}

// TestRepetitionsAreToldOnce: not the first ones, which end by themselves, and not for each of many requests.
func TestRepetitionsAreToldOnce(t *testing.T) {
	told := ""
	log := slog.New(repeated{new(sync.Once), func(why error) { told += why.Error() + "\n" }})
	for request := range 3 {
		for n := 1; n <= 6; n++ {
			log.Debug("request repeated", "attempt", n, "err", fmt.Errorf("request %d, attempt %d", request, n))
		}
		log.Debug("cluster map not renewed", "err", errors.New("something else"))
	}
	if told != "request 0, attempt 5\n" {
		t.Errorf("%q", told)
	}
}

// TestLongJobsAreTold: once, and not of one that ends soon.
func TestLongJobsAreTold(t *testing.T) {
	t.Parallel()
	for _, long := range []bool{false, true} {
		var told atomic.Int32
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Query().Get("what") != api.WhatStatus:
				_, _ = io.WriteString(w, "{}")
			case long && told.Load() == 0:
				_, _ = io.WriteString(w, `{"uuid":"j1"}`)
			default:
				_, _ = io.WriteString(w, `{"uuid":"j1","end_time":1}`)
			}
		}))
		defer srv.Close()
		c, err := client.New(client.Options{Endpoints: []string{srv.URL}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		after := time.Minute
		if long {
			after = time.Millisecond
		}
		if err := await(t.Context(), c.Job("j1"), after, func() { told.Add(1) }); err != nil || (told.Load() == 1) != long {
			t.Errorf("long %t: told %d times, %v", long, told.Load(), err)
		}
	}
}
