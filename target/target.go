package target

import (
	"context"
	"log/slog"

	"aistore/httpx"
	"aistore/internal/run"
	"aistore/node"
	"aistore/store"
)

// Target serves what this node owns.
type Target struct {
	*touches

	node   *node.Node
	store  *store.Store
	log    *slog.Logger
	memory budget
	routes []httpx.Route // registered by others
}

// New returns a target over an open store. It starts nothing.
func New(n *node.Node, s *store.Store) *Target {
	return &Target{node: n, store: s, log: n.Log, memory: budget{limit: defaultBudget()}, touches: newTouches(n, s)}
}

// Store returns the target's store, for packages that register routes of their own.
func (t *Target) Store() *store.Store { return t.store }

// AddRoutes registers routes that other packages serve on a target, such as lists and jobs. Call it before Routes.
func (t *Target) AddRoutes(rs ...httpx.Route) { t.routes = append(t.routes, rs...) }

// Run does the background work until ctx ends: the store's own, first touches, the removal of marks that say nothing any more, and of the
// data of destroyed buckets.
func (t *Target) Run(ctx context.Context) error {
	g := run.NewGroup(ctx)
	g.Go("store", t.store.Run)
	g.Go("touches", t.run)
	g.Go("marks", t.dropMarks)
	g.Go("destroyed-buckets", t.destroyBuckets)
	return g.Wait()
}
