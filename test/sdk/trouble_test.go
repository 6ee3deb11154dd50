package sdk

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aistore/api/client"
	"aistore/errs"
)

// traffic writes, reads and deletes names of its own with each worker until stop is closed, and fails on any error and on
// any byte that is not what was put last.
func traffic(t *testing.T, b *client.Bucket, workers int) (counted *atomic.Int64, stop func()) {
	t.Helper()
	var wg sync.WaitGroup
	var done atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	for w := range workers {
		wg.Go(func() {
			for i := uint64(0); ctx.Err() == nil; i++ {
				key := fmt.Sprintf("w%d/%d", w, i%10)
				data := noise(i*100+uint64(w), int(i*7919%300_000))
				if err := cycle(b, key, data, i%10 == 9); err != nil {
					t.Errorf("%s: %v", key, err)
					return
				}
				done.Add(1)
			}
		})
	}
	return &done, func() { cancel(); wg.Wait() }
}

// cycle uses a context of its own: the test's end must not look like a failure.
func cycle(b *client.Bucket, key string, data []byte, remove bool) error {
	ctx := context.Background()
	if _, err := b.Put(ctx, key, client.Bytes(data), client.PutOptions{}); err != nil {
		return err
	}
	got, _, err := b.GetBytes(ctx, key, client.GetOptions{})
	if err != nil {
		return err
	}
	if !bytes.Equal(got, data) {
		return fmt.Errorf("read %d bytes that are not the %d just put", len(got), len(data))
	}
	if !remove {
		return nil
	}
	if err := b.Delete(ctx, key, client.DeleteOptions{}); err != nil {
		return err
	}
	if _, err := b.Head(ctx, key, client.GetOptions{}); !errs.Is(err, errs.NotFound) {
		return fmt.Errorf("still there after its deletion: %w", err)
	}
	return nil
}

// pass waits until n more operations are through.
func pass(t *testing.T, done *atomic.Int64, n int64) {
	t.Helper()
	for until := done.Load() + n; done.Load() < until; {
		if t.Failed() {
			t.FailNow()
		}
		time.Sleep(5 * time.Millisecond) // the workers do the work; this only looks on
	}
}

// TestTargetRestarts kills and restarts every target in turn under load: no operation fails.
func TestTargetRestarts(t *testing.T) {
	c := start(t, 1, 3)
	done, stop := traffic(t, bucket(t, dial(t, c, nil), "bkt", nil), 4)
	defer stop()
	pass(t, done, 20)
	for _, n := range c.Nodes() {
		if n.Role != "target" {
			continue
		}
		if err := c.Kill(t.Context(), n.ID); err != nil {
			t.Fatal(err)
		}
		if err := c.Start(t.Context(), n.ID); err != nil {
			t.Fatal(err)
		}
		pass(t, done, 40)
	}
}

// voters waits until a new cluster has n voters: before that the loss of its founder is final.
func voters(t *testing.T, cl *client.Client, n int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		v, err := cl.View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, n := range v.Map.Nodes {
			if n.Voter {
				found++
			}
		}
		if found >= n {
			return
		}
	}
	t.Fatalf("the cluster has not %d voters after a minute", n)
}

// TestGatewayLoss: the first of three gateways, which is the only endpoint the client knows and the primary, goes for good.
func TestGatewayLoss(t *testing.T) {
	c := start(t, 3, 2)
	cl := dial(t, c, nil)
	voters(t, cl, 3)
	b := bucket(t, cl, "bkt", nil)
	done, stop := traffic(t, b, 4)
	defer stop()
	pass(t, done, 20)
	if err := c.Kill(t.Context(), c.Nodes()[0].ID); err != nil {
		t.Fatal(err)
	}
	pass(t, done, 100)
	if err := cl.Bucket("made-without-it").Create(t.Context(), nil); err != nil {
		t.Errorf("create: %v", err)
	}
	n := 0
	for _, err := range b.List(t.Context(), client.ListOptions{PageSize: 3}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n == 0 {
		t.Error("listed nothing")
	}
}

// TestResume cuts connections on the client's side in the middle of what they carry; reads go on where they stopped.
func TestResume(t *testing.T) {
	c := start(t, 1, 3)
	var dialer net.Dialer
	var limit, cuts atomic.Int64
	limit.Store(1 << 40)
	weak := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := dialer.DialContext(ctx, network, addr)
		return &weakConn{Conn: nc, left: &limit, cuts: &cuts}, err
	}}
	defer weak.CloseIdleConnections()
	cl := dial(t, c, func(o *client.Options) { o.Transport = weak })
	b := bucket(t, cl, "bkt", nil)
	data := noise(1, 8<<20)
	if _, err := b.Put(t.Context(), "k", client.Bytes(data), client.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{3 << 20, 100_000, 7 << 20} {
		limit.Store(at)
		before := cuts.Load()
		got, _, err := b.GetBytes(t.Context(), "k", client.GetOptions{})
		limit.Store(1 << 40)
		if err != nil || !bytes.Equal(got, data) || cuts.Load() == before {
			t.Errorf("cut after %d bytes: %d bytes, %d cuts, %v", at, len(got), cuts.Load()-before, err)
		}
	}
	// The object is replaced between the cut and the resumption.
	limit.Store(2 << 20)
	r, err := b.Get(t.Context(), "k", client.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.CopyN(io.Discard, r, 1<<20); err != nil {
		t.Fatal(err)
	}
	other := dial(t, c, nil)
	if _, err := other.Bucket("bkt").Put(t.Context(), "k", client.Bytes([]byte("new")), client.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "replaced") {
		t.Errorf("replaced during the read: %v", err)
	}
}

// weakConn breaks when the common budget of bytes is used up; each break gives a new budget.
type weakConn struct {
	net.Conn
	left, cuts *atomic.Int64
}

func (c *weakConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.left.Add(-int64(n)) < 0 {
		c.left.Store(1 << 40)
		c.cuts.Add(1)
		_ = c.Conn.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}
