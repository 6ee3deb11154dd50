package target_test

import (
	"testing"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
)

// TestStaleReads: a bucket with stale_reads is read where no primary answers, and says so; nothing is written there, and nothing is said to be missing. A node
// whose lease was taken away, or that never had one, answers nothing.
func TestStaleReads(t *testing.T) {
	w := newWorld(t, 1)
	o := w.targets[0]
	path := objects + "bk/k"
	o.want(t, 200, call{method: "PUT", path: path, body: []byte("content")})
	get := call{method: "GET", path: path}
	if a := o.want(t, 200, get); a.Header.Get(api.HeaderStale) != "" {
		t.Errorf("a read with a lease is called stale: %v", a.Header)
	}
	ranOut := errs.E("test", "lease", errs.Unavailable, cluster.ErrRanOut)
	o.ctl.setLease(ranOut, nil)
	o.want(t, 503, get)
	w.plane.set(func(v *cluster.View) { v.Buckets.Get("", "bk").Props.StaleReads = true })
	for _, c := range []struct {
		call
		status int
		body   string
	}{
		{get, 200, "content"},
		{call{method: "GET", path: path, header: []string{"Range", "bytes=2-4"}}, 206, "nte"},
		{call{method: "HEAD", path: path}, 200, ""},
	} {
		if a := o.want(t, c.status, c.call); string(a.body) != c.body || a.Header.Get(api.HeaderStale) != "true" {
			t.Errorf("%s: %q %v", c.method, a.body, a.Header)
		}
	}
	for _, c := range []call{
		{method: "GET", path: objects + "bk/absent"},
		{method: "GET", path: path, header: []string{"If-Match", `"other"`}},
		{method: "PUT", path: path, body: []byte("new")},
		{method: "DELETE", path: path},
	} {
		o.want(t, 503, c)
	}
	o.ctl.setLease(errs.E("test", "lease", errs.Unavailable, "was taken away"), nil)
	o.want(t, 503, get)
	o.ctl.setLease(nil, nil)
	if a := o.want(t, 200, get); string(a.body) != "content" || a.Header.Get(api.HeaderStale) != "" {
		t.Errorf("%q %v", a.body, a.Header)
	}
}
