package control

import (
	"io"
	"sync"

	"github.com/hashicorp/raft"

	"aistore/cluster"
	"aistore/errs"
)

// fsm applies committed entries to the Machine and publishes the views.
type fsm struct {
	publish func(*cluster.View)

	mu     sync.Mutex
	m      *cluster.Machine
	broken error
	failed chan struct{} // closed when broken is set
}

func newFSM(publish func(*cluster.View)) *fsm {
	return &fsm{publish: publish, m: cluster.NewMachine(), failed: make(chan struct{})}
}

// applied is what raft hands back to the proposer.
type applied struct {
	result cluster.Result
	err    error
}

// Apply implements raft.FSM. An entry that this program cannot understand stops the replica for good: to go
// on without it would make it differ from the others.
func (f *fsm) Apply(l *raft.Log) any {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		return applied{err: f.broken}
	}
	e, err := cluster.DecodeEntry(l.Data)
	if err != nil {
		f.broken = errs.F("control.Apply", "replicated log", errs.KindOf(err), "FATAL: entry %d: %w", l.Index, err)
		close(f.failed)
		return applied{err: f.broken}
	}
	before := f.m.Index
	res, err := f.m.Apply(l.Index, e)
	if f.m.Index > before {
		f.publish(f.m.View())
	}
	return applied{res, err}
}

// machine returns the present state; its parts are shared and not to be changed.
func (f *fsm) machine() cluster.Machine {
	f.mu.Lock()
	defer f.mu.Unlock()
	return *f.m
}

func (f *fsm) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.broken
}

// Snapshot implements raft.FSM.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	m := f.machine()
	return &snapshot{&m}, nil
}

// Restore implements raft.FSM.
func (f *fsm) Restore(rc io.ReadCloser) error {
	defer rc.Close()
	b, err := io.ReadAll(rc)
	if err != nil {
		return errs.E("control.Restore", "snapshot", err)
	}
	m, err := cluster.Restore(b)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.m = m
	if m.Founded() {
		f.publish(m.View())
	}
	return nil
}

type snapshot struct{ m *cluster.Machine }

// Persist implements raft.FSMSnapshot; the sink syncs when it is closed.
func (s *snapshot) Persist(sink raft.SnapshotSink) error {
	b, err := s.m.Snapshot()
	if err == nil {
		_, err = sink.Write(b)
	}
	if err != nil {
		_ = sink.Cancel() // the first error is what counts
		return err
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot.
func (s *snapshot) Release() {}
