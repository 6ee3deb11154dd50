package fault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"aistore/deploy/local"
	"aistore/test/procs"
	"aistore/test/value"
)

// said collects what a process says.
type said struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

// has waits for a text.
func (s *said) has(t *testing.T, text string) {
	t.Helper()
	procs.Eventually(t, procs.Patience, func(context.Context) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !strings.Contains(s.buf.String(), text) {
			return fmt.Errorf("%q is not said in %s", text, s.buf.String())
		}
		return nil
	})
}

// TestCopiedNode starts a copy of a target's directories, of an earlier time, beside the target. It does not follow when that is killed: the target starts again
// with all that it has.
func TestCopiedNode(t *testing.T) {
	const n = 40
	ctx := context.Background()
	c := procs.Start(t, local.Options{Gateways: 1, Targets: 1, Mountpaths: 2})
	gw := c.Client("g1")
	must(t, gw.CreateBucket(ctx, "bk"))
	node, err := c.Node("t1")
	must(t, err)
	procs.Eventually(t, procs.Patience, func(context.Context) error { // a disk that was never used is no copy of one that was
		for _, path := range node.Mountpaths {
			if b, err := os.ReadFile(filepath.Join(path, ".ais.mountpath")); err != nil || bytes.Contains(b, []byte("unused")) {
				return fmt.Errorf("%s is not in use yet: %s %w", path, b, err)
			}
		}
		return nil
	})
	must(t, c.Stop(ctx, "t1"))
	dir := filepath.Join(procs.Dir(t), "t1")
	copyDir(t, node.Dir, dir)
	must(t, c.Start(ctx, "t1"))
	values := make([]value.Value, n)
	for i := range n {
		values[i] = value.Value{ID: uint64(i + 1), Size: int64(100 + i*3000)}
		must(t, check(gw.Put(ctx, "bk", fmt.Sprintf("o-%d", i), values[i].Bytes())))
	}

	port, intra := procs.FreePort(t), procs.FreePort(t)
	begin := func() (*exec.Cmd, *said) {
		out := &said{}
		cmd := exec.Command(procs.Node(t), "--config", filepath.Join(node.Dir, "node.yaml"), "--dir", filepath.Join(dir, "state"), "--port", strconv.Itoa(port), "--intra-port", strconv.Itoa(intra),
			"--mountpaths", filepath.Join(dir, "mp1")+","+filepath.Join(dir, "mp2"))
		cmd.Stdout, cmd.Stderr = out, out
		must(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		return cmd, out
	}
	for range 2 {
		twin, out := begin()
		if _, err := os.Stat(filepath.Join(dir, "state", "copied")); err != nil { // not again when it has been told
			out.has(t, "another process serves under this node's id")
			must(t, c.Kill(ctx, "t1"))
		}
		out.has(t, "is a copy of that of node t1")
		var exit *exec.ExitError
		if err := twin.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Fatalf("the copy ended: %v", err)
		}
	}
	must(t, c.Start(ctx, "t1"))
	for i, v := range values {
		b, _, err := gw.Get(ctx, "bk", fmt.Sprintf("o-%d", i))
		if err != nil || v.Check(b, 0) != nil || int64(len(b)) != v.Size {
			t.Errorf("o-%d: %d bytes of %d, %v", i, len(b), v.Size, err)
		}
	}
}
