package client

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"aistore/api"
	"aistore/errs"
)

// Bucket is a handle on a bucket's name; making one asks no server. It is safe for concurrent use.
type Bucket struct {
	c   *Client
	bck api.Bck
}

// Bucket returns the handle of a bucket in the global namespace.
func (c *Client) Bucket(name string) *Bucket {
	return c.BucketOf(api.Bck{Name: name, Provider: api.ProviderAIS})
}

// BucketOf returns the handle of a bucket in any namespace.
func (c *Client) BucketOf(b api.Bck) *Bucket { return &Bucket{c, b} }

// Buckets lists the buckets of all namespaces, ordered by name.
func (c *Client) Buckets(ctx context.Context) ([]api.Bck, error) {
	q := c.control("client.Buckets", http.MethodGet, api.PathBuckets)
	if err := q.message(api.ActList, "", nil); err != nil {
		return nil, err
	}
	var bs []api.Bck
	return bs, c.json(ctx, q, &bs)
}

// Bck returns the bucket's name as the API writes it.
func (b *Bucket) Bck() api.Bck { return b.bck }

// String returns "ais://name" or "ais://#ns/name".
func (b *Bucket) String() string { return b.bck.String() }

func (b *Bucket) name(key string) string { return b.bck.String() + "/" + key }

// query returns the parameters that every request for the bucket carries.
func (b *Bucket) query() url.Values {
	v := url.Values{}
	if ns := b.bck.Namespace; ns != (api.Namespace{}) {
		v.Set(api.QueryNamespace, ns.String())
	}
	return v
}

// Props are bucket properties by dotted name, such as "checksum.type": "md5"; see api.PropNames.
type Props map[string]string

// Create makes the bucket; kind Exists if it is there.
func (b *Bucket) Create(ctx context.Context, props Props) error {
	q, err := b.control("client.CreateBucket", http.MethodPost, api.ActCreateBucket, props.value())
	if err != nil {
		return err
	}
	q.done = errs.Exists
	return b.c.changed(ctx, q)
}

// value is nil when there are none.
func (p Props) value() any {
	if len(p) == 0 {
		return nil
	}
	return p
}

// Destroy removes the bucket and everything in it; kind NoBucket if there is none.
func (b *Bucket) Destroy(ctx context.Context) error {
	q, err := b.control("client.DestroyBucket", http.MethodDelete, api.ActDestroyBucket, nil)
	if err != nil {
		return err
	}
	q.done = errs.NoBucket
	return b.c.changed(ctx, q)
}

// Props returns the bucket's properties; kind NoBucket if there is none.
func (b *Bucket) Props(ctx context.Context) (*api.BucketProps, error) {
	const op = "client.BucketProps"
	q, err := b.control(op, http.MethodHead, "", nil)
	if err != nil {
		return nil, err
	}
	rep, err := b.c.do(ctx, q)
	if err != nil {
		return nil, err
	}
	closeReply(rep)
	var p api.BucketProps
	if err := decodeJSON([]byte(rep.Header.Get(api.HeaderBucketProps)), &p); err != nil {
		return nil, errs.E(op, b, err)
	}
	return &p, nil
}

// SetProps changes the named properties.
func (b *Bucket) SetProps(ctx context.Context, props Props) error {
	q, err := b.control("client.SetProps", http.MethodPatch, api.ActSetProps, props.value())
	if err != nil {
		return err
	}
	return b.c.changed(ctx, q)
}

// ResetProps gives every property its default.
func (b *Bucket) ResetProps(ctx context.Context) error {
	q, err := b.control("client.ResetProps", http.MethodPatch, api.ActResetProps, nil)
	if err != nil {
		return err
	}
	return b.c.changed(ctx, q)
}

// RenameBucket gives the bucket another name; its objects stay where they are. The returned job is empty when the
// cluster has already done it.
func (b *Bucket) RenameBucket(ctx context.Context, to *Bucket) (*Job, error) {
	q, err := b.control("client.RenameBucket", http.MethodPost, api.ActMoveBucket, nil)
	if err != nil {
		return nil, err
	}
	q.repeat = harmful
	q.query.Set(api.QueryBucketTo, to.bck.Path())
	j, err := b.c.start(ctx, q, api.ActMoveBucket)
	b.c.renew(ctx)
	return j, err
}

