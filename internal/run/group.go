// Package run starts the parts of a process and waits for every one of them.
//
// Whoever starts a goroutine waits for it: a component's Run method makes one Group, starts its loops
// with Go and returns Wait. Groups nest; a part's full name ("node/http") is a pprof label, so profiles
// and the report of a slow stopper name it. For finite work that must be complete to be of use, take
// golang.org/x/sync/errgroup: a Group counts being told to stop as success.
//
// Start at NewGroup.
package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"sync"
	"time"
)

// defaultGrace is how long a part may take to stop before the log names it: longer than a drain of
// idle connections, shorter than the patience of a service manager.
const defaultGrace = 10 * time.Second

// label is the pprof label that holds the full name of a part.
const label = "part"

// A Group is a set of parts that live and end together. Set Log and Grace, if at all, before Go.
type Group struct {
	Log   *slog.Logger  // where slow stoppers are named; nil: slog.Default()
	Grace time.Duration // how long stopping may take unremarked; 0: 10 s

	ctx    context.Context
	cancel context.CancelCauseFunc
	parts  sync.WaitGroup

	mu      sync.Mutex
	running map[string]int // full name -> parts of it that run
	err     error          // the first failure
}

// NewGroup returns an empty group whose parts end when ctx ends or one of them fails.
func NewGroup(ctx context.Context) *Group {
	g := &Group{running: map[string]int{}}
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	return g
}

// Context returns the context of the group's parts; it ends with the first failure, whose error is
// its cause, and when Wait returns.
func (g *Group) Context() context.Context { return g.ctx }

// Go starts f as the part called name. f returns soon after its context ends; returning nil earlier
// is fine and stops nobody else. An error, or a panic, stops the whole group. A part may start parts.
func (g *Group) Go(name string, f func(context.Context) error) {
	if above, ok := pprof.Label(g.ctx, label); ok {
		name = above + "/" + name
	}
	g.mu.Lock()
	g.running[name]++
	g.mu.Unlock()
	g.parts.Go(func() {
		pprof.Do(g.ctx, pprof.Labels(label, name), func(ctx context.Context) {
			protect(ctx, f, func(err error) { g.ended(name, err) })
		})
	})
}

// ended records that a part is over and why.
func (g *Group) ended(name string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running[name]--; g.running[name] == 0 {
		delete(g.running, name)
	}
	if err == nil || g.err != nil {
		return
	}
	if g.ctx.Err() != nil && errors.Is(err, g.ctx.Err()) {
		return // told to stop, and did
	}
	g.err = fmt.Errorf("%s: %w", name, err)
	g.cancel(g.err)
}

// Wait returns when every part has: the first failure, or nil if all returned nil or stopped because
// the group's context ended. Parts that outlast Grace after that are logged with their stacks.
func (g *Group) Wait() error {
	all := make(chan struct{})
	go func() {
		g.parts.Wait()
		close(all)
	}()
	select {
	case <-all:
	case <-g.ctx.Done():
		g.watch(all)
	}
	g.cancel(nil)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

// watch waits for all and names who is late, again after ever longer pauses.
func (g *Group) watch(all <-chan struct{}) {
	pause := g.Grace
	if pause <= 0 {
		pause = defaultGrace
	}
	began := time.Now()
	for {
		t := time.NewTimer(pause)
		select {
		case <-all:
			t.Stop()
			return
		case <-t.C:
			g.report(time.Since(began))
			pause *= 2
		}
	}
}

func (g *Group) report(waited time.Duration) {
	g.mu.Lock()
	var names []string
	for name := range g.running {
		names = append(names, name)
	}
	g.mu.Unlock()
	slices.Sort(names)
	log := g.Log
	if log == nil {
		log = slog.Default()
	}
	for _, name := range names {
		log.Warn("a part is slow to stop", "part", name, "waited", waited.Round(time.Millisecond), "stack", stacks(name))
	}
}

// A Panic is the error of a part that panicked.
type Panic struct {
	Value any
	Stack []byte // of the goroutine that panicked
}

// Error includes the stack: a panic is a fault of ours, and the log is where it must be read.
func (p *Panic) Error() string { return fmt.Sprintf("BUG: panic: %v\n%s", p.Value, p.Stack) }

// Unwrap returns the value if it is an error.
func (p *Panic) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// protect calls f and tells done what became of it; a panic, or a goroutine that ends without
// returning, is an error.
func protect(ctx context.Context, f func(context.Context) error, done func(error)) {
	err := errors.New("BUG: the part ended its goroutine without returning")
	defer func() {
		if v := recover(); v != nil {
			err = &Panic{Value: v, Stack: debug.Stack()}
		}
		done(err)
	}()
	err = f(ctx)
}
