package control

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/raft"

	"aistore/errs"
)

// A write of the log that does not return is no failure that the library could see: a leader goes on sending heartbeats, so nobody else is
// elected, and commits nothing. So the member looks itself how long a write takes. A leader whose write hangs leaves: it shuts the
// library down and ends its connections, without waiting for anything, and the others elect. Who does not lead only tells of it: it answers
// nothing that it has not written, and nobody waits for it.

// hangLooks is how often the same write is seen under way before it hangs. Looks are counted, not time: of a process that was stopped
// or starved they are missing.
const hangLooks = 12

// closePatience bounds the wait for the library when the member ends.
const closePatience = 6 * time.Second

var errStuck = errors.New("a write of the log does not return, and others can elect another primary")

// watch looks at the writes of the log until the member is left, or leaves because one hangs.
func (m *member) watch(cfg memberConfig) {
	t := time.NewTicker(cfg.timing.Hang / hangLooks)
	defer t.Stop()
	var last uint64
	looks := 0
	for {
		select {
		case <-t.C:
		case <-m.left:
			return
		}
		now := m.store.Writing()
		if now == 0 || now != last {
			if looks >= hangLooks {
				cfg.alert("")
				cfg.log.Info("the disk of the log answers again", "dir", cfg.dir)
			}
			last, looks = now, 0
			continue
		}
		looks++
		what := "a write in " + cfg.dir + " has not returned for " + cfg.timing.Hang.String() + ": "
		if looks >= hangLooks && m.raft.State() == raft.Leader && m.spare() {
			m.leave() // before anything is logged: the program's output may be on that disk
			cfg.alert(what + "this node has left its place as primary and votes again, by itself, when the disk answers")
			close(m.stuck)
			return
		}
		if looks == hangLooks {
			cfg.alert(what + "until it has, this node does not count as a voter")
			go cfg.log.Error("a write of the log does not return", "dir", cfg.dir, "for", cfg.timing.Hang) // not waited for: as above
		}
	}
}

// spare reports whether the other voters that live are a majority. Where they are not, nobody could be elected: the leader that stays
// at least renews leases, so that objects are served.
func (m *member) spare() bool {
	nodes := m.fsm.machine().Map
	if nodes == nil {
		return false
	}
	voters, others := 0, 0
	for _, s := range m.raft.GetConfiguration().Configuration().Servers {
		if s.Suffrage != raft.Voter {
			continue
		}
		voters++
		if n := nodes.Nodes[nodeOf(s.ID)]; s.ID != m.id && n != nil && n.Alive {
			others++
		}
	}
	return others > voters/2
}

// leave ends the member's part at once and for ever, and waits for nothing. What is under way on the disk may still end, or never; closed
// tells. Nobody is told of what it wrote: the connections are gone before.
func (m *member) leave() {
	m.leaving.Do(func() {
		close(m.left)
		f := m.raft.Shutdown()
		terr := m.trans.Close() // heartbeats are sent whatever the disk does
		go func() {
			err := f.Error()
			m.trans.quiet()
			m.ended = errors.Join(err, terr, m.store.Close())
			close(m.closed)
		}()
	})
}

// close stops the member; its log stays.
func (m *member) close() error {
	m.leave()
	t := time.NewTimer(closePatience)
	defer t.Stop()
	select {
	case <-m.closed:
		return m.ended
	case <-t.C:
		return errs.F("control.close", string(m.id), errs.Mountpath, "a write of the log has not returned within %v; it is left behind", closePatience)
	}
}

// ownDisk is the disk of the node's directory.
type ownDisk struct{ *Control }

// outlast waits until the disk of a member that left has answered, and the member is closed: only then may its log be opened again.
func (c ownDisk) outlast(ctx context.Context, m *member) error {
	c.log.Error("this node does not vote until its disk answers", "dir", c.raftDir())
	for {
		select {
		case <-m.closed:
			c.warn("")
			c.log.Info("the disk of the log answers again; this node votes", "dir", c.raftDir())
			return errors.Join(m.store.Err(), m.ended)
		case inv := <-c.invite:
			inv.reply <- invited{err: errs.E("control.seat", c.raftDir(), errs.Mountpath, errStuck)}
		case <-ctx.Done():
			return nil
		}
	}
}

// warn makes text an alert of this node; "" ends it.
func (c ownDisk) warn(text string) {
	c.alert.Store(&text)
	c.beatNow()
}

// alerts returns those of the report and the control plane's own.
func (c ownDisk) alerts(reported []string) []string {
	if text := c.alert.Load(); text != nil && *text != "" {
		return append([]string{*text}, reported...)
	}
	return reported
}

// within runs f, which may hang on a disk, and returns its error. It does not wait for f much beyond the end of ctx.
func within(ctx context.Context, f func() error) (returned bool, err error) {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return true, err
	case <-ctx.Done():
	}
	t := time.NewTimer(2 * time.Second)
	defer t.Stop()
	select {
	case err := <-done:
		return true, err
	case <-t.C:
		return false, nil
	}
}
