package rebalance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"aistore/cluster"
	"aistore/errs"
	"aistore/fs"
	"aistore/httpx"
	"aistore/object"
	"aistore/store"
	"aistore/store/format"
)

// tight is a disk on which one mountpath of each node can be full.
type tight struct {
	fs.FS
	at   string // the end of its path
	full atomic.Bool
}

type tightRoot struct {
	fs.Root
	d *tight
}

func (d *tight) OpenRoot(path string) (fs.Root, error) {
	r, err := d.FS.OpenRoot(path)
	if err == nil && strings.HasSuffix(path, d.at) {
		r = &tightRoot{r, d}
	}
	return r, err
}

func (r *tightRoot) Statfs() (fs.Capacity, error) {
	c, err := r.Root.Statfs()
	if r.d.full.Load() {
		c.Free = 0
	}
	return c, err
}

// TestFullMountpath: a long key that finds no room on its mountpath keeps no key from coming that has a place on another.
func TestFullMountpath(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.config("rebalance.parallel", "1") // one batch after the other, in the order of the index
	d := &tight{FS: fs.OS{}, at: "/mp0"}
	d.full.Store(true)
	w.lanes, w.disk = 2, d
	t2 := w.add("t2")
	full := func(key string) bool {
		lane, _ := t2.store.Lane(object.Name{Bucket: w.bucket.ID, Key: key})
		return strings.HasSuffix(t2.store.Mountpaths()[lane].Path, d.at)
	}
	m := *w.machine
	if _, err := m.Apply(m.Index+1, cluster.Entry{Command: cluster.MoveNodes{IDs: []cluster.NodeID{"t2"}, Step: cluster.JoinNode}}); err != nil {
		t.Fatal(err)
	}
	after := m.View()
	long := ""
	for i := 0; long == ""; i++ {
		if key := fmt.Sprint("a-long-", i); after.Owner(w.bucket, key).ID == "t2" && full(key) {
			long = key
		}
	}
	w.put(long, content(long, 0, largeFrame+1))
	var fits []string
	for i := range 600 {
		key := fmt.Sprintf("b%03d", i) + strings.Repeat("x", 900)
		w.put(key, content(key, 0, 10))
		if after.Owner(w.bucket, key).ID == "t2" && !full(key) {
			fits = append(fits, key)
		}
	}
	if batch := namesBytes / 900; len(fits) < batch {
		t.Fatalf("only %d keys fit, which is one batch", len(fits))
	}
	w.step(cluster.JoinNode, "t2")
	w.await("what fits comes", func() bool {
		have := t2.names()
		for _, key := range fits {
			if !have[key] {
				return false
			}
		}
		return true
	})
	if t2.names()[long] {
		t.Error("the disk is not full: this shows nothing")
	}
	d.full.Store(false)
	w.settled()
	w.check()
}

// TestResilverThatWaits: names that cannot go to their mountpath, since that is full, keep no rebalance from its end: it may be what makes room.
func TestResilverThatWaits(t *testing.T) {
	w := newWorld(t, 0, 1)
	d := &tight{FS: fs.OS{}, at: "/mp1"}
	w.disk = d
	t1 := w.add("t1")
	w.fill(300)
	d.full.Store(true)
	path := filepath.Join(t1.dir, "mp1")
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := t1.store.Attach(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	var failed atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	var passes sync.WaitGroup
	var moves []store.Move
	p := t1.store.BeginPass()
	for lane := range p.Lanes() {
		if err := p.Each(ctx, lane, func(int) {}, func(m store.Move) error { moves = append(moves, m); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	passes.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			if _, err := moves[i%len(moves)].Run(ctx); err != nil {
				failed.Add(1)
			}
		}
	})
	t.Cleanup(passes.Wait)
	t.Cleanup(stop)
	w.await("names that cannot move", func() bool { return failed.Load() > 0 })
	w.add("t2")
	w.step(cluster.JoinNode, "t2")
	w.settled()
	before := failed.Load()
	w.await("names that still cannot move", func() bool { return failed.Load() > before })
	w.check()
}

// picky is an owner that refuses one key, and says of all others that it has them by now.
type picky struct {
	refuses string
	mu      sync.Mutex
	offered map[object.Name]store.KeyState
	taken   map[string]bool
}

func (p *picky) serve(c *httpx.Ctx) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if strings.HasSuffix(c.Rest(), "/offer") {
		body, err := c.ReadAll(maxOffer)
		if err != nil {
			return err
		}
		keys, err := decodeOffer(body)
		if err != nil {
			return err
		}
		as := make([]answer, len(keys))
		for i, k := range keys {
			if p.offered[k.name] = k.state; p.taken[k.name.Key] {
				as[i] = answer{outcome: outHad, state: k.state}
			} else {
				as[i].outcome = outWanted
			}
		}
		return c.SendBytes(appendAnswers(nil, as))
	}
	body, err := c.ReadAll(2 * largeFrame)
	if err != nil {
		return err
	}
	h, err := format.DecodeFrameHead(body[:format.FrameHeadSize])
	if err != nil {
		return err
	}
	var f format.Frame
	if err := format.DecodeFrame(&f, body[format.FrameHeadSize:format.FrameHeadSize+h.Description]); err != nil {
		return err
	}
	if f.Name.Key == p.refuses {
		return errs.E("test", f.Name, errs.Corrupt, "is refused")
	}
	p.taken[f.Name.Key] = true
	return c.SendBytes(appendAnswers(nil, []answer{{outcome: outApplied, state: p.offered[f.Name]}}))
}

// TestRefusedLongKey: a long key that its owner cannot take keeps no key behind it from moving.
func TestRefusedLongKey(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.config("rebalance.parallel", "1")
	t2 := w.add("t2")
	t2.down()
	m := *w.machine
	if _, err := m.Apply(m.Index+1, cluster.Entry{Command: cluster.MoveNodes{IDs: []cluster.NodeID{"t2"}, Step: cluster.JoinNode}}); err != nil {
		t.Fatal(err)
	}
	after := m.View()
	var keys []string
	for i := 0; len(keys) < namesBytes/900+20; i++ { // more than one batch
		if key := fmt.Sprintf("%04d", i) + strings.Repeat("x", 900); after.Owner(w.bucket, key).ID == "t2" {
			keys = append(keys, key)
			w.put(key, content(key, 0, largeFrame))
		}
	}
	p := &picky{refuses: keys[0], offered: map[object.Name]store.KeyState{}, taken: map[string]bool{}}
	router, err := httpx.NewRouter([]httpx.Route{{Method: "POST", Path: Path + "/*", Op: "rebalance", Handler: p.serve,
		Policy: httpx.Policy{Listener: httpx.Intra, Class: httpx.ClassControl, MaxBody: httpx.NoLimit}}})
	if err != nil {
		t.Fatal(err)
	}
	ln := t2.listen()
	ctx, stop := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() {
		_ = httpx.NewServer(httpx.ServerConfig{Listener: httpx.Intra, Node: "t2"}, router).Serve(ctx, ln)
	})
	t.Cleanup(serving.Wait)
	t.Cleanup(stop)
	w.step(cluster.JoinNode, "t2")
	w.await("all keys but one to be taken", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.taken) == len(keys)-1
	})
	if w.view().Map.Sources["t1"].Stage != cluster.Moving {
		t.Error("one has not moved")
	}
}
