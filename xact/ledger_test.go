package xact

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
	"aistore/internal/durable"
)

// newKept returns targets that keep their jobs on disk.
func newKept(t *testing.T, targets int) *testCluster {
	c := newCluster(t, targets)
	for _, n := range c.nodes {
		n.stop()
		n.dir = t.TempDir()
		n.start()
	}
	return c
}

// fall ends all targets. killed leaves what they had written until then: what they write when they end in good order is undone.
func (c *testCluster) fall(t *testing.T, killed bool) {
	t.Helper()
	for _, n := range c.nodes {
		as := t.TempDir()
		files, err := os.ReadDir(n.dir)
		for _, f := range files {
			if strings.HasSuffix(f.Name(), ".tmp") {
				continue // it is being written
			}
			b, rerr := os.ReadFile(filepath.Join(n.dir, f.Name()))
			err = errors.Join(err, rerr, os.WriteFile(filepath.Join(as, f.Name()), b, 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
		n.stop()
		n.down.Store(true)
		if killed {
			n.dir = as
		}
	}
}

// rise starts all of them again, with the way free.
func (c *testCluster) rise() {
	for _, n := range c.nodes {
		n.gate = nil
		n.start()
	}
	for _, n := range c.nodes {
		n.down.Store(false)
	}
}

// TestAllRestarted: a job goes on when all targets have ended and are started again, each with its own share, and its result is known after
// that has happened once more.
func TestAllRestarted(t *testing.T) {
	for _, targets := range []int{1, 3} {
		for _, killed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d targets, killed %v", targets, killed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := newKept(t, targets)
					began := time.Now()
					id, total := begin(t, c)
					c.fall(t, killed)
					if n := len(strings.Fields(c.keys(c.from))); n == 0 || n == total {
						t.Fatalf("%d of %d are left", n, total)
					}
					c.moved.Store(false)
					few := int64(2 * perLane) // that were deleted behind the mark
					c.rise()
					elapse(3 * guardEvery)
					j := c.status(t, id)
					if left := c.keys(c.from); left != "" || j.EndTime == 0 || j.Aborted || j.Err != "" || j.Objects > int64(total) || j.Objects < int64(total)-few || j.Bytes != 2*j.Objects || !j.Start.Equal(began) {
						t.Errorf("left %q: %+v", left, j)
					}
					snaps, err := c.jobs.Snaps(t.Context(), c.view, &api.JobQuery{ID: id})
					for at, of := range snaps {
						if len(of) != 1 || of[0].Of != at {
							t.Errorf("at %s: %+v", at, of)
						}
					}
					if err != nil {
						t.Error(err)
					}
					c.fall(t, killed)
					c.rise()
					again := c.status(t, id)
					again.Bck, j.Bck = nil, nil
					if !again.Start.Equal(j.Start) {
						t.Errorf("started %v, was %v", again.Start, j.Start)
					}
					again.Start = j.Start
					if *again != *j {
						t.Errorf("afterwards %+v, was %+v", again, j)
					}
				})
			})
		}
	}
}

// TestStoppedStaysSo: a job that was told to stop is not gone on with after all targets were restarted, nor is one of a target that did not hear of it.
func TestStoppedStaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newKept(t, 3)
		id, _ := begin(t, c)
		deaf := c.nodes["t0"]
		c.lose(deaf)
		if _, err := c.jobs.Stop(t.Context(), c.view, &api.JobQuery{ID: id}); err != nil {
			t.Fatal(err)
		}
		c.fall(t, true)
		deaf.down.Store(false)
		c.see(func(m *cluster.Map) { m.Nodes["t0"].Alive = true })
		left := c.keys(c.from)
		c.rise()
		elapse(2 * begunBy)
		if now := c.keys(c.from); now != left || left == "" {
			t.Errorf("left %q, then %q", left, now)
		}
		if j := c.status(t, id); !j.Aborted || j.EndTime == 0 {
			t.Errorf("%+v", j)
		}
	})
}

