package fs

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"aistore/errs"
)

// keeper is a node with its disks, its primary, and an operator who puts copies of disks back.
type keeper struct {
	t     *testing.T
	seed  uint64
	rng   *rand.Rand
	mem   *Mem
	paths []string
	boot  string // the start that was accepted last

	content map[string]int  // what the path's disk must have
	foreign map[string]bool // a copy was put there, and is still there
	old     map[string][]disk
	away    string // its disk is not mounted
	whole   bool   // a start with all disks was accepted since one was away
	late    [][2]string
	starts  int
	writes  int
	judged  int // mountpaths that were found to be old
}

// disk is a copy of a mountpath.
type disk map[string][]byte

type killed struct{}

func (k *keeper) read(path string) disk {
	d := disk{}
	r := open(k.t, k.mem, path)
	for _, name := range []string{MarkerName, SetName, "content"} {
		f, err := r.OpenFile(name, os.O_RDONLY)
		if err != nil {
			continue
		}
		b, err := io.ReadAll(f)
		must(k.t, errors.Join(err, f.Close()))
		d[name] = b
	}
	return d
}

func (k *keeper) write(path string, d disk) {
	r := open(k.t, k.mem, path)
	for _, name := range []string{MarkerName, SetName, "content"} {
		if b, ok := d[name]; ok {
			f, err := r.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
			must(k.t, err)
			_, err = f.Write(b)
			must(k.t, errors.Join(err, f.Sync(), f.Close()))
		} else if err := r.Remove(name); err != nil && errs.KindOf(err) != errs.NotFound {
			k.t.Fatal(err)
		}
	}
	must(k.t, r.SyncDir("."))
}

func (k *keeper) has(path string) int {
	n := 0
	if b := k.read(path)["content"]; len(b) > 0 {
		_, err := fmt.Sscan(string(b), &n)
		must(k.t, err)
	}
	return n
}

// accept is the primary's compare and set.
func (k *keeper) accept(last, boot string) bool {
	if k.boot == boot || k.boot == last {
		k.boot = boot
		return true
	}
	return false
}

// run is the life of one process, which may be killed at any of its calls.
func (k *keeper) run() {
	defer func() {
		if e := recover(); e != nil {
			if _, ok := e.(killed); !ok {
				panic(e)
			}
		}
		k.mem = k.mem.Crash(k.rng)
	}()
	left := -1
	if k.rng.IntN(2) == 0 {
		left = k.rng.IntN(60)
	}
	sys := &Faulty{FS: k.mem, Check: func(op Op, _ string) error {
		if op == OpOpen || op == OpRead {
			return nil
		}
		if left--; left == -1 {
			panic(killed{})
		}
		return nil
	}}
	k.starts++
	s, err := OpenSet(SetConfig{FS: sys, Paths: k.paths, NodeID: "n", Existing: k.boot != "", Boot: fmt.Sprint("b", k.starts)})
	if err != nil {
		if k.away == "" || k.boot == "" {
			k.t.Fatalf("seed %d: %v", k.seed, err)
		}
		return // its last disk is away
	}
	defer func() { _ = s.Close() }()
	for range 5 {
		told := k.boot
		if k.rng.IntN(3) == 0 && len(k.late) > 0 { // what an earlier process had said arrives
			l := k.late[k.rng.IntN(len(k.late))]
			k.accept(l[0], l[1])
		}
		next, old, err := s.Judge(told)
		if errs.Is(err, errs.Mountpath) && strings.Contains(err.Error(), "is missing") && k.away != "" {
			return
		}
		must(k.t, err)
		if len(old) > 0 {
			k.setAside(sys, s, old)
			return
		}
		s = next
		k.late = append(k.late, [2]string{told, s.Boot()})
		if k.rng.IntN(8) == 0 {
			return // killed before it is heard
		}
		if k.accept(told, s.Boot()) {
			k.serve(s)
			return
		}
	}
}

func (k *keeper) setAside(sys FS, s *Set, old []string) {
	must(k.t, s.Close())
	for _, path := range old {
		if !k.foreign[path] && k.content[path] != 0 { // to put aside nothing does no harm
			k.t.Fatalf("seed %d: %s is found to be of an earlier time: %s, accepted was %s", k.seed, path, k.read(path)[MarkerName], k.boot)
		}
		k.judged++
		r := open(k.t, k.mem, path)
		if err := r.Remove("content"); err != nil && errs.KindOf(err) != errs.NotFound {
			k.t.Fatal(err)
		}
		must(k.t, r.SyncDir("."))
		stopped, err := OpenStopped(sys, path, nil)
		must(k.t, err)
		must(k.t, errors.Join(stopped.All()[0].Forget(OldCopy), stopped.Close()))
		k.foreign[path], k.content[path] = false, 0
	}
}

