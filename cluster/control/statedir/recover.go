package statedir

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"

	"aistore/cluster"
	"aistore/errs"
	"aistore/internal/durable"
)

// replacedLog is appended to the name of the log that Recover has replaced, and a number to those of later recoveries. They stay, for whoever wants
// to look what they said: what a recovery overrules is nowhere else.
const replacedLog = ".replaced"

// freshLog is appended to the name of the new one until it is complete, and for a moment it is the name of the former one.
const freshLog = ".recovered"

// snapshotDir is where the library keeps snapshots, below the directory of the log.
const snapshotDir = "snapshots"

// Remembered is what a directory knows of its cluster.
type Remembered struct {
	Identity
	Log       string           // name of its copy of the replicated log; "" = it has none
	Entries   uint64           // index of the last entry in the copy
	Term      uint64           // of that entry
	ViewIndex uint64           // of view.json; 0 = there is none
	Voters    []cluster.NodeID // by the newest configuration in the copy, or else by the view
	State     *cluster.Machine // the newer of both
	Damaged   error            // why the copy of the log cannot be read: only the view counts then; nil if it can
	Kept      string           // where Recover has put the former copy of the log; "" = there was none

	hasLog bool // there is a copy of the log, though it may have lost its name
}

// Index says how new State is, to compare it with what other nodes remember: of two copies of the log the one with the later Term is newer, and if
// the terms are the same the one with the higher Index; a node that has only a view, which was confirmed, is newer if its Index is higher.
func (r *Remembered) Index() uint64 { return max(r.State.Index, r.Entries) }

// Look reads what dir, the directory of a node that is stopped, knows of its cluster. Kind Conflict when the node runs, NotFound when dir knows nothing.
func Look(dir string) (*Remembered, error) {
	lock, err := lockExisting(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = lock.Close() }() // nothing was written to it
	return look(dir)
}