// TestOverAndForgotten: a target that comes back with a job that the others have ended, and forgotten since, does nothing of it.
func TestOverAndForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newKept(t, 3)
		id, _ := begin(t, c)
		gone := c.nodes["t0"]
		c.lose(gone)
		for _, n := range c.nodes {
			close(n.gate)
		}
		elapse(5 * guardEvery)
		if j := c.status(t, id); j.EndTime == 0 || j.Aborted {
			t.Fatalf("%+v", j)
		}
		for _, n := range c.nodes {
			if n != gone {
				n.stop()
				n.dir = t.TempDir()
				n.start()
			}
		}
		gone.start()
		c.put(c.from, "new", 1)
		gone.down.Store(false)
		c.see(func(m *cluster.Map) { m.Nodes["t0"].Alive = true })
		elapse(2 * begunBy)
		if left := c.keys(c.from); left != "new" {
			t.Errorf("left %q", left)
		}
		if j := c.status(t, id); !j.Aborted || j.EndTime == 0 || !strings.Contains(j.Err, "does not know of it") {
			t.Errorf("%+v", j)
		}
	})
}

// TestWaitsForOthers: a target that is the first to be back after all were lost does nothing before another is.
func TestWaitsForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newKept(t, 3)
		id, total := begin(t, c)
		c.fall(t, true)
		left := c.keys(c.from)
		for _, n := range c.nodes {
			n.down.Store(n.id != "t0")
			n.gate = nil
		}
		c.see(func(m *cluster.Map) { m.Nodes["t1"].Alive, m.Nodes["t2"].Alive = false, false })
		c.nodes["t0"].start()
		elapse(2 * begunBy)
		if now := c.keys(c.from); now != left {
			t.Errorf("left %q, then %q", left, now)
		}
		c.nodes["t1"].down.Store(false)
		c.see(func(m *cluster.Map) { m.Nodes["t1"].Alive = true })
		c.nodes["t1"].start()
		elapse(5 * guardEvery) // t2 is lost for good
		c.nodes["t2"].start()  // for the test's end
		if j := c.status(t, id); j.EndTime == 0 || j.Aborted || j.Objects > int64(total) || j.Objects < int64(total)-2*perLane || c.keys(c.from) != "" {
			t.Errorf("left %q: %+v", c.keys(c.from), j)
		}
	})
}

// TestOthersGone: a job ends when nobody is left in the cluster who could tell whether it was over.
func TestOthersGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newKept(t, 2)
		id, _ := begin(t, c)
		c.fall(t, true)
		left := c.keys(c.from)
		c.see(func(m *cluster.Map) { delete(m.Nodes, "t1") })
		c.rise()
		elapse(2 * begunBy)
		if now := c.keys(c.from); now != left || left == "" {
			t.Errorf("left %q, then %q", left, now)
		}
		if j := c.status(t, id); !j.Aborted || j.EndTime == 0 || !strings.Contains(j.Err, "none of the others is left") {
			t.Errorf("%+v", j)
		}
	})
}

// TestHandedOn: a target that has handed its share to one that took no part does nothing more of it when it comes back after that one has ended the
// job and forgotten it, though it was the only one that took part.
func TestHandedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newKept(t, 2)
		all := c.view
		c.see(func(m *cluster.Map) { delete(m.Nodes, "t1") })
		id, _ := begin(t, c)
		c.view = all
		c.now.Store(all)
		gone, heir := c.nodes["t0"], c.nodes["t1"]
		gone.rt.Leave(t.Context())
		c.lose(gone)
		close(heir.gate)
		elapse(5 * guardEvery)
		if j := c.status(t, id); j.EndTime == 0 || j.Aborted {
			t.Fatalf("%+v", j)
		}
		heir.stop()
		heir.dir = t.TempDir()
		heir.start()
		gone.gate = nil
		gone.start()
		gone.down.Store(false)
		c.see(func(m *cluster.Map) { m.Nodes["t0"].Alive = true })
		for i := range 10 {
			c.put(c.from, fmt.Sprint("new", i), 1)
		}
		left := c.keys(c.from)
		elapse(2 * begunBy)
		if now := c.keys(c.from); now != left {
			t.Errorf("left %q, then %q", left, now)
		}
		if j := c.status(t, id); !j.Aborted || j.EndTime == 0 || !strings.Contains(j.Err, "t1 does not know of it") {
			t.Errorf("%+v", j)
		}
	})
}

// TestAnotherCluster: the jobs of a cluster that a target has left are none of the next one's.
func TestAnotherCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newKept(t, 1)
		id, _ := begin(t, c)
		c.fall(t, false)
		left := c.keys(c.from)
		c.see(func(m *cluster.Map) { m.UUID = "another" })
		c.rise()
		elapse(2 * begunBy)
		if now := c.keys(c.from); now != left || left == "" {
			t.Errorf("left %q, then %q", left, now)
		}
		if j, err := c.jobs.Status(t.Context(), c.view, id); !errs.Is(err, errs.NotFound) {
			t.Errorf("%+v, %v", j, err)
		}
		if files, err := os.ReadDir(c.nodes["t0"].dir); len(files) != 0 {
			t.Errorf("files %v, %v", files, err)
		}
	})
}

