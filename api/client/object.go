package client

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"

	"aistore/api"
	"aistore/cksum"
	"aistore/cluster"
	"aistore/errs"
	"aistore/object"
)

// Info is what a server tells of an object. Times and sizes are zero where a reply does not carry them.
type Info struct {
	object.Info
	Atime      time.Time
	Durability cluster.Durability // class of the acknowledged write (replies to PUT)
	Location   string             // node and mountpath
}

// Conditions make a request depend on the object's present state.
type Conditions = object.Conditions

// PutOptions of (*Bucket).Put.
type PutOptions struct {
	ContentType string
	Header      http.Header       // more headers kept with the object: Content-Encoding, Cache-Control ...
	Custom      map[string]string // user metadata
	Checksum    cksum.Value       // the server refuses content that does not match; zero: computed when the content is in memory
	If          Conditions        // IfMatch, IfNoneMatch
	Once        bool              // never send again what may have been carried out: see Retry
}

// Put stores the content under key and returns when it is durable as Info.Durability says. The checksum that
// the server answers with is compared with what was sent.
func (b *Bucket) Put(ctx context.Context, key string, content Body, o PutOptions) (*Info, error) {
	const op = "client.Put"
	content, err := content.settle()
	if err != nil {
		return nil, errs.E(op, b.name(key), err)
	}
	q, err := b.object(op, http.MethodPut, key)
	if err != nil {
		return nil, err
	}
	q.body = &content
	q.expect = content.stream != nil || content.size > expectFrom
	if o.Once || !o.If.IsZero() {
		q.repeat = harmful
	}
	for k, v := range o.Header {
		q.header[k] = v
	}
	if o.ContentType != "" {
		q.header.Set("Content-Type", o.ContentType)
	}
	if err := setCustom(q.header, o.Custom); err != nil {
		return nil, errs.E(op, b.name(key), err)
	}
	setConditions(q.header, &o.If)
	b.declare(q, &content, o.Checksum)
	rep, err := b.c.do(ctx, q)
	if err != nil {
		return nil, err
	}
	defer closeReply(rep)
	info := parseInfo(key, rep.Header)
	if info.Size = content.size; info.Size < 0 && len(q.sent) > 0 {
		info.Size = q.sent[len(q.sent)-1].n
	}
	if sum := rep.sum; sum.Type != cksum.None && sum.Type == info.Checksum.Type && sum != info.Checksum {
		return info, errs.F(op, b.name(key), errs.Checksum, "the server received other bytes than were sent (%v, sent %v): put the object again", info.Checksum, sum)
	}
	return info, nil
}

// expectFrom is the length from which a body waits for the server to ask for it: below, sending it in vain costs
// less than a round trip.
const expectFrom = 1 << 20

// declare sends a checksum ahead when it is given or the content is in memory; otherwise it is summed on its way, with
// the bucket's algorithm, to be compared with the server's.
func (b *Bucket) declare(q *call, content *Body, given cksum.Value) {
	if given.Type == cksum.None {
		if b.c.opt.NoVerify {
			return
		}
		typ := cksum.XXHash
		if v := b.c.routes.view.Load(); v != nil {
			if known := v.Buckets.Get(b.bck.Namespace.Name, b.bck.Name); known != nil {
				typ = known.Props.Checksum
			}
		}
		if content.at != nil || content.stream != nil {
			q.sum = typ
			return
		}
		given = cksum.Of(typ, content.data)
	}
	if given.Type != cksum.None {
		q.header.Set(api.HeaderChecksumType, given.Type.String())
		q.header.Set(api.HeaderChecksumValue, given.Value)
	}
}

// Head returns what is known of the object. Conditions that do not hold are kind NotModified or Precondition.
func (b *Bucket) Head(ctx context.Context, key string, o GetOptions) (*Info, error) {
	q, err := b.object("client.Head", http.MethodHead, key)
	if err != nil {
		return nil, err
	}
	setConditions(q.header, &o.If)
	rep, err := b.c.do(ctx, q)
	if err != nil {
		return nil, err
	}
	closeReply(rep)
	return parseInfo(key, rep.Header), nil
}

