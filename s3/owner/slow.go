package owner

import (
	"io"
	"runtime/debug"
	"time"

	"aistore/errs"
	"aistore/httpx"
	"aistore/s3"
)

// Completions and copies that take longer than patience get their 200 before it is known how they end; from then on a byte of white space every
// pulse tells client and middlemen that the server lives, and the body tells the outcome.
const (
	patience = 5 * time.Second
	pulse    = 5 * time.Second
)

// slow is what may take long, and is answered with a document.
type slow struct {
	r        *request
	work     func() error          // is waited for
	fault    func(err error) error // words an error of work
	answer   func() error          // answers after work that did not take long
	document func() []byte         // what the answer says, without its prolog and headers

	done chan error
	over bool
}

func (s *slow) run() error {
	r := s.r
	s.done = make(chan error, 1)
	go func() { s.done <- s.protected() }()
	wait := time.NewTimer(r.w.patience)
	defer wait.Stop()
	select {
	case err := <-s.done:
		if err != nil {
			return s.fault(err)
		}
		return s.answer()
	case <-wait.C:
	}
	r.c.SetHeader("Content-Type", "application/xml")
	return r.c.Send(-1, s)
}

// protected is work whose panic ends one request, as it does in every handler.
func (s *slow) protected() (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.r.w.log.Error("BUG: panic", "op", "owner.slow", "object", s.r.String(), "request", s.r.c.RequestID(), "panic", p, "stack", string(debug.Stack()))
			err = errs.E("owner.slow", &s.r.Object, errs.Other, "internal error")
		}
	}()
	return s.work()
}

// WriteBody implements httpx.Source.
func (s *slow) WriteBody(dst io.Writer) error {
	if _, err := dst.Write(s3.Prolog(s.r.Key)); err != nil {
		return err
	}
	tick := time.NewTicker(s.r.w.pulse)
	defer tick.Stop()
	for {
		if f, ok := dst.(httpx.Flusher); ok {
			if err := f.Flush(); err != nil {
				return err
			}
		}
		select {
		case err := <-s.done:
			s.over = true
			_, werr := dst.Write(s.end(err))
			return werr
		case <-tick.C:
			if _, err := dst.Write([]byte(" ")); err != nil {
				return err
			}
		}
	}
}

func (s *slow) end(err error) []byte {
	if err == nil {
		return s.document()
	}
	r := s.r
	doc := s3.AppendError(nil, s3.FaultOf(s.fault(err)), "/"+r.Bucket.Name+"/"+r.Key, r.c.RequestID(), "")
	return doc[len(s3.Prolog("")):]
}

// Close implements httpx.Source: it waits for the work, which uses the request.
func (s *slow) Close() {
	if !s.over {
		<-s.done //nolint:errcheck // its client has gone: nobody hears how it ended
	}
}
