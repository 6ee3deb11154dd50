package resilver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aistore/errs"
	"aistore/fs"
	"aistore/object"
	"aistore/store"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// content is what a write of a name must be read as: the name and the number of the write say which bytes.
func content(key string, turn int) []byte {
	size := []int{10, 3000, 90_000}[(len(key)+turn)%3]
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%-32s", fmt.Sprint(key, turn))))).Read(b)
	return b
}

// begin opens a store and resilvers it until the test ends.
func begin(t *testing.T, mem fs.FS, paths ...string) (*store.Store, *Resilver) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{FS: mem, Mountpaths: paths, NodeID: "n", InlineMax: 1000})
	must(t, err)
	r := New(Config{Store: s})
	ctx, stop := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	parts.Go(func() { _ = r.Run(ctx) })
	t.Cleanup(func() {
		stop()
		parts.Wait()
		must(t, s.Close())
	})
	return s, r
}

// settled waits until nothing is left to move.
func settled(t *testing.T, s *store.Store) {
	t.Helper()
	late := time.After(60 * time.Second)
	for {
		changed := s.Watch()
		if !s.Unsettled() {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatal("does not settle")
		}
	}
}

// ended waits until r says that its run has ended, which it does a moment after nothing is left to move.
func ended(t *testing.T, r *Resilver) Status {
	t.Helper()
	for late := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		st := r.Status()
		if !st.Running {
			return st
		}
		if time.Now().After(late) {
			t.Fatalf("runs on: %+v", st)
		}
	}
}

// client writes, reads, lists and deletes names of its own and checks all that it is told.
type client struct {
	t     *testing.T
	s     *store.Store
	id    int
	turns map[string]int // the write that counts; 0 = deleted
	rnd   *rand.Rand
	ticks chan<- struct{} // one for each operation, when somebody counts
	// away says that a mountpath may be out of service: kind Mountpath is then an answer.
	away *atomic.Bool
}

func (c *client) run(stop <-chan struct{}) {
	for turn := 1; ; turn++ {
		select {
		case <-stop:
			return
		default:
		}
		key := fmt.Sprintf("c%d/%d", c.id, c.rnd.IntN(40))
		n := object.Name{Bucket: 1, Key: key}
		var err error
		away := c.away.Load() // or when it has ended
		switch c.rnd.IntN(8) {
		case 0, 1, 2:
			data := content(key, turn)
			if _, err = c.s.PutStream(c.t.Context(), n, bytes.NewReader(data), store.PutOptions{Epoch: 1, Size: -1}); err == nil {
				c.turns[key] = turn
			}
		case 3:
			if _, err = c.s.Delete(c.t.Context(), n, store.DeleteOptions{Epoch: 1}); err == nil || errs.Is(err, errs.NotFound) {
				if (err == nil) != (c.turns[key] > 0) {
					c.t.Errorf("delete of %s: %v, though write %d counts", key, err, c.turns[key])
				}
				err = nil
				c.turns[key] = 0
			}
		case 4:
			err = c.list()
		default:
			err = c.check(key)
		}
		if away = away || c.away.Load(); err != nil && !(away && errs.Is(err, errs.Mountpath, errs.Unavailable)) {
			c.t.Errorf("%s: %v", key, err)
			return
		}
		select {
		case c.ticks <- struct{}{}:
		default:
		}
	}
}

func (c *client) check(key string) error {
	o, err := c.s.Open(object.Name{Bucket: 1, Key: key})
	if errs.Is(err, errs.NotFound) && c.turns[key] == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	defer o.Close()
	got, err := io.ReadAll(o.Reader())
	if err == nil && (c.turns[key] == 0 || !bytes.Equal(got, content(key, c.turns[key]))) {
		c.t.Errorf("%s is not what was written last", key)
	}
	return err
}

func (c *client) list() error {
	seen := 0
	prefix := fmt.Sprintf("c%d/", c.id)
	err := c.s.List(c.t.Context(), store.ListQuery{Bucket: 1, Prefix: prefix}, func(i *object.Info) bool {
		if seen++; c.turns[i.Key] == 0 {
			c.t.Errorf("a deleted name is listed: %s", i.Key)
		}
		return true
	})
	want := 0
	for _, turn := range c.turns {
		if turn > 0 {
			want++
		}
	}
	if err == nil && seen != want {
		c.t.Errorf("%d names are listed, %d are there", seen, want)
	}
	return err
}

// TestTraffic: clients find all as they left it while mountpaths are attached, detached, disabled and enabled.
func TestTraffic(t *testing.T) {
	mem := fs.NewMem()
	s, r := begin(t, mem, "/a", "/b")
	ticks := make(chan struct{})
	var away atomic.Bool
	stop := make(chan struct{})
	var clients []*client
	var all sync.WaitGroup
	for i := range 4 {
		c := &client{t: t, s: s, id: i, turns: map[string]int{}, rnd: rand.New(rand.NewPCG(1, uint64(i))), ticks: ticks, away: &away}
		clients = append(clients, c)
		all.Go(func() { c.run(stop) })
	}
	some := func() {
		for i := 0; i < 300 && !t.Failed(); i++ {
			<-ticks
		}
	}
	some()
	for _, path := range []string{"/c", "/d"} {
		must(t, mem.MkdirAll(path))
		_, err := s.Attach(t.Context(), path)
		must(t, err)
		some()
	}
	settled(t, s)
	must(t, s.Detach(t.Context(), "/a", false))
	some()
	settled(t, s)
	some()
	away.Store(true)
	must(t, s.Disable("/c"))
	some()
	_, err := s.Enable(t.Context(), "/c")
	must(t, err)
	away.Store(false)
	some()
	must(t, s.Detach(t.Context(), "/b", false))
	settled(t, s)
	some()
	_, err = s.Attach(t.Context(), "/a")
	must(t, err)
	some()
	settled(t, s)
	close(stop)
	all.Wait()
	for _, c := range clients {
		for key := range c.turns {
			must(t, c.check(key))
		}
		must(t, c.list())
	}
	if st := ended(t, r); st.ID == "" || st.Failed > 0 {
		t.Errorf("%+v", st)
	}
	if objects, copied, failed := r.Totals(); objects == 0 || copied == 0 || failed > 0 {
		t.Errorf("%d objects, %d bytes, %d failed", objects, copied, failed)
	}
}

