package sim

import "time"

// endpoint is a process that sends and receives: a node, a gateway, the control plane, a client.
type endpoint struct {
	w       *world
	name    string
	up      bool
	boot    int // counts the processes: what was meant for an earlier one is lost with its connections
	paused  bool
	waiting []func() // what a paused process has to do when it goes on
}

// do runs fn in the process as it is now, later if it stands still, never if it is gone.
func (e *endpoint) do(boot int, fn func()) {
	switch {
	case !e.up || e.boot != boot:
	case e.paused:
		e.waiting = append(e.waiting, fn)
	default:
		fn()
	}
}

// after has the process run fn d from now.
func (e *endpoint) after(d time.Duration, fn func()) {
	boot := e.boot
	e.w.after(d, func() { e.do(boot, fn) })
}

func (e *endpoint) pause() { e.paused = e.up }

// resume lets the process go on; what it has to do comes in the order in which it came.
func (e *endpoint) resume() {
	if !e.paused {
		return
	}
	e.paused = false
	todo, boot := e.waiting, e.boot
	e.waiting = nil
	for i, fn := range todo {
		if !e.up || e.boot != boot {
			return
		}
		if e.paused {
			e.waiting = append(e.waiting, todo[i:]...)
			return
		}
		fn()
	}
}

// stop ends the process; the next one is another.
func (e *endpoint) stop() {
	e.up, e.paused, e.waiting = false, false, nil
	e.boot++
}

type link struct{ from, to *endpoint }

// network is what messages suffer.
type network struct {
	drop, repeat, slow float64
	cut                map[link]int // one way; counts the partitions that include it
}

// deliver sends fn from one process to another: late, or twice, or not at all unless it is something that is sent once; nothing passes a cut.
func (w *world) deliver(from, to *endpoint, once bool, fn func()) {
	if from == to {
		to.after(0, fn)
		return
	}
	n := &w.net
	if n.cut[link{from, to}] > 0 || !once && w.chance(n.drop) {
		return
	}
	copies := 1
	if !once && w.chance(n.repeat) {
		copies = 2
	}
	boot := to.boot
	for range copies {
		d := w.between(100*time.Microsecond, 3*time.Millisecond)
		if w.chance(n.slow) {
			d = w.between(5*time.Millisecond, 700*time.Millisecond)
			if w.chance(0.15) {
				d = w.between(500*time.Millisecond, 3*time.Second)
			}
		}
		w.after(d, func() { to.do(boot, fn) })
	}
}

// call has to serve a question of from's, and from hear the answer: done gets it once, or false when none came in time.
// A question may be served twice unless it is one that is not sent twice.
func call[A any](from, to *endpoint, once bool, limit time.Duration, serve func(answer func(A)), done func(a A, ok bool)) {
	w := from.w
	over := false
	end := func(a A, ok bool) {
		if !over {
			over = true
			done(a, ok)
		}
	}
	var none A
	if !to.up && w.net.cut[link{from, to}] == 0 { // refused
		from.after(w.between(100*time.Microsecond, 2*time.Millisecond), func() { end(none, false) })
		return
	}
	asker := from.boot
	w.deliver(from, to, once, func() {
		serve(func(a A) {
			if from.boot == asker {
				w.deliver(to, from, once, func() { end(a, true) })
			}
		})
	})
	from.after(limit, func() { end(none, false) })
}
