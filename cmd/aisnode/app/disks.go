package app

import (
	"context"

	"aistore/api"
	"aistore/cluster"
	"aistore/metrics"
	"aistore/rebalance/resilver"
	"aistore/store"
)

// resilverLimits are those of the cluster's configuration, as of now.
func (a *App) resilverLimits() resilver.Limits {
	v := a.control.View()
	if v == nil {
		return resilver.Limits{}
	}
	return resilver.Limits{Bandwidth: v.Config.Resilver.Bandwidth, Share: v.Config.Resilver.Share}
}

// loseDisk tells the cluster that what a mountpath has is about to be given up, if anybody keeps copies that could undo what was only there.
func (a *App) loseDisk(ctx context.Context) error {
	v, err := a.control.Latest(ctx)
	if err != nil {
		return err
	}
	for id, s := range v.Map.Sources {
		if s.Keeps && id != a.node.ID {
			_, err := a.control.Propose(ctx, cluster.LoseDisk{ID: a.node.ID})
			return err
		}
	}
	return nil
}

// resilverStatus renders how far the resilver is; nil when there was none.
func (a *App) resilverStatus() *api.Resilver {
	s := a.resilver.Status()
	if s.ID == "" {
		return nil
	}
	r := &api.Resilver{
		ID: s.ID, Running: s.Running, Waiting: s.Waiting, Started: s.Started, Ended: s.Ended,
		Scanned: s.Scanned, Objects: s.Objects, Bytes: s.Bytes, Failed: s.Failed, Planned: s.Planned, Done: s.Done,
		ObjectsPerSecond: s.ObjectsPerSecond, BytesPerSecond: s.BytesPerSecond, ETANS: s.ETA.Nanoseconds(),
		Mountpaths: []api.ResilverMoves{},
	}
	for _, l := range s.Mountpaths {
		r.Mountpaths = append(r.Mountpaths, api.ResilverMoves{Path: l.Path, Planned: l.Planned, Objects: l.Objects, Bytes: l.Bytes})
	}
	return r
}

func resilverMetrics(reg *metrics.Registry, r *resilver.Resilver) {
	reg.Gauge("ais_resilver_running", "1 while names move between mountpaths.", nil, func() float64 {
		if r.Status().Running {
			return 1
		}
		return 0
	})
	reg.Families([]metrics.Family{
		{Name: "ais_resilver_objects_total", Help: "Objects moved between mountpaths.", Kind: metrics.Count},
		{Name: "ais_resilver_bytes_total", Help: "Bytes copied between mountpaths.", Kind: metrics.Count},
		{Name: "ais_resilver_failed_total", Help: "Objects that could not be moved when they were tried.", Kind: metrics.Count},
	}, func(emit metrics.Emit) {
		objects, bytes, failed := r.Totals()
		emit("ais_resilver_objects_total", float64(objects))
		emit("ais_resilver_bytes_total", float64(bytes))
		emit("ais_resilver_failed_total", float64(failed))
	})
}

// resilve moves names between disks once it is known that all of them are the node's: a copy of an earlier time has names that are no more.
func (a *App) resilve(ctx context.Context) error {
	if a.control.AwaitReady(ctx) != nil {
		return nil // the node ends
	}
	return a.resilver.Run(ctx)
}

// followDisks applies what the cluster's configuration says of disks, at once and whenever it changes.
func (a *App) followDisks(ctx context.Context) error {
	var seen uint64
	for {
		if v := a.control.View(); v != nil {
			seen = v.Index
			d := v.Config.Disk
			h := store.Health{Every: d.Probe.D(), SlowFactor: d.SlowFactor, DisableSlow: d.DisableSlow, GiveUp: d.GiveUp.D()}
			if h.SlowFactor == 0 {
				h.SlowFactor = -1
			}
			a.store.SetHealth(h)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-a.control.Watch(seen):
		}
	}
}