// lockExisting is Lock of a directory that must be a node's: a wrong path is left as it is.
func lockExisting(dir string) (*os.File, error) {
	there, err := durable.Exists(filepath.Join(dir, identityFile))
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, errs.F("statedir.Look", dir, errs.NotFound, "is not the directory (`dir`) of a node: it has no %s", identityFile)
	}
	lock, err := Lock(dir)
	if err != nil {
		return nil, err
	}
	if err := giveTo(dir, lock.Name()); err != nil { // it may be new
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

func look(dir string) (*Remembered, error) {
	const op = "statedir.Look"
	r := &Remembered{State: cluster.NewMachine()}
	var err error
	if r.Identity, err = LoadIdentity(dir); err != nil {
		return nil, err
	}
	if r.hasLog, err = durable.Exists(LogDir(dir)); err != nil {
		return nil, err
	}
	if r.Log, err = LogID(LogDir(dir)); err != nil {
		return nil, err
	}
	if r.hasLog {
		err := guarded(func() error { return r.readLog(LogDir(dir)) })
		if errs.Is(err, errs.Corrupt, errs.Mountpath) {
			*r = Remembered{Identity: r.Identity, Log: r.Log, hasLog: true, State: cluster.NewMachine(), Damaged: err}
		} else if err != nil {
			return nil, err
		}
	}
	v, verr := LoadView(dir)
	if verr == nil && v != nil {
		r.ViewIndex = v.Index
		r.State = r.State.Newer(v)
	}
	if !r.State.Founded() {
		if err := errors.Join(r.Damaged, verr); err != nil {
			return nil, err
		}
		return nil, errs.E(op, dir, errs.NotFound, "knows of no cluster: it holds neither entries of the replicated log nor a view")
	}
	if r.Cluster != "" && r.State.Map.UUID != r.Cluster {
		return nil, errs.F(op, dir, errs.Invalid, "belongs to cluster %s, and what it remembers is of cluster %s: it was mixed from the directories of two nodes", r.Cluster, r.State.Map.UUID)
	}
	if r.Voters == nil {
		for _, n := range r.State.Map.All() {
			if n.Voter {
				r.Voters = append(r.Voters, n.ID)
			}
		}
	}
	return r, nil
}

// readLog replays the copy of the log, all of it: what no majority has confirmed may have been, by voters that are lost. It changes nothing on disk.
func (r *Remembered) readLog(dir string) (err error) {
	const op = "statedir.readLog"
	store, err := openLog(dir, &bbolt.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := r.readSnapshots(dir); err != nil {
		return errs.E(op, dir, errs.Corrupt, err)
	}
	last, err := store.LastIndex()
	if err != nil {
		return errs.E(op, dir, err)
	}
	for i := r.Entries + 1; i <= last; i++ {
		var l raft.Log
		if err := store.GetLog(i, &l); err != nil {
			return errs.F(op, dir, errs.Corrupt, "entry %d of %d cannot be read: %w", i, last, err)
		}
		if err := r.apply(&l); err != nil {
			return errs.E(op, dir, errs.Corrupt, err)
		}
	}
	return nil
}

// readSnapshots begins with the newest snapshot that can be read.
func (r *Remembered) readSnapshots(dir string) error {
	if there, err := durable.Exists(filepath.Join(dir, snapshotDir)); err != nil || !there {
		return err
	}
	snaps, err := raft.NewFileSnapshotStore(dir, 2, io.Discard)
	if err != nil {
		return err
	}
	list, err := snaps.List()
	if err != nil {
		return err
	}
	var faults []error
	for _, meta := range list {
		m, err := openSnapshot(snaps, meta.ID)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		r.State, r.Entries, r.Term = m, meta.Index, meta.Term
		r.configured(meta.Configuration)
		return nil
	}
	return errors.Join(faults...)
}

func openSnapshot(snaps raft.SnapshotStore, id string) (*cluster.Machine, error) {
	_, rc, err := snaps.Open(id)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(rc)
	if err = errors.Join(err, rc.Close()); err != nil {
		return nil, err
	}
	return cluster.Restore(b)
}

func (r *Remembered) apply(l *raft.Log) error {
	r.Entries, r.Term = l.Index, l.Term
	switch l.Type {
	case raft.LogConfiguration:
		r.configured(raft.DecodeConfiguration(l.Data))
	case raft.LogCommand:
		e, err := cluster.DecodeEntry(l.Data)
		if err != nil {
			return err
		}
		_, _ = r.State.Apply(l.Index, e) // one that was refused then is refused now
	}
	return nil
}

func (r *Remembered) configured(c raft.Configuration) {
	r.Voters = []cluster.NodeID{}
	for _, s := range c.Servers {
		if s.Suffrage == raft.Voter {
			r.Voters = append(r.Voters, NodeOf(string(s.ID)))
		}
	}
	slices.Sort(r.Voters)
}

// Recover makes the node whose directory is dir, and which is stopped, the only voter of its cluster, with what it remembers. The other voters
// must be lost for good, or at least never run again with what they have: they would be a second cluster of the same name. What they
// had confirmed and this node had not heard of is forgotten. It returns what was found, and where the former log is kept. A crash leaves the
// former log or the new one.
func Recover(dir string, now time.Time) (*Remembered, error) {
	const op = "statedir.Recover"
	lock, err := lockExisting(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = lock.Close() }() // nothing was written to it
	r, err := look(dir)
	if err != nil {
		return nil, err
	}
	n := r.State.Map.Nodes[r.ID]
	if n == nil {
		return nil, errs.F(op, dir, errs.Invalid, "%s is not in the cluster map: use a node that is", r.ID)
	}
	write := func(tmp, id string) error {
		if err := r.begin(tmp, id, n.IntraAddr, now); err != nil {
			return err
		}
		return giveTo(dir, tmp)
	}
	logs := LogDir(dir)
	fresh := logs + freshLog
	if _, err := keep(fresh, logs); err != nil { // of a recovery that was cut short: it may be the former log
		return nil, err
	}
	if !r.hasLog {
		return r, create(logs, r.ID, write)
	}
	if err := create(fresh, r.ID, write); err != nil {
		return nil, err
	}
	if err := exchange(logs, fresh); err != nil {
		return nil, errs.E(op, logs, err)
	}
	r.Kept, err = keep(fresh, logs)
	return r, err
}

// keep gives a log the first name for those that were replaced which is free, and returns it; "" if there is no such log.
func keep(log, logs string) (string, error) {
	if there, err := durable.Exists(log); err != nil || !there {
		return "", err
	}
	for i := 1; ; i++ {
		name := logs + replacedLog
		if i > 1 {
			name += "." + strconv.Itoa(i)
		}
		if there, err := durable.Exists(name); err != nil {
			return "", err
		} else if !there {
			return name, aside(log, name)
		}
	}
}

// begin writes the beginning of the cluster's further life into an empty log: a snapshot behind all that any node can have heard of.
func (r *Remembered) begin(dir, id, addr string, now time.Time) (err error) {
	m, err := r.State.Resume(r.ID, id, now)
	if err != nil {
		return err
	}
	m.Index = max(m.Index, r.Entries+1)
	term := max(r.Term+1, m.Index) // later than that of any log of the former life, as what is compared after a further loss: terms are never more than entries
	b, err := m.Snapshot()
	if err != nil {
		return err
	}
	snaps, err := raft.NewFileSnapshotStore(dir, 2, io.Discard)
	if err != nil {
		return err
	}
	sink, err := snaps.Create(raft.SnapshotVersionMax, m.Index, term, alone(id, addr), 1, noTransport(addr))
	if err != nil {
		return err
	}
	if _, err := sink.Write(b); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	if err := sink.Close(); err != nil {
		return err
	}
	store, err := OpenStore(dir)
	if err != nil {
		return err
	}
	err = store.SetUint64([]byte("CurrentTerm"), term) // as the library keeps it: its term is never behind its snapshot's
	return errors.Join(err, store.Close())
}
