package xact

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
	"aistore/internal/durable"
)

// ledgerFormat is the newest format of a file of the ledger.
const ledgerFormat = 1

// maxLedgerFile bounds a file of the ledger that is read: a Spec, and what is known of its shares.
const maxLedgerFile = 2 * maxSpec

// ledgerEvery is how often marks are written, and a second more for each MiB of the job's message, which is written with them.
const ledgerEvery = 5 * time.Second

// ledgerPatience is how long a job waits for its file: the disk may hang.
const ledgerPatience = 2 * time.Second

// ledger keeps what a target knows of jobs on disk, one file each, for when all targets have ended. docs/format/jobs.md describes it.
// Where it cannot be written jobs go on, and are remembered as long as the process lives.
//
// One goroutine at a time writes, while there is something to write. Where a write does not return, nobody waits for it: neither those who
// start, stop or end jobs, nor the end of the process.
type ledger struct {
	dir   string
	log   *slog.Logger
	write func(path string, b []byte) error // durable.WriteFile, but in tests

	mu      sync.Mutex
	turns   map[string]chan struct{} // of jobs to be written, closed when that is done; "" is none's: only files are removed
	writing bool                     // somebody writes
	bad     bool                     // the last write failed
	late    bool                     // one has not returned within ledgerPatience

	kept map[string]bool // ids of jobs with a file; only who writes uses it
}

// entry is a file of the ledger.
type entry struct {
	Format  int       `json:"format"`  // ledgerFormat
	Cluster string    `json:"cluster"` // uuid: of another cluster the buckets' ids say nothing
	Began   time.Time `json:"began"`
	Spec    Spec      `json:"spec"` // without the message of a job of which no share will begin any more

	Shares  []Snap `json:"shares"`           // that are or were this target's to work on
	Others  []Snap `json:"others,omitempty"` // of other targets, as they were seen last
	Stopped bool   `json:"stopped,omitempty"`
	Final   *Final `json:"final,omitempty"`

	Given cluster.NodeID `json:"given,omitempty"` // whom this target has handed shares to, last, when it ended
}

func (l *ledger) path(id string) string { return filepath.Join(l.dir, id+".json") }

// keeps reports whether jobs of a kind are in the ledger. Who counts objects can count them again.
func keeps(kind string) bool { return kind != SummaryBucket }

// save writes what is known of a job, and removes the files of those that are remembered no more. What was known when save was called is durable when
// it returns, or the log says why not.
func (r *Runtime) save(id string) {
	l := &r.ledger
	if r.cfg.Dir == "" {
		return
	}
	l.mu.Lock()
	turn := l.turns[id]
	if turn == nil {
		turn = make(chan struct{})
		l.turns[id] = turn
	}
	if !l.writing {
		l.writing = true
		go l.work(r.entry, r.remembers) // nobody waits for it longer than here, see ledger
	}
	patience := ledgerPatience
	if l.late {
		patience = 0
	}
	l.mu.Unlock()
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-turn:
	case <-t.C:
		l.mu.Lock()
		first := !l.late
		l.late = true
		l.mu.Unlock()
		if first {
			l.log.Warn("jobs are not written down: they are forgotten if all targets end", "err", "a write in "+l.dir+" has not returned for "+ledgerPatience.String())
		}
	}
}

// work gives all their turn, until nobody is left.
func (l *ledger) work(entryOf func(id string) *entry, remembered func(id string) bool) {
	for {
		l.mu.Lock()
		var id string
		var turn chan struct{}
		for id, turn = range l.turns {
			break
		}
		delete(l.turns, id)
		l.writing = turn != nil
		l.mu.Unlock()
		if turn == nil {
			return
		}
		if e := entryOf(id); e != nil {
			b, err := json.Marshal(e)
			if err == nil {
				err = l.write(l.path(id), b)
			}
			l.kept[id] = true
			l.wrote(err)
		}
		l.prune(remembered)
		close(turn)
	}
}

// wrote notes how a write has ended; of failures in a row the log has one.
func (l *ledger) wrote(err error) {
	l.mu.Lock()
	first := err != nil && !l.bad
	l.bad, l.late = err != nil, false
	l.mu.Unlock()
	if first {
		l.log.Warn("jobs are not written down: they are forgotten if all targets end", "err", err)
	}
}

