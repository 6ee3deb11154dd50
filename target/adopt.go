package target

import (
	"context"
	"io"
	"strconv"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
	"aistore/node"
)

// pathAppends gives the bytes of an append session to a node that goes on with it: GET pathAppends + "/BUCKETID/KEY" with the handle as clients send
// it.
const pathAppends = "/intra/appends"

// adopt returns a handle with which an append session can go on here: the same, or one of a session that begins with the bytes of the node that
// owned the name when it began. That node's session stays, in case the client sends the same piece again, and ends when it is old.
func (x *touches) adopt(ctx context.Context, o *node.Object, handle string) (string, error) {
	const op = "target.adopt"
	here, unsure := x.store.HasAppend(o.Name(), handle)
	if here || unsure != nil && !errs.Is(unsure, errs.Mountpath) {
		return handle, unsure
	}
	var silent *cluster.Node
	for _, n := range o.View.Map.All() {
		switch {
		case !n.Role.Target() || n.ID == x.node.ID:
			continue
		case !n.Alive:
			silent = n
			continue
		}
		b := append([]byte("http://"), n.IntraAddr...)
		b = strconv.AppendUint(append(b, pathAppends+"/"...), o.Bucket.ID, 10)
		b = append(httpx.AppendPath(append(b, '/'), o.Key), "?"+api.QueryAppendHandle+"="...)
		rep, err := x.node.Client.Do(ctx, &httpx.Call{Method: "GET", URL: string(httpx.AppendQuery(b, handle))})
		switch {
		case err == nil:
			handle, err = x.store.AdoptAppend(ctx, o.Name(), handle, rep.Body)
			rep.Close()
			return handle, err
		case !errs.Is(err, errs.NotFound):
			silent = n
		}
	}
	if silent != nil {
		return "", errs.F(op, o, errs.Busy, "%s, which may have what was appended, does not answer", silent.ID)
	}
	if unsure != nil {
		return "", errs.E(op, o, unsure)
	}
	return "", errs.E(op, o, errs.NotFound, "the append handle was flushed, given up or has expired")
}

// serveAppend gives a session's bytes.
func (x *touches) serveAppend(c *httpx.Ctx) error {
	o, err := x.node.ResolveByID(c, c.Rest())
	if err != nil {
		return err
	}
	if !x.node.Control().Ready() {
		return errs.E("target.serveAppend", &o, errs.Unavailable, "this node has not been accepted by its cluster yet")
	}
	r, size, err := x.store.OpenAppend(c.Context(), o.Name(), c.Query(api.QueryAppendHandle))
	if err != nil {
		return errs.E("target.serveAppend", &o, err)
	}
	return c.Send(size, session{r})
}

// session is a session's bytes as a reply.
type session struct{ io.ReadCloser }

// WriteBody implements httpx.Source.
func (s session) WriteBody(w io.Writer) error {
	_, err := io.Copy(w, s.ReadCloser)
	return err
}

// Close implements httpx.Source.
func (s session) Close() { _ = s.ReadCloser.Close() } // opened for reading only
