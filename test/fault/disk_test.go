package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"aistore/api"
	"aistore/api/client"
	"aistore/deploy/local"
	"aistore/test/plain"
	"aistore/test/procs"
)

// TestRealDisks breaks a disk of a running node: the node notices, `ais show cluster` and the metrics say so, all that
// was acknowledged on other disks is served, and an empty disk takes the place of the broken one. It needs root, mkfs and loop devices.
func TestRealDisks(t *testing.T) {
	for _, h := range []struct {
		name, kind, harm, metric, alert string
		mend                            string // it comes back by itself after this; "" = another disk replaces it
	}{
		{"forced shutdown", "xfs", "xfs_io -x -c shutdown DIR", "enabled 0", "is disabled: ", ""},
		{"read-only", "ext4", "mount -o remount,errors=remount-ro DIR && echo 1 > /sys/fs/ext4/NAME/trigger_fs_error", "enabled 0", "is disabled: ", ""},
		{"lazy unmount", "ext4", "umount -l DIR", "enabled 0", "is disabled: ", ""},
	} {
		t.Run(h.name, func(t *testing.T) {
			d, second := newLoopDisk(t, h.kind, 400), newLoopDisk(t, h.kind, 400)
			ctx := context.Background()
			c := procs.Start(t, local.Options{Gateways: 1, Targets: 1, Mountpaths: 1})
			w := &watcher{t: t, gw: c.Client("g1"), node: c.Client(victim), mp: d.dir + "/mp"}
			var err error
			w.api, err = client.New(client.Options{Endpoints: []string{w.gw.Endpoint()}})
			must(t, err)
			t.Cleanup(w.api.Close)
			must(t, w.gw.CreateBucket(ctx, "bk"))
			w.change(ctx, api.ActMountpathAttach)
			other := *w // of the same size, so that each has half of the names
			other.mp = second.dir + "/mp"
			other.change(ctx, api.ActMountpathAttach)
			first := *w
			n, err := c.Node(victim)
			must(t, err)
			first.mp = n.Mountpaths[0]
			first.change(ctx, api.ActMountpathDetach)
			w.await("settled", w.settled)
			body := strings.Repeat("0123456789abcdef", 20_000)
			for i := range 40 {
				_, err := w.gw.Put(ctx, "bk", fmt.Sprint(i), []byte(body))
				must(t, err)
			}
			if out, err := d.run(h.harm); err != nil {
				t.Skipf("%v %s", err, out)
			}
			if h.mend != "" {
				t.Cleanup(func() { _, _ = d.run(h.mend) }) // if the test ends before
			}
			took := w.await(h.alert, func(ctx context.Context) error { return w.told(ctx, h.alert, h.metric) })
			t.Logf("noticed within %v", took.Round(100*time.Millisecond))
			if h.mend != "" {
				out, err := d.run(h.mend)
				if err != nil {
					t.Fatalf("%v %s", err, out)
				}
			} else {
				d.replace()
				w.change(ctx, api.ActMountpathAttach)
			}
			w.await("well", w.well)
			w.await("settled", w.settled)
			lost := 0
			for i := range 40 {
				b, _, err := w.gw.Get(ctx, "bk", fmt.Sprint(i))
				switch {
				case h.mend == "" && plain.Status(err) == 404:
					lost++ // it was only on the disk that was replaced
				case err != nil || string(b) != body:
					t.Errorf("%d: %d bytes, %v", i, len(b), err)
				}
			}
			if lost == 40 || h.mend == "" && lost == 0 {
				t.Errorf("%d objects are lost with one of two disks", lost)
			}
			for i := range 40 { // all names can be written again
				_, err := w.gw.Put(ctx, "bk", fmt.Sprint(i), []byte(body))
				must(t, err)
			}
		})
	}
}

// watcher looks at a disk from outside.
type watcher struct {
	t        *testing.T
	gw, node *plain.Client
	api      *client.Client
	mp       string
}

func (w *watcher) change(ctx context.Context, action string) {
	w.t.Helper()
	if action == api.ActMountpathAttach {
		must(w.t, os.MkdirAll(w.mp, 0o755))
	}
	_, err := w.api.ChangeMountpath(ctx, victim, action, w.mp, client.MountpathOptions{})
	must(w.t, err)
}

func (w *watcher) await(what string, check func(context.Context) error) time.Duration {
	w.t.Helper()
	took, err := procs.Await(time.Minute, check)
	if err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
	return took
}

// alerts are what `ais show cluster` says of the mountpath.
func (w *watcher) alerts(ctx context.Context) (of []string, err error) {
	infos, err := w.api.Nodes(ctx)
	for i := range infos {
		for _, a := range infos[i].Alerts {
			if strings.Contains(a, w.mp+" ") {
				of = append(of, a)
			}
		}
	}
	return of, err
}

// told is nil when an alert and the metrics speak of what happened.
func (w *watcher) told(ctx context.Context, alert, metric string) error {
	as, err := w.alerts(ctx)
	if err != nil {
		return err
	}
	if !strings.Contains(strings.Join(as, "\n"), alert) {
		return fmt.Errorf("no alert %q among %q", alert, as)
	}
	name, want, _ := strings.Cut(metric, " ")
	got, err := w.node.Metric(ctx, fmt.Sprintf("ais_mountpath_%s{mountpath=%q}", name, w.mp))
	if err == nil && fmt.Sprint(got) != want {
		err = fmt.Errorf("%s is %v, not %s", name, got, want)
	}
	return err
}

func (w *watcher) well(ctx context.Context) error {
	as, err := w.alerts(ctx)
	if err == nil && len(as) > 0 {
		err = fmt.Errorf("%q", as)
	}
	return err
}

func (w *watcher) settled(ctx context.Context) error {
	s, err := w.api.NodeStatus(ctx, victim)
	if err == nil && s.Mountpaths.Resilver != nil && s.Mountpaths.Resilver.Running {
		err = errors.New("the resilver runs")
	}
	return err
}
