package httpx

import (
	"errors"
	"io"
	"net"
	"os"

	"aistore/errs"
	"aistore/internal/jsonx"
)

// statusCanceled is what the log shows for a client that went away; nobody reads the reply.
const statusCanceled = 499

// StatusOf is the table of kinds and status codes. Every kind has its line.
func StatusOf(k errs.Kind) int {
	switch k {
	case errs.Invalid, errs.Checksum:
		return 400
	case errs.Unauthorized:
		return 401
	case errs.Forbidden:
		return 403
	case errs.NotFound, errs.NoBucket:
		return 404
	case errs.Exists, errs.Conflict:
		return 409
	case errs.Precondition:
		return 412
	case errs.NotModified:
		return 304
	case errs.TooLarge:
		return 413
	case errs.Range:
		return 416
	case errs.WrongOwner:
		return 421
	case errs.Canceled:
		return statusCanceled
	case errs.Unsupported:
		return 501
	case errs.Mountpath, errs.Unavailable, errs.NotPrimary, errs.StaleMap, errs.Busy:
		return 503
	case errs.Timeout:
		return 504
	case errs.Full:
		return 507
	case errs.Other, errs.Corrupt:
		return 500
	}
	return 500
}

// kindOfStatus guesses the kind of a reply that carries none, from a server that is not ours.
func kindOfStatus(status int) errs.Kind {
	switch status {
	case 400:
		return errs.Invalid
	case 401:
		return errs.Unauthorized
	case 403:
		return errs.Forbidden
	case 404:
		return errs.NotFound
	case 409:
		return errs.Conflict
	case 412:
		return errs.Precondition
	case 304:
		return errs.NotModified
	case 413:
		return errs.TooLarge
	case 416:
		return errs.Range
	case 421:
		return errs.WrongOwner
	case 429:
		return errs.Busy
	case 501:
		return errs.Unsupported
	case 502, 503:
		return errs.Unavailable
	case 408, 504:
		return errs.Timeout
	case 507:
		return errs.Full
	}
	return errs.Other
}

// Fault is the body of an error reply, with AIStore's field names and two of ours.
type Fault struct {
	Status    int    `json:"status_code"`
	Message   string `json:"message"`
	Kind      string `json:"kind"`
	Method    string `json:"method"`
	Path      string `json:"url_path"`
	Node      string `json:"node"`
	RequestID string `json:"request_id"`

	OldStatus int `json:"status"` // Status, where AIStore's Python SDK up to 1.12 looks for it
}

// Error returns the message, so that a Fault can be the cause of an errs.Error on the calling side.
func (f *Fault) Error() string { return f.Message }

// StatusError is an error that is answered with another status than its kind's, such as 405.
type StatusError struct {
	Status int
	Err    error
}

// Error returns the cause's text.
func (e *StatusError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *StatusError) Unwrap() error { return e.Err }

func statusOf(err error) int {
	var se *StatusError
	if errors.As(err, &se) {
		return se.Status
	}
	return StatusOf(errs.KindOf(err))
}

// headerKind names the kind of an error reply, also where there is no body (HEAD, 304).
const headerKind = "ais-error-kind"

// fail turns err into the reply, dropping what the handler had prepared.
func (cn *connection) fail(err error) {
	c := &cn.ctx
	kind, status := errs.KindOf(err), statusOf(err)
	c.resetReply()
	c.status = status
	c.SetHeader(headerKind, kind.String())
	if status == 503 {
		c.SetHeader("Retry-After", "1")
	}
	for _, h := range c.failHeaders {
		c.SetHeader(h.Key, h.Value)
	}
	if c.route != nil && c.route.Fault != nil {
		c.route.Fault(c, status, err)
		return
	}
	if status == 304 {
		return
	}
	f := Fault{
		Status: status, Message: err.Error(), Kind: kind.String(), Method: c.Method(), Path: c.path,
		Node: cn.s.cfg.Node, RequestID: c.RequestID(), OldStatus: status,
	}
	body, jerr := jsonx.Marshal(f)
	if jerr != nil { // strings always marshal
		body = nil
	}
	c.SetHeader("Content-Type", "application/json")
	if c.isHead() {
		c.SetHeader("ais-error", f.Message)
		c.headLen = int64(len(body))
		return
	}
	c.body = append(c.body[:0], body...)
}

// readError gives an error of the connection its kind: the client went away or stood still.
func readError(op, what string, err error) error {
	var ne net.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &ne) && ne.Timeout():
		return errs.F(op, what, errs.Timeout, "made no progress: %w", err)
	case errs.KindOf(err) != errs.Other:
		return err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errs.E(op, what, errs.Canceled, "connection ended early") // must not be taken for the end of a stream
	}
	return errs.F(op, what, errs.Canceled, "connection lost: %w", err)
}
