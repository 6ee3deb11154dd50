package httpx

import (
	"context"
	"sync"
	"time"
)

// requestContext is the context of one request. It costs one allocation; a channel, a timer and the watch
// over the client's connection come only when somebody waits on Done.
type requestContext struct {
	s        *Server
	cn       *connection
	id       string
	deadline time.Time // zero: none

	mu    sync.Mutex
	done  chan struct{}
	timer *time.Timer
	hook  func() // called once when the context ends; instead of done
	err   error
}

type requestIDKey struct{}

// RequestID returns the request id that ctx carries, "" if none. Client.Do sends it on.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// WithRequestID returns a context whose calls carry id.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// Deadline implements context.Context.
func (r *requestContext) Deadline() (time.Time, bool) { return r.deadline, !r.deadline.IsZero() }

// Value implements context.Context.
func (r *requestContext) Value(key any) any {
	if _, ok := key.(requestIDKey); ok {
		return r.id
	}
	return r.s.base.Value(key)
}

// Err implements context.Context.
func (r *requestContext) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		if !r.deadline.IsZero() && !time.Now().Before(r.deadline) {
			r.endLocked(context.DeadlineExceeded)
		} else if err := r.s.base.Err(); err != nil {
			r.endLocked(err)
		}
	}
	return r.err
}

// Done implements context.Context.
func (r *requestContext) Done() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done != nil {
		return r.done
	}
	r.done = make(chan struct{})
	if r.err != nil {
		close(r.done)
		return r.done
	}
	if !r.deadline.IsZero() {
		r.timer = time.AfterFunc(time.Until(r.deadline), func() { r.end(context.DeadlineExceeded) })
	}
	r.s.watch.add(r)
	if err := r.s.base.Err(); err != nil { // the watch may have made its last round before add
		r.endLocked(err)
		r.s.watch.remove(r)
	}
	return r.done
}

func (r *requestContext) end(err error) {
	r.mu.Lock()
	watched := r.done != nil || r.hook != nil
	r.endLocked(err)
	r.mu.Unlock()
	if watched {
		r.s.watch.remove(r)
	}
}

func (r *requestContext) endLocked(err error) {
	if r.err != nil {
		return
	}
	r.err = err
	if r.timer != nil {
		r.timer.Stop()
	}
	if r.done != nil {
		close(r.done)
	}
	if r.hook != nil {
		r.hook()
	}
}

// watch has f called when the context ends before stop is called; stop then returns false. It is context.AfterFunc
// without a channel and a goroutine. f must not wait.
func (r *requestContext) watch(f func()) (stop func() bool) {
	err := r.Err()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		f()
		return func() bool { return false }
	}
	r.hook = f
	if !r.deadline.IsZero() && r.timer == nil {
		r.timer = time.AfterFunc(time.Until(r.deadline), func() { r.end(context.DeadlineExceeded) })
	}
	r.s.watch.add(r)
	return r.unhook
}

func (r *requestContext) unhook() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hook = nil
	if r.done == nil {
		r.s.watch.remove(r)
	}
	return r.err == nil
}

// watcher ends the contexts on which somebody waits when their client goes away or the server must stop.
type watcher struct {
	mu  sync.Mutex
	set map[*requestContext]struct{}
}

// watchEvery is how often connections are looked at: a client that went away is noticed that late.
const watchEvery = 250 * time.Millisecond

func (w *watcher) add(r *requestContext) {
	w.mu.Lock()
	w.set[r] = struct{}{}
	w.mu.Unlock()
}

func (w *watcher) remove(r *requestContext) {
	w.mu.Lock()
	delete(w.set, r)
	w.mu.Unlock()
}

func (w *watcher) snapshot() []*requestContext {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.set) == 0 {
		return nil
	}
	rs := make([]*requestContext, 0, len(w.set))
	for r := range w.set {
		rs = append(rs, r)
	}
	return rs
}

// run starts the watch; the function it returns waits for its end, after base has ended.
func (w *watcher) run(base context.Context) (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			select {
			case <-base.Done():
				for _, r := range w.snapshot() {
					r.end(base.Err())
				}
				return
			case <-tick.C:
				for _, r := range w.snapshot() {
					if gone(r.cn.Conn) {
						r.end(context.Canceled)
					}
				}
			}
		}
	}()
	return func() { <-done }
}
