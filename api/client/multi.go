package client

import (
	"context"
	"net/http"
	"strings"

	"aistore/api"
	"aistore/errs"
)

// DeleteObjects starts a job that deletes what sel names: a list, a template such as "a-{0001..0100}.bin", or everything
// (All). Names that do not exist are no error.
func (b *Bucket) DeleteObjects(ctx context.Context, sel api.ObjectSelection) (*Job, error) {
	const op = "client.DeleteObjects"
	if err := sel.Check(); err != nil {
		return nil, errs.E(op, b, err)
	}
	q, err := b.control(op, http.MethodDelete, api.ActDeleteObjects, sel)
	if err != nil {
		return nil, err
	}
	q.repeat = harmful // the job of a lost answer would go on beside the second, and delete what is put when that has ended
	return b.c.start(ctx, q, api.ActDeleteObjects)
}

// DeletePrefix starts a job that deletes every object whose name begins with prefix; "" empties the bucket.
func (b *Bucket) DeletePrefix(ctx context.Context, prefix string) (*Job, error) {
	if strings.ContainsAny(prefix, "{}") || strings.HasSuffix(prefix, "*") {
		return nil, errs.F("client.DeletePrefix", b, errs.Invalid, "prefix %q would be read as a template: list the names and give them to DeleteObjects", prefix)
	}
	return b.DeleteObjects(ctx, api.ObjectSelection{Template: prefix, All: prefix == ""})
}

// CopyObjects starts a job that copies what m selects into m.To, whose zero value is this bucket.
func (b *Bucket) CopyObjects(ctx context.Context, m api.CopyObjectsMsg) (*Job, error) {
	const op = "client.CopyObjects"
	if m.To.Name == "" {
		m.To = b.bck
	}
	if err := m.Check(); err != nil {
		return nil, errs.E(op, b, err)
	}
	q, err := b.control(op, http.MethodPost, api.ActCopyObjects, m)
	if err != nil {
		return nil, err
	}
	return b.c.start(ctx, q, api.ActCopyObjects)
}