// DeleteOptions of (*Bucket).Delete.
type DeleteOptions struct {
	If   Conditions
	Once bool // never send again what may have been carried out: see Retry
}

// Delete removes the object; kind NotFound if there is none.
func (b *Bucket) Delete(ctx context.Context, key string, o DeleteOptions) error {
	q, err := b.object("client.Delete", http.MethodDelete, key)
	if err != nil {
		return err
	}
	if setConditions(q.header, &o.If); o.Once || !o.If.IsZero() {
		q.repeat = harmful
	} else {
		q.done = errs.NotFound
	}
	rep, err := b.c.do(ctx, q)
	if err == nil {
		closeReply(rep)
	}
	return err
}

// Rename gives the object another name in the same bucket, replacing what has that name.
func (b *Bucket) Rename(ctx context.Context, key, to string) error {
	const op = "client.Rename"
	if err := object.CheckKey(to); err != nil {
		return errs.E(op, b.name(key), err)
	}
	return b.act(ctx, op, http.MethodPost, key, api.ActRename, to, nil, harmful)
}

// Copy copies the object to another bucket or name, replacing what is there.
func (b *Bucket) Copy(ctx context.Context, key string, to *Bucket, toKey string) error {
	const op = "client.Copy"
	if err := object.CheckKey(toKey); err != nil {
		return errs.E(op, to.name(toKey), err)
	}
	q, err := b.object(op, http.MethodPut, key)
	if err != nil {
		return err
	}
	q.query.Set(api.QueryObjectTo, to.bck.Path()+toKey)
	q.body = &Body{}
	rep, err := b.c.do(ctx, q)
	if err == nil {
		closeReply(rep)
	}
	return err
}

// SetCustom adds user metadata to the object; names that are there already get the new value.
func (b *Bucket) SetCustom(ctx context.Context, key string, custom map[string]string) error {
	return b.act(ctx, "client.SetCustom", http.MethodPatch, key, "", "", custom, harmless)
}

// ReplaceCustom is SetCustom that drops all user metadata there was.
func (b *Bucket) ReplaceCustom(ctx context.Context, key string, custom map[string]string) error {
	const op = "client.ReplaceCustom"
	q, err := b.action(op, http.MethodPatch, key, "", "", custom)
	if err != nil {
		return err
	}
	q.query.Set(api.QueryNewCustom, "true")
	return b.c.forget(ctx, q)
}

// act sends an action message to the object's owner.
func (b *Bucket) act(ctx context.Context, op, method, key, action, name string, value any, r repeat) error {
	q, err := b.action(op, method, key, action, name, value)
	if err != nil {
		return err
	}
	q.repeat = r
	return b.c.forget(ctx, q)
}

func (b *Bucket) action(op, method, key, action, name string, value any) (*call, error) {
	q, err := b.object(op, method, key)
	if err != nil {
		return nil, err
	}
	return q, q.message(action, name, value)
}

// object prepares a call for key.
func (b *Bucket) object(op, method, key string) (*call, error) {
	if err := object.CheckKey(key); err != nil {
		return nil, errs.E(op, b.bck.String(), err)
	}
	q := &call{
		op: op, name: b.name(key), method: method,
		path:  api.PathObjects + "/" + url.PathEscape(b.bck.Name) + "/" + escapeKey(key),
		query: b.query(), header: http.Header{},
		key: &placed{b.bck, key},
	}
	return q, nil
}

