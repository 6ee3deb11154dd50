package client

import (
	"context"
	"net/http"

	"aistore/api"
	"aistore/cksum"
	"aistore/errs"
)

// Appender adds to the end of an object piece by piece; nothing of it is visible before Flush, which replaces what others have written since the
// first piece. It survives restarts of the owner. It belongs to one goroutine.
//
// A piece whose fate is unknown is not sent again (see Retry): after an error of Append begin anew.
type Appender struct {
	b      *Bucket
	key    string
	handle string
}

// Append adds pieces to what the object has by the time of the first one, or makes it if there is none. With a handle of an earlier
// Appender it goes on with that one's object.
func (b *Bucket) Append(key, handle string) *Appender { return &Appender{b, key, handle} }

// Handle identifies what was appended so far, "" before the first piece.
func (a *Appender) Handle() string { return a.handle }

// Append adds the content to the end.
func (a *Appender) Append(ctx context.Context, content Body) error {
	const op = "client.Append"
	content, err := content.settle()
	if err != nil {
		return errs.E(op, a.b.name(a.key), err)
	}
	q, err := a.call(op, api.AppendOp)
	if err != nil {
		return err
	}
	q.body = &content
	q.expect = content.stream != nil || content.size > expectFrom
	rep, err := a.b.c.do(ctx, q)
	if err != nil {
		return err
	}
	closeReply(rep)
	if h := rep.Header.Get(api.HeaderAppendHandle); h != "" {
		a.handle = h
	}
	if a.handle == "" {
		return errs.E(op, q.name, errs.Other, "the reply holds no handle")
	}
	return nil
}

// Flush makes the object visible, and durable as Info.Durability says. A checksum of the whole, if it is of the bucket's type,
// is compared with the server's; when they differ the object is there and the error has kind Checksum.
func (a *Appender) Flush(ctx context.Context, expect cksum.Value) (*Info, error) {
	const op = "client.Flush"
	if a.handle == "" {
		return nil, errs.E(op, a.b.name(a.key), errs.Invalid, "nothing was appended: Put an empty object instead")
	}
	q, err := a.call(op, api.FlushOp)
	if err != nil {
		return nil, err
	}
	q.body = &Body{}
	rep, err := a.b.c.do(ctx, q)
	if err != nil {
		return nil, err
	}
	closeReply(rep)
	a.handle = ""
	info := parseInfo(a.key, rep.Header)
	if expect.Type != cksum.None && expect.Type == info.Checksum.Type && expect != info.Checksum {
		return info, errs.F(op, q.name, errs.Checksum, "what was appended has %v, not %v", info.Checksum, expect)
	}
	return info, nil
}

func (a *Appender) call(op, typ string) (*call, error) {
	q, err := a.b.object(op, http.MethodPut, a.key)
	if err != nil {
		return nil, err
	}
	q.repeat = harmful
	q.query.Set(api.QueryAppendType, typ)
	q.query.Set(api.QueryAppendHandle, a.handle)
	return q, nil
}
