package control

import (
	"bufio"
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"aistore/cluster"
	"aistore/cluster/control/statedir"
	"aistore/errs"
)

func TestSplitListener(t *testing.T) {
	ln := listen(t, "")
	forRaft, forHTTP := SplitListener(ln)
	got := make(chan string, 8)
	var serving sync.WaitGroup
	for name, l := range map[string]net.Listener{"raft": forRaft, "http": forHTTP} {
		serving.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					if !errors.Is(err, net.ErrClosed) {
						t.Errorf("%s: %v", name, err)
					}
					return
				}
				if _, ok := c.(*net.TCPConn); !ok {
					t.Errorf("%s: the connection became a %T", name, c)
				}
				line, err := bufio.NewReader(c).ReadString('\n')
				c.Close()
				got <- name + " " + line
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	silent, err := net.Dial("tcp", ln.Addr().String()) // says nothing: must not keep others waiting
	if err != nil {
		t.Fatal(err)
	}
	hangsUp, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	hangsUp.Close()
	for say, want := range map[string]string{"GET /\n": "http GET /\n", "\x01hello\n": "raft hello\n"} {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte(say)); err != nil {
			t.Fatal(err)
		}
		if line := <-got; line != want {
			t.Errorf("said %q, got %q, want %q", say, line, want)
		}
		c.Close()
	}
	forHTTP.Close()
	c, err := net.Dial("tcp", ln.Addr().String()) // raft goes on without http
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("\x01still\n")); err != nil || <-got != "raft still\n" {
		t.Error("raft ended with http", err)
	}
	silent.Close()
	forRaft.Close()
	forRaft.Close()
	serving.Wait()
	if c, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		c.Close()
		t.Error("the port is still open")
	}
}

// pipeListener hands out connections that cannot be peeked at.
type pipeListener chan net.Conn

func (p pipeListener) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (p pipeListener) Close() error   { close(p); return nil }
func (p pipeListener) Addr() net.Addr { return announced("pipe") }

func TestSplitWithoutPeek(t *testing.T) {
	p := make(pipeListener, 1)
	forRaft, forHTTP := SplitListener(p)
	mine, theirs := net.Pipe()
	p <- theirs
	go mine.Write([]byte("GET /\n"))
	c, err := forHTTP.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || line != "GET /\n" {
		t.Errorf("%q, %v", line, err)
	}
	c.Close()
	forRaft.Close()
	forHTTP.Close()
}

func TestViews(t *testing.T) {
	var vs views
	shared, far := vs.watch(0), vs.watch(7)
	if vs.watch(0) != shared || vs.watch(7) != far {
		t.Error("channels are not shared")
	}
	if !vs.publish(&cluster.View{Index: 5}) || vs.publish(&cluster.View{Index: 5}) || vs.publish(&cluster.View{Index: 4}) {
		t.Error("only newer views are published")
	}
	<-shared
	select {
	case <-far:
		t.Error("woken for view 5, waits for one after 7")
	default:
	}
	<-vs.watch(4)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := vs.wait(ctx, 6); !errors.Is(err, context.DeadlineExceeded) {
		t.Error("waited for a view that never came:", err)
	}
	vs.publish(&cluster.View{Index: 9})
	<-far
	if v, err := vs.wait(context.Background(), 9); err != nil || v.Index != 9 {
		t.Error(v, err)
	}
}

// TestVerifierBatches shows that no caller is served by a round that began before its call, and that
// callers share rounds.
func TestVerifierBatches(t *testing.T) {
	var rounds, begun atomic.Int64
	gate := make(chan struct{})
	v := &verifier{round: func() error {
		begun.Add(1)
		<-gate
		rounds.Add(1)
		return nil
	}}
	var callers sync.WaitGroup
	ask := func() {
		before := begun.Load()
		callers.Go(func() {
			if err := v.do(context.Background()); err != nil || rounds.Load() <= before && before > 0 {
				t.Errorf("served by a round that began before the call: %v", err)
			}
		})
	}
	ask()
	eventually(t, "the first round", func() bool { return begun.Load() == 1 })
	for range 50 {
		ask()
	}
	eventually(t, "everybody to wait", func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		return len(v.waiting) == 50
	})
	close(gate)
	callers.Wait()
	v.close()
	if rounds.Load() != 2 {
		t.Errorf("%d rounds for 51 callers", rounds.Load())
	}
	v = &verifier{round: func() error { return errs.E("", "", errs.NotPrimary, "no") }}
	if err := v.do(context.Background()); !errs.Is(err, errs.NotPrimary) {
		t.Error(err)
	}
	v.close()
	if err := v.do(context.Background()); !errs.Is(err, errs.NotPrimary) {
		t.Error("after the end:", err)
	}
}

func TestIdentity(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "dir")
	if err := statedir.SaveIdentity(dir, statedir.Identity{ID: "n1", Cluster: "c"}); err != nil {
		t.Fatal(err)
	}
	open := func(id cluster.NodeID, uuid string) error {
		_, err := Open(Config{Dir: dir, Self: cluster.Node{ID: id}, Cluster: uuid})
		return err
	}
	if err := open("n1", "c"); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{"another id": open("n2", "c"), "mountpaths of another cluster": open("n1", "d")} {
		if !errs.Is(err, errs.Conflict) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := open("", ""); !errs.Is(err, errs.Invalid) {
		t.Error(err)
	}
}

func TestDirectoryIsLocked(t *testing.T) {
	tc := newCluster(t)
	n := tc.found("n1", cluster.RoleAll)
	second := tc.start("n1", cluster.RoleAll, nil)
	tc.nodes["n1"] = n
	<-second.done
	if !errs.Is(second.err, errs.Conflict) {
		t.Errorf("two processes in one directory: %v", second.err)
	}
}

// TestForeignEntryStopsTheReplica applies an entry of a newer program.
func TestForeignEntryStopsTheReplica(t *testing.T) {
	published := 0
	f := newFSM(func(*cluster.View) { published++ })
	entry := func(cmd cluster.Command) []byte {
		b, err := cluster.EncodeEntry(cluster.Entry{Command: cmd})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	apply := func(index uint64, b []byte) applied { return f.Apply(&raft.Log{Index: index, Data: b}).(applied) }
	found := cluster.Found{UUID: "u", Secret: make([]byte, 32), Node: cluster.Node{ID: "n", Role: cluster.RoleAll, IntraAddr: "h:1", PublicURL: "http://h:2"}}
	if a := apply(1, entry(found)); a.err != nil || published != 1 {
		t.Fatal(a.err, published)
	}
	if a := apply(2, entry(cluster.CreateBucket{Name: "!"})); !errs.Is(a.err, errs.Invalid) || published != 1 {
		t.Error("a refused command:", a.err)
	}
	if a := apply(3, []byte(`{"v":1,"time":"2026-01-01T00:00:00Z","op":"invent","cmd":{}}`)); !errs.Is(a.err, errs.Unsupported) {
		t.Error(a.err)
	}
	<-f.failed
	if a := apply(4, entry(cluster.CreateBucket{Name: "after"})); a.err == nil || f.machine().Index != 1 {
		t.Error("the replica went on without an entry")
	}
}