// TestNoMoreThanAll: a run in the middle of which the mountpaths change goes on with another count, and never has moved more than there is.
func TestNoMoreThanAll(t *testing.T) {
	s, err := store.Open(t.Context(), store.Config{FS: fs.NewMem(), Mountpaths: []string{"/a", "/b"}, NodeID: "n", InlineMax: 1000})
	must(t, err)
	defer func() { must(t, s.Close()) }()
	for i := range 100 {
		n := object.Name{Bucket: 1, Key: fmt.Sprint(i)}
		_, err := s.PutStream(t.Context(), n, bytes.NewReader(content(n.Key, 1)), store.PutOptions{Epoch: 1, Size: -1})
		must(t, err)
	}
	r := New(Config{Store: s})
	var moved int64
	for turn, change := range []func() error{
		func() error { return s.Detach(t.Context(), "/b", false) },
		func() error { _, err := s.Enable(t.Context(), "/b"); return err },
	} {
		must(t, change())
		p := s.BeginPass()
		r.begin()
		must(t, r.count(t.Context(), p))
		if st := r.Status(); st.Planned <= moved || st.Done != moved || st.Objects != moved {
			t.Errorf("%d: %d of %d, %d moved, before: %d", turn, st.Done, st.Planned, st.Objects, moved)
		}
		_, err := r.pass(t.Context(), p)
		must(t, err)
		st := r.Status()
		if st.Objects <= moved || st.Objects != st.Planned || st.Done != st.Planned {
			t.Errorf("%d: %d of %d, %d moved", turn, st.Done, st.Planned, st.Objects)
		}
		var rows Lane // what "all" says, the mountpaths say together: also of what went off before they changed
		for _, l := range st.Mountpaths {
			if l.Objects > l.Planned {
				t.Errorf("%d: %+v", turn, l)
			}
			rows.Objects, rows.Planned, rows.Bytes = rows.Objects+l.Objects, rows.Planned+l.Planned, rows.Bytes+l.Bytes
		}
		if rows.Objects != st.Objects || rows.Planned != st.Planned || rows.Bytes != st.Bytes {
			t.Errorf("%d: the mountpaths have moved %+v together, all %d of %d, %d bytes", turn, rows, st.Objects, st.Planned, st.Bytes)
		}
		moved = st.Objects
	}
	if st := r.Status(); st.Mountpaths[1].Objects == 0 || st.Mountpaths[0].Objects == 0 {
		t.Errorf("names went off both mountpaths, one after the other: %+v", st.Mountpaths)
	}
}

// TestBucket: what is taken is paid for by rest, and a limit that goes leaves no debt.
func TestBucket(t *testing.T) {
	var b bucket
	now := time.Unix(100, 0)
	for i, want := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second} {
		if got := b.take(now, 1000, 1000); got != want {
			t.Errorf("%d: rest %v, want %v", i, got, want)
		}
	}
	if got := b.take(now.Add(10*time.Second), 500, 1000); got != 500*time.Millisecond {
		t.Errorf("after a pause: %v", got)
	}
	if got := b.take(now, 1<<30, 0); got != 0 {
		t.Errorf("without a limit: %v", got)
	}
	if got := b.take(now, 1000, 1000); got != time.Second {
		t.Errorf("a limit after none: %v", got)
	}
}

// TestRestsWhileHeld: what an append holds is not asked for without pause, and moves when it lets go.
func TestRestsWhileHeld(t *testing.T) {
	s, err := store.Open(t.Context(), store.Config{FS: fs.NewMem(), Mountpaths: []string{"/a", "/b"}, NodeID: "n"})
	must(t, err)
	defer func() { must(t, s.Close()) }()
	var appends sync.WaitGroup
	var ends []*io.PipeWriter
	for i := range 20 { // some at each mountpath
		n := object.Name{Bucket: 1, Key: fmt.Sprint(i)}
		token, err := s.BeginAppend(t.Context(), n)
		must(t, err)
		sent, write := io.Pipe()
		ends = append(ends, write)
		appends.Go(func() { _, _ = s.Append(context.Background(), n, token, sent) })
		_, err = write.Write([]byte{1}) // who reads it has taken the session
		must(t, err)
	}
	must(t, s.Detach(t.Context(), "/b", false))
	r := New(Config{Store: s})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	why, err := r.passes(ctx)
	must(t, err)
	if why != waitsForHolders {
		t.Errorf("waits for %q", why)
	}
	freed := s.Freed()
	for _, w := range ends {
		must(t, w.Close())
	}
	appends.Wait()
	select {
	case <-freed:
	default:
		t.Error("nobody was told")
	}
	why, err = r.passes(ctx)
	must(t, err)
	if why != "" || s.Unsettled() {
		t.Errorf("waits for %q", why)
	}
}
