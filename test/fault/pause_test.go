package fault

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"aistore/deploy/local"
	"aistore/internal/failpoint"
	"aistore/test/linear"
	"aistore/test/plain"
	"aistore/test/procs"
	"aistore/test/value"
)

// Short times, so that a lease runs out while one watches.
const (
	heartbeat = 200 * time.Millisecond
	lease     = 2 * time.Second // no shorter: a busy machine can keep a node from running for a while
)

// hasten makes the cluster judge its nodes by heartbeat and lease. It returns when no lease is left that was granted
// for longer.
func hasten(t *testing.T, c *procs.Cluster) {
	t.Helper()
	gw := c.Client("g1")
	must(t, gw.Configure(context.Background(), "timeout.heartbeat", heartbeat.String()))
	must(t, gw.Configure(context.Background(), "timeout.lease", lease.String()))
	for _, cl := range c.Clients() {
		procs.Eventually(t, procs.Patience, func(ctx context.Context) error {
			left, err := cl.Metric(ctx, "ais_lease_left_seconds")
			if err == nil && left > lease.Seconds() {
				err = fmt.Errorf("%s has a lease for %v s more", cl.Endpoint(), left)
			}
			return err
		})
	}
}

// pause stops nodes and returns when they stand still.
func pause(t *testing.T, c *procs.Cluster, ids ...string) {
	t.Helper()
	for _, id := range ids {
		must(t, c.Signal(id, syscall.SIGSTOP))
	}
	for _, id := range ids {
		pid := c.PID(id)
		procs.Eventually(t, procs.Patience, func(context.Context) error { return stopped(pid) })
	}
}

// written puts an object. Leases are short here, so an attempt may be refused on a busy machine.
func written(t *testing.T, c *plain.Client, bucket, name string, body []byte) {
	t.Helper()
	procs.Eventually(t, procs.Patience, func(ctx context.Context) error { return check(c.Put(ctx, bucket, name, body)) })
}

// alive returns nil once the cluster map that c serves shows the target as want says.
func alive(c *plain.Client, id string, want bool) func(context.Context) error {
	return func(ctx context.Context) error {
		m, err := c.Smap(ctx)
		if err == nil && m.Targets[id].Alive != want {
			err = fmt.Errorf("alive is %v of %s", !want, id)
		}
		return err
	}
}

// TestPausedTarget stops a target in the midst of a load until it counts as dead, and wakes it: what it then answers
// to requests that waited in its sockets must fit what everybody else saw.
func TestPausedTarget(t *testing.T) {
	ctx := context.Background()
	seed := procs.Seed(t)
	dir := procs.Dir(t)
	c := procs.Start(t, local.Options{Dir: dir, Gateways: 1, Targets: 3, Mountpaths: 2})
	gw := c.Client("g1")
	hasten(t, c)
	must(t, gw.CreateBucket(ctx, "pause"))
	n, err := c.Node(victim)
	must(t, err)
	must(t, gw.CreateBucket(ctx, "probes"))
	name := ownedBy(t, gw, n.URL(), "probes", "probe", 1)[0]
	l := &linear.Load{Clients: linear.Plain(c.Clients()...), Listers: linear.Plain(c.Gateways()...), Bucket: "pause", Names: linear.Names(40), Workers: 10, Timeout: time.Minute, Seed: seed, History: linear.NewHistory()}
	loading, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); l.Run(loading) }()
	for round := range rounds(2, 10) {
		pause(t, c, victim)
		dead := procs.Eventually(t, procs.Patience, alive(gw, victim, false))
		began := time.Now()
		_, err := gw.Put(ctx, "probes", name, value.Value{ID: 1, Size: 100}.Bytes())
		if plain.Status(err) != http.StatusServiceUnavailable {
			t.Errorf("a write to a dead owner gave %v, want 503", err)
		} else if h := refusal(err).Header.Get("Retry-After"); h == "" {
			t.Error("503 without Retry-After")
		}
		refused := time.Since(began)
		must(t, c.Signal(victim, syscall.SIGCONT))
		back := procs.Eventually(t, procs.Patience, func(ctx context.Context) error {
			_, err := gw.Put(ctx, "probes", name, value.Value{ID: 2, Size: 100}.Bytes())
			return err
		})
		t.Logf("round %d: counted dead after %v, write refused in %v, served again %v after it went on", round,
			dead.Round(time.Millisecond), refused.Round(time.Millisecond), back.Round(time.Millisecond))
	}
	stop()
	<-done
	must(t, l.Audit(ctx))
	judge(t, dir, l.History)
}

func refusal(err error) *plain.Refusal {
	r, ok := err.(*plain.Refusal) //nolint:errorlint // made by plain, never wrapped
	if !ok {
		return &plain.Refusal{Header: http.Header{}}
	}
	return r
}

