package local

import (
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"aistore/errs"
)

// waitReady returns when every node answers that it is ready and every gateway's cluster map shows all of them
// alive. It then notes that the cluster is founded.
func (c *Cluster) waitReady(ctx context.Context) error {
	nodes := c.Nodes()
	if err := until(ctx, nodes, c.ready); err != nil {
		return err
	}
	if err := until(ctx, nodes, func(ctx context.Context, n Node) error { return c.seesAll(ctx, n, nodes) }); err != nil {
		return err
	}
	return c.founded()
}

// until runs f for all nodes at once; the first failure ends the others.
func until(ctx context.Context, nodes []Node, f func(context.Context, Node) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, n := range nodes {
		g.Go(func() error { return f(ctx, n) })
	}
	return g.Wait()
}

// waitNode is waitReady for one node among others of which some may be down: whoever runs must see it.
func (c *Cluster) waitNode(ctx context.Context, n Node) error {
	if err := c.ready(ctx, n); err != nil {
		return err
	}
	err := until(ctx, c.Nodes(), func(ctx context.Context, viewer Node) error {
		if _, ok := runningProcess(viewer); !ok {
			return nil
		}
		return c.seesAll(ctx, viewer, []Node{n})
	})
	if err == nil && n.ID == c.Nodes()[0].ID {
		return c.founded()
	}
	return err
}

func (c *Cluster) founded() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file.Founded {
		return nil
	}
	c.file.Founded = true
	return c.file.write(c.dir)
}

// seesAll waits until the cluster map that viewer has shows the nodes alive.
func (c *Cluster) seesAll(ctx context.Context, viewer Node, nodes []Node) error {
	if viewer.Role == RoleTarget {
		return nil // clients ask gateways
	}
	return c.poll(ctx, viewer, func(ctx context.Context) error {
		m, err := c.http.mapOf(ctx, viewer)
		if err != nil {
			return err
		}
		rest := slices.DeleteFunc(slices.Clone(nodes), Node.retired) // who ends its decommissioning now is not waited for
		return m.shows(viewer, rest, len(rest) == len(c.Nodes()))
	})
}

// poll repeats check until it succeeds, the node's process ends, or time is up. There is nothing to wait on but
// the node's own answers.
func (c *Cluster) poll(ctx context.Context, n Node, check func(context.Context) error) error {
	const op = "local.ready"
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, c.opts.ReadyWithin)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var last error // what the node said, not that we stopped asking
	for {
		err := check(ctx)
		if ctx.Err() == nil || last == nil {
			last = err
		}
		switch _, alive := runningProcess(n); {
		case err == nil && alive: // not a stranger on the same port
			return nil
		case caller.Err() != nil:
			return errs.E(op, n.ID, caller.Err())
		case !alive:
			return errs.F(op, n.ID, errs.Unavailable, "the node ended before it was ready; its log ends with:\n%s", tail(c, n))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if caller.Err() != nil {
				return errs.E(op, n.ID, caller.Err())
			}
			return errs.F(op, n.ID, errs.Timeout, "not ready after %v: %v; its log %s ends with:\n%s", c.opts.ReadyWithin, last, n.log(), tail(c, n))
		}
	}
}

// ready waits for the node's own word.
func (c *Cluster) ready(ctx context.Context, n Node) error {
	return c.poll(ctx, n, func(ctx context.Context) error {
		_, err := c.http.get(ctx, n.URL()+"/v1/health?readiness=true")
		return err
	})
}

// tail returns the last lines of a node's log, indented, for an error message; of a node that this process has started none of the runs before.
func tail(c *Cluster, n Node) string {
	const most = 4096
	f, err := os.Open(n.log())
	if err != nil {
		return "  (no log: " + err.Error() + ")"
	}
	defer f.Close()
	from := int64(0)
	c.mu.Lock()
	if k := c.children[n.ID]; k != nil {
		from = k.log
	}
	c.mu.Unlock()
	if st, err := f.Stat(); err == nil {
		_, _ = f.Seek(max(from, st.Size()-most), io.SeekStart)
	}
	b, _ := io.ReadAll(f)
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	if len(lines) > 20 {
		lines = lines[len(lines)-20:]
	}
	return "  " + strings.Join(lines, "\n  ")
}
