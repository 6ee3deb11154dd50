package client

import (
	"context"
	"io"
	"iter"
	"net/http"
	"strings"

	"aistore/api"
	"aistore/errs"
)

// ListOptions select what a listing yields, in byte order of the names.
type ListOptions struct {
	Prefix     string
	StartAfter string   // names strictly greater
	Delimiter  string   // group names at its next appearance after the prefix; a group is an entry with IsDir
	NoGroups   bool     // with Delimiter: leave the groups out
	Props      []string // api.PropName ...; none = name and size
	NameOnly   bool     // cheapest: names alone
	PageSize   int      // names per request; 0 = the cluster's default
}

func (o *ListOptions) message(token string) api.ListObjectsMsg {
	m := api.ListObjectsMsg{
		Prefix: o.Prefix, PageSize: int64(o.PageSize), Continuation: token, Props: strings.Join(o.Props, ","),
	}
	if token == "" {
		m.StartAfter = o.StartAfter
	}
	if o.Delimiter != "" {
		m.Flags |= api.ListNoRecursion
		if o.Delimiter != "/" {
			m.Delimiter = o.Delimiter
		}
		if o.NoGroups {
			m.Flags |= api.ListNoDirs
		}
	}
	if o.NameOnly {
		m.Flags |= api.ListNameOnly
	}
	return m
}

// ListPage returns the page that begins where token says: "" for the first, then ListPage.Continuation, which
// is "" on the last page.
func (b *Bucket) ListPage(ctx context.Context, o ListOptions, token string) (*api.ListPage, error) {
	const op = "client.List"
	q, err := b.control(op, http.MethodGet, api.ActList, o.message(token))
	if err != nil {
		return nil, err
	}
	q.header.Set("Accept", api.TypeMsgpack)
	rep, err := b.c.do(ctx, q)
	if err != nil {
		return nil, err
	}
	defer closeReply(rep)
	raw, err := io.ReadAll(io.LimitReader(rep.Body, maxReply))
	if err != nil {
		return nil, errs.E(op, b, err)
	}
	var page api.ListPage
	if strings.HasPrefix(rep.Header.Get("Content-Type"), api.TypeMsgpack) {
		err = page.DecodeMsg(raw)
	} else {
		err = decodeJSON(raw, &page)
	}
	if err != nil {
		return nil, errs.E(op, b, err)
	}
	return &page, nil
}

// List yields every entry; the first error ends it. A page that fails on the way is asked for again as every read is.
func (b *Bucket) List(ctx context.Context, o ListOptions) iter.Seq2[*api.ListEntry, error] {
	return func(yield func(*api.ListEntry, error) bool) {
		for token := ""; ; {
			page, err := b.ListPage(ctx, o, token)
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range page.Entries {
				if !yield(&page.Entries[i], nil) {
					return
				}
			}
			if page.Continuation == "" {
				return
			}
			if page.Continuation == token {
				yield(nil, errs.E("client.List", b, errs.Other, "the server repeats a page"))
				return
			}
			token = page.Continuation
		}
	}
}
