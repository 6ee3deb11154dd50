package rebalance

import (
	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
	"aistore/metrics"
)

// Status tells how far this node is with a generation of the last ten, such as "g47"; "" is the newest.
func (e *Engine) Status(id string) (*api.RebalanceStatus, error) {
	const op = "rebalance.Status"
	v := e.control.View()
	if v == nil {
		return nil, errs.E(op, string(e.self), errs.Unavailable, "the node has not joined its cluster yet")
	}
	if g := e.book.find(id); g != nil {
		return g.status(v, e.self), nil
	}
	if id != "" {
		return nil, errs.E(op, id, errs.NotFound, "this node remembers no such rebalance")
	}
	return &api.RebalanceStatus{ID: v.Map.Generation(), Epoch: v.Map.Epoch, Stage: v.Map.Sources[e.self].Stage, Paused: v.Map.Paused}, nil
}

// Query answers GET /v1/daemon?what=rebalance, with id=g47 for one of the last ten.
func (e *Engine) Query(c *httpx.Ctx) error {
	s, err := e.Status(c.Query(api.QueryID))
	if err != nil {
		return err
	}
	return c.JSON(s)
}

// Metrics shows the numbers of the newest generation.
func (e *Engine) Metrics(r *metrics.Registry) {
	gen := func(read func(*generation) int64) func() float64 {
		return func() float64 {
			if g := e.book.newest(); g != nil {
				return float64(read(g))
			}
			return 0
		}
	}
	r.Gauge("ais_rebalance_epoch", "Epoch of the newest rebalance that this node knows of; 0 = there was none.", nil, gen(func(g *generation) int64 { return int64(g.epoch) })) //nolint:gosec // counts from 0
	r.Gauge("ais_rebalance_running", "1 while this node has something to move or to remove.", nil, func() float64 {
		v := e.control.View()
		if v == nil || v.Map.Paused {
			return 0
		}
		if s := v.Map.Sources[e.self]; s.Stage == cluster.Moving || s.Stage == cluster.Moved && !s.Keeps {
			return 1
		}
		return 0
	})
	r.Gauge("ais_rebalance_objects", "Keys of the newest rebalance that were sent and are durable at their owner.", nil, gen(func(g *generation) int64 { return g.objects.Load() }))
	r.Gauge("ais_rebalance_bytes", "Bytes of these keys.", nil, gen(func(g *generation) int64 { return g.bytes.Load() }))
	r.Gauge("ais_rebalance_present_objects", "Keys of the newest rebalance that their owner had already.", nil, gen((*generation).presentObjects))
	r.Gauge("ais_rebalance_received_objects", "Keys that this node took over in the newest rebalance.", nil, gen(func(g *generation) int64 { return g.received.Load() }))
	r.Gauge("ais_rebalance_removed_objects", "Keys that this node removed in the newest rebalance, as their owner has them.", nil, gen(func(g *generation) int64 { return g.removed.Load() }))
	r.Gauge("ais_rebalance_errors", "Attempts of the newest rebalance that failed; each is made again.", nil, gen(func(g *generation) int64 { return int64(g.errors.Load()) })) //nolint:gosec // far below the maximum
}
