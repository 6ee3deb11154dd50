package store

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"aistore/errs"
	"aistore/fs"
)

// TestAppendBounds: sessions that nobody flushes are bounded in number and bytes, also across a restart, and given up when
// they are not used.
func TestAppendBounds(t *testing.T) {
	mem := fs.NewMem()
	cfg := Config{FS: mem, Mountpaths: []string{"/mp1", "/mp2"}, NodeID: "node1", MaxAppends: 3, MaxAppendBytes: 1 << 20}
	s, err := Open(t.Context(), cfg)
	must(t, err)
	counts := func(wantN int, wantBytes int64) {
		t.Helper()
		if n, b := s.Appends(); n != wantN || b != wantBytes {
			t.Errorf("%d sessions with %d bytes, want %d with %d", n, b, wantN, wantBytes)
		}
	}
	handles := map[string]string{}
	for i := range 3 {
		key := fmt.Sprint("k", i)
		handles[key], err = s.BeginAppend(t.Context(), b1(key))
		must(t, err)
		handles[key], err = s.Append(t.Context(), b1(key), handles[key], bytes.NewReader(random(300_000)))
		must(t, err)
	}
	counts(3, 900_000)
	if _, err := s.BeginAppend(t.Context(), b1("more")); !errs.Is(err, errs.Busy) {
		t.Errorf("a fourth session: %v", err)
	}
	if _, err := s.Append(t.Context(), b1("k0"), handles["k0"], bytes.NewReader(random(300_000))); !errs.Is(err, errs.Full) {
		t.Errorf("more bytes than there may be: %v", err)
	}
	_, err = s.Append(t.Context(), b1("k0"), handles["k0"], bytes.NewReader(random(100_000))) // the handle stays good
	must(t, err)
	counts(3, 1_000_000)
	must(t, s.Close())

	s, err = Open(t.Context(), cfg)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	counts(3, 1_000_000)
	_, err = s.FlushAppend(t.Context(), b1("k1"), handles["k1"], PutOptions{})
	must(t, err)
	must(t, s.AbortAppend(t.Context(), b1("k2"), handles["k2"]))
	counts(1, 400_000)
	expire := func(now time.Time) {
		for _, v := range s.volumes() {
			must(t, s.sessions.expire(v, now))
		}
	}
	expire(time.Now().Add(sessionIdle / 2))
	counts(1, 400_000)
	expire(time.Now().Add(sessionIdle + time.Minute))
	counts(0, 0)
	if _, err := s.Append(t.Context(), b1("k0"), handles["k0"], bytes.NewReader(nil)); !errs.Is(err, errs.NotFound) {
		t.Errorf("a session that was given up: %v", err)
	}
	for _, mp := range cfg.Mountpaths {
		root, err := mem.OpenRoot(mp)
		must(t, err)
		if names, err := root.ReadDir("work"); err != nil || len(names) > 0 {
			t.Errorf("left in %s: %q %v", mp, names, err)
		}
	}
}
