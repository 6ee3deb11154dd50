package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"time"

	"aistore/errs"
)

// Retry says when a request is sent again, after a failure that may pass: a node that is gone, restarting, overloaded
// or not the owner (any more), or a connection that was cut.
//
// A request is repeated only when that is safe:
//
//   - its body can be produced again (Bytes, ReaderAt, File; a Stream while its first MiB suffices), and
//   - the earlier attempt surely had no effect (no connection; refused as wrong-owner, stale-map, not-primary,
//     busy; a gateway's refusal), or doing it twice is the same as once: reads, queries, unconditional PUT, copies,
//     setting properties or metadata, and DELETE, create and destroy of a bucket. For these three
//     an answer that says the change is already made counts as success when an earlier attempt's fate is unknown.
//
// Conditional writes (If-Match, If-None-Match), appends, renames and jobs that delete, whose fate is unknown, are not repeated:
// the error then says so (kind Timeout or Unavailable, or that of the context), and the caller looks before trying again. One thing to know of
// repeated unconditional PUTs: when the first attempt was applied and its answer lost, the repetition may overwrite
// what another client wrote in between; where that matters, use conditions or set PutOptions.Once.
type Retry struct {
	Attempts int           // in all, the first included; 0 = 10, 1 = never repeat
	Min, Max time.Duration // pause before the second attempt, and the longest; doubled each time, with jitter; 0 = 50ms and 2s
	Within   time.Duration // give up when this has passed since the first attempt began; 0 = 30s
}

// WithDefaults fills in what is zero.
func (r Retry) WithDefaults() Retry {
	if r.Attempts == 0 {
		r.Attempts = 10
	}
	if r.Min == 0 {
		r.Min = 50 * time.Millisecond
	}
	if r.Max == 0 {
		r.Max = max(2*time.Second, r.Min)
	}
	if r.Within == 0 {
		r.Within = 30 * time.Second
	}
	return r
}

// Validate names the field that is wrong.
func (r Retry) Validate() error {
	const op = "client.Retry"
	switch {
	case r.Attempts < 1 || r.Attempts > 1000:
		return errs.F(op, "Attempts", errs.Invalid, "%d is outside 1..1000", r.Attempts)
	case r.Min < 0 || r.Max < r.Min:
		return errs.F(op, "Min, Max", errs.Invalid, "%v and %v are not an ascending pair", r.Min, r.Max)
	case r.Within < 0:
		return errs.F(op, "Within", errs.Invalid, "%v is negative", r.Within)
	}
	return nil
}

// pause returns the time to wait before attempt n (the second is 1): half fixed, half random, so that clients do not
// come back together. A server's Retry-After raises it, at most to ten times Max.
func (r Retry) pause(n int, after time.Duration) time.Duration {
	d := r.Max
	if shift := n - 1; shift < 20 {
		d = min(r.Min<<shift, r.Max)
	}
	d = d/2 + rand.N(d/2+1)
	return max(d, min(after, 10*r.Max))
}

// repeat says what doing a request twice means.
type repeat uint8

const (
	harmless repeat = iota // the same as doing it once
	harmful                // only when the first surely had no effect
)

// sleep waits for d, or fails with ctx.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// unsent reports whether err shows that the request never left: nobody listened or the name did not resolve.
func unsent(err error) bool {
	var oe *net.OpError
	var de *net.DNSError
	return errors.As(err, &oe) && oe.Op == "dial" || errors.As(err, &de)
}