// serve writes to every disk in use, and looks whether it is the one that was written to last.
func (k *keeper) serve(s *Set) {
	s, err := s.Accept()
	must(k.t, err)
	k.whole = true
	for _, m := range s.All() {
		if !(starts{s}).inUse(m) {
			k.whole = false
			continue
		}
		path := m.Path()
		if k.foreign[path] && k.has(path) == 0 {
			k.content[path] = 0 // a copy of an empty disk is an empty disk
		}
		if got := k.has(path); got != k.content[path] {
			k.t.Fatalf("seed %d: %s is in use and has %d, not %d: %s", k.seed, path, got, k.content[path], k.read(path)[MarkerName])
		}
		k.foreign[path] = false
		k.writes++
		d := k.read(path)
		d["content"] = fmt.Append(nil, k.writes)
		k.write(path, d)
		k.content[path] = k.writes
	}
}

// meddle is what happens to disks while the node is stopped.
func (k *keeper) meddle() {
	for _, path := range k.paths {
		if path != k.away && !k.foreign[path] && k.rng.IntN(3) == 0 {
			k.old[path] = append(k.old[path], k.read(path))
		}
	}
	foreign := slices.ContainsFunc(k.paths, func(p string) bool { return k.foreign[p] })
	root := open(k.t, k.mem, "/")
	path := k.paths[k.rng.IntN(len(k.paths))]
	switch x := k.rng.IntN(10); {
	case k.away != "" && x < 5:
		must(k.t, root.Rename("aside", k.away[1:]))
		k.away = ""
	case k.away == "" && !foreign && k.whole && x < 2: // one disk at a time: with others than the last start had, none is the newest
		k.whole = false
		must(k.t, root.Rename(path[1:], "aside"))
		k.away = path
	case k.away == "" && (foreign || k.whole) && x < 5: // else the only one may go that knows who was away
		for _, path := range k.paths {
			if x < 4 && k.rng.IntN(2) == 0 {
				continue
			}
			for _, d := range k.old[path] { // the oldest that can be told: a copy made since the last start cannot
				if k.boot == "" || !strings.Contains(string(d[MarkerName]), `"`+k.boot+`"`) {
					k.write(path, d)
					k.foreign[path] = true
					break
				}
			}
		}
	}
	must(k.t, root.SyncDir("."))
}

// TestStarts kills processes at any instant, takes disks away and back, and puts copies of earlier times in their place: no copy is ever used, and no
// disk is taken for a copy.
func TestStarts(t *testing.T) {
	judged, writes := 0, 0
	for seed := range uint64(250) {
		k := &keeper{
			t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), mem: NewMem(), paths: []string{"/a", "/b", "/c"}[:1+seed%3],
			content: map[string]int{}, foreign: map[string]bool{}, old: map[string][]disk{},
		}
		for range 40 {
			k.run()
			k.bounded()
			if k.boot != "" {
				k.meddle()
			}
		}
		judged, writes = judged+k.judged, writes+k.writes
	}
	t.Logf("%d copies were found out, %d writes", judged, writes)
	if judged < 100 || writes < 1000 {
		t.Error("the test does not reach what it is for")
	}
}

func (k *keeper) bounded() {
	for _, path := range k.paths {
		if mk, err := ReadMarker(k.mem, path); err == nil && len(mk.Starts) > 3*startsKept {
			k.t.Fatalf("seed %d: %d starts", k.seed, len(mk.Starts))
		}
	}
}

