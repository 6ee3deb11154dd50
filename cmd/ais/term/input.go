package term

import (
	"context"
	"io"
)

// Stdin returns the standard input, for content; it lets go when ctx ends.
func (o *Out) Stdin(ctx context.Context) io.Reader { return &interruptible{ctx: ctx, r: o.in} }

// interruptible is a reader that lets go when ctx ends: a read from a terminal or a pipe may last for ever, and
// nothing ends it. The read that is left behind ends with the process.
type interruptible struct {
	ctx  context.Context //nolint:containedctx // of this one input
	r    io.Reader
	buf  []byte // read and not yet given on
	err  error
	back chan struct{}
}

func (i *interruptible) Read(p []byte) (int, error) {
	if len(i.buf) == 0 && i.err == nil {
		if i.back == nil {
			i.back = make(chan struct{}, 1)
		}
		chunk := make([]byte, 64<<10)
		var n int
		var err error
		go func() {
			n, err = i.r.Read(chunk)
			i.back <- struct{}{}
		}()
		select {
		case <-i.back:
			i.buf, i.err = chunk[:n], err
		case <-i.ctx.Done():
			return 0, i.ctx.Err()
		}
	}
	if len(i.buf) == 0 {
		return 0, i.err
	}
	n := copy(p, i.buf)
	i.buf = i.buf[n:]
	return n, nil
}
