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
	w := newWorld(t, 1, mem)
	o := w.targets[0]
	small, large := random(1000), random(300_000)
	o.want(t, 200, call{method: "PUT", path: objects + "bk/small", body: small})
	o.want(t, 200, call{method: "PUT", path: objects + "bk/large", body: large})
	mem.SetTotal(1 << 20)    // less than is there already
	for _, body := range [][]byte{large, small} { // the free space is looked at now and then
		waitFor(t, func() bool {
			return o.do(t, call{method: "PUT", path: objects + "bk/fill", body: body}).StatusCode == 507
		})
	}
	for i, body := range [][]byte{random(1000), random(300_000)} {
		a := o.do(t, call{method: "PUT", path: fmt.Sprintf("%sbk/new%d", objects, i), body: body})
		if a.StatusCode != 507 || a.kind() != errs.Full {
			t.Errorf("PUT of %d bytes: status %d, kind %v", len(body), a.StatusCode, a.kind())
		}
		o.want(t, 404, call{method: "GET", path: fmt.Sprintf("%sbk/new%d", objects, i)})
	}
	if a := o.want(t, 200, call{method: "GET", path: objects + "bk/large"}); !bytes.Equal(a.body, large) {
		t.Errorf("%d bytes", len(a.body))
	}
	o.want(t, 200, call{method: "DELETE", path: objects + "bk/large"})
	o.want(t, 404, call{method: "GET", path: objects + "bk/large"})
	mem.SetTotal(0)
	waitFor(t, func() bool {
		return o.do(t, call{method: "PUT", path: objects + "bk/new", body: large}).StatusCode == 200
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