// entry is what is to be written of a job; nil if it is not kept or not known.
func (r *Runtime) entry(id string) *entry {
	v := r.cfg.Map.View()
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.watches[id]
	if w == nil || v == nil || !keeps(w.spec.Kind) || w.cluster != "" && w.cluster != v.Map.UUID {
		return nil
	}
	w.written, w.cluster = r.cfg.Now(), v.Map.UUID
	e := &entry{Format: ledgerFormat, Cluster: w.cluster, Began: w.began, Spec: w.spec, Stopped: w.stopped, Final: w.final, Given: w.given}
	for _, j := range r.jobs {
		if j.spec.ID == id {
			s := j.snap()
			s.Targets = nil // they are the spec's
			e.Shares = append(e.Shares, s)
		}
	}
	for _, of := range slices.Sorted(maps.Keys(w.known)) {
		s := w.known[of]
		s.Targets = nil
		e.Others = append(e.Others, s)
	}
	return e
}

// saveMarks writes the marks of what runs here, of each job in its turn.
func (r *Runtime) saveMarks(ctx context.Context) {
	tick := time.NewTicker(ledgerEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		r.mu.Lock()
		due := map[string]bool{}
		for _, j := range r.jobs {
			w := r.watches[j.spec.ID]
			if j.running() && w != nil && r.cfg.Now().Sub(w.written) >= ledgerEvery+time.Duration(len(w.spec.Message)>>20)*time.Second {
				due[j.spec.ID] = true
			}
		}
		r.mu.Unlock()
		for id := range due {
			r.save(id)
		}
	}
}

// prune removes the files of jobs that are remembered no more.
func (l *ledger) prune(remembered func(id string) bool) {
	for id := range l.kept {
		if remembered(id) {
			continue
		}
		if err := os.Remove(l.path(id)); err == nil || errors.Is(err, fs.ErrNotExist) {
			delete(l.kept, id)
		}
	}
}

// restore reads the ledger. Files that cannot be used are left alone, and the log says why.
func (r *Runtime) restore() {
	r.ledger = ledger{dir: r.cfg.Dir, log: r.cfg.Log, write: durable.WriteFile, turns: map[string]chan struct{}{}, kept: map[string]bool{}}
	files, err := os.ReadDir(r.cfg.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.cfg.Log.Warn("jobs before this start are not known", "err", err)
	}
	var all []*entry
	for _, f := range files {
		id, ok := strings.CutSuffix(f.Name(), ".json")
		if !ok {
			continue
		}
		e, err := readEntry(r.ledger.path(id))
		if err == nil && e.Spec.ID != id {
			err = errs.F("xact.restore", f.Name(), errs.Corrupt, "is of job %q", e.Spec.ID)
		}
		if err != nil {
			r.cfg.Log.Warn("a job from before this start is not known", "err", err)
			continue
		}
		all = append(all, e)
		r.ledger.kept[id] = true
	}
	slices.SortFunc(all, func(a, b *entry) int { return a.Began.Compare(b.Began) })
	for _, e := range all {
		r.recall(e)
	}
}

func readEntry(path string) (*entry, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // opened for reading only
	b, err := io.ReadAll(io.LimitReader(f, maxLedgerFile+1))
	if err == nil && len(b) > maxLedgerFile {
		err = errs.F("xact.restore", path, errs.Corrupt, "has more than %d bytes", maxLedgerFile)
	}
	if err != nil {
		return nil, err
	}
	e, err := decodeEntry(b)
	if err != nil {
		return nil, errs.E("xact.restore", path, err)
	}
	return e, nil
}

// decodeEntry reads a file of the ledger; kind Corrupt, or Unsupported if it is of a newer release.
func decodeEntry(b []byte) (*entry, error) {
	const op = "xact.decodeEntry"
	e := new(entry)
	if err := json.Unmarshal(b, e); err != nil {
		return nil, errs.E(op, "", errs.Corrupt, err)
	}
	if _, ok := rowOf(e.Spec.Kind); e.Format > ledgerFormat || !ok && e.Spec.Kind != "" {
		return nil, errs.F(op, "", errs.Unsupported, "format %d, job kind %q: use a newer release", e.Format, e.Spec.Kind)
	}
	if e.Format != ledgerFormat || e.Spec.ID == "" || e.Spec.Kind == "" || len(e.Spec.Targets) == 0 {
		return nil, errs.E(op, "", errs.Corrupt, "it is no job")
	}
	for _, s := range slices.Concat(e.Shares, e.Others) {
		if s.Of == "" {
			return nil, errs.E(op, "", errs.Corrupt, "a share is nobody's")
		}
	}
	return e, nil
}

// recall takes up a job of the ledger. Shares that were worked on here count as given up.
func (r *Runtime) recall(e *entry) {
	w := r.watch(&e.Spec)
	w.began, w.cluster, w.stopped, w.final, w.given = e.Began, e.Cluster, e.Stopped, e.Final, e.Given
	w.restored, w.unsure = r.cfg.Now(), true
	for _, s := range e.Others {
		s.Targets = e.Spec.Targets
		w.known[s.Of] = s
	}
	for _, s := range e.Shares {
		r.jobs = append(r.jobs, recallShare(r, &e.Spec, &s))
	}
}

