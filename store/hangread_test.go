package store

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aistore/errs"
	"aistore/fs"
	"aistore/object"
)

// TestWriterHangsInARead: a writer that hangs while it looks for its name in the index of a disk lets the name's lock go when the disk is given up: other names, of
// healthy disks, have the same one.
func TestWriterHangsInARead(t *testing.T) {
	t.Parallel()
	mem := fs.NewMem()
	var armed, hangs atomic.Bool
	answers := make(chan struct{})
	bad := &fs.Faulty{FS: mem, Check: func(op fs.Op, name string) error {
		if armed.Load() && op == fs.OpRead && (strings.HasSuffix(name, ".sst") || name == fs.MarkerName) {
			if name != fs.MarkerName {
				hangs.Store(true)
			}
			<-answers
		}
		return nil
	}}
	cfg := crashConfig(eachDisk{mem, map[string]fs.FS{"/a": bad}}, []string{"/a", "/b"})
	cfg.CloseWithin = closeSoon
	s := testStore(t, cfg)
	home := func(n object.Name) string {
		v, err := s.home(n)
		must(t, err)
		return v.mp.Path()
	}
	stuck := b1("stuck")
	for i := 0; home(stuck) != "/a"; i++ {
		stuck = b1(fmt.Sprint("stuck", i))
	}
	beside := b1("beside")
	for i := 0; home(beside) != "/b" || s.locks.shard(beside) != s.locks.shard(stuck); i++ {
		beside = b1(fmt.Sprint("beside", i))
	}
	must(t, second(s.Put(t.Context(), stuck, random(3000), PutOptions{Size: -1})))
	for _, v := range s.volumes() {
		must(t, v.db.Flush())
	}
	armed.Store(true)
	var writer sync.WaitGroup
	var first error
	writer.Go(func() { first = second(s.Put(t.Context(), stuck, random(3000), PutOptions{Size: -1})) })
	await(t, "the writer hangs", hangs.Load)
	ctx, cancel := context.WithCancel(t.Context())
	s.SetHealth(Health{Every: 5 * time.Millisecond, GiveUp: soon})
	var run sync.WaitGroup
	run.Go(func() { must(t, s.Run(ctx)) })
	done := make(chan error, 1)
	go func() { done <- second(s.Put(t.Context(), beside, random(3000), PutOptions{Size: -1})) }()
	select {
	case err := <-done:
		must(t, err)
	case <-time.After(patience):
		t.Error("the other disk's name waits")
	}
	close(answers)
	writer.Wait()
	if first == nil {
		t.Log("the write went to the other disk")
	} else if !errs.Is(first, errs.Mountpath) {
		t.Error(first)
	}
	cancel()
	run.Wait()
}
