package target_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"aistore/api"
)

// TestCopyKeepsMetadata copies to another target what is no UTF-8, and as much as an object may have.
func TestCopyKeepsMetadata(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.targets[0], w.targets[1]
	for name, md := range map[string][2]string{
		"latin1":   {"key=caf\xe9", "attachment; filename=\"caf\xe9.txt\""},
		"latinkey": {"cl\xe9=x", "inline"},
		"long":     {"key=" + strings.Repeat("<", 8<<10-3), "attachment; filename=\"" + strings.Repeat("&", 3<<10) + "\""},
	} {
		for _, n := range []int{0, 1000, 2_000_000} {
			body := random(n)
			from, to := w.keyOf(a, "bk", fmt.Sprint("from", name, n)), w.keyOf(b, "bk", fmt.Sprint("to", name, n))
			put := a.want(t, 200, call{method: "PUT", path: objects + "bk/" + from, body: body, header: []string{api.HeaderCustomMD, md[0], "Content-Disposition", md[1]}})
			a.want(t, 200, call{method: "PUT", path: objects + "bk/" + from + "?object_to=ais/@%23/bk/" + to})
			got := b.want(t, 200, call{method: "GET", path: objects + "bk/" + to})
			if !bytes.Equal(got.body, body) || got.Header.Get("ETag") != put.Header.Get("ETag") {
				t.Errorf("%s: %d bytes of %d, ETag %s", name, len(got.body), n, got.Header.Get("ETag"))
			}
			if custom, disposition := got.Header.Get(api.HeaderCustomMD), got.Header.Get("Content-Disposition"); custom != md[0] || disposition != md[1] {
				t.Errorf("%s: custom metadata %.40q of %d bytes, disposition %.40q of %d bytes", name, custom, len(custom), disposition, len(disposition))
			}
		}
	}
}
