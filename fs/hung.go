package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"aistore/errs"
)

// A call to the operating system for a disk that hangs comes back when the disk does, and nothing can end it before. So whoever changes
// something waits for the call or for the end of the mountpath, whichever comes first. Calls that were left alone may still change the
// disk: it is not used again before they have returned. What they write is not to be changed by who left them, unless nothing
// will ever refer to it.

// calls are those under way.
type calls struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // closed when there are none; nil = nobody waits for that
}

func (c *calls) begin() {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
}

func (c *calls) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n--; c.n == 0 && c.idle != nil {
		close(c.idle)
		c.idle = nil
	}
}

// outcome is what a call gave.
type outcome struct {
	n    int
	file File
	lock io.Closer
	err  error
	back bool // the call has returned; else it was left alone

	panicked any
}

// await makes a call that may hang.
func await(m *Mountpath, call func() outcome) outcome {
	m.calls.begin()
	done := make(chan outcome) // not buffered: who has left does not close the file
	go func() {
		defer m.calls.end()
		o := caught(call)
		o.back = true
		select {
		case done <- o:
		case <-m.down:
			select {
			case done <- o: // it still waits
			default:
				late(m, o.err)
				if o.file != nil {
					_ = o.file.Close() // nobody knows of it
				}
				if o.lock != nil {
					_ = o.lock.Close()
				}
			}
		}
	}()
	var late <-chan time.Time
	if m.opening.Load() {
		t := time.NewTimer(openPatience)
		defer t.Stop()
		late = t.C
	}
	select {
	case o := <-done:
		if o.panicked != nil {
			panic(o.panicked) // in the goroutine that it belongs to
		}
		return o
	case <-late:
		GiveUp(m, openPatience)
	case <-m.down:
	}
	return outcome{err: m.Err()}
}

// openPatience bounds each call while a mountpath is opened, when nobody looks at its disk yet: one that hangs is not to keep a node from starting.
const openPatience = 30 * time.Second

func caught(call func() outcome) (o outcome) {
	defer func() {
		if p := recover(); p != nil {
			o = outcome{panicked: p}
		}
	}()
	return call()
}

// table reports whether a file of the index is written in the background: no request waits for its calls, which are made in place.
func table(name string) bool {
	return strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".blob")
}

// write makes a call that writes to a file.
func (f *mpFile) write(call func() outcome) outcome {
	if !table(f.name) {
		return await(f.mp, call)
	}
	f.mp.calls.begin()
	defer f.mp.calls.end()
	return call()
}

// awaitErr is await for a call that gives nothing but an error.
func awaitErr(m *Mountpath, call func() error) error {
	return await(m, func() outcome { return outcome{err: call()} }).err
}

// Returned waits until all calls that were left alone, and the last look at the disk, have returned, and reports whether they have within the bound and before ctx ended.
func (m *Mountpath) Returned(ctx context.Context, bound time.Duration) bool {
	c := &m.calls
	c.mu.Lock()
	if c.n == 0 {
		c.mu.Unlock()
		return true
	}
	if c.idle == nil {
		c.idle = make(chan struct{})
	}
	idle := c.idle
	c.mu.Unlock()
	late := time.NewTimer(bound)
	defer late.Stop()
	select {
	case <-idle:
		return true
	case <-late.C:
	case <-ctx.Done():
	}
	return false
}

// openFile opens a file, as flag says.
func openFile(m *Mountpath, name string, flag int) (File, error) {
	if flag&(os.O_CREATE|os.O_TRUNC) == 0 {
		return m.root.OpenFile(name, flag)
	}
	o := await(m, func() outcome {
		f, err := m.root.OpenFile(name, flag)
		if err != nil {
			return outcome{err: err}
		}
		return outcome{file: f}
	})
	return o.file, o.err
}

// GiveUp fails a mountpath whose disk has not answered for so long.
func GiveUp(m *Mountpath, after time.Duration) {
	fail(m, &failure{errs.F("fs.Probe", "disk", errs.Timeout, "has not answered for %v", after.Round(time.Second)), true})
}

// GivenUp reports whether the mountpath was given up and nothing worse has come to light: what it was asked before it has
// answered without an error, or not at all so far.
func GivenUp(m *Mountpath) bool {
	f := m.failed.Load()
	return f != nil && f.hung && !m.worse.Load()
}

// late takes note of how a call ended after the mountpath had failed.
func late(m *Mountpath, err error) {
	var errno syscall.Errno
	if errors.As(err, &errno) && errno != syscall.EEXIST && errno != syscall.ENOENT && !m.worse.Swap(true) {
		m.log.Error("a disabled mountpath told of an error", "mountpath", m.path, "id", m.marker.ID, "err", err)
	}
}

// Answers is Probe for a mountpath that was given up. It may take as long as the disk does. An error shows in GivenUp.
func Answers(m *Mountpath) error {
	err := m.check()
	if err == nil {
		var f File
		if f, err = m.root.OpenFile(ProbeName, os.O_RDWR|os.O_CREATE); err == nil {
			err = errors.Join(writeProbe(m, f), f.Close())
		}
	}
	if err != nil && !full(err) {
		m.worse.Store(true)
		return fmt.Errorf("%s: %w", m.path, err)
	}
	return nil
}
