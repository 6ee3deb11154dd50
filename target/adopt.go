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
	if here || unsure != nil && !errs.Is(unsure, errs.Mountpath, errs.Conflict) {
		return handle, unsure
	}
	rep, silent, done := x.findAppend(ctx, o, handle)
	defer done()
	if rep != nil {
		defer rep.Close()
		return x.store.AdoptAppend(ctx, o.Name(), handle, rep.Body)
	}
	if silent != nil {
		return "", errs.F(op, o, errs.Busy, "%s, which may have what was appended, does not answer", silent.ID)
	}
	if here, unsure = x.store.HasAppend(o.Name(), handle); here { // it has come since
		return handle, nil
	}
	if unsure != nil {
		return "", errs.E(op, o, unsure)
	}
	return "", errs.E(op, o, errs.NotFound, "the append handle was flushed, given up or has expired")
}

// askAtOnce is how many nodes are asked for a session at the same time.
const askAtOnce = 32

// findAppend asks the other targets for a session and returns the reply of the one that has it; else silent is one of those that did not say that they have
// it not, nil when all said so. One that hangs keeps nobody from being asked, nor the one that has it from being heard. Call done when the reply is closed.
func (x *touches) findAppend(ctx context.Context, o *node.Object, handle string) (rep *httpx.Reply, silent *cluster.Node, done func()) {
	type answer struct {
		from *cluster.Node
		rep  *httpx.Reply
		err  error
	}
	answers := make(chan answer)
	asked := map[*cluster.Node]context.CancelFunc{}
	turns := make(chan struct{}, askAtOnce)
	for _, n := range o.View.Map.All() {
		switch {
		case !n.Role.Target() || n.ID == x.node.ID:
			continue
		case !n.Alive && !n.InService() && o.View.Map.Sources[n.ID].Stage != cluster.Moving: // it has handed over what it had
			continue
		case !n.Alive:
			silent = n
			continue
		}
		ask, stop := context.WithCancel(ctx)
		asked[n] = stop
		go func() {
			a := answer{from: n}
			select {
			case turns <- struct{}{}:
				a.rep, a.err = x.askAppend(ask, n, o, handle)
				<-turns
			case <-ask.Done():
				a.err = ask.Err()
			}
			answers <- a
		}()
	}
	done = func() {}
	for range len(asked) {
		switch a := <-answers; {
		case a.err == nil && rep == nil:
			rep, done = a.rep, asked[a.from]
			delete(asked, a.from)
			for _, stop := range asked { // nobody else is needed
				stop()
			}
		case a.err == nil:
			a.rep.Close()
		case !errs.Is(a.err, errs.NotFound):
			silent = a.from
		}
	}
	for _, stop := range asked {
		stop()
	}
	return rep, silent, done
}

// askAppend asks n for a session's bytes. Kind NotFound: it has none of that handle.
func (x *touches) askAppend(ctx context.Context, n *cluster.Node, o *node.Object, handle string) (*httpx.Reply, error) {
	b := append([]byte("http://"), n.IntraAddr...)
	b = strconv.AppendUint(append(b, pathAppends+"/"...), o.Bucket.ID, 10)
	b = append(httpx.AppendPath(append(b, '/'), o.Key), "?"+api.QueryAppendHandle+"="...)
	return x.node.Client.Do(ctx, &httpx.Call{Method: "GET", URL: string(httpx.AppendQuery(b, handle))})
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
