package httpx

import (
	"io"
	"time"

	"aistore/errs"
)

// maxDocuments bounds the bytes of the bodies that a server's requests hold in memory at the same time, without the first
// ServerConfig.SmallBody of each: as many requests as may be in flight, each with the longest list of names, are many times a
// machine's memory. What a handler makes of a document is several times as long.
const maxDocuments = 64 << 20

// document is the body of a request that is read as a whole. Its memory is taken from the server as it arrives, so that who only
// announces much holds nothing that others need, and given back when the request ends.
type document struct {
	c    *Ctx
	read int64
}

// Read implements io.Reader. Kind Busy when there is no memory left: waiting would hold a connection as well.
func (d *document) Read(p []byte) (int, error) {
	n, err := d.c.in.Read(p)
	d.read += int64(n)
	if more := d.read - int64(d.c.s.cfg.SmallBody) - d.c.held; more > 0 {
		if d.c.s.documents.Add(more) > maxDocuments {
			d.c.s.documents.Add(-more)
			return 0, errs.E("httpx.ReadAll", "memory", errs.Busy, "too many long request bodies at the same time: retry after a second")
		}
		d.c.held += more
	}
	return n, err
}

// ReadAll returns the whole body, at most limit bytes of it: a longer one is kind TooLarge. Kind Busy when all requests together hold
// more than a node has for them.
func (c *Ctx) ReadAll(limit int64) ([]byte, error) {
	if c.inLen > limit {
		return nil, errs.F("httpx.ReadAll", "request body", errs.TooLarge, "is %d bytes long, the limit is %d", c.inLen, limit)
	}
	defer BoundDocument(c, limit)()
	if b, ok := c.BodyBytes(); ok {
		return b, nil
	}
	return readAll(&document{c: c}, limit, "request body")
}

// BoundDocument bounds the time in which a body of at most limit bytes comes, until end is called, for who reads the whole of it: one Limits.Progress, and
// a second for each documentRate bytes of it.
func BoundDocument(c *Ctx, limit int64) (end func()) {
	if c.inLen >= 0 {
		limit = min(limit, c.inLen)
	}
	c.cn.documentBy = time.Now().Add(c.s.limits.Load().Progress + time.Duration(limit)*time.Second/documentRate)
	return func() { c.cn.documentBy = time.Time{} }
}

// documentRate is how many bytes of a document come in a second at least, over its whole length and beside one Limits.Progress: else a
// client that sends a byte now and then would hold its place among the requests in flight for days.
const documentRate = 16 << 10

func readAll(r io.Reader, limit int64, what string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(b)) > limit:
		return nil, errs.F("httpx.ReadAll", what, errs.TooLarge, "is longer than %d bytes", limit)
	}
	return b, nil
}
