// Package procs runs clusters of real processes for tests, below directories of their own.
//
// It adds to deploy/local what a test wants: binaries built once for all tests of a package, free ports, a
// directory that is removed after a test that passed and kept after one that failed, a seed that is printed,
// and looks into /proc. It hurts nobody by itself; test/fault does.
//
// Start at Main and Start.
package procs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"aistore/deploy/local"
	"aistore/errs"
	"aistore/test/plain"
)

// binaries holds what has been built for the tests of this process. Tests share it as they share TestMain.
type binaries struct {
	mu   sync.Mutex
	dir  string
	node map[string]string // by build tags
}

var built = sync.OnceValue(func() *binaries { return &binaries{node: map[string]string{}} })

// Main runs the tests and removes the binaries afterwards; TestMain calls it.
func Main(m *testing.M) {
	code := m.Run()
	if d := built().dir; d != "" {
		_ = os.RemoveAll(d)
	}
	os.Exit(code)
}

// directory returns where the binaries go, made at the first call.
func (b *binaries) directory() (string, error) {
	if b.dir != "" {
		return b.dir, nil
	}
	d, err := os.MkdirTemp("", "aisfault-bin-")
	b.dir = d
	return d, err
}

// Node returns aisnode built with tags.
func Node(t testing.TB, tags ...string) string {
	t.Helper()
	b := built()
	b.mu.Lock()
	defer b.mu.Unlock()
	key := strings.Join(tags, ",")
	if b.node[key] != "" {
		return b.node[key]
	}
	dir, err := b.directory()
	if err == nil {
		dir = filepath.Join(dir, "node-"+strconv.Itoa(len(b.node)))
		err = os.Mkdir(dir, 0o755)
	}
	path := ""
	if err == nil {
		path, err = local.Build(context.Background(), dir, tags...)
	}
	if err != nil {
		t.Fatalf("build aisnode: %v", err)
	}
	b.node[key] = path
	return path
}

// CLI returns the ais command.
func CLI(t testing.TB) string {
	t.Helper()
	b := built()
	b.mu.Lock()
	defer b.mu.Unlock()
	dir, err := b.directory()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "ais")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if out, err := exec.Command("go", "build", "-o", path, "aistore/cmd/ais").CombinedOutput(); err != nil {
		t.Fatalf("build ais: %v\n%s", err, out)
	}
	return path
}

// Cluster is a running cluster of one test.
type Cluster struct {
	*local.Cluster
	t       testing.TB
	options local.Options
}

// Dir returns a directory for the test, removed when it has passed and kept when it has failed.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "aisfault-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("kept for a look: %s", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("leave nothing behind: %v", err)
		}
	})
	return dir
}

// Seed returns the seed of the test's random choices: AIS_SEED, or one that is new each time, and logs it.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano()) & (1<<31 - 1)
	if s := os.Getenv("AIS_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 31)
		if err != nil {
			t.Fatalf("AIS_SEED: %v", err)
		}
		seed = n
	}
	t.Logf("seed: AIS_SEED=%d", seed)
	return seed
}

// Start makes and starts a cluster; it is killed when the test ends. Dir, Port and Binary may be left out.
func Start(t testing.TB, o local.Options) *Cluster {
	t.Helper()
	if o.Dir == "" {
		o.Dir = Dir(t)
	}
	if o.Binary == "" {
		o.Binary = Node(t)
	}
	if o.CacheSize == "" {
		o.CacheSize = "16MiB"
	}
	if o.ReadyWithin == 0 {
		o.ReadyWithin = Patience
	}
	choose := o.Port == 0
	var c *local.Cluster
	var err error
	for range 20 {
		if choose {
			o.Port = FreePorts(t, o.Gateways+o.Targets+1)
		}
		if c, err = local.Up(context.Background(), o); !choose || !errs.Is(err, errs.Conflict) {
			break
		}
	}
	if err != nil {
		t.Fatalf("start a cluster: %v", err)
	}
	pc := &Cluster{Cluster: c, t: t, options: o}
	t.Cleanup(func() {
		for _, n := range pc.Nodes() {
			_ = pc.Signal(n.ID, syscall.SIGCONT) // a stopped process dies of SIGKILL too, but is waited for more easily awake
		}
		if t.Failed() {
			pc.logTails()
			pc.dump()
		}
		if err := pc.KillAll(context.Background()); err != nil {
			t.Errorf("end the cluster: %v", err)
		}
	})
	Settle(t, pc.Gateways(), len(pc.Nodes()))
	return pc
}

// Patience bounds the wait for what must come, far beyond what it takes: a busy machine is no defect.
const Patience = 2 * time.Minute

// Settle waits until a cluster of so many nodes has the voters it wants, 3 or 5: with two of them, as for a moment after
// its start, the loss of either stops control changes, and tests are about to lose some.
func Settle(t testing.TB, gateways []*plain.Client, nodes int) {
	t.Helper()
	want := 1
	if nodes >= 5 {
		want = 5
	} else if nodes >= 3 {
		want = 3
	}
	for _, gw := range gateways {
		Eventually(t, Patience, func(ctx context.Context) error {
			m, err := gw.Smap(ctx)
			if err == nil && m.Voters() < want {
				err = fmt.Errorf("%d voters of %d", m.Voters(), want)
			}
			return err
		})
	}
}

