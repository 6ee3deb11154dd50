package target_test

import (
	"testing"

	"aistore/api"
)

// TestAppendToExisting: an append goes on where the object ends, long or short, and leaves it its metadata; what is empty or not there begins at nothing.
func TestAppendToExisting(t *testing.T) {
	w := newWorld(t, 1)
	o := w.targets[0]
	for _, size := range []int{0, 10, 400_000} {
		path := objects + "bk/a" + string(rune('0'+size%7))
		whole := random(size)
		o.want(t, 200, call{method: "PUT", path: path, body: whole, header: []string{"ais-custom-md", "k=v", "Content-Type", "text/x-log"}})
		handle := ""
		for range 2 {
			piece := random(100)
			whole = append(whole, piece...)
			handle = o.want(t, 200, call{method: "PUT", path: path + "?append_type=append&append_handle=" + handle, body: piece}).Header.Get(api.HeaderAppendHandle)
		}
		if a := o.want(t, 200, call{method: "GET", path: path}); len(a.body) != size {
			t.Errorf("%d bytes before the flush, want %d", len(a.body), size)
		}
		o.want(t, 200, call{method: "PUT", path: path + "?append_type=flush&append_handle=" + handle})
		a := o.want(t, 200, call{method: "GET", path: path})
		if string(a.body) != string(whole) || a.Header.Get(api.HeaderCustomMD) != "k=v" || a.Header.Get("Content-Type") != "text/x-log" {
			t.Errorf("%d bytes, want %d; headers %v", len(a.body), len(whole), a.Header)
		}
		o.want(t, 200, call{method: "PUT", path: path + "?append_type=flush&append_handle=", body: []byte("end"), header: []string{"ais-custom-md", "new=1"}})
		if a = o.want(t, 200, call{method: "GET", path: path}); string(a.body) != string(whole)+"end" || a.Header.Get(api.HeaderCustomMD) != "new=1" {
			t.Errorf("appended at once: %d bytes, metadata %q", len(a.body), a.Header.Get(api.HeaderCustomMD))
		}
	}
	if n, _ := o.store.Appends(); n != 0 {
		t.Errorf("%d append sessions are left", n)
	}
}
