package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"

	"aistore/cksum"
	"aistore/errs"
)

// GetOptions of reads.
type GetOptions struct {
	If       Conditions // kind NotModified or Precondition when they do not hold
	NoVerify bool       // do not compare a whole read with its checksum
}

// Get opens the object for reading; close the Reader. Nothing of it is buffered.
func (b *Bucket) Get(ctx context.Context, key string, o GetOptions) (*Reader, error) {
	return b.open(ctx, "client.Get", key, "", o)
}

// GetRange opens length bytes from offset on; fewer if the object ends before. A length of -1 means up to the end, a
// negative offset means that many bytes before the end. Kind Range if no byte lies in there.
func (b *Bucket) GetRange(ctx context.Context, key string, offset, length int64, o GetOptions) (*Reader, error) {
	const op = "client.GetRange"
	var spec string
	switch {
	case offset < 0 && length < 0:
		spec = strconv.FormatInt(offset, 10)
	case offset < 0 || length == 0:
		return nil, errs.F(op, b.name(key), errs.Invalid, "offset %d, length %d: a length must not be 0, and an offset from the end goes up to the end", offset, length)
	case length < 0:
		spec = strconv.FormatInt(offset, 10) + "-"
	default:
		spec = fmt.Sprintf("%d-%d", offset, offset+min(length-1, math.MaxInt64-offset)) // MaxInt64 may be meant as all there is
	}
	return b.open(ctx, op, key, "bytes="+spec, o)
}

// GetBytes reads the whole object into memory.
func (b *Bucket) GetBytes(ctx context.Context, key string, o GetOptions) ([]byte, *Info, error) {
	r, err := b.Get(ctx, key, o)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	data := make([]byte, r.Size())
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, nil, err
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.EOF) { // the end is where the checksum is compared
		return nil, nil, errs.F("client.GetBytes", b.name(key), errs.Other, "the object is longer than announced: %w", err)
	}
	return data, r.Info(), nil
}

func (b *Bucket) open(ctx context.Context, op, key, rng string, o GetOptions) (*Reader, error) {
	q, err := b.object(op, http.MethodGet, key)
	if err != nil {
		return nil, err
	}
	setConditions(q.header, &o.If)
	if rng != "" {
		q.header.Set("Range", rng)
	}
	rep, err := b.c.do(ctx, q)
	if err != nil {
		return nil, err
	}
	r := &Reader{ctx: ctx, b: b, q: q, body: rep.Body, info: parseInfo(key, rep.Header)}
	if err := r.place(rep, rng != ""); err != nil {
		closeReply(rep)
		return nil, err
	}
	if rng == "" && !o.NoVerify && !b.c.opt.NoVerify && r.info.Checksum.Type != cksum.None {
		r.sum = cksum.New(r.info.Checksum.Type)
	}
	return r, nil
}

// Reader is an object, or a range of one, on its way. When the connection is cut it goes on where it stopped, at whichever
// node owns the object then, as long as the object is the same; if it was replaced meanwhile, Read fails with
// kind Conflict. At the end of a whole read the bytes are compared with the object's checksum: only a Read
// that returns io.EOF makes what was read valid. A Reader belongs to one goroutine.
type Reader struct {
	ctx  context.Context //nolint:containedctx // a reader is one request, which goes on in Read
	b    *Bucket
	q    *call
	body io.ReadCloser
	info *Info

	at, end int64 // position in the object, and where the range ends
	start   int64
	sum     *cksum.Hash // nil = not compared
	cuts    int         // without progress in between
	err     error       // sticky
}

// Info returns what the server told of the object. Info.Size is the whole object's.
func (r *Reader) Info() *Info { return r.info }

// Offset is where in the object the reading began.
func (r *Reader) Offset() int64 { return r.start }

// Size is the number of bytes of the whole read: of the object or the range.
func (r *Reader) Size() int64 { return r.end - r.start }

// place finds out which part of the object the reply holds. Asked for a range, it takes no other.
func (r *Reader) place(rep *reply, part bool) error {
	switch {
	case part && rep.StatusCode != http.StatusPartialContent:
		return errs.F(r.q.op, r.q.name, errs.Unsupported, "the server answers %s to a range", rep.Status)
	case rep.StatusCode != http.StatusPartialContent:
		if rep.ContentLength < 0 {
			return errs.E(r.q.op, r.q.name, errs.Other, "the reply has no length")
		}
		r.start, r.at, r.end = 0, 0, rep.ContentLength
		r.info.Size = rep.ContentLength
		return nil
	}
	start, end, size, err := parseContentRange(rep.Header.Get("Content-Range"))
	if err != nil {
		return errs.E(r.q.op, r.q.name, err)
	}
	r.start, r.at, r.end, r.info.Size = start, start, end, size
	return nil
}