// TestLedgerForgets: the files of jobs that are remembered no more are removed, and those that cannot be read keep nothing from working.
func TestLedgerForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newKept(t, 1)
		n := c.nodes["t0"]
		n.stop()
		bad := map[string]string{"a": "{", "b": `{"format":9}`, "c": `{"format":1,"spec":{"id":"x","kind":"delete-listrange","targets":["t0"]}}`}
		for name, text := range bad {
			if err := os.WriteFile(filepath.Join(n.dir, name+".json"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		n.start()
		for range maxEnded + 20 {
			if j := c.run(t, DeleteObjects, 0, map[string]any{"objnames": []string{"none"}}); j.Aborted {
				t.Fatalf("%+v", j)
			}
		}
		files, err := os.ReadDir(n.dir)
		if err != nil || len(files) > maxEnded+1+len(bad) || len(files) < maxEnded {
			t.Errorf("%d files, %v", len(files), err)
		}
		n.stop()
		n.start()
		if jobs, err := c.jobs.List(t.Context(), c.view, &api.JobQuery{}); err != nil || len(jobs) != len(files)-len(bad) {
			t.Errorf("%d jobs, %v", len(jobs), err)
		}
	})
}

// TestLedgerFails: a job whose file cannot be written works all the same.
func TestLedgerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newKept(t, 1)
		n := c.nodes["t0"]
		n.stop()
		n.dir = filepath.Join(n.dir, "a file")
		if err := os.WriteFile(n.dir, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		n.start()
		c.put(c.from, "k", 1)
		if j := c.run(t, DeleteObjects, 0, map[string]any{"objnames": []string{"k"}}); j.Aborted || j.Objects != 1 || c.keys(c.from) != "" {
			t.Errorf("%+v", j)
		}
	})
}

// TestLedgerHangs: where a write of the ledger does not return, jobs begin, end and are stopped all the same, and the target ends; when it has returned
// what is known then is written.
func TestLedgerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newKept(t, 2)
		n := c.nodes["t0"]
		answers := make(chan struct{})
		n.rt.ledger.write = func(path string, b []byte) error {
			<-answers
			return durable.WriteFile(path, b)
		}
		n.gate = make(chan struct{})
		c.put(c.from, "k", 1)
		began := time.Now()
		id, err := c.jobs.Start(t.Context(), c.view, Spec{Kind: DeleteObjects, Bucket: 1, Message: json.RawMessage(`{"all":true}`)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.jobs.Stop(t.Context(), c.view, &api.JobQuery{ID: id}); err != nil {
			t.Fatal(err)
		}
		n.rt.active.Wait()
		n.gate = nil
		c.put(c.from, "k2", 1)
		j := c.run(t, DeleteObjects, 0, map[string]any{"all": true})
		if left := c.keys(c.from); left != "" || j.Aborted {
			t.Errorf("left %q: %+v", left, j)
		}
		if took := time.Since(began); took > 2*ledgerPatience+5*guardEvery {
			t.Errorf("took %v", took)
		}
		close(answers)
		synctest.Wait()
		elapse(guardEvery)
		n.stop()
		n.start()
		for id, aborted := range map[string]bool{id: true, j.UUID: false} {
			if snaps := n.rt.Query(&api.JobQuery{ID: id}); len(snaps) == 0 || snaps[0].End.IsZero() || snaps[0].Aborted != aborted {
				t.Errorf("%+v", snaps)
			}
		}
	})
}

func FuzzDecodeEntry(f *testing.F) {
	b, err := json.Marshal(&entry{Format: 1, Spec: Spec{ID: "x", Kind: DeleteObjects, Targets: []cluster.NodeID{"t"}, Message: json.RawMessage("{}")}, Shares: []Snap{{Of: "t"}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"format":1,"spec":{"id":"x","kind":"copy-bck","targets":["t"]},"shares":[{"of":"t","dst-bck":{"name":"b"}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decodeEntry(b)
		if err != nil {
			return
		}
		r := NewRuntime(Config{Self: "t"})
		r.recall(e)
		for _, s := range r.Query(&api.JobQuery{ID: e.Spec.ID}) {
			if s.ID != e.Spec.ID {
				t.Errorf("%q reports %q", e.Spec.ID, s.ID)
			}
		}
	})
}
