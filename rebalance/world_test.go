package rebalance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aistore/cksum"
	"aistore/cluster"
	"aistore/cluster/ownership"
	"aistore/errs"
	"aistore/fs"
	"aistore/httpx"
	"aistore/object"
	"aistore/store"
)

// world is a cluster of targets in this process: real stores, engines, sockets and state machine; the log is a lock.
type world struct {
	t       testing.TB
	mu      sync.Mutex // of machine
	machine *cluster.Machine
	client  *httpx.Client
	bucket  *cluster.Bucket
	all     sync.RWMutex // of hosts and of what each has while it is up
	hosts   map[cluster.NodeID]*host
	model   sync.Map // key -> []byte, or nil when it was deleted
	keys    sync.Map // key -> *sync.Mutex: one change of a key at a time
	lanes   int
	disk    fs.FS // of targets that come; nil = the real one
}

// host is one target.
type host struct {
	w      *world
	id     cluster.NodeID
	dir    string
	addr   string
	store  *store.Store
	engine *Engine
	plane  *plane
	stop   func()
	late   bool // its next start is accepted later
}

// plane is a host's control plane.
type plane struct {
	w    *world
	mu   sync.Mutex
	view *cluster.View
	next chan struct{}
	cut  bool // nothing reaches the node

	start chan struct{} // closed once the node's start is accepted
}

func (p *plane) Ready() bool {
	select {
	case <-p.start:
		return true
	default:
		return false
	}
}

func (p *plane) AwaitReady(ctx context.Context) error {
	select {
	case <-p.start:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *plane) View() *cluster.View {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.view
}

func (p *plane) Watch(after uint64) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.view != nil && p.view.Index > after {
		ch := make(chan struct{})
		close(ch)
		return ch
	}
	return p.next
}

func (p *plane) publish(v *cluster.View) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.view == nil || v.Index > p.view.Index {
		p.view = v
		close(p.next)
		p.next = make(chan struct{})
	}
}

func (p *plane) Latest(ctx context.Context) (*cluster.View, error) {
	if p.isCut() {
		return nil, errs.E("test", "primary", errs.Unavailable, "is out of reach")
	}
	v := p.w.view()
	p.publish(v)
	return p.View(), ctx.Err()
}

// isolate cuts the node off for good.
func (p *plane) isolate() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
}

func (p *plane) isCut() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cut
}

func (p *plane) Propose(ctx context.Context, cmd cluster.Command) (cluster.Result, error) {
	if p.isCut() {
		return cluster.Result{}, errs.E("test", "primary", errs.Unavailable, "is out of reach")
	}
	r, err := p.w.propose(cmd)
	return r, errors.Join(err, ctx.Err())
}

func newWorld(t testing.TB, targets, lanes int) *world {
	w := &world{t: t, machine: cluster.NewMachine(), client: httpx.NewClient(httpx.ClientConfig{}), hosts: map[cluster.NodeID]*host{}, lanes: lanes}
	t.Cleanup(w.client.Close)
	w.apply(cluster.Found{UUID: "u", Secret: []byte(strings.Repeat("s", 32)), Node: cluster.Node{ID: "g", Role: cluster.RoleProxy, IntraAddr: "g:1", PublicURL: "http://g:2"}})
	for i := range targets {
		w.add(cluster.NodeID(fmt.Sprintf("t%d", i+1)))
	}
	w.apply(cluster.CreateBucket{Name: "bucket"})
	w.bucket = w.view().Buckets.Get("", "bucket")
	return w
}

// add makes a target that joins.
func (w *world) add(id cluster.NodeID) *host {
	h := &host{w: w, id: id, dir: w.t.TempDir()}
	w.all.Lock()
	w.hosts[id] = h
	w.all.Unlock()
	w.t.Cleanup(func() { h.down() })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	h.addr = ln.Addr().String()
	h.up(ln)
	w.apply(cluster.Join{Node: cluster.Node{ID: id, Role: cluster.RoleTarget, IntraAddr: h.addr, PublicURL: "http://" + h.addr}})
	return h
}

