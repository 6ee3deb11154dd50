package control

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"aistore/cluster"
	"aistore/cluster/control/statedir"
	"aistore/errs"
)

// member is this node's copy of the replicated log while it has one: a voter, or about to become one.
type member struct {
	raft  *raft.Raft
	fsm   *fsm
	store *statedir.Store
	trans *transport
	id    raft.ServerID

	leaving sync.Once
	left    chan struct{} // closed when the member has begun to leave
	stuck   chan struct{} // closed when it left because a write hangs
	closed  chan struct{} // closed when nothing of it runs any more
	ended   error         // of what leave began, once closed
}

// memberConfig is what a member needs besides its directory.
type memberConfig struct {
	node    cluster.NodeID
	dir     string // DIR/raft
	door    *door
	addrs   raft.ServerAddressProvider
	publish func(*cluster.View)
	timing  Timing
	log     *slog.Logger
	alert   func(string) // what is wrong with the disk; "" = nothing
	stall   func()       // of tests: see statedir.Store
}

func raftConfig(ctx context.Context, cfg memberConfig, id raft.ServerID) *raft.Config {
	rc := raft.DefaultConfig()
	rc.LocalID = id
	rc.HeartbeatTimeout = cfg.timing.Election
	rc.ElectionTimeout = cfg.timing.Election
	rc.LeaderLeaseTimeout = cfg.timing.Election * 5 / 6
	rc.CommitTimeout = cfg.timing.Election / 2 // views reach everybody by the stream; this only moves followers' commit index
	rc.SnapshotThreshold = 1024
	rc.TrailingLogs = 1024
	rc.ShutdownOnRemove = false // package control decides when a member ends
	rc.NoLegacyTelemetry = true
	rc.Logger = raftLogger(ctx, cfg.log)
	return rc
}

// openMember starts the member whose log is in cfg.dir.
func openMember(ctx context.Context, cfg memberConfig) (_ *member, err error) {
	const op = "control.openMember"
	id, err := statedir.LogID(cfg.dir)
	if err != nil {
		return nil, err
	}
	if id == "" {
		return nil, errs.F(op, cfg.dir, errs.Corrupt, "has no name: the directory was not made by this program")
	}
	if err := os.Chmod(cfg.dir, 0o700); err != nil { // log and snapshots hold the secrets of the cluster and of users
		return nil, errs.E(op, cfg.dir, err)
	}
	m := &member{id: raft.ServerID(id), fsm: newFSM(cfg.publish), left: make(chan struct{}), stuck: make(chan struct{}), closed: make(chan struct{})}
	if m.store, err = statedir.OpenStore(cfg.dir); err != nil {
		return nil, err
	}
	m.store.Stall = cfg.stall
	rc := raftConfig(ctx, cfg, m.id)
	snaps, err := raft.NewFileSnapshotStoreWithLogger(cfg.dir, 2, rc.Logger)
	if err != nil {
		_ = m.store.Close()
		return nil, errs.E(op, cfg.dir, err)
	}
	m.trans = &transport{NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: cfg.door.open(ctx), ServerAddressProvider: cfg.addrs, Logger: rc.Logger,
		MaxPool: 3, Timeout: 3 * time.Second, MsgpackUseNewTimeFormat: true,
	})}
	rc.HeartbeatTimeout++ // see standAtOnce
	rc.ElectionTimeout++
	if m.raft, err = raft.NewRaft(rc, m.fsm, m.store, m.store, snaps, m.trans); err != nil {
		_ = m.trans.Close()
		_ = m.store.Close()
		return nil, errs.E(op, cfg.dir, err)
	}
	m.standAtOnce(cfg.timing.Election)
	go m.watch(cfg) // ends with leave
	return m, nil
}

// standAtOnce lets a sole voter begin its election now: it has nobody to wait for. The library looks at
// once whether it hears a leader when its heartbeat timeout is shortened.
func (m *member) standAtOnce(election time.Duration) {
	servers := m.raft.GetConfiguration().Configuration().Servers
	if len(servers) != 1 || servers[0].ID != m.id {
		return
	}
	rc := m.raft.ReloadableConfig()
	rc.HeartbeatTimeout, rc.ElectionTimeout = election, election
	_ = m.raft.ReloadConfig(rc) // if it were refused the election would begin a moment later
}

// wait returns when ctx ends, or with the fault if the log cannot be written or not be understood.
func (m *member) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-m.stuck:
		return errStuck
	case <-m.store.Failed:
		return m.store.Err()
	case <-m.fsm.failed:
		return m.fsm.err()
	}
}

// leads reports whether the member is the leader in term.
func (m *member) leads(term uint64) bool {
	return m.raft.State() == raft.Leader && m.raft.CurrentTerm() == term
}

// await waits for a future of the library, which ends in bounded time: a leader without followers steps
// down, a broken log fails, and who hangs leaves.
func await(ctx context.Context, f raft.Future) error {
	done := make(chan error, 1)
	go func() { done <- f.Error() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