// CopyBucket starts copying the bucket's objects to another bucket, which is made if need be.
func (b *Bucket) CopyBucket(ctx context.Context, to *Bucket, o api.CopyMsg) (*Job, error) {
	q, err := b.control("client.CopyBucket", http.MethodPost, api.ActCopyBucket, o)
	if err != nil {
		return nil, err
	}
	q.query.Set(api.QueryBucketTo, to.bck.Path())
	return b.c.start(ctx, q, api.ActCopyBucket)
}

// Summary counts the bucket's objects and bytes under prefix; it waits for the job that does so.
func (b *Bucket) Summary(ctx context.Context, prefix string) (*api.BucketSummary, error) {
	const op = "client.Summary"
	m := api.SummaryMsg{Prefix: prefix, Cached: true, Present: true}
	for n := 1; ; n++ {
		q, err := b.control(op, http.MethodGet, api.ActSummaryBucket, m)
		if err != nil {
			return nil, err
		}
		rep, err := b.c.do(ctx, q)
		if err != nil {
			return nil, err
		}
		raw, err := io.ReadAll(io.LimitReader(rep.Body, maxReply))
		closeReply(rep)
		if err != nil {
			return nil, errs.E(op, b, err)
		}
		if rep.StatusCode == http.StatusOK {
			var all []api.BucketSummary
			if err := decodeJSON(raw, &all); err != nil {
				return nil, errs.E(op, b, err)
			}
			if len(all) != 1 {
				return nil, errs.F(op, b, errs.Other, "the reply holds %d summaries", len(all))
			}
			return &all[0], nil
		}
		if m.UUID == "" {
			m.UUID = strings.Trim(strings.TrimSpace(string(raw)), `"`)
		}
		if err := sleep(ctx, polling(n)); err != nil {
			return nil, errs.E(op, b, err)
		}
	}
}

// control prepares an action on the bucket.
func (b *Bucket) control(op, method, action string, value any) (*call, error) {
	if err := b.bck.Check(); err != nil {
		return nil, errs.E(op, b, err)
	}
	q := b.c.control(op, method, api.PathBuckets+"/"+url.PathEscape(b.bck.Name))
	q.name, q.query = b.String(), b.query()
	if action == "" {
		return q, nil
	}
	return q, q.message(action, "", value)
}

// control prepares a call to a gateway.
func (c *Client) control(op, method, path string) *call {
	return &call{op: op, method: method, path: path, query: url.Values{}, header: http.Header{}}
}

// message puts an action message into the call's body.
func (q *call) message(action, name string, value any) error {
	m, err := api.NewAction(action, name, value)
	if err != nil {
		return errs.E(q.op, q.name, err)
	}
	return q.json(m)
}

func (q *call) json(v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return errs.E(q.op, q.name, errs.Invalid, err)
	}
	body := Bytes(raw)
	q.body = &body
	q.header.Set("Content-Type", api.TypeJSON)
	return nil
}

// forget sends a call whose answer says no more than that it was done.
func (c *Client) forget(ctx context.Context, q *call) error {
	rep, err := c.do(ctx, q)
	if err == nil {
		closeReply(rep)
	}
	return err
}

// changed is forget for changes of the bucket map, which is fetched again.
func (c *Client) changed(ctx context.Context, q *call) error {
	err := c.forget(ctx, q)
	if err == nil {
		c.renew(ctx)
	}
	return err
}

// json sends a call and decodes its answer.
func (c *Client) json(ctx context.Context, q *call, v any) error {
	rep, err := c.do(ctx, q)
	if err != nil {
		return err
	}
	defer closeReply(rep)
	if err := decodeBody(rep.Body, v); err != nil {
		return errs.E(q.op, q.name, err)
	}
	return nil
}

// polling returns the pause before question n to a job, of which the first is 1: short jobs are seen soon, long ones asked rarely. Pauses grow by a
// quarter, so the end of a job is noticed within 10 ms and a quarter of what it took, or a second.
func polling(n int) time.Duration {
	pause := 10 * time.Millisecond
	for ; n > 1 && pause < time.Second; n-- {
		pause += pause / 4
	}
	return min(pause, time.Second)
}