// up starts the host.
func (h *host) up(ln net.Listener) {
	w := h.w
	h.open(ln)
	w.publish()
}

func (h *host) open(ln net.Listener) {
	w := h.w
	w.all.Lock()
	defer w.all.Unlock()
	var err error
	if ln == nil {
		ln = h.listen()
	}
	cfg := store.Config{FS: w.disk, NodeID: string(h.id), CacheSize: 4 << 20, Existing: h.store != nil, Log: slog.New(slog.DiscardHandler)}
	for i := range w.lanes {
		cfg.Mountpaths = append(cfg.Mountpaths, filepath.Join(h.dir, fmt.Sprint("mp", i)))
	}
	if h.store, err = store.Open(w.t.Context(), cfg); err != nil {
		w.t.Fatal(err)
	}
	h.plane = &plane{w: w, next: make(chan struct{}), start: make(chan struct{})}
	if !h.late {
		close(h.plane.start)
	}
	h.engine = New(Config{Self: h.id, Store: h.store, Control: h.plane, Client: w.client, Log: slog.New(slog.NewTextHandler(logTo{w.t, h.id}, nil))})
	router, err := httpx.NewRouter(h.engine.Routes())
	if err != nil {
		w.t.Fatal(err)
	}
	srv := httpx.NewServer(httpx.ServerConfig{Listener: httpx.Intra, Node: string(h.id), Limits: httpx.Limits{Drain: time.Millisecond}}, router)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(ctx, ln) })
	wg.Go(func() { _ = h.engine.Run(ctx) })
	h.stop = func() { cancel(); wg.Wait() }
}

// listen listens at the address that the host had.
func (h *host) listen() (ln net.Listener) {
	h.w.await("the address of "+string(h.id), func() bool { // it may be taken for a moment by somebody's outgoing connection
		var err error
		ln, err = net.Listen("tcp", h.addr)
		return err == nil
	})
	return ln
}

type logTo struct {
	t  testing.TB
	id cluster.NodeID
}

func (l logTo) Write(p []byte) (int, error) {
	if testing.Verbose() {
		l.t.Logf("%s %s", l.id, bytes.TrimSpace(p))
	}
	return len(p), nil
}

// down stops the host.
func (h *host) down() {
	if h.stop == nil {
		return
	}
	h.stop()
	h.w.all.Lock()
	h.stop = nil
	h.w.all.Unlock()
	if err := h.store.Close(); err != nil {
		h.w.t.Errorf("%s: %v", h.id, err)
	}
}

func (w *world) view() *cluster.View {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.machine.View()
}

func (w *world) propose(cmd cluster.Command) (cluster.Result, error) {
	w.mu.Lock()
	r, err := w.machine.Apply(w.machine.Index+1, cluster.Entry{Time: time.Now(), Command: cmd})
	w.mu.Unlock()
	w.publish()
	return r, err
}

func (w *world) apply(cmd cluster.Command) cluster.Result {
	w.t.Helper()
	r, err := w.propose(cmd)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) publish() {
	v := w.view()
	w.all.RLock()
	defer w.all.RUnlock()
	for _, h := range w.hosts {
		if h.plane != nil && !h.plane.isCut() {
			h.plane.publish(v)
		}
	}
}

func (w *world) step(s cluster.Transition, ids ...cluster.NodeID) {
	w.t.Helper()
	w.apply(cluster.MoveNodes{IDs: ids, Step: s})
}

// until waits for the map to be so.
func (w *world) until(what string, so func(*cluster.Map) bool) {
	w.t.Helper()
	w.await(what, func() bool { return so(w.view().Map) })
}

func (w *world) await(what string, so func() bool) {
	w.t.Helper()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-limit.C:
			v := w.view()
			for _, h := range w.hosts {
				s, err := h.engine.Status("")
				w.t.Logf("%s: %+v %v", h.id, s, err)
			}
			w.t.Fatalf("waited in vain: %s; epoch %d, sources %v, paused %v", what, v.Map.Epoch, v.Map.Sources, v.Map.Paused)
		}
	}
}

