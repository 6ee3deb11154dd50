// Command demo shows what clients notice while nodes and disks come and go: a cluster of processes on this machine under traffic that is
// verified, an event, and how deep and for how long throughput dipped, with the errors (0) and lost objects (0) that clients saw.
//
//	go run ./deploy/demo cp-rmnode-rebalance    a bucket is copied while a random target goes through maintenance and returns
//	go run ./deploy/demo grow-shrink            two targets join, then two leave for ever
//	go run ./deploy/demo lose-mountpath         a mountpath of a target is disabled and comes back
//
// Everything lies below a temporary directory, in which 8 GiB must be free, is bounded in time, and is removed.
package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"aistore/api"
	"aistore/api/client"
	"aistore/deploy/local"
	"aistore/errs"
)

func main() {
	port := flag.Int("port", 18800, "public `PORT` of the gateway; the targets follow")
	quiet := flag.Duration("quiet", 4*time.Second, "traffic before and after the event, for `DURATION`")
	objects := flag.Int("objects", 600, "`N` objects that the traffic reads, overwrites and deletes")
	limit := flag.Duration("limit", 4*time.Minute, "give up after `DURATION`, not counting the build")
	flag.Usage = func() {
		fmt.Fprintf(os.Stderr, "usage: demo [FLAGS] %s\n", strings.Join(slices.Sorted(maps.Keys(scenes())), " | "))
		flag.PrintDefaults()
	}
	flag.Parse()
	scene, ok := scenes()[flag.Arg(0)]
	if !ok {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := buildAndRun(ctx, *limit, func(ctx context.Context, dir, node string) error {
		return run(ctx, scene, dir, node, *port, *objects, *quiet)
	})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// stage is a running cluster with traffic.
type stage struct {
	cluster *local.Cluster
	sdk     *client.Client
	traffic *traffic
}

// scenes are the demonstrations by name: what happens while the traffic goes on.
func scenes() map[string]func(context.Context, *stage) error {
	return map[string]func(context.Context, *stage) error{
		"cp-rmnode-rebalance": maintenance, "grow-shrink": growShrink, "lose-mountpath": loseMountpath,
	}
}

// buildAndRun gives show a directory and an aisnode in it. The limit is of the show: how long a compiler takes says nothing of the cluster.
func buildAndRun(ctx context.Context, limit time.Duration, show func(ctx context.Context, dir, node string) error) error {
	dir, err := os.MkdirTemp("", "aisdemo")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // it lies among the temporary files
	free, err := freeSpace(dir)
	if err == nil {
		err = enough(free, filepath.Dir(dir))
	}
	if err != nil {
		return err
	}
	fmt.Printf("building aisnode; up to %d GiB are used below %s, and removed\n", needed>>30, dir)
	node, err := local.Build(ctx, dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return show(ctx, dir, node)
}

// needed is what the largest cluster takes, 7 targets with 3 mountpaths: most of it is what each mountpath keeps in reserve.
const needed = 8 << 30

// enough refuses to start where the disk would fill up in the middle.
func enough(free int64, dir string) error {
	if free >= needed {
		return nil
	}
	return errs.F("demo", dir, errs.Full, "has %.1f GiB free, and up to %d GiB are needed for a while: free some, or set TMPDIR to a directory with more", float64(free)/(1<<30), needed>>30)
}

// freeSpace is what may still be written below dir.
func freeSpace(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, errs.E("demo", dir, err)
	}
	return int64(st.Bavail) * st.Bsize, nil //nolint:gosec // no disk is that large
}

func run(ctx context.Context, scene func(context.Context, *stage) error, dir, node string, port, objects int, quiet time.Duration) (err error) {
	fmt.Println("starting 1 gateway and 5 targets with 3 mountpaths each")
	c, err := local.Up(ctx, local.Options{Dir: filepath.Join(dir, "cluster"), Gateways: 1, Targets: 5, Mountpaths: 3, Port: port, Binary: node, LogLevel: "warn"})
	if err != nil {
		return err
	}
	defer func() {
		down, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		if derr := c.Down(down); err == nil {
			err = derr
		}
	}()
	sdk, err := client.New(client.Options{Endpoints: []string{c.Endpoint()}})
	if err != nil {
		return err
	}
	defer sdk.Close()
	s := &stage{cluster: c, sdk: sdk}
	if s.traffic, err = newTraffic(ctx, sdk, objects); err != nil {
		return err
	}
	return s.play(ctx, scene, quiet)
}

// play runs the traffic before, during and after the scene, and reports.
func (s *stage) play(ctx context.Context, scene func(context.Context, *stage) error, quiet time.Duration) error {
	s.traffic.start(ctx)
	if err := sleep(ctx, quiet); err != nil {
		return err
	}
	began := time.Now()
	err := scene(ctx, s)
	ended := time.Now()
	if err == nil {
		err = sleep(ctx, quiet)
	}
	s.traffic.end()
	if err != nil {
		return err
	}
	lost, err := s.traffic.audit(ctx)
	if err != nil {
		return err
	}
	s.traffic.report(os.Stdout, began, ended)
	check, err := s.sdk.Life().Check(ctx, client.CheckOptions{})
	if err != nil {
		return err
	}
	fmt.Printf("cluster check:  %d objects, %d misplaced, %d missing, %d surplus, %d corrupt\n", check.Checked, check.Misplaced, check.Missing, check.Surplus, check.Corrupt)
	fmt.Printf("errors:         %d\nlost objects:   %d\n", s.traffic.failed.Load(), lost)
	if s.traffic.failed.Load() > 0 || lost > 0 || check.Faults() > 0 {
		return errs.F("demo", "traffic", errs.Corrupt, "clients noticed: %v", s.traffic.firstFault())
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// settled waits until no name is on its way any more.
func (s *stage) settled(ctx context.Context) error {
	for began := time.Now(); ; {
		r, err := s.sdk.Life().Rebalance(ctx)
		if err == nil && !r.Running {
			fmt.Printf("  rebalance %s has ended after %v: %d objects, %d bytes moved, %d objects were there\n", r.ID, time.Since(began).Round(100*time.Millisecond), r.Objects, r.Bytes, r.PresentObjects)
			return nil
		}
		if serr := sleep(ctx, 100*time.Millisecond); serr != nil {
			return serr
		}
	}
}

func maintenance(ctx context.Context, s *stage) error {
	from := s.sdk.Bucket("traffic")
	to := s.sdk.Bucket("copied")
	if err := to.Create(ctx, nil); err != nil {
		return err
	}
	job, err := from.CopyBucket(ctx, to, api.CopyMsg{Prefix: "still/"})
	if err != nil {
		return err
	}
	id := fmt.Sprintf("t%d", 1+time.Now().UnixNano()%5)
	fmt.Printf("copying the bucket; %s goes into maintenance\n", id)
	if _, err := s.sdk.Life().StartMaintenance(ctx, api.NodesMsg{SID: id}); err != nil {
		return err
	}
	if err := s.settled(ctx); err != nil {
		return err
	}
	if err := job.Wait(ctx); err != nil {
		return err
	}
	fmt.Printf("the copy is done; %s returns\n", id)
	if _, err := s.sdk.Life().StopMaintenance(ctx, api.NodesMsg{SID: id}); err != nil {
		return err
	}
	if err := s.settled(ctx); err != nil {
		return err
	}
	return s.traffic.auditStill(ctx, to)
}

func growShrink(ctx context.Context, s *stage) error {
	fmt.Println("two targets join")
	added, err := s.cluster.Add(ctx, local.RoleTarget, local.More{Count: 2})
	if err != nil {
		return err
	}
	if err := s.joined(ctx, added); err != nil {
		return err
	}
	var ids []string
	for _, n := range added {
		ids = append(ids, n.ID)
	}
	fmt.Printf("%s leave for ever\n", strings.Join(ids, " and "))
	if _, err := s.sdk.Life().DecommissionNodes(ctx, api.NodesMsg{Nodes: ids, RmUserData: true}); err != nil {
		return err
	}
	return s.settled(ctx)
}

// joined waits until the nodes are in service and all has settled.
func (s *stage) joined(ctx context.Context, added []local.Node) error {
	for {
		v, err := s.sdk.View(ctx)
		if err == nil {
			in := 0
			for _, n := range v.Map.Targets() {
				if slices.ContainsFunc(added, func(a local.Node) bool { return a.ID == string(n.ID) }) {
					in++
				}
			}
			if in == len(added) {
				return s.settled(ctx)
			}
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// loseMountpath takes a disk out of a target, which empties it first, and puts it in again.
func loseMountpath(ctx context.Context, s *stage) error {
	id := fmt.Sprintf("t%d", 1+time.Now().UnixNano()%5)
	status, err := s.sdk.NodeStatus(ctx, id)
	if err != nil {
		return err
	}
	path := status.Mountpaths.Available[0]
	fmt.Printf("%s is taken out of %s\n", filepath.Base(path), id)
	for _, action := range []string{api.ActMountpathDetach, api.ActMountpathAttach} {
		if _, err := s.sdk.ChangeMountpath(ctx, id, action, path, client.MountpathOptions{}); err != nil {
			return err
		}
		if err := s.resilvered(ctx, id); err != nil {
			return err
		}
		fmt.Printf("  %s: every object is at home\n", action)
	}
	return nil
}

// resilvered waits until no name of a node is on its way between its mountpaths.
func (s *stage) resilvered(ctx context.Context, id string) error {
	for {
		status, err := s.sdk.NodeStatus(ctx, id)
		if err == nil && (status.Mountpaths.Resilver == nil || !status.Mountpaths.Resilver.Running) {
			return nil
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}
