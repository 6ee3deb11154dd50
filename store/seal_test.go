package store

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"aistore/fs"
	"aistore/store/format"
)

// TestSealBesideCommits: a commit that comes while the log is sealed, behind the mark, is sealed the next time: else a bit that flips in it before anything
// else is written would pass for the end of the log.
func TestSealBesideCommits(t *testing.T) {
	var armed atomic.Bool
	held, goOn := make(chan struct{}), make(chan struct{})
	slow := &fs.Faulty{FS: fs.NewMem()}
	slow.Check = func(op fs.Op, name string) error {
		if op == fs.OpSync && strings.HasSuffix(name, ".log") && armed.CompareAndSwap(true, false) {
			close(held)
			<-goOn
		}
		return nil
	}
	s := testStore(t, Config{FS: slow})
	put(t, s, "first", []byte("x"))
	v := s.volumes()[0]
	armed.Store(true)
	var wait sync.WaitGroup
	wait.Go(func() { must(t, v.seal()) })
	<-held
	wait.Go(func() { put(t, s, "second", []byte("x")) })
	await(t, "behind the mark", func() bool {
		_, err := v.getCopy(format.ObjectKey(nil, format.FamRecord, 1, "second"))
		return err == nil
	})
	close(goOn)
	wait.Wait()
	before := v.ifs.Mark()
	must(t, v.seal())
	if v.ifs.Mark() == before {
		t.Error("the second commit is not sealed")
	}
	before = v.ifs.Mark()
	must(t, v.seal())
	if v.ifs.Mark() != before {
		t.Error("a mark is written although nothing was committed")
	}
}
