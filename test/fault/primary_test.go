package fault

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"aistore/deploy/local"
	"aistore/test/linear"
	"aistore/test/plain"
	"aistore/test/procs"
)

// resumeWithin bounds how long the loss of the primary may keep control changes from being made.
const resumeWithin = 10 * time.Second

// primary returns the id of the primary as c knows it.
func primary(ctx context.Context, t *testing.T, c *plain.Client) string {
	t.Helper()
	m, err := c.Smap(ctx)
	must(t, err)
	if m.Primary == nil {
		t.Fatal("the cluster map names no primary")
	}
	return m.Primary.ID
}

// TestPrimaryLost kills the primary during a load: requests through other gateways go on, and so do control changes
// after a while.
func TestPrimaryLost(t *testing.T) {
	ctx := context.Background()
	seed := procs.Seed(t)
	dir := procs.Dir(t)
	c := procs.Start(t, local.Options{Dir: dir, Gateways: 3, Targets: 3, Mountpaths: 1})
	must(t, c.Client("g1").CreateBucket(ctx, "data"))
	history := linear.NewHistory()
	names := linear.Names(60)
	for round := range rounds(2, 8) {
		lost := primary(ctx, t, c.Client("g2"))
		if !strings.HasPrefix(lost, "g") { // targets vote too when there are five nodes, but the loss of one loses objects
			lost = "g1"
			handOver(ctx, t, c, lost)
		}
		var ids, gateways []string // of those who stay
		for _, n := range c.Nodes() {
			if n.ID != lost {
				ids = append(ids, n.ID)
			}
			if n.ID != lost && n.Role == local.RoleProxy {
				gateways = append(gateways, n.ID)
			}
		}
		l := &linear.Load{Clients: linear.Plain(c.Clients(ids...)...), Listers: linear.Plain(c.Clients(gateways...)...), Bucket: "data", Names: names, Workers: 10, Timeout: procs.Patience, Seed: seed + uint64(round), History: history}
		loading, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() { defer close(done); l.Run(loading) }()
		at := len(history.Ops())
		procs.Eventually(t, procs.Patience, func(context.Context) error { return more(history, at, 300) })

		killed := history.Now()
		must(t, c.Kill(ctx, lost))
		other := c.Client(ids[0])
		attempts := 0
		bucket := fmt.Sprintf("after-%d", round)
		resumed, err := procs.Await(4*resumeWithin, func(ctx context.Context) error {
			attempts++
			ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			err := other.CreateBucket(ctx, bucket)
			if plain.Status(err) == http.StatusConflict { // an attempt that was not answered has been made after all
				return nil
			}
			return err
		})
		if err != nil || resumed > resumeWithin {
			t.Errorf("round %d: a bucket could be created %v after the primary was lost (%v), want %v", round, resumed, err, resumeWithin)
		}
		at = len(history.Ops())
		procs.Eventually(t, procs.Patience, func(context.Context) error { return more(history, at, 300) })
		stop()
		<-done
		during, failed := 0, 0
		for _, o := range history.Ops() {
			if o.Return < killed {
				continue
			}
			during++
			if o.Result == linear.Nothing || o.Result == linear.Unknown {
				if failed++; failed <= 10 {
					t.Errorf("round %d: failed without a primary: %v", round, o)
				}
			}
		}
		t.Logf("round %d: %s lost; %d requests meanwhile through others, %d failed; control changes resumed after %v (%d attempts)",
			round, lost, during, failed, resumed.Round(time.Millisecond), attempts)
		must(t, c.Start(ctx, lost))
		if p := primary(ctx, t, c.Client(lost)); p == "" {
			t.Error("the former primary knows no primary")
		}
		must(t, l.Audit(ctx))
	}
	judge(t, dir, history)
}

func more(h *linear.History, than, n int) error {
	if got := len(h.Ops()) - than; got < n {
		return fmt.Errorf("%d of %d requests made", got, n)
	}
	return nil
}

// handOver makes the node the primary and returns when every gateway knows.
func handOver(ctx context.Context, t *testing.T, c *procs.Cluster, to string) {
	t.Helper()
	_, err := c.Client("g1").Action(ctx, http.MethodPut, "/v1/cluster/proxy/"+to, "", nil)
	must(t, err)
	for _, viewer := range c.Gateways() {
		procs.Eventually(t, procs.Patience, func(ctx context.Context) error {
			m, err := viewer.Smap(ctx)
			if err == nil && (m.Primary == nil || m.Primary.ID != to) {
				err = fmt.Errorf("%s does not see %s as the primary", viewer.Endpoint(), to)
			}
			return err
		})
	}
}

// TestPrimaryHandedOver moves the primary by command during a load: nobody notices.
func TestPrimaryHandedOver(t *testing.T) {
	ctx := context.Background()
	seed := procs.Seed(t)
	dir := procs.Dir(t)
	c := procs.Start(t, local.Options{Dir: dir, Gateways: 3, Targets: 2, Mountpaths: 1})
	must(t, c.Client("g1").CreateBucket(ctx, "data"))
	l := &linear.Load{Clients: linear.Plain(c.Clients()...), Listers: linear.Plain(c.Gateways()...), Bucket: "data", Names: linear.Names(40), Workers: 8, Seed: seed, History: linear.NewHistory()}
	loading, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); l.Run(loading) }()
	for _, to := range []string{"g2", "g3", "g1"} {
		handOver(ctx, t, c, to)
		at := len(l.History.Ops())
		procs.Eventually(t, procs.Patience, func(context.Context) error { return more(l.History, at, 100) })
	}
	stop()
	<-done
	for _, o := range l.History.Ops() {
		if o.Result == linear.Nothing || o.Result == linear.Unknown {
			t.Errorf("failed during the hand-over: %v", o)
		}
	}
	must(t, l.Audit(ctx))
	judge(t, dir, l.History)
}