// parseContentRange reads "bytes 0-99/200"; end is exclusive.
func parseContentRange(h string) (start, end, size int64, err error) {
	var last int64
	if _, err := fmt.Sscanf(h, "bytes %d-%d/%d", &start, &last, &size); err != nil || start < 0 || last < start || last >= size {
		return 0, 0, 0, errs.F("client.Reader", "Content-Range", errs.Other, "%q is not a range", h)
	}
	return start, last + 1, size, nil
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 || r.err != nil {
		return 0, r.err
	}
	for {
		if r.at == r.end {
			r.err = r.finish()
			return 0, r.err
		}
		n, err := r.body.Read(p[:min(int64(len(p)), r.end-r.at)])
		if n > 0 {
			_, _ = r.sum.Write(p[:n]) // a checksum takes anything
			r.at += int64(n)
			r.cuts = 0
			return n, nil // an error, if any, comes again
		}
		if err == nil {
			continue
		}
		if r.err = r.resume(err); r.err != nil {
			return 0, r.err
		}
	}
}

// WriteTo implements io.WriterTo with a buffer that suits large objects.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	buf := make([]byte, max(min(r.end-r.at, 256<<10), 1))
	var total int64
	for {
		n, err := r.Read(buf)
		if n > 0 {
			m, werr := w.Write(buf[:n])
			if total += int64(m); werr != nil {
				return total, werr
			}
		}
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// finish compares the checksum; io.EOF is success.
func (r *Reader) finish() error {
	if got := r.sum.Sum(); got.Type != cksum.None && got != r.info.Checksum {
		return errs.F(r.q.op, r.q.name, errs.Checksum, "the bytes received have %v, the object has %v", got, r.info.Checksum)
	}
	return io.EOF
}

// resume asks for the rest after the connection was cut.
func (r *Reader) resume(cut error) error {
	_ = r.body.Close()
	fail := func(err error) error {
		return errs.F(r.q.op, r.q.name, errs.KindOf(err), "the read stopped after %d of %d bytes: %w", r.at-r.start, r.Size(), err)
	}
	if errors.Is(cut, io.EOF) {
		cut = io.ErrUnexpectedEOF
	}
	if errs.KindOf(cut) == errs.Other {
		cut = errs.E("", "", errs.Unavailable, cut)
	}
	if err := r.ctx.Err(); err != nil {
		return fail(err)
	}
	if r.info.ETag == "" {
		return fail(cut)
	}
	if r.cuts++; r.cuts > r.b.c.opt.Retry.Attempts {
		return fail(fmt.Errorf("%w (%d times in a row)", cut, r.cuts))
	}
	if r.cuts > 1 {
		if err := sleep(r.ctx, r.b.c.opt.Retry.pause(r.cuts-1, 0)); err != nil {
			return fail(err)
		}
	}
	r.b.c.opt.Log.DebugContext(r.ctx, "read resumed", "name", r.q.name, "at", r.at, "err", cut)
	rep, err := r.b.c.do(r.ctx, r.rest())
	if errs.Is(err, errs.Precondition, errs.NotFound) {
		return errs.F(r.q.op, r.q.name, errs.Conflict, "the object was replaced or deleted after %d of %d bytes were read: read it again", r.at-r.start, r.Size())
	}
	if err != nil {
		return fail(err)
	}
	start, end, _, err := parseContentRange(rep.Header.Get("Content-Range"))
	if err != nil || start != r.at || end != r.end {
		_ = rep.Body.Close()
		return fail(errs.F("client.Reader", "Content-Range", errs.Other, "asked for bytes %d-%d, got %q with status %d", r.at, r.end-1, rep.Header.Get("Content-Range"), rep.StatusCode))
	}
	r.body = rep.Body
	return nil
}

// rest is the request for what is still to come of the very same content.
func (r *Reader) rest() *call {
	q := *r.q
	q.sent = nil
	q.header = http.Header{
		"Range":    {fmt.Sprintf("bytes=%d-%d", r.at, r.end-1)},
		"If-Match": {`"` + strings.ReplaceAll(r.info.ETag, `"`, "") + `"`},
	}
	return &q
}

// Close gives the connection back; what was not read is not read.
func (r *Reader) Close() error {
	if r.err == nil {
		r.err = errs.E(r.q.op, r.q.name, errs.Canceled, "read after Close")
	}
	return r.body.Close()
}
