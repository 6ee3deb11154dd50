package target_test

import (
	"testing"

	"aistore/errs"
)

// TestRenameConditions: a rename or copy on conditions that do not hold of the object does nothing, and a weak tag is no match for what must be the
// same byte by byte.
func TestRenameConditions(t *testing.T) {
	w := newWorld(t, 1)
	o := w.targets[0]
	path := objects + "bk/o"
	o.want(t, 200, call{method: "PUT", path: path, body: []byte("content")})
	etag := o.want(t, 200, call{method: "HEAD", path: path}).Header.Get("ETag")
	rename := call{method: "POST", path: path, body: []byte(`{"action":"rename","name":"n"}`)}
	copied := call{method: "PUT", path: path + "?object_to=ais/@%23/bk/n"}
	for _, header := range [][]string{{"If-Match", `"other"`}, {"If-Match", "W/" + etag}, {"If-None-Match", etag}} {
		for _, c := range []call{rename, copied, {method: "PUT", path: path, body: []byte("new")}, {method: "DELETE", path: path}, {method: "GET", path: path}} {
			if c.method == "GET" && header[0] == "If-None-Match" {
				continue // 304
			}
			c.header = header
			if a := o.want(t, 412, c); a.kind() != errs.Precondition {
				t.Errorf("%s %v: %v", c.method, header, a.kind())
			}
		}
		o.want(t, 404, call{method: "GET", path: objects + "bk/n"})
	}
	copied.header, rename.header = []string{"If-Match", etag}, []string{"If-Match", etag}
	o.want(t, 200, copied)
	o.want(t, 200, rename)
	o.want(t, 404, call{method: "GET", path: path})
	if a := o.want(t, 200, call{method: "GET", path: objects + "bk/n", header: []string{"If-None-Match", `"x"`}}); string(a.body) != "content" {
		t.Errorf("%q", a.body)
	}
}
