package local

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"aistore/errs"
)

// Start runs a node that is stopped, or ends just now, and returns when it is alive in the cluster map; env ("KEY=VALUE") is added to its
// environment for this start alone.
func (c *Cluster) Start(ctx context.Context, id string, env ...string) error {
	n, err := c.Node(id)
	if err != nil {
		return err
	}
	started, err := c.start(n, env)
	if err != nil {
		return err
	}
	err = c.waitNode(ctx, n)
	if started || !ended(n) {
		return err
	}
	if _, err := c.start(n, env); err != nil {
		return err
	}
	return c.waitNode(ctx, n)
}

// ended reports whether a node that ran when it was to be started was about to end, as after `ais cluster shutdown`, and has: it is to be
// started after all.
func ended(n Node) bool {
	_, runs := runningProcess(n)
	return !runs && !n.retired()
}

// Launch runs a stopped node and does not wait for it to become ready, for nodes that are meant to fail.
func (c *Cluster) Launch(id string, env ...string) error {
	n, err := c.Node(id)
	if err != nil {
		return err
	}
	_, err = c.start(n, env)
	return err
}

// Stop asks a node to drain and end (SIGTERM), and kills it if it has not within Options.DrainWithin, which is an
// error of kind Timeout. A node that is stopped already is no error.
func (c *Cluster) Stop(ctx context.Context, id string) error {
	n, err := c.Node(id)
	if err != nil {
		return err
	}
	return c.stop(ctx, n, c.opts.DrainWithin)
}

// Kill ends a node with SIGKILL and returns when its process is gone.
func (c *Cluster) Kill(ctx context.Context, id string) error {
	n, err := c.Node(id)
	if err != nil {
		return err
	}
	p, ok := runningProcess(n)
	if !ok {
		return nil
	}
	return c.end(ctx, n, p, syscall.SIGKILL)
}

// KillAll ends every node with SIGKILL, all signals before the first wait: the nearest to a power cut.
func (c *Cluster) KillAll(ctx context.Context) error {
	nodes := c.all() // one that was decommissioned may not have ended yet
	for _, n := range nodes {
		if p, ok := runningProcess(n); ok {
			if err := p.signal(syscall.SIGKILL); err != nil {
				return errs.E("local.KillAll", n.ID, err)
			}
		}
	}
	return each(nodes, func(n Node) error { return c.Kill(ctx, n.ID) })
}

// Restart stops the node if it runs and starts it again.
func (c *Cluster) Restart(ctx context.Context, id string, env ...string) error {
	if err := c.Stop(ctx, id); err != nil && !errs.Is(err, errs.Timeout) {
		return err
	}
	return c.Start(ctx, id, env...)
}

// Down stops every node, all at the same time, and waits for those that were decommissioned and have not ended yet.
func (c *Cluster) Down(ctx context.Context) error {
	return errors.Join(c.stopAll(ctx, c.all(), c.opts.DrainWithin), c.noteRetired())
}

// Signal sends sig to the node's process, such as SIGSTOP to play a paused machine. Kind NotFound if it does not run.
func (c *Cluster) Signal(id string, sig os.Signal) error {
	n, err := c.Node(id)
	if err != nil {
		return err
	}
	p, ok := runningProcess(n)
	if !ok {
		return errs.E("local.Signal", id, errs.NotFound, "the node does not run")
	}
	return p.signal(sig)
}

// Await returns when the process of a node has ended by itself, as one does that meets a failpoint.
func (c *Cluster) Await(ctx context.Context, id string) error {
	n, err := c.Node(id)
	if err != nil {
		return err
	}
	if p, ok := runningProcess(n); ok {
		return c.gone(ctx, n, p)
	}
	return nil
}

func (c *Cluster) startAll(ctx context.Context) (started []Node, err error) {
	for _, n := range c.Nodes() {
		if err := ctx.Err(); err != nil {
			return started, err
		}
		did, err := c.start(n, nil)
		if did {
			started = append(started, n)
		}
		if err != nil {
			return started, err
		}
	}
	return started, nil
}

// resume starts what there is of a founded cluster and returns when all that is well is ready. Who cannot be started, ends, or does not become
// ready is in the error and keeps nobody from going on; one that ends as it was decommissioned is not missed.
func (c *Cluster) resume(ctx context.Context) error {
	ran, err := resumeOnce(ctx, c)
	if ctx.Err() == nil && slices.ContainsFunc(ran, ended) {
		_, err = resumeOnce(ctx, c)
	}
	return err
}

// resumeOnce is resume for nodes of which none is about to end. It returns those that ran before.
func resumeOnce(ctx context.Context, c *Cluster) (ran []Node, err error) {
	var up []Node
	var all []error
	for _, n := range c.Nodes() {
		started, err := c.start(n, nil)
		if err != nil {
			all = append(all, err)
			continue
		}
		up = append(up, n)
		if !started {
			ran = append(ran, n)
		}
	}
	up, faults := well(up, func(n Node) error { return c.ready(ctx, n) })
	all = append(all, faults)
	_, faults = well(up, func(n Node) error { return c.seesAll(ctx, n, up) })
	return ran, errors.Join(append(all, faults)...)
}

// well calls f for all nodes at once and returns those it is well with, and what is wrong with others that are still part of the cluster.
func well(nodes []Node, f func(Node) error) (ok []Node, faults error) {
	var mu sync.Mutex
	faults = each(nodes, func(n Node) error {
		err := f(n)
		if err != nil && n.retired() {
			return nil
		}
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			ok = append(ok, n)
		}
		return err
	})
	return ok, faults
}

func (c *Cluster) stopAll(ctx context.Context, nodes []Node, within time.Duration) error {
	return each(nodes, func(n Node) error { return c.stop(ctx, n, within) })
}

// each calls f for all nodes at once and joins what went wrong.
func each(nodes []Node, f func(Node) error) error {
	all := make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() { all[i] = f(n) })
	}
	wg.Wait()
	return errors.Join(all...)
}

func (c *Cluster) stop(ctx context.Context, n Node, within time.Duration) error {
	const op = "local.Stop"
	p, ok := runningProcess(n)
	if !ok {
		return nil
	}
	drain, cancel := context.WithTimeout(ctx, within)
	err := c.end(drain, n, p, syscall.SIGTERM)
	cancel()
	if err == nil {
		return nil
	}
	if killed := c.end(context.WithoutCancel(ctx), n, p, syscall.SIGKILL); killed != nil {
		return errs.E(op, n.ID, killed)
	}
	if ctx.Err() != nil {
		return errs.E(op, n.ID, ctx.Err())
	}
	return errs.F(op, n.ID, errs.Timeout, "did not end within %v of SIGTERM and was killed; its log ends with:\n%s", within, tail(c, n))
}

// end signals p and waits until it is gone and, if it is this process's child, reaped.
func (c *Cluster) end(ctx context.Context, n Node, p process, sig os.Signal) error {
	if err := p.signal(sig); err != nil {
		return errs.E("local.signal", n.ID, err)
	}
	return c.gone(ctx, n, p)
}

func (c *Cluster) gone(ctx context.Context, n Node, p process) error {
	if k := c.child(n, p); k != nil {
		select {
		case <-k.done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return p.wait(ctx)
}

// child returns p if this process started it.
func (c *Cluster) child(n Node, p process) *child {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.children[n.ID]; k != nil && k.process == p {
		return k
	}
	return nil
}
