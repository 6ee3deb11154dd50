package httpx

import (
	"context"
	"strconv"

	"aistore/errs"
)

var errCanceled = context.Canceled // the handler has returned

// replyWriter sends one reply. Small pieces are gathered behind the header; a large one goes out together
// with what was gathered, in one system call and without a copy.
type replyWriter struct {
	c       *Ctx
	head    []byte // header and small pieces, not yet sent
	left    int64  // bytes of body still to come; -1: chunked or to the end of the connection
	chunked bool
	cut     bool  // the reply broke off
	total   int64 // body bytes
}

// gather is how much is copied together before it is sent.
const gather = 16 << 10

func (w *replyWriter) reset(c *Ctx, size int64) {
	if cap(w.head) > 4*gather {
		w.head = nil
	}
	w.c, w.head, w.left, w.total = c, w.head[:0], size, 0
	w.chunked = size < 0 && c.hdr.IsHTTP11()
	w.cut = false
}

// Write implements io.Writer.
func (w *replyWriter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if w.left >= 0 {
		if int64(len(p)) > w.left {
			return 0, errs.F("httpx.Send", "reply", errs.Other, "BUG: more bytes are written than the %d declared", w.total+w.left)
		}
		w.left -= int64(len(p))
	}
	w.total += int64(len(p))
	if w.chunked {
		w.head = append(strconv.AppendInt(w.head, int64(len(p)), 16), "\r\n"...)
	}
	if len(w.head)+len(p) <= gather {
		w.head = append(w.head, p...)
		if w.chunked {
			w.head = append(w.head, "\r\n"...)
		}
		return len(p), nil
	}
	w.c.sent = true
	var err error
	switch {
	case w.chunked:
		_, err = w.c.cn.writev(w.head, p, []byte("\r\n"))
	case len(w.head) > 0:
		_, err = w.c.cn.writev(w.head, p)
	default:
		_, err = w.c.cn.Write(p)
	}
	w.head = w.head[:0]
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush sends what was gathered: for replies whose next byte may take long.
func (w *replyWriter) Flush() error {
	if len(w.head) == 0 {
		return nil
	}
	w.c.sent = true
	_, err := w.c.cn.Write(w.head)
	w.head = w.head[:0]
	return err
}

// end sends what was gathered.
func (w *replyWriter) end() error {
	if w.chunked && !w.c.isHead() {
		w.head = append(w.head, "0\r\n\r\n"...)
	}
	return w.Flush()
}
