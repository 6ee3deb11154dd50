package target_test

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"

	"aistore/errs"
	"aistore/fs"
)

// TestFullDisk: a full disk refuses writes with 507 and goes on to serve reads and deletes.
func TestFullDisk(t *testing.T) {
	mem := fs.NewMem()
	mem.SetTotal(64 << 20)
	w := newWorld(t, 1, mem)
	o := w.targets[0]
	body := random(300_000)
	stored := 0
	for ; ; stored++ {
		path := fmt.Sprintf("%sbk/o%d", objects, stored)
		a := o.do(t, call{method: "PUT", path: path, body: body})
		if a.StatusCode == 200 && stored < 1000 {
			continue
		}
		if a.StatusCode != 507 || a.kind() != errs.Full {
			t.Fatalf("PUT of object %d: status %d, kind %v", stored, a.StatusCode, a.kind())
		}
		o.want(t, 404, call{method: "GET", path: path})
		break
	}
	if stored == 0 {
		t.Fatal("nothing fits")
	}
	for i := range stored {
		path := fmt.Sprintf("%sbk/o%d", objects, i)
		if a := o.want(t, 200, call{method: "GET", path: path}); !bytes.Equal(a.body, body) {
			t.Errorf("%d bytes", len(a.body))
		}
		o.want(t, 200, call{method: "DELETE", path: path})
		o.want(t, 404, call{method: "GET", path: path})
	}
	waitFor(t, func() bool { // the free space is looked at now and then
		return o.do(t, call{method: "PUT", path: objects + "bk/new", body: body}).StatusCode == 200
	})
}

// TestFailedDisk: after a sync that failed the mountpath is out of use, and its names answer 503.
func TestFailedDisk(t *testing.T) {
	var broken atomic.Bool
	disk := &fs.Faulty{FS: fs.NewMem(), Check: func(op fs.Op, _ string) error {
		if broken.Load() && op == fs.OpSync {
			return syscall.EIO
		}
		return nil
	}}
	w := newWorld(t, 1, disk)
	o := w.targets[0]
	o.want(t, 200, call{method: "PUT", path: objects + "bk/o", body: []byte("old")})
	broken.Store(true)
	for range 2 {
		a := o.do(t, call{method: "PUT", path: objects + "bk/o", body: []byte("new")})
		if a.StatusCode != 503 || a.kind() != errs.Mountpath || a.Header.Get("Retry-After") == "" {
			t.Errorf("PUT: status %d: %s", a.StatusCode, a.body)
		}
	}
	if a := o.do(t, call{method: "GET", path: objects + "bk/o"}); a.StatusCode == 200 && string(a.body) != "old" || a.StatusCode != 200 && a.StatusCode != 503 {
		t.Errorf("GET: status %d: %s", a.StatusCode, a.body)
	}
}
