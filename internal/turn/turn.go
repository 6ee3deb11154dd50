// Package turn lets a goroutine that has worked for long without waiting for anything give way to those whose bytes have arrived
// meanwhile.
//
// Go's scheduler asks the poller of the network when a processor has nothing else to run, and otherwise every 10 ms; after as long
// it stops who still runs. Whoever sends what its client reads at once, or works through a batch, waits for nothing: a few of those
// keep every other connection of the process waiting for tens of milliseconds, however little it asks for. runtime.Gosched changes
// nothing, for whom it lets run comes before the poller. docs/design/read-path.md has figures.
//
// Start at Queue.Take.
package turn

import (
	"os"
	"runtime"
	"sync"
	"syscall"
)

// Queue has the places of those who take turns. The zero Queue is ready; Close it.
type Queue struct {
	mu   sync.Mutex
	free []*place
	shut bool // by Close: what comes back is closed
}

// maxFree is how many places are kept while nobody takes a turn: each has a descriptor.
const maxFree = 16

// place is one in the queue of what the poller has to report.
type place struct {
	file *os.File
	raw  syscall.RawConn
	rung bool
	ring func(fd uintptr) bool // a method value, made once
}

// Take returns when those have run, or begun to, who waited for something that had happened before. It takes some microseconds, and
// a switch of threads where a processor of the process is idle. Where the kernel has no place to give it is runtime.Gosched.
func (q *Queue) Take() {
	if p := q.get(); p != nil {
		p.rung = false
		_ = p.raw.Read(p.ring) // it is closed by put alone
		q.put(p)
	}
	runtime.Gosched() // of what the poller reports at once the newest runs first
}

func (q *Queue) get() *place {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := len(q.free); n > 0 {
		p := q.free[n-1]
		q.free = q.free[:n-1]
		return p
	}
	if q.shut {
		return nil
	}
	p, err := newPlace()
	if err != nil {
		return nil
	}
	return p
}

func newPlace() (*place, error) {
	f, err := open()
	if err != nil {
		return nil, err
	}
	p := &place{file: f}
	if p.raw, err = f.SyscallConn(); err != nil {
		_ = f.Close() // it has no content
		return nil, err
	}
	p.ring = p.ringOnce
	return p, nil
}

// ringOnce makes the event and then waits for it. Nobody takes what is written: each write is an event for itself.
func (p *place) ringOnce(fd uintptr) bool {
	if p.rung {
		return true
	}
	p.rung = true
	return !announce(fd)
}

func (q *Queue) put(p *place) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.shut || len(q.free) == maxFree {
		_ = p.file.Close() // it has no content
		return
	}
	q.free = append(q.free, p)
}

// Close gives back what the queue has. Who takes a turn afterwards gives way as by runtime.Gosched.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range q.free {
		_ = p.file.Close() // it has no content
	}
	q.free, q.shut = nil, true
}
