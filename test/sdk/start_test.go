package sdk

import (
	"context"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"aistore/api/client"
	"aistore/deploy/local"
	"aistore/errs"
)

// binary builds aisnode once for all tests of this package.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "aistore-sdk-")
	if err != nil {
		return "", err
	}
	return local.Build(context.Background(), dir)
})

func TestMain(m *testing.M) {
	code := m.Run()
	if bin, err := binary(); err == nil {
		_ = os.RemoveAll(bin[:len(bin)-len("/aisnode")])
	}
	os.Exit(code)
}

// start runs a cluster of g gateways and n targets with two mountpaths each until the test ends.
func start(t *testing.T, g, n int) *local.Cluster {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	var c *local.Cluster
	for range 20 {
		c, err = local.Up(t.Context(), local.Options{
			Dir: t.TempDir(), Gateways: g, Targets: n, Mountpaths: 2, Port: freePorts(t, g+n), Binary: bin, CacheSize: "16MiB",
		})
		if !errs.Is(err, errs.Conflict) { // somebody was faster to a port
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.KillAll(context.Background()); err != nil {
			t.Error(err)
		}
		if !t.Failed() {
			return
		}
		for _, n := range c.Nodes() {
			path, err := c.Logs(n.ID)
			if err != nil {
				continue
			}
			text, _ := os.ReadFile(path) // a node that never started has none
			t.Logf("log of %s ends:\n%s", n.ID, text[max(0, len(text)-2000):])
		}
	})
	return c
}

// freePorts finds n ports in a row that nobody listens on, below the range of ephemeral ports.
func freePorts(t *testing.T, n int) int {
	t.Helper()
next:
	for range 100 {
		first := 23100 + rand.IntN(80)*10
		for p := first; p < first+n; p++ {
			ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: p})
			if err != nil {
				continue next
			}
			_ = ln.Close()
		}
		return first
	}
	t.Fatal("no free ports from 23100 to 23910")
	return 0
}

// dial returns a client of the cluster.
func dial(t *testing.T, c *local.Cluster, edit func(*client.Options)) *client.Client {
	t.Helper()
	o := client.Options{Endpoints: []string{c.Endpoint()}, Retry: client.Retry{Attempts: 1000, Within: time.Minute, Max: 500 * time.Millisecond}}
	if edit != nil {
		edit(&o)
	}
	cl, err := client.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// bucket makes a bucket.
func bucket(t *testing.T, c *client.Client, name string, props client.Props) *client.Bucket {
	t.Helper()
	b := c.Bucket(name)
	if err := b.Create(t.Context(), props); err != nil {
		t.Fatal(err)
	}
	return b
}
