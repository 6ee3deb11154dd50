package fault

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aistore/api"
	"aistore/api/client"
	"aistore/deploy/local"
	"aistore/errs"
	"aistore/test/plain"
	"aistore/test/procs"
)

// diskNode is a target whose mountpaths are disks of their own, with clients.
type diskNode struct {
	*mover
	watcher
	dir   string
	disks []*loopDisk
}

// startDisks starts a gateway and a target with a disk of each kind, and fills it.
func startDisks(t *testing.T, mib int, kinds ...string) *diskNode {
	t.Helper()
	ctx := context.Background()
	n := &diskNode{dir: procs.Dir(t)}
	for i, kind := range kinds {
		mp := fmt.Sprintf("mp%d", i+1)
		n.disks = append(n.disks, loopDiskAt(t, kind, filepath.Join(n.dir, mp+".img"), filepath.Join(n.dir, victim, mp), mib))
	}
	c := procs.Start(t, local.Options{Dir: n.dir, Gateways: 1, Targets: 1, Mountpaths: len(kinds)})
	n.mover = newMover(t, c, procs.Seed(t), c.Clients()...)
	n.watcher = watcher{t: t, gw: n.mover.gw, api: n.mover.api, node: c.Client(victim)}
	n.set(ctx, "disk.probe", "500ms")
	return n
}

func (n *diskNode) set(ctx context.Context, key, val string) {
	n.mover.t.Helper()
	n.retried(ctx, func(ctx context.Context) error { return n.mover.gw.Configure(ctx, key, val) })
}

// only looks at one of the disks from now on, and returns which kept objects are on it.
func (n *diskNode) only(ctx context.Context, d *loopDisk) (there, elsewhere []string) {
	n.mover.t.Helper()
	n.mp = d.dir
	n.change(ctx, api.ActMountpathDisable)
	for name := range n.kept {
		switch _, err := n.mover.gw.Head(ctx, "kept", name); {
		case err == nil:
			elsewhere = append(elsewhere, name)
		case plain.Status(err) == http.StatusServiceUnavailable:
			there = append(there, name)
		default:
			n.mover.t.Fatal(err)
		}
	}
	n.back(ctx)
	if slices.Sort(there); len(there) < 5 || len(elsewhere) < 5 {
		n.mover.t.Fatalf("%d objects are on %s, %d are not", len(there), d.dir, len(elsewhere))
	}
	return there, elsewhere
}

// back enables the mountpath and waits until all names are at home.
func (n *diskNode) back(ctx context.Context) {
	n.mover.t.Helper()
	n.await("enabled", func(ctx context.Context) error {
		_, err := n.watcher.api.ChangeMountpath(ctx, victim, api.ActMountpathEnable, n.mp, client.MountpathOptions{})
		if errs.Is(err, errs.Exists) {
			return nil // it is in service
		}
		return err
	})
	n.await("well", n.well)
	n.await("settled", n.settledNow)
}

// settledNow is nil when every name is at home.
func (n *diskNode) settledNow(ctx context.Context) error { return n.watcher.settled(ctx) }

// shown is nil when `ais show cluster` tells of the mountpath.
func (n *diskNode) shown(what string) error {
	cmd := exec.Command(procs.CLI(n.mover.t), "show", "cluster", "--json")
	cmd.Env = append(os.Environ(), "AIS_ENDPOINT="+n.mover.gw.Endpoint())
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, n.mp+" "+what) {
			return nil
		}
	}
	return fmt.Errorf("`ais show cluster` says nothing of %s %s: %w %s", n.mp, what, err, out)
}

