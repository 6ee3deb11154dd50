package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"aistore/cmd/aisloader/load"
)

// TestExitCodes runs the command against a server that forgets objects, or not.
func TestExitCodes(t *testing.T) {
	var mu sync.Mutex
	kept := map[string][]byte{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		data, ok := kept[r.URL.Path]
		switch {
		case r.Method == http.MethodPut && strings.HasPrefix(r.URL.Path, "/keep/"):
			kept[r.URL.Path], _ = io.ReadAll(r.Body)
		case r.Method == http.MethodPut:
		case !ok:
			w.WriteHeader(http.StatusNotFound)
		default:
			_, _ = w.Write(data)
		}
	}))
	defer srv.Close()
	common := []string{"--endpoint", srv.URL, "--api", "http", "--objects", "10", "--fill", "--op", "get", "--ops", "50", "--verify"}
	for _, c := range []struct {
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{append(common, "--bucket", "keep"), 0, "get", ""},
		{append(common, "--bucket", "forget"), 1, "404", ""},
		{[]string{"--op", "get", "--bucket", "b", "--objects", "1"}, 2, "", "without end"},
		{[]string{"--op", "fly"}, 2, "", "no operation"},
		{[]string{"--nonsense"}, 2, "", "nonsense"},
		{[]string{"--op", "get", "extra"}, 2, "", "extra"},
		{[]string{}, 2, "", "--op"},
		{[]string{"--help"}, 0, "usage:", ""},
		{[]string{"--help"}, 0, "(default 1m0s)", ""},
		{[]string{"--version"}, 0, "aisloader unknown", ""},
		{[]string{"--op", "put", "--bucket", "b", "--duration", "5"}, 2, "", "write it with its unit, as 10s"},
		{[]string{"--op", "put", "--bucket", "b", "--ops", "1", "--mix", "get=1"}, 2, "", "--mix: counts with --op mixed only"},
		{[]string{"--op", "put", "--bucket", "ais://b/c", "--ops", "1"}, 2, "", `--bucket: "b/c"`},
		{[]string{"--endpoint", "127.0.0.1:1", "--op", "put", "--bucket", "ais://b", "--ops", "1"}, 1, "refused", ""},
		{[]string{"--endpoint", "127.0.0.1:1", "--op", "put", "--bucket", "b", "--ops", "1"}, 1, "refused", ""},
	} {
		var out, errs strings.Builder
		code := run(t.Context(), c.args, &out, &errs)
		if code != c.code || !strings.Contains(out.String(), c.stdout) || !strings.Contains(errs.String(), c.stderr) {
			t.Errorf("%q: code %d, stdout %q, stderr %q", c.args, code, out.String(), errs.String())
		}
	}
	var out, errs strings.Builder
	run(t.Context(), append(common, "--bucket", "keep", "--json"), &out, &errs)
	var rep load.Report
	if err := json.Unmarshal([]byte(out.String()), &rep); err != nil || rep.Total.Count != 50 || rep.Ops["get"].Count != 50 {
		t.Errorf("JSON %q: %v", out.String(), err)
	}
}