func (w *world) settled() {
	w.t.Helper()
	w.until("the end of the rebalance", func(m *cluster.Map) bool { return !m.Rebalancing() })
}

// change has the owner change a key as package target does: first touch, then the commit under the guard of the newest map.
func (w *world) change(key string, data []byte, remove bool) error {
	l, _ := w.keys.LoadOrStore(key, new(sync.Mutex))
	lock, _ := l.(*sync.Mutex)
	lock.Lock()
	defer lock.Unlock()
	w.all.RLock()
	defer w.all.RUnlock()
	ctx := context.Background()
	v := w.view()
	h := w.hosts[v.Owner(w.bucket, key).ID]
	if h.stop == nil {
		return errs.E("test", key, errs.Unavailable)
	}
	n := object.Name{Bucket: w.bucket.ID, Key: key}
	mark, err := h.touch(ctx, v, n)
	if err != nil {
		return err
	}
	guard := func() error {
		if !ownership.Commit(v, h.plane.View(), h.id, w.bucket, key, mark) {
			return errs.E("test", key, errs.StaleMap)
		}
		return nil
	}
	if remove {
		_, err = h.store.Delete(ctx, n, store.DeleteOptions{Epoch: v.Map.Epoch, Mark: v.Map.Unsettled(), Guard: guard})
		if errs.Is(err, errs.NotFound) {
			err = nil
		}
	} else {
		_, err = h.store.Put(ctx, n, data, store.PutOptions{Epoch: v.Map.Epoch, Mark: v.Map.Unsettled(), Guard: guard, Size: -1, Checksum: cksum.XXHash})
	}
	if err == nil {
		if remove {
			data = nil
		}
		w.model.Store(key, data)
	}
	return err
}

// touch is a first touch.
func (h *host) touch(ctx context.Context, v *cluster.View, n object.Name) (mark uint64, err error) {
	w := h.w
	k, err := h.store.KeyState(n)
	if err != nil {
		return 0, err
	}
	verdict, holders := ownership.Admit(nil, v, h.id, w.bucket, n.Key, k.Authority)
	if verdict == ownership.Serve {
		return k.Authority, nil
	}
	var frames [][]byte
	for _, holder := range holders {
		src := w.hosts[holder.ID]
		if src.stop == nil {
			return 0, errs.E("test", string(src.id), errs.Unavailable)
		}
		if ok, _ := ownership.Answers(src.plane.View(), v.Map.Epoch); !ok {
			return 0, errs.E("test", string(src.id), errs.StaleMap)
		}
		x, err := src.store.ExportKey(n)
		if errs.Is(err, errs.NotFound) {
			continue
		}
		if err != nil {
			return 0, err
		}
		f, err := x.AppendTo(nil)
		x.Close()
		if err != nil {
			return 0, err
		}
		frames = append(frames, f)
	}
	o := store.ImportOptions{Mark: v.Map.Epoch, Settled: v.Map.Settled, Guard: func(object.Name, store.KeyState) error {
		if !ownership.Commit(v, h.plane.View(), h.id, w.bucket, n.Key, v.Map.Epoch) {
			return errs.E("test", n, errs.StaleMap)
		}
		return nil
	}}
	if len(frames) > 1 { // the greatest must be taken first: what comes with this mark holds afterwards
		o.Mark = 0
	}
	for _, f := range frames {
		if r := h.store.Import(ctx, [][]byte{f}, o)[0]; r.Err != nil {
			return 0, r.Err
		}
	}
	o.Mark = v.Map.Epoch
	r := h.store.MarkKeys(ctx, []object.Name{n}, o)[0]
	return v.Map.Epoch, r.Err
}

// put and remove change a key and must succeed.
func (w *world) put(key string, data []byte) {
	w.t.Helper()
	if err := w.change(key, data, false); err != nil {
		w.t.Fatal(err)
	}
}

// content is n bytes that tell of the key and a number.
func content(key string, i, n int) []byte {
	piece := fmt.Appendf(nil, "%s#%d;", key, i)
	return bytes.Repeat(piece, n/len(piece)+1)[:n]
}