// TestHungDisk lets every change of one of three disks hang. It is an alert at once and out of service after disk.give_up; the objects
// of the others are read, written, listed and deleted all the while; who asked for those on it gets an error. When it answers again
// it comes back by itself, and everything is there.
func TestHungDisk(t *testing.T) {
	ctx := context.Background()
	procs.CLI(t) // built before anything hangs
	n := startDisks(t, 200, "ext4", "ext4", "ext4")
	there, elsewhere := n.only(ctx, n.disks[1])
	stop := n.traffic(ctx)
	n.served(100)
	thaw := n.disks[1].freeze()
	began := time.Now()
	answers := n.askFor(ctx, there)
	n.work(ctx, elsewhere)
	t.Logf("after %v: the other disks' objects were worked with", time.Since(began))
	n.await("slow", func(ctx context.Context) error {
		err := n.told(ctx, "is slow: ", "enabled 1")
		if err != nil && n.told(ctx, "is disabled: ", "enabled 0") == nil {
			return nil // this test was slower
		}
		return err
	})
	t.Logf("after %v: an alert", time.Since(began))
	procs.Eventually(t, procs.Patience, func(ctx context.Context) error { return n.told(ctx, "is disabled: ", "enabled 0") })
	must(t, n.shown("is disabled: "))
	t.Logf("after %v: out of service", time.Since(began))
	for range there {
		select {
		case err := <-answers:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(procs.Patience):
			t.Fatal("a request for an object on the disk that hangs has no answer")
		}
	}
	t.Logf("after %v: all have an answer", time.Since(began))
	n.work(ctx, elsewhere)
	for i, name := range there {
		one, cancel := context.WithTimeout(ctx, time.Minute)
		b, _, err := n.mover.gw.Get(one, "kept", name)
		cancel()
		if err == nil {
			err = n.kept[name].Check(b, 0)
		}
		if err != nil && plain.Status(err) != http.StatusServiceUnavailable {
			t.Errorf("%s is on the disk that hangs: %v", name, err)
		}
		if i%3 == 0 { // the others take it
			must(t, check(n.mover.gw.Put(ctx, "kept", name, n.kept[name].Bytes())))
		}
	}
	if !long() {
		n.set(ctx, "disk.give_up", "1s") // as long must it answer
	}
	thaw()
	took := n.await("back by itself", n.well)
	t.Logf("%v after it answered: back", took)
	n.await("settled", n.settledNow)
	stop()
	n.end(ctx, n.dir)
}

// work reads and overwrites objects, writes, lists and deletes others: what is not on the disk that hangs goes on.
func (n *diskNode) work(ctx context.Context, names []string) {
	n.mover.t.Helper()
	var all sync.WaitGroup
	each := make(chan string)
	for range 4 {
		all.Go(func() {
			for name := range each {
				ctx, cancel := context.WithTimeout(ctx, time.Minute)
				b, _, err := n.mover.gw.Get(ctx, "kept", name)
				if err == nil {
					err = n.kept[name].Check(b, 0)
				}
				if err == nil {
					err = check(n.mover.gw.Put(ctx, "kept", name, n.kept[name].Bytes()))
				}
				if err != nil {
					n.mover.t.Errorf("%s, which is on another disk: %v", name, err)
				}
				cancel()
			}
		})
	}
	for _, name := range names {
		each <- name
	}
	close(each)
	all.Wait()
}

// askFor changes objects, without waiting: each answer comes later, and is nil if it is one.
func (n *diskNode) askFor(ctx context.Context, names []string) <-chan error {
	answers := make(chan error, len(names))
	for i, name := range names {
		v := n.kept[name]
		go func() {
			ctx, cancel := context.WithTimeout(ctx, procs.Patience)
			defer cancel()
			var err error
			what := "put"
			if i%2 == 0 {
				err = check(n.mover.gw.Put(ctx, "kept", name, v.Bytes()))
			} else {
				what = "read"
				_, _, err = n.mover.gw.Get(ctx, "kept", name)
			}
			if plain.Status(err) == 0 && err != nil || plain.Status(err) == http.StatusNotFound {
				answers <- fmt.Errorf("%s of %s, %d bytes: %w", what, name, v.Size, err)
				return
			}
			answers <- nil
		}()
	}
	return answers
}