// escapeKey encodes what may not stand in a path; slashes stay.
func escapeKey(key string) string {
	const hex = "0123456789ABCDEF"
	n := 0
	for i := range len(key) {
		if !plain(key[i]) {
			n++
		}
	}
	if n == 0 {
		return key
	}
	e := make([]byte, 0, len(key)+2*n)
	for i := range len(key) {
		if c := key[i]; plain(c) {
			e = append(e, c)
		} else {
			e = append(e, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(e)
}

// plain reports whether c is unreserved in RFC 3986, or a slash.
func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~/", c) >= 0
}

func setCustom(h http.Header, custom map[string]string) error {
	names := make([]string, 0, len(custom))
	for k, v := range custom {
		if k == "" || strings.ContainsAny(k, "=,\r\n\x00") || strings.ContainsAny(v, "\r\n\x00") {
			return errs.F("client.PutOptions", "Custom", errs.Invalid, "%q=%q cannot travel in a header: no '=' or ',' in the name, no line ends", k, v)
		}
		names = append(names, k)
	}
	sort.Strings(names)
	key := textproto.CanonicalMIMEHeaderKey(api.HeaderCustomMD)
	for _, k := range names {
		h[key] = append(h[key], k+"="+custom[k])
	}
	return nil
}

// setConditions writes the If-* headers.
func setConditions(h http.Header, c *Conditions) {
	tags := func(name string, list []string) {
		if len(list) == 0 {
			return
		}
		quoted := make([]string, len(list))
		for i, t := range list {
			if quoted[i] = t; t != "*" {
				quoted[i] = `"` + t + `"`
			}
		}
		h.Set(name, strings.Join(quoted, ", "))
	}
	tags("If-Match", c.IfMatch)
	tags("If-None-Match", c.IfNoneMatch)
	if !c.IfModifiedSince.IsZero() {
		h.Set("If-Modified-Since", c.IfModifiedSince.UTC().Format(http.TimeFormat))
	}
	if !c.IfUnmodifiedSince.IsZero() {
		h.Set("If-Unmodified-Since", c.IfUnmodifiedSince.UTC().Format(http.TimeFormat))
	}
}

// parseInfo reads a reply's headers; what does not parse stays zero.
func parseInfo(key string, h http.Header) *Info {
	info := &Info{Durability: cluster.Durability(h.Get(api.HeaderDurability)), Location: h.Get(api.HeaderLocation)}
	info.Key = key
	info.Version, _ = object.ParseVersion(h.Get(api.HeaderVersion))
	info.Checksum, _ = cksum.Parse(h.Get(api.HeaderChecksumType), h.Get(api.HeaderChecksumValue))
	info.Created, _ = http.ParseTime(h.Get("Last-Modified"))
	info.Size, _ = strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	if tags := object.ParseETags(h.Get("ETag")); len(tags) > 0 {
		info.ETag = tags[0]
	}
	if ns, err := strconv.ParseInt(h.Get(api.HeaderAtime), 10, 64); err == nil {
		info.Atime = time.Unix(0, ns)
	}
	for _, line := range h.Values(api.HeaderCustomMD) {
		info.Custom = parseCustom(info.Custom, line)
	}
	for _, k := range []string{"Content-Type", "Content-Encoding", "Content-Language", "Content-Disposition", "Cache-Control", "Expires"} {
		if v := h.Get(k); v != "" {
			if info.System == nil {
				info.System = map[string]string{}
			}
			info.System[strings.ToLower(k)] = v
		}
	}
	if sum, err := base64.StdEncoding.DecodeString(h.Get("Content-MD5")); err == nil && len(sum) > 0 && info.Checksum.Type == cksum.None {
		info.Checksum = cksum.FromRaw(cksum.MD5, sum)
	}
	return info
}

// parseCustom adds the pairs of one ais-custom-md line: k=v, comma separated. A comma that no "name=" follows is
// part of the value before it.
func parseCustom(into map[string]string, line string) map[string]string {
	last := ""
	for part := range strings.SplitSeq(line, ",") {
		k, v, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok && last != "" {
			into[last] += "," + part
			continue
		}
		if !ok {
			continue
		}
		if into == nil {
			into = map[string]string{}
		}
		into[k], last = v, k
	}
	return into
}

// closeReply reads what is left of a short reply, so that the connection is kept.
func closeReply(rep *reply) {
	_, _ = io.CopyN(io.Discard, rep.Body, 32<<10)
	_ = rep.Body.Close()
}