// TestLeaseRunsOut takes the control plane away from a target: it may serve until its lease ends and not a request
// longer, and serves again when the others are back.
func TestLeaseRunsOut(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c := procs.Start(t, local.Options{Gateways: 1, Targets: 2, Mountpaths: 1})
	gw, direct := c.Client("g1"), c.Client(victim)
	hasten(t, c)
	must(t, gw.CreateBucket(ctx, "lease"))
	name := ownedBy(t, gw, direct.Endpoint(), "lease", "x", 1)[0]
	body := value.Value{ID: 1, Size: 1000}.Bytes()
	written(t, direct, "lease", name, body)
	pause(t, c, "g1", "t2")
	stopped := time.Now()
	served := 0
	procs.Eventually(t, procs.Patience, func(ctx context.Context) error {
		called := time.Now()
		_, perr := direct.Put(ctx, "lease", name, body)
		_, _, gerr := direct.Get(ctx, "lease", name)
		late := called.Sub(stopped) > lease // which began when the heartbeat was sent
		if late && perr == nil {
			t.Errorf("a write was acknowledged %v after the last heartbeat could be answered", called.Sub(stopped))
		}
		if late && gerr == nil {
			t.Errorf("a read was served %v after the last heartbeat could be answered", called.Sub(stopped))
		}
		if perr == nil && gerr == nil {
			served++
		}
		for _, err := range []error{perr, gerr} {
			if err != nil && plain.Status(err) != http.StatusServiceUnavailable {
				t.Errorf("without a lease: %v, want 503", err)
			}
		}
		if called.Sub(stopped) < lease+2*time.Second {
			return fmt.Errorf("still watching")
		}
		return nil
	})
	if served == 0 {
		t.Error("nothing was served while the lease held")
	}
	for _, id := range []string{"g1", "t2"} {
		must(t, c.Signal(id, syscall.SIGCONT))
	}
	took := procs.Eventually(t, procs.Patience, func(ctx context.Context) error {
		_, err := gw.Put(ctx, "lease", name, body)
		return err
	})
	t.Logf("%d pairs of requests served before the lease ended; served again after %v", served, took.Round(time.Millisecond))
}

// TestWakesWithoutLease stops a target inside a PUT, at each failpoint on its way, until its lease is over, and wakes
// it alone: it cannot know whether it still owns the name, so it must not acknowledge.
func TestWakesWithoutLease(t *testing.T) {
	t.Parallel()
	points, err := failpoint.Scan(os.DirFS("../.."))
	must(t, err)
	ctx := context.Background()
	c := procs.Start(t, local.Options{Gateways: 1, Targets: 2, Mountpaths: 1, Binary: procs.Node(t, "failpoints")})
	gw, direct := c.Client("g1"), c.Client(victim)
	hasten(t, c)
	must(t, gw.CreateBucket(ctx, "wake"))
	name := ownedBy(t, gw, direct.Endpoint(), "wake", "x", 1)[0]
	for _, p := range points {
		if !strings.HasPrefix(p.Name, "put.") {
			continue
		}
		t.Run(p.Name, func(t *testing.T) {
			must(t, c.Restart(ctx, victim))
			old, fresh := value.Value{ID: 1, Size: large}, value.Value{ID: 2, Size: large}
			written(t, gw, "wake", name, old.Bytes())
			must(t, c.Restart(ctx, victim, "AIS_FAILPOINTS="+p.Name+"=stop"))
			reply := make(chan error, 1)
			var answered atomic.Bool
			go func() {
				_, err := direct.Put(ctx, "wake", name, fresh.Bytes())
				answered.Store(true)
				reply <- err
			}()
			pid := c.PID(victim)
			procs.Eventually(t, procs.Patience, func(context.Context) error {
				if answered.Load() {
					return nil
				}
				return stopped(pid)
			})
			if answered.Load() {
				<-reply
				t.Skip("a large PUT does not pass this point")
			}
			pause(t, c, "g1", "t2")
			<-time.After(lease + lease/2) // time itself is what must pass here
			must(t, c.Signal(victim, syscall.SIGCONT))
			if err := <-reply; plain.Status(err) != http.StatusServiceUnavailable {
				t.Errorf("woken without a lease it answered %v, want 503", err)
			}
			for _, id := range []string{"g1", "t2"} {
				must(t, c.Signal(id, syscall.SIGCONT))
			}
			procs.Eventually(t, procs.Patience, func(ctx context.Context) error {
				b, _, err := gw.Get(ctx, "wake", name)
				if err == nil && !bytes.Equal(b, old.Bytes()) && !bytes.Equal(b, fresh.Bytes()) {
					t.Error("read neither the old nor the new content")
				}
				return err
			})
		})
	}
}

// stopped returns nil if the process is stopped by a signal.
func stopped(pid int) error {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return err
	}
	if _, rest, ok := strings.Cut(string(b), ") "); !ok || rest[0] != 'T' {
		return fmt.Errorf("process %d is in state %.1s", pid, rest)
	}
	return nil
}
