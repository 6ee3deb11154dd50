package store

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"aistore/cksum"
	"aistore/cluster"
	"aistore/errs"
	"aistore/fs"
	"aistore/object"
)

// The crash test runs a random workload on the simulated disk, takes at its syncs the state that a power loss
// would leave, opens each of these states, and asks porcupine whether what is found there can follow from
// what was acknowledged and read before. A lost acknowledged write, a deleted object that is back, and a
// read of what was never durable all make the history impossible.

// step is one operation on one name, as porcupine sees it.
type step struct {
	name  string
	kind  byte   // 'p'ut, 'd'elete, 'g'et
	value string // put: content id
	found string // get, delete: content id seen, "" = none; delete: "?" = something
	call  int64
	ret   int64 // 0: never returned
}

func stepModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return "" },
		Step: func(state, input, output any) (bool, any) {
			s := input.(step)
			switch {
			case s.kind == 'p':
				return true, s.value
			case s.kind == 'g':
				return s.found == state.(string), state
			case s.ret == 0 || s.found == "?" && state.(string) != "": // delete
				return true, ""
			}
			return s.found == "" && state.(string) == "", state
		},
		Equal: func(a, b any) bool { return a == b },
	}
}

// workload is one run.
type workload struct {
	s     *Store
	clock atomic.Int64
	mu    sync.Mutex
	steps []*step
	datas map[string][]byte // content id -> bytes
	ids   map[string]string // ETag -> content id

	uploads  []*crashUpload
	versions []*crashVersion
}

func (w *workload) begin(name string, kind byte, value string) *step {
	st := &step{name: name, kind: kind, value: value, call: w.clock.Add(1)}
	w.mu.Lock()
	w.steps = append(w.steps, st)
	w.mu.Unlock()
	return st
}

// end notes the outcome; the two fields become visible together.
func (w *workload) end(st *step, found string) {
	w.mu.Lock()
	st.found, st.ret = found, w.clock.Add(1)
	w.mu.Unlock()
}

func (w *workload) content(rng *rand.Rand, size int) (id string, data []byte) {
	data = make([]byte, size)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	id = fmt.Sprintf("c%d", w.clock.Add(1))
	data = append(data, id...)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.datas[id] = data
	w.ids[cksum.Of(cksum.XXHash, data).Value] = id
	return id, data
}

func (w *workload) idOf(sum string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ids[sum]
}

const crashInline = 4 << 10

func crashConfig(mem fs.FS, paths []string) Config {
	return Config{FS: mem, Mountpaths: paths, NodeID: "node1", InlineMax: crashInline, BlockSize: 4 << 10}
}

// run does n random operations.
func (w *workload) run(t *testing.T, rng *rand.Rand, n, names int) {
	ctx := context.Background()
	for range n {
		name := "k" + strconv.Itoa(rng.IntN(names))
		on := object.Name{Bucket: 1, Key: name}
		switch p := rng.IntN(130); {
		case p >= 115:
			w.versioned(t, rng)
		case p >= 100:
			w.upload(t, rng, on)
		case p < 40:
			size := rng.IntN(2000)
			if rng.IntN(3) == 0 {
				size = crashInline + rng.IntN(20000)
			}
			id, data := w.content(rng, size)
			st := w.begin(name, 'p', id)
			_, err := w.s.PutStream(ctx, on, bytes.NewReader(data), PutOptions{Epoch: 1, Checksum: cksum.XXHash, Size: int64(len(data))})
			if err != nil {
				t.Errorf("put: %v", err)
			}
			w.end(st, "")
		case p < 55:
			st := w.begin(name, 'd', "")
			_, err := w.s.Delete(ctx, on, DeleteOptions{})
			switch {
			case err == nil:
				w.end(st, "?")
			case errs.Is(err, errs.NotFound):
				w.end(st, "")
			default:
				t.Errorf("delete: %v", err)
			}
		case p < 60:
			st := w.begin(name, 'g', "")
			info, err := w.s.Update(ctx, on, UpdateOptions{}, func(i *object.Info) error {
				i.Custom = map[string]string{"n": name}
				return nil
			})
			w.saw(t, st, info.ETag, err)
		case p < 65:
			src := crashSources[rng.IntN(2)]
			st := w.begin(name, 'p', src)
			if _, err := w.s.Link(ctx, object.Name{Bucket: 1, Key: src}, on, PutOptions{Epoch: 1}); err != nil {
				t.Errorf("link: %v", err)
			}
			w.end(st, "")
		default:
			st := w.begin(name, 'g', "")
			o, err := w.s.Open(on)
			sum := ""
			if err == nil {
				sum = o.Info().ETag
				w.verify(t, o)
				o.Close()
			}
			w.saw(t, st, sum, err)
		}
	}
}