// TestStartsUpgrade takes over mountpaths of a release that noted no starts, one of them away.
func TestStartsUpgrade(t *testing.T) {
	m := NewMem()
	must(t, openSet(t, m, "n", "/a", "/b").Close())
	must(t, open(t, m, "/").Rename("b", "aside"))
	start := func(boot, last string, old ...string) *Set {
		t.Helper()
		s, err := OpenSet(SetConfig{FS: m, Paths: []string{"/a", "/b"}, NodeID: "n", Boot: boot})
		must(t, err)
		next, got, err := s.Judge(last)
		if err != nil || !slices.Equal(got, old) {
			t.Fatalf("start %s: of an earlier time are %v, should be %v (%v)", boot, got, old, err)
		}
		return next
	}
	s := start("b1", "")
	s, err := s.Accept()
	must(t, err)
	must(t, s.Close())
	must(t, open(t, m, "/").Rename("aside", "b"))
	s = start("b2", "b1")
	if i := slices.IndexFunc(s.All(), func(mp *Mountpath) bool { return mp.Path() == "/b" }); s.All()[i].Err() != nil {
		t.Error("it is not taken back:", s.All()[i].Err())
	}
	must(t, s.Close())
	// Without word of b2, what a release of before had left is now old.
	for _, path := range []string{"/a", "/b"} {
		mk, err := ReadMarker(m, path)
		must(t, err)
		mk.Starts = nil
		must(t, writeDoc(open(t, m, path), MarkerName, mk))
	}
	s = start("b3", "b2", "/a", "/b")
	must(t, s.Close())
}

// TestStartsWithoutEnd: a node that never hears that it was accepted keeps its list bounded, and its disks.
func TestStartsWithoutEnd(t *testing.T) {
	m := NewMem()
	boot := ""
	for i := range 3 * startsKept {
		s, err := OpenSet(SetConfig{FS: m, Paths: []string{"/a", "/b"}, NodeID: "n", Boot: fmt.Sprint("b", i)})
		must(t, err)
		_, old, err := s.Judge(boot)
		if err != nil || len(old) > 0 {
			t.Fatalf("start %d: %v are of an earlier time (%v)", i, old, err)
		}
		if i == 0 || i == startsKept+7 { // accepted, and it does not hear of it
			boot = s.Boot()
		}
		must(t, s.Close())
		if mk, err := ReadMarker(m, "/a"); err != nil || len(mk.Starts) > startsKept+2 {
			t.Fatalf("%d starts in the marker (%v)", len(mk.Starts), err)
		}
	}
}

// TestStartsWhileRunning detaches, fails and brings back mountpaths of a running process.
func TestStartsWhileRunning(t *testing.T) {
	m := NewMem()
	s, err := OpenSet(SetConfig{FS: m, Paths: []string{"/a", "/b"}, NodeID: "n", Boot: "b1"})
	must(t, err)
	s, _, err = s.Judge("")
	must(t, err)
	s, err = s.Accept()
	must(t, err)
	k := &keeper{t: t, mem: m}
	before := k.read("/b")
	b, _ := s.Find("/b")
	b.Fail(errors.New("broken"))
	s, err = s.Leave(b, Failed, "broken", 0, 0)
	must(t, err)
	must(t, b.Close())

	mk, err := ReadMarker(m, "/b")
	must(t, err)
	mk.Starts = []string{"b0"}
	must(t, writeDoc(open(t, m, "/b"), MarkerName, mk))
	if _, err := s.OpenNew("/b", KnownOnly); err == nil || !strings.Contains(err.Error(), "earlier time") {
		t.Errorf("a copy of an earlier time comes back: %v", err)
	}
	k.write("/b", before)
	b, err = s.OpenNew("/b", KnownOnly)
	must(t, err)
	s, err = s.Join(b)
	must(t, err)
	must(t, m.MkdirAll("/c"))
	c, err := s.OpenNew("/c", MayBeNew)
	must(t, err)
	s, err = s.Join(c)
	must(t, err)
	must(t, s.Close())
	if mk, err := ReadMarker(m, "/c"); err != nil || !slices.Equal(mk.Starts, []string{"b1"}) {
		t.Errorf("a new mountpath in use knows of %v (%v)", mk.Starts, err)
	}
	s, err = OpenSet(SetConfig{FS: m, Paths: []string{"/a", "/b", "/c"}, NodeID: "n", Boot: "b2"})
	must(t, err)
	if _, old, err := s.Judge("b1"); err != nil || len(old) > 0 {
		t.Errorf("%v are of an earlier time (%v)", old, err)
	}
	s, err = s.Accept()
	must(t, err)
	if _, old, err := s.Judge("b1"); err != nil || len(old) > 0 { // an answer of the primary that comes late
		t.Errorf("%v are of an earlier time than the start before, though this start was accepted (%v)", old, err)
	}
	must(t, s.Close())
}