// fill puts keys of several sizes.
func (w *world) fill(count int) {
	w.t.Helper()
	for i := range count {
		key := fmt.Sprintf("dir%d/key-%05d", i%7, i)
		size := 100 + i%4000
		switch {
		case i%100 == 50:
			size = 300 << 10
		case i%400 == 77:
			size = 900 << 10
		}
		w.put(key, content(key, 0, size))
	}
}

// names lists what a host has of anything.
func (h *host) names() map[string]bool {
	all := map[string]bool{}
	for lane := range h.store.Lanes() {
		err := h.store.WalkKeys(h.w.t.Context(), lane, object.Name{}, func(_ uint64, key []byte) bool {
			all[string(key)] = true
			return true
		})
		if err != nil {
			h.w.t.Error(err)
		}
	}
	return all
}

// check makes sure that every key is at its owner, as it was written last, and nowhere else but at those who keep.
func (w *world) check() {
	w.t.Helper()
	v := w.view()
	have := map[cluster.NodeID]map[string]bool{}
	for id, h := range w.hosts {
		if n := v.Map.Nodes[id]; h.stop != nil && n != nil && !v.Map.Sources[id].Keeps {
			if !v.Map.Unsettled() {
				if _, err := h.store.DropMarks(w.t.Context(), v.Map.Settled); err != nil { // package target's work
					w.t.Error(err)
				}
				if n := w.marks(h); n > 0 {
					w.t.Errorf("%s has %d marks left", id, n)
				}
			}
			have[id] = h.names()
		}
	}
	live := 0
	w.model.Range(func(k, val any) bool {
		key, _ := k.(string)
		data, _ := val.([]byte)
		owner := v.Owner(w.bucket, key).ID
		got, err := w.hosts[owner].read(key)
		switch {
		case data == nil && !errs.Is(err, errs.NotFound):
			w.t.Errorf("%s was deleted, at its owner %s: %d bytes, %v", key, owner, len(got), err)
		case data != nil && (err != nil || !bytes.Equal(got, data)):
			w.t.Errorf("%s at its owner %s: %d bytes of %d, %v", key, owner, len(got), len(data), err)
		}
		if data != nil {
			live++
		}
		for id, names := range have {
			if names[key] && id != owner {
				w.t.Errorf("%s belongs to %s, and %s has it too", key, owner, id)
			}
		}
		return true
	})
	if live == 0 {
		w.t.Error("nothing was checked")
	}
}

func (h *host) read(key string) ([]byte, error) {
	o, err := h.store.Open(object.Name{Bucket: h.w.bucket.ID, Key: key})
	if err != nil {
		return nil, err
	}
	defer o.Close()
	return io.ReadAll(o.Reader())
}

// marks counts what a host has marks of.
func (w *world) marks(h *host) (n int) {
	for key := range h.names() {
		k, err := h.store.PeekKey(object.Name{Bucket: w.bucket.ID, Key: key})
		if err != nil || k.Authority > 0 {
			n++
		}
	}
	return n
}

// traffic changes keys until the returned function is called, which tells how many changes were made.
func (w *world) traffic(seed uint64, keys int) (stop func() int) {
	ctx, cancel := context.WithCancel(w.t.Context())
	var wg sync.WaitGroup
	counts := make([]int, 3)
	for i := range counts {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			for n := 0; ctx.Err() == nil; n++ {
				k := r.IntN(keys)
				key := fmt.Sprintf("dir%d/key-%05d", k%7, k)
				err := w.change(key, content(key, n*10+i, 50+r.IntN(3000)), r.IntN(4) == 0)
				switch {
				case err == nil:
					counts[i]++
				case !errs.Is(err, errs.StaleMap, errs.Unavailable, errs.NoBucket): // the last is of who is being wiped, and asked by an older map
					w.t.Errorf("%s: %v", key, err)
				}
			}
		})
	}
	return func() int {
		cancel()
		wg.Wait()
		sum := 0
		for _, c := range counts {
			sum += c
		}
		return sum
	}
}

func (w *world) ids() []cluster.NodeID { return slices.Sorted(maps.Keys(w.hosts)) }