func (c *Cluster) logTails() {
	for _, n := range c.Nodes() {
		path, err := c.Logs(n.ID)
		if err != nil {
			continue
		}
		b, _ := os.ReadFile(path)
		if len(b) > 3000 {
			b = b[len(b)-3000:]
		}
		c.t.Logf("log of %s ends:\n%s", n.ID, b)
	}
}

// dump ends every node so that what its goroutines were doing is at the end of its log, which is kept.
func (c *Cluster) dump() {
	for _, n := range c.Nodes() {
		if c.Signal(n.ID, syscall.SIGQUIT) != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		_ = c.Await(ctx, n.ID)
		cancel()
	}
}

// Up starts every node that is down and returns how long the cluster took to be ready.
func (c *Cluster) Up(ctx context.Context) time.Duration {
	c.t.Helper()
	began := time.Now()
	o := c.options
	o.Gateways, o.Targets, o.Mountpaths, o.Port = 0, 0, 0, 0 // as it is: nodes may have been added
	up, err := local.Up(ctx, o)
	if err != nil {
		c.t.Fatalf("start what is there: %v", err)
	}
	c.Cluster = up
	return time.Since(began)
}

// Ports of tests: slots of as many ports as one process may need, below those that the kernel gives to connections.
const (
	firstSlot = 26000
	slots     = 24
	slotSize  = 250
)

// slot is the first of this process's own ports. It holds the one before while it runs: suites run side by side, and the port of a node that is down for a
// moment looks free.
var slot = sync.OnceValues(func() (int, error) {
	from := rand.IntN(slots)
	for i := range slots {
		p := firstSlot + (from+i)%slots*slotSize
		if l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(p)); err == nil {
			held = l
			return p + 1, nil
		}
	}
	return 0, fmt.Errorf("none of %d slots of ports from %d on is free", slots, firstSlot)
})

// held is the listener of slot, which the garbage collector would close otherwise.
var held net.Listener

// FreePorts returns the first of n ports in a row that nobody listens on, and that no other process of tests is given.
func FreePorts(t testing.TB, n int) int {
	t.Helper()
	mine, err := slot()
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		first := mine + rand.IntN(slotSize-n)
		free := true
		for p := first; p < first+n && free; p++ {
			l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(p))
			if err != nil {
				free = false
				continue
			}
			_ = l.Close()
		}
		if free {
			return first
		}
	}
	t.Fatalf("no %d free ports in a row in the %d after %s", n, slotSize-1, held.Addr())
	return 0
}

// given are the ports that tests of this process have been given by FreePort.
var given = sync.OnceValue(func() *sync.Map { return &sync.Map{} })

// FreePort returns one port as FreePorts does, and to nobody else before the test ends. The kernel gives such a port to no connection and no
// listener, so it is free still when a node is started, or started again.
func FreePort(t testing.TB) int {
	t.Helper()
	for {
		p := FreePorts(t, 1)
		if _, had := given().LoadOrStore(p, true); !had {
			t.Cleanup(func() { given().Delete(p) })
			return p
		}
	}
}

// Client returns a client of one node; it is closed when the test ends.
func (c *Cluster) Client(id string) *plain.Client {
	c.t.Helper()
	n, err := c.Node(id)
	if err != nil {
		c.t.Fatal(err)
	}
	cl := plain.New(n.URL())
	c.t.Cleanup(cl.Close)
	return cl
}

// Clients returns a client of each node, or of those named.
func (c *Cluster) Clients(ids ...string) []*plain.Client {
	c.t.Helper()
	if len(ids) == 0 {
		for _, n := range c.Nodes() {
			ids = append(ids, n.ID)
		}
	}
	var all []*plain.Client
	for _, id := range ids {
		all = append(all, c.Client(id))
	}
	return all
}

// Gateways returns a client of each gateway.
func (c *Cluster) Gateways() []*plain.Client {
	c.t.Helper()
	var ids []string
	for _, n := range c.Nodes() {
		if n.Role != local.RoleTarget {
			ids = append(ids, n.ID)
		}
	}
	return c.Clients(ids...)
}

// PID returns the process id of a running node.
func (c *Cluster) PID(id string) int {
	c.t.Helper()
	for _, s := range c.Status() {
		if s.ID == id && s.State == local.Running {
			return s.PID
		}
	}
	c.t.Fatalf("%s does not run", id)
	return 0
}

// OpenFiles counts the file descriptors of a running node.
func (c *Cluster) OpenFiles(id string) int {
	c.t.Helper()
	es, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", c.PID(id)))
	if err != nil {
		c.t.Fatal(err)
	}
	return len(es)
}

// RSS returns a running node's resident memory in bytes.
func (c *Cluster) RSS(id string) int64 {
	c.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", c.PID(id)))
	if err != nil {
		c.t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		c.t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// Eventually repeats check until it returns nil and fails the test with its last error after within: for states
// that nothing announces.
func Eventually(t testing.TB, within time.Duration, check func(context.Context) error) time.Duration {
	t.Helper()
	took, err := Await(within, check)
	if err != nil {
		t.Fatalf("not within %v: %v", within, err)
	}
	return took
}

// Await is Eventually for those who judge themselves.
func Await(within time.Duration, check func(context.Context) error) (time.Duration, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	last := errors.New("not tried")
	for {
		err := check(ctx)
		if err == nil {
			return time.Since(began), nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return time.Since(began), last
		}
	}
}
