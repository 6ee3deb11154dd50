package list

import (
	"context"
	"sync"

	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
)

// path of the intra-cluster route. Body and reply are the messages of wire.go.
const path = "/intra/list"

// Routes lets other nodes ask this target.
func (l *Local) Routes() []httpx.Route {
	writers := &sync.Pool{New: func() any { return new(pageWriter) }}
	return []httpx.Route{l.rowRoute(), {
		Method: "POST", Path: path, Op: "list-names",
		Policy: httpx.Policy{Listener: httpx.Intra, Class: httpx.ClassData, MaxBody: maxQueryBytes},
		Handler: func(c *httpx.Ctx) error {
			body, err := c.ReadAll(maxQueryBytes)
			if err != nil {
				return err
			}
			q, err := DecodeQuery(body)
			if err != nil {
				return err
			}
			w := writers.Get().(*pageWriter)
			defer writers.Put(w)
			msg, err := l.encoded(c.Context(), q, w)
			if err != nil {
				return err
			}
			return c.SendBytes(msg)
		},
	}}
}

// Remote is the Fetcher of a node: it asks other targets over the intra-cluster listener and itself directly.
type Remote struct {
	client *httpx.Client
	self   cluster.NodeID
	local  *Local
}

// NewRemote returns a Remote for the node self; local is nil unless the node is a target too.
func NewRemote(client *httpx.Client, self cluster.NodeID, local *Local) *Remote {
	return &Remote{client, self, local}
}

// Fetch asks n.
func (r *Remote) Fetch(ctx context.Context, n *cluster.Node, q *Query) (*Page, error) {
	if r.local != nil && n.ID == r.self {
		return r.local.Page(ctx, q)
	}
	rep, err := r.client.Do(ctx, &httpx.Call{
		Method: "POST", URL: "http://" + n.IntraAddr + path, Body: AppendQuery(make([]byte, 0, 256), q),
	})
	if err != nil {
		return nil, err
	}
	msg, err := rep.ReadAll(maxReplyBytes)
	if err != nil {
		return nil, errs.E("list.Fetch", string(n.ID), err)
	}
	return DecodePage(msg)
}
