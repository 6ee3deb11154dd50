package proxy

import (
	"strconv"
	"strings"
	"time"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
	"aistore/list"
	"aistore/object"
	"aistore/xact"
)

// listObjects answers with one page of the bucket's names.
func (g *Gateway) listObjects(c *httpx.Ctx, v *cluster.View, b *cluster.Bucket, m *api.ActionMsg) error {
	msg, err := listMessage(c, m)
	if err != nil {
		return err
	}
	form, err := newForm(msg.Props, msg.Flags, msg.TimeFormat)
	if err != nil {
		return err
	}
	req, err := pageRequest(msg, v.Config.List)
	if err != nil {
		return err
	}
	req.Fields = form.fields
	var res *list.Result
	for try := 0; ; try++ {
		res, err = g.lister.Page(c.Context(), v, b, req)
		if !errs.Is(err, errs.StaleMap) || try == list.MaxStale {
			break
		}
		if v, err = g.ctl.Latest(c.Context()); err != nil {
			break
		}
		was := b
		if b = v.BucketByID(was.ID); b == nil {
			return errs.E("proxy.list", was.String(), errs.NoBucket, "the bucket was destroyed")
		}
	}
	if err != nil {
		return err
	}
	if msg.UUID == "" {
		msg.UUID = xact.NewID()
	}
	return g.sendPage(c, &api.ListPage{UUID: msg.UUID, Continuation: list.EncodeToken(res.Next), Entries: form.entries(v, b, res.Entries)})
}

// listMessage reads the request from the message, or from the query when there is none, which browsers can send.
func listMessage(c *httpx.Ctx, m *api.ActionMsg) (*api.ListObjectsMsg, error) {
	msg := &api.ListObjectsMsg{}
	if m.Action != "" {
		if err := m.Decode(msg); err != nil {
			return nil, err
		}
		return msg, nil
	}
	msg.Prefix, msg.Props, msg.UUID = c.Query("prefix"), c.Query(api.QueryProps), c.Query(api.QueryUUID)
	msg.Continuation, msg.StartAfter = c.Query("continuation_token"), c.Query("start_after")
	msg.Delimiter, msg.Target = c.Query(api.QueryDelimiter), c.Query("target")
	if s := c.Query("pagesize"); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return nil, errs.F("proxy.list", "pagesize", errs.Invalid, "%.40q is not a number", s)
		}
		msg.PageSize = n
	}
	return msg, msg.Flags.UnmarshalJSON([]byte(c.Query("flags")))
}

func pageRequest(msg *api.ListObjectsMsg, cfg cluster.ListCfg) (r list.Request, err error) {
	const op = "proxy.list"
	if err := msg.Flags.Check(); err != nil {
		return r, err
	}
	for _, f := range [...]struct{ name, value string }{{"prefix", msg.Prefix}, {"start_after", msg.StartAfter}, {"delimiter", msg.Delimiter}} {
		if len(f.value) > object.MaxKeyLen {
			return r, errs.F(op, f.name, errs.Invalid, "is %d bytes long, names have at most %d", len(f.value), object.MaxKeyLen)
		}
	}
	if len(msg.UUID) > 64 {
		return r, errs.E(op, "uuid", errs.Invalid, "is not one of ours: pass back what the first page gave")
	}
	r = list.Request{
		Prefix: msg.Prefix, After: msg.StartAfter, Delimiter: msg.Delimiter, Limit: cfg.PageSize,
		NoDirs: msg.Flags&api.ListNoDirs != 0, Target: cluster.NodeID(msg.Target),
	}
	switch {
	case msg.PageSize < 0:
		return r, errs.F(op, "pagesize", errs.Invalid, "%d is negative", msg.PageSize)
	case msg.PageSize > 0:
		r.Limit = int(min(msg.PageSize, int64(cfg.MaxPageSize)))
	}
	if msg.Flags&api.ListNoRecursion != 0 && r.Delimiter == "" {
		r.Delimiter = "/"
	}
	after, err := list.DecodeToken(msg.Continuation)
	r.After = max(r.After, after)
	return r, err
}

// form is what clients see of an entry.
type form struct {
	fields                   list.Fields
	version, location, atime bool
	copies                   bool
	layout                   string
}

func newForm(props string, flags api.ListFlags, layout string) (f form, err error) {
	if len(layout) > 64 {
		return f, errs.F("proxy.list", "time_format", errs.Invalid, "%.20q... is too long", layout)
	}
	f.layout = orElse(layout, time.RFC822)
	switch {
	case flags&api.ListNameOnly != 0:
		return f, nil
	case flags&api.ListNameSize != 0:
		props = api.PropSize
	case props == "":
		props = api.PropSize
	case props == "all":
		props = strings.Join([]string{api.PropSize, api.PropVersion, api.PropChecksum, api.PropAtime, api.PropLocation, api.PropCustom, "copies"}, ",")
	}
	for _, p := range strings.Split(props, ",") {
		switch p = strings.TrimSpace(p); p {
		case api.PropSize:
			f.fields |= list.Size
		case api.PropChecksum:
			f.fields |= list.Checksum
		case api.PropAtime:
			f.fields |= list.Created
			f.atime = true
		case api.PropVersion:
			f.version = true
		case api.PropCustom:
			f.fields |= list.Custom
		case api.PropLocation, api.PropTarget:
			f.location = true
		case "copies":
			f.copies = true
		case "", api.PropName, "cached", "status", "ec", "node": // in every entry, or the same for all
		default:
			return f, errs.F("proxy.list", "props", errs.Invalid,
				"%.40q is unknown: use name, size, version, checksum, atime, location, custom, copies, or all", p)
		}
	}
	return f, nil
}

// entries renders es as clients see them.
func (f *form) entries(v *cluster.View, b *cluster.Bucket, es []*list.Entry) []api.ListEntry {
	out := make([]api.ListEntry, len(es))
	for i, e := range es {
		o := &out[i]
		o.Name = e.Name
		if e.Dir {
			o.Flags = api.EntryIsDir
			continue
		}
		o.Flags, o.Size, o.Checksum, o.Custom = api.EntryIsCached, e.Size, e.Checksum, e.Custom
		if f.version {
			o.Version = e.Version.String()
		}
		if f.atime {
			o.Atime = time.Unix(0, e.Created).UTC().Format(f.layout)
		}
		if f.copies {
			o.Copies = 1
		}
		if f.location {
			if n := v.Owner(b, e.Name); n != nil {
				o.Location = "t[" + string(n.ID) + "]"
			}
		}
	}
	return out
}

// sendPage encodes p as the client asked for.
func (g *Gateway) sendPage(c *httpx.Ctx, p *api.ListPage) error {
	buf := g.buffers.Get().(*[]byte)
	defer g.buffers.Put(buf)
	if strings.Contains(c.Header("Accept"), api.TypeMsgpack) {
		c.SetHeader("Content-Type", api.TypeMsgpack)
		*buf = p.AppendMsg((*buf)[:0])
	} else {
		c.SetHeader("Content-Type", api.TypeJSON)
		*buf = p.AppendJSON((*buf)[:0])
	}
	return c.SendBytes(*buf)
}
