package statedir

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"

	"aistore/errs"
)

func TestIdentity(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "dir")
	if id, err := LoadIdentity(dir); err != nil || id != (Identity{}) {
		t.Error("an empty directory has an identity:", id, err)
	}
	want := Identity{Format: 1, ID: "n1", Cluster: "c"}
	if err := SaveIdentity(dir, want); err != nil {
		t.Fatal(err)
	}
	if id, err := LoadIdentity(dir); err != nil || id != want {
		t.Error(id, err)
	}
	for _, bad := range []string{"", "{", `{"format":2,"id":"n1"}`, `{"format":1}`} {
		if err := os.WriteFile(filepath.Join(dir, identityFile), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadIdentity(dir); !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), "restore it, or remove it") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestDamagedLog: a log that is none any more is refused, and what to do depends on the other nodes.
func TestDamagedLog(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(logFile(dir), bytes.Repeat([]byte("x"), 1<<14), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenStore(dir); !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), "move this directory aside") {
		t.Error(err)
	}
}

// TestDamagedPages: bbolt ends the process when a page is not what it should be, or lies behind the end of the file.
func TestDamagedPages(t *testing.T) {
	dir := t.TempDir()
	err := makeStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := OpenStore(dir)
	for i := uint64(1); i <= 60 && err == nil; i++ {
		err = s.StoreLog(&raft.Log{Index: i, Data: make([]byte, 900*(1+i%9))}) // some need several pages
	}
	if err = errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	intact, err := os.ReadFile(logFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	last := len(bytes.TrimRight(intact, "\x00"))/page + 1
	refused := 0
	try := func(what string, log []byte) {
		t.Helper()
		if err := os.WriteFile(logFile(dir), log, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := OpenStore(dir)
		switch {
		case errs.Is(err, errs.Corrupt):
			refused++
		case err != nil:
			t.Errorf("%s: %v", what, err)
		default:
			if err := s.Close(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	for p := range last {
		damaged := bytes.Clone(intact)
		copy(damaged[p*page:], bytes.Repeat([]byte{0xff}, page))
		try(fmt.Sprintf("page %d overwritten", p), damaged)
		try(fmt.Sprintf("cut to %d pages", p), intact[:p*page])
	}
	if refused < last {
		t.Errorf("%d of %d damaged logs are refused", refused, 2*last)
	}
	t.Logf("%d of %d damaged logs are refused", refused, 2*last)
}

// TestLostLogIsNotMadeAnew: the library would make an empty log where there is none, and the voter could vote twice in a term.
func TestLostLogIsNotMadeAnew(t *testing.T) {
	dir := t.TempDir()
	if err := makeStore(dir); err != nil {
		t.Fatal(err)
	}
	for _, lose := range []func() error{func() error { return os.Truncate(logFile(dir), 0) }, func() error { return os.Remove(logFile(dir)) }} {
		if err := lose(); err != nil {
			t.Fatal(err)
		}
		if s, err := OpenStore(dir); !errs.Is(err, errs.Corrupt) {
			t.Errorf("opened %v, %v", s, err)
		}
	}
	if _, err := os.Stat(logFile(dir)); err == nil {
		t.Error("a log was made")
	}
}

// TestBrokenLogIsNotRetried fails one write; a later success must not hide it.
func TestBrokenLogIsNotRetried(t *testing.T) {
	dir := t.TempDir()
	if err := makeStore(dir); err != nil {
		t.Fatal(err)
	}
	s, err := OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.StoreLog(&raft.Log{Index: 1, Data: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	tried := 0
	fail := func() error { tried++; return errors.New("fsync: input/output error") }
	if err := s.write(fail); !errs.Is(err, errs.Mountpath) {
		t.Errorf("%v", err)
	}
	<-s.Failed
	for _, again := range []error{s.write(fail), s.StoreLogs(nil), s.StoreLog(&raft.Log{Index: 2}), s.Set([]byte("k"), nil), s.SetUint64([]byte("k"), 1), s.DeleteRange(1, 1)} {
		if again == nil {
			t.Error("a write after a failed one succeeded")
		}
	}
	if tried != 1 || s.Err() == nil {
		t.Errorf("tried %d times", tried)
	}
}

// TestLogIsReserved writes to a log and opens it again: it must keep the disk space that it has taken.
func TestLogIsReserved(t *testing.T) {
	dir := t.TempDir()
	if err := makeStore(dir); err != nil {
		t.Fatal(err)
	}
	reserved := func() int64 {
		var st syscall.Stat_t
		if err := syscall.Stat(logFile(dir), &st); err != nil {
			t.Fatal(err)
		}
		return st.Blocks * 512
	}
	if reserved() == 0 || runtime.GOOS != "linux" {
		t.Skip("this file system does not reserve")
	}
	for i := range 3 {
		s, err := OpenStore(dir)
		if err != nil {
			t.Fatal(err)
		}
		for j := range 50 {
			if err := s.StoreLog(&raft.Log{Index: uint64(100*i + j + 1), Data: make([]byte, 3000)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if n := reserved(); n < logReserve {
			t.Fatalf("%d bytes are reserved after round %d, not %d", n, i, logReserve)
		}
	}
}
