package client

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"aistore/errs"
)

// watchdog ends one exchange when nothing has moved for a while. net/http has no such limit for bodies, and a limit for
// the whole would forbid large objects.
type watchdog struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	stall  time.Duration
	began  time.Time
	moved  atomic.Int64 // when the timer was last set, after began; it is set again only when a quarter has passed
}

func newWatchdog(parent context.Context, stall time.Duration) *watchdog {
	w := &watchdog{stall: stall, began: time.Now()}
	w.ctx, w.cancel = context.WithCancelCause(parent)
	w.timer = time.AfterFunc(stall, func() {
		w.cancel(errs.F("client.send", "", errs.Timeout, "no progress for %v", stall))
	})
	return w
}

// touch says that something moved.
func (w *watchdog) touch() {
	if now := time.Since(w.began); now-time.Duration(w.moved.Load()) > w.stall/4 {
		w.moved.Store(int64(now))
		w.timer.Reset(w.stall)
	}
}

func (w *watchdog) stop() {
	w.timer.Stop()
	w.cancel(context.Canceled)
}

// watched is a reply's body.
type watched struct {
	io.ReadCloser
	w *watchdog
}

func (b *watched) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.w.touch()
	if err != nil && err != io.EOF { //nolint:errorlint // io.Reader's contract
		if c := context.Cause(b.w.ctx); c != nil {
			err = c
		}
	}
	return n, err
}

// Close ends the exchange.
func (b *watched) Close() error {
	err := b.ReadCloser.Close()
	b.w.stop()
	return err
}
