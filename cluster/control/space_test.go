package control

import (
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"aistore/cluster"
	"aistore/errs"
)

// TestFullDirectory: while the disk of the primary's directory is full, changes that make the state longer are refused by kind and name,
// the node says so, and what frees space or keeps the cluster going is done.
func TestFullDirectory(t *testing.T) {
	tc := newCluster(t)
	var free atomic.Int64
	free.Store(1 << 30)
	g1 := tc.start("g1", cluster.RoleProxy, func(c *Config) {
		c.space = func(string) (int64, int64) { return free.Load(), 1 << 40 }
		c.Bootstrap = true
	})
	create := func(name string) error {
		_, err := g1.Propose(soon(t), cluster.CreateBucket{Name: name})
		return err
	}
	alerted := func() bool {
		r := g1.reported.Load()
		return r != nil && len(r.Alerts) == 1 && strings.Contains(r.Alerts[0], "is full")
	}
	g1.reigning()
	if err := create("before"); err != nil {
		t.Fatal(err)
	}
	free.Store(spaceKept - 1)
	eventually(t, "the alert", alerted)
	if err := create("full"); !errs.Is(err, errs.Full) || !strings.Contains(err.Error(), g1.cfg.Dir) {
		t.Errorf("a bucket on a full disk: %v", err)
	}
	for _, cmd := range []cluster.Command{cluster.DestroyBucket{Name: "before"}, cluster.SetConfig{Set: map[string]string{"list.page_size": "7"}}} {
		if _, err := g1.Propose(soon(t), cmd); err != nil {
			t.Errorf("%s on a full disk: %v", cmd.Op(), err)
		}
	}
	free.Store(spaceKept)
	eventually(t, "the end of the alert", func() bool { return !alerted() })
	if err := create("after"); err != nil {
		t.Errorf("when there is space again: %v", err)
	}
}

// TestRemovedDirectory: a primary whose directory was removed takes nothing any more that it would lose, and says so.
func TestRemovedDirectory(t *testing.T) {
	tc := newCluster(t)
	g1 := tc.start("g1", cluster.RoleProxy, func(c *Config) { c.Bootstrap = true })
	g1.reigning()
	if err := os.RemoveAll(g1.cfg.Dir); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the alert", func() bool {
		r := g1.reported.Load()
		return r != nil && len(r.Alerts) == 1 && strings.Contains(r.Alerts[0], "was removed or replaced")
	})
	if _, err := g1.Propose(soon(t), cluster.CreateBucket{Name: "lost"}); !errs.Is(err, errs.Mountpath) || !strings.Contains(err.Error(), g1.cfg.Dir) {
		t.Errorf("a bucket that would be lost: %v", err)
	}
}