func (w *workload) saw(t *testing.T, st *step, sum string, err error) {
	switch {
	case err == nil:
		w.end(st, w.idOf(sum))
	case errs.Is(err, errs.NotFound):
		w.end(st, "")
	default:
		t.Errorf("%s: %v", st.name, err)
	}
}

// verify reads o and compares it with what was written; it returns the content's id.
func (w *workload) verify(t *testing.T, o *Object) string {
	t.Helper()
	var b bytes.Buffer
	if err := o.WriteSpan(&b, object.Span{Length: o.Info().Size}); err != nil {
		t.Errorf("%s: %v", o.Info().Key, err)
		return "unreadable"
	}
	id := w.idOf(o.Info().ETag)
	w.mu.Lock()
	defer w.mu.Unlock()
	if id == "" || !bytes.Equal(b.Bytes(), w.datas[id]) {
		t.Errorf("%s: content is not one that was written", o.Info().Key)
	}
	return id
}

// a crash is the state of the disk at some instant and what was known then.
type crash struct {
	mem           *fs.Mem
	before, after int64 // clock around the instant
	file          string
}

func TestCrashStates(t *testing.T) {
	seeds := 6
	if v, err := strconv.Atoi(os.Getenv("STORE_CRASH_SEEDS")); err == nil {
		seeds = v
	}
	for seed := range seeds {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			t.Parallel()
			paths := []string{"/mp1"}
			if seed%2 == 1 {
				paths = []string{"/mp1", "/mp2", "/mp3"}
			}
			w, crashes := runWithCrashes(t, uint64(seed), paths, nil)
			for _, c := range crashes {
				if t.Failed() {
					return
				}
				w.recover(t, c, paths)
			}
			t.Logf("%d operations, %d crash states", len(w.steps), len(crashes))
		})
	}
}

const crashNames = 10

// runWithCrashes runs the workload, and beside it what is given, until done is closed.
func runWithCrashes(t *testing.T, seed uint64, paths []string, beside func(s *Store, done <-chan struct{})) (*workload, []crash) {
	mem := fs.NewMem()
	var armed atomic.Bool
	var mu sync.Mutex
	var crashes []crash
	rng := rand.New(rand.NewPCG(seed, 1))
	w := &workload{datas: map[string][]byte{}, ids: map[string]string{}}
	mem.OnSync = func(name string) {
		if !armed.Load() {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for range rng.IntN(200) { // let readers see what is not yet durable
			runtime.Gosched()
		}
		if rng.IntN(3) != 0 {
			return
		}
		var keep *rand.Rand
		if rng.IntN(2) == 0 {
			keep = rand.New(rand.NewPCG(seed, rng.Uint64()))
		}
		c := crash{before: w.clock.Add(1), file: name}
		c.mem = mem.Crash(keep)
		c.after = w.clock.Add(1)
		crashes = append(crashes, c)
	}
	s, err := Open(t.Context(), crashConfig(mem, paths))
	if err != nil {
		t.Fatal(err)
	}
	w.s = s
	src := make([]byte, 30000)
	w.datas["src"] = src
	w.ids[cksum.Of(cksum.XXHash, src).Value] = "src"
	if _, err := s.Put(t.Context(), object.Name{Bucket: 1, Key: "src"}, src, PutOptions{Epoch: 1, Checksum: cksum.XXHash, Size: -1}); err != nil {
		t.Fatal(err)
	}
	w.multipartSource(t)
	armed.Store(true)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() { w.run(t, rand.New(rand.NewPCG(seed, uint64(i)+100)), 60, crashNames) })
	}
	done := make(chan struct{})
	var aside sync.WaitGroup
	if beside != nil {
		aside.Go(func() { beside(s, done) })
	}
	wg.Wait()
	close(done)
	aside.Wait()
	armed.Store(false)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return w, crashes
}