func recallShare(r *Runtime, spec *Spec, s *Snap) *run {
	j := &run{of: s.Of, spec: *spec, rt: r, over: make(chan struct{}), cancel: func(error) {}, started: s.Start, ended: s.End, from: bucketOf(s.Bck, spec.Bucket)}
	close(j.over)
	j.row, _ = rowOf(spec.Kind)
	if s.Dst != nil {
		j.to = bucketOf(*s.Dst, spec.To)
	}
	j.resume(s.Mark)
	if s.AbortErr != "" {
		j.err = errors.New(s.AbortErr)
	}
	if s.ended() {
		j.objects.Store(s.Stats.Objects)
		j.bytes.Store(s.Stats.Bytes)
		j.failed.Store(int64(s.Errors))
	} else {
		j.left, j.ended = true, r.cfg.Now()
	}
	return j
}

// bucketOf is what a share reports of its bucket.
func bucketOf(b api.Bck, id uint64) *cluster.Bucket {
	return &cluster.Bucket{ID: id, Name: b.Name, Namespace: b.Namespace.Name}
}

// disown forgets the jobs of another cluster: the node has left it.
func (r *Runtime) disown(v *cluster.View) {
	r.mu.Lock()
	foreign := false
	for id, w := range r.watches {
		if w.cluster != "" && w.cluster != v.Map.UUID {
			foreign = true
			delete(r.watches, id)
			r.jobs = slices.DeleteFunc(r.jobs, func(j *run) bool { return j.spec.ID == id })
		}
	}
	r.mu.Unlock()
	if foreign {
		r.save("")
	}
}

// confirm decides whether a job that this target knows from before its start is gone on with, by what the other live targets told. While it is not
// over, every one of its members knows it: who has not heard of it may have forgotten it since its end. So it is gone on with if a target
// works on it, or if all members have it from before their starts like this one, of whom there must be another. Otherwise why says what is in the way,
// for ever, or "" until more of them answer.
func (r *Runtime) confirm(v *cluster.View, w *watch, others []*cluster.Node, told [][]Snap, silent []bool) (sure bool, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !w.unsure {
		return true, ""
	}
	members := w.members(told)
	early, there := r.cfg.Now().Sub(w.restored) < begunBy, false
	for id := range members {
		n := v.Map.Nodes[id]
		if n != nil && !n.Alive && early {
			return false, "" // it may be starting, too
		}
		there = there || n != nil && id != r.cfg.Self
	}
	sure = len(members) == 1
	for i, n := range others {
		for _, s := range told[i] {
			if !s.Restored {
				w.unsure = false
				return true, ""
			}
		}
		switch {
		case !members[n.ID]:
		case silent[i]:
			return false, ""
		case len(told[i]) == 0:
			why = "all targets that took part were restarted, and " + string(n.ID) + " does not know of it: start it again if it is still wanted"
		default:
			sure = true
		}
	}
	if !sure && !there && why == "" && !slices.Contains(silent, true) {
		why = "all targets that took part were restarted, and none of the others is left in the cluster: start it again if it is still wanted"
	}
	if why != "" {
		return false, why
	}
	w.unsure = !sure
	return sure, ""
}

// members are the targets that know of a job while it is not over: those that take part, and whom they have handed shares to. r.mu is held.
func (w *watch) members(told [][]Snap) map[cluster.NodeID]bool {
	all := map[cluster.NodeID]bool{}
	for _, id := range w.spec.Targets {
		all[id] = true
	}
	if w.given != "" {
		all[w.given] = true
	}
	for _, snaps := range told {
		for _, s := range snaps {
			if s.Given != "" {
				all[s.Given] = true
			}
		}
	}
	return all
}

// abandon ends a job that nobody goes on with, and with it the shares that are this target's.
func (r *Runtime) abandon(ctx context.Context, others []*cluster.Node, id, why string) {
	for _, j := range r.all() {
		if j.spec.ID == id {
			j.giveUp(errs.E("xact.abandon", "job "+id, errs.Canceled, why))
		}
	}
	f := finalOf(r.Query(&api.JobQuery{ID: id}))
	f.Aborted, f.End = true, r.cfg.Now()
	if f.Err == "" { // no share of it is this target's
		f.Err = why
	}
	r.cfg.Log.Warn("a job from before this start is not gone on with", "job", id, "why", why)
	if err := seal(ctx, r.cfg.Peers, others, id, f); err == nil {
		_ = r.Seal(ctx, id, f) // only ctx can end it
	}
}

// giveUp ends a share that was left and that nobody goes on with.
func (j *run) giveUp(why error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.left {
		j.left, j.err = false, why
	}
}
