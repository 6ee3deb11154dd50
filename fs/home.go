package fs

import (
	"errors"
	"slices"
	"time"

	"aistore/errs"
)

// home is the copy of a set's record in the node's own directory: a voice among those of the mountpaths.
type home struct{ *Set }

// reminder is the record as the node's own directory has it.
type reminder struct {
	NodeID string    `json:"node_id"`
	Set    setRecord `json:"set"`
}

// recall takes the record of the node's own directory. It is only needed when no mountpath that is configured has one: what cannot be read is no
// reason not to start.
func (s home) recall(nodeID string) {
	r, err := s.kept()
	switch {
	case err != nil:
		s.log.Warn("the node's copy of its mountpaths' record cannot be read", "dir", s.dir, "err", err)
	case nodeID != "" && r.NodeID == nodeID:
		s.rec = r.Set
	}
}

func (s home) kept() (r reminder, err error) {
	if s.dir == "" {
		return r, nil
	}
	root, err := s.sys.OpenRoot(s.dir)
	if err == nil {
		err = errors.Join(readDoc(root, HomeName, &r), root.Close())
	}
	if errs.KindOf(err) == errs.NotFound {
		err = nil
	}
	return r, err
}

// remind writes the record into the node's own directory.
func (s home) remind() {
	if s.dir == "" || !s.reminding.CompareAndSwap(false, true) {
		return // a former one hangs: this one is told at the next change, or start
	}
	r := reminder{s.node(), s.rec.clone()}
	done := make(chan error, 1)
	go func() { // left alone when the disk hangs: a change of mountpaths does not wait for another disk
		err := s.keep(&r)
		s.reminding.Store(false) // before anybody goes on: the next change is to be written, too
		done <- err
	}()
	late := time.NewTimer(remindWait)
	defer late.Stop()
	var err error
	select {
	case err = <-done:
	case <-late.C:
		err = errors.New("its disk does not answer")
	}
	if err != nil {
		s.log.Warn("the node keeps no copy of its mountpaths' record", "dir", s.dir, "err", err)
	}
}

// remindWait is how long a change waits for the node's own directory.
const remindWait = time.Second

func (s home) keep(r *reminder) error {
	if err := s.sys.MkdirAll(s.dir); err != nil {
		return err
	}
	root, err := s.sys.OpenRoot(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(writeDoc(root, HomeName, r), root.Close())
}

// node is whose mountpaths these are.
func (s home) node() string {
	i := slices.IndexFunc(s.mps, func(m *Mountpath) bool { return m.marker.NodeID != "" })
	if i < 0 {
		return ""
	}
	return s.mps[i].marker.NodeID
}

// knows reports whether the copy is the record as it is now.
func (s home) knows() bool {
	r, err := s.kept()
	return s.dir == "" || err == nil && r.NodeID == s.node() && r.Set.Version == s.rec.Version
}