// recover opens the state after a crash and checks it.
func (w *workload) recover(t *testing.T, c crash, paths []string) {
	t.Helper()
	s, err := Open(t.Context(), crashConfig(c.mem, paths))
	if err != nil {
		t.Errorf("crash at sync of %s: the store does not open: %v", c.file, err)
		return
	}
	for _, v := range s.volumes() {
		if err := v.err(); err != nil {
			t.Errorf("crash at sync of %s: %v", c.file, err)
		}
	}
	w.tidy(t, s)
	w.examine(t, c, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for _, p := range paths {
		checkOffline(t, c.mem, p)
	}
	if c.before%4 == 0 {
		w.removeAll(t, c, paths)
	}
}

// examine asks whether what s has can follow from the history before the crash.
func (w *workload) examine(t *testing.T, c crash, s *Store) {
	t.Helper()
	found := map[string]string{}
	err := s.List(t.Context(), ListQuery{Bucket: 1}, func(i *object.Info) bool {
		o, err := s.Open(object.Name{Bucket: 1, Key: i.Key})
		if err != nil {
			t.Errorf("crash at sync of %s: listed, but %v", c.file, err)
			return true
		}
		found[i.Key] = w.verify(t, o)
		o.Close()
		return true
	})
	if err != nil {
		t.Errorf("list: %v", err)
	}
	for i := range crashNames {
		w.explain(t, c, "k"+strconv.Itoa(i), found["k"+strconv.Itoa(i)])
	}
	w.explainVersions(t, c, s)
	w.explainUploads(t, c, s)
}

func checkOffline(t *testing.T, mem fs.FS, path string) {
	t.Helper()
	o, err := OpenOffline(t.Context(), OfflineConfig{FS: mem, Mountpath: path})
	if err != nil {
		t.Error(err)
		return
	}
	_, err = o.Check(t.Context(), func(f Fault) {
		if f.Harmful {
			t.Errorf("fault: %+v", f)
		}
	})
	if err != nil {
		t.Error(err)
	}
	if err := o.Close(); err != nil {
		t.Error(err)
	}
}

// explain asks whether finding got under name can follow from the history before the crash.
func (w *workload) explain(t *testing.T, c crash, name, got string) {
	t.Helper()
	const never = int64(1) << 60
	var ops []porcupine.Operation
	for _, st := range w.steps {
		if st.name != name || st.call >= c.after {
			continue
		}
		op := porcupine.Operation{Input: *st, Call: st.call, Return: st.ret}
		if st.ret == 0 || st.ret >= c.before { // under way
			if st.kind == 'g' {
				continue
			}
			in := *st
			in.ret = 0
			op.Input, op.Return = in, never
		}
		ops = append(ops, op)
	}
	ops = append(ops, porcupine.Operation{Input: step{name: name, kind: 'g', found: got, ret: 1}, Call: c.after + 1, Return: never - 1})
	if res := porcupine.CheckOperationsTimeout(stepModel(), ops, 2*time.Minute); res != porcupine.Ok {
		sort.Slice(ops, func(i, j int) bool { return ops[i].Call < ops[j].Call })
		t.Errorf("crash at sync of %s: finding %q under %s is %v after", c.file, got, name, res)
		for _, op := range ops[max(0, len(ops)-12):] {
			t.Logf("  %+v", op.Input)
		}
	}
}

var _ = cluster.Local
