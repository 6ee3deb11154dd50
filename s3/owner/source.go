package owner

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"strconv"
	"unicode/utf8"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
	"aistore/node"
	"aistore/object"
	"aistore/s3"
	"aistore/store"
	"aistore/target"
)

// pathSource serves the source of a copy to the target that makes the copy: pathSource + "/BUCKETID/KEY", with the copy's own headers. The
// reply is the length of a JSON object.Info and span (a uvarint), that JSON, and the bytes of the span.
const pathSource = "/intra/s3-source"

// maxSourceHead bounds the JSON in front of a source's bytes.
const maxSourceHead = 256 << 10

// source is what a copy reads.
type source struct {
	sourceHead
	obj     *store.Object // on this node
	version string        // by which it was opened
	rep     *httpx.Reply  // from another
	body    io.Reader
}

type sourceHead struct {
	Info object.Info
	Span object.Span
}

// Close ends the reading.
func (s *source) Close() {
	if s.obj != nil {
		s.obj.Close()
	}
	if s.rep != nil {
		s.rep.Close()
	}
}

// openSource finds the source that the copy's header names, for its caller. Conditions and range were judged.
func (r *request) openSource() (*source, node.Object, error) {
	name, err := s3.ParseCopySource(r.h.CopySource)
	if err != nil {
		return nil, node.Object{}, err
	}
	if name.VersionID != "" {
		if err := checkVersion(name.VersionID); err != nil {
			return nil, node.Object{}, err
		}
	}
	s, src, err := r.sourceNamed(name)
	if name.Literal != "" && s3.IsCode(err, "NoSuchKey") {
		name.Key = name.Literal
		return r.sourceNamed(name)
	}
	return s, src, err
}

// sourceNamed finds a source by its name.
func (r *request) sourceNamed(name s3.CopySource) (*source, node.Object, error) {
	const op = "owner.openSource"
	ctx := r.c.Context()
	v, b := r.View, r.View.Buckets.Get("", name.Bucket)
	if b == nil {
		var err error
		if v, b, err = r.w.node.FindBucket(ctx, api.Bck{Name: name.Bucket}); err != nil {
			return nil, node.Object{}, s3.E(op, name.Bucket, "NoSuchBucket", "", s3.Field{Name: "BucketName", Value: name.Bucket})
		}
	}
	src := node.Object{View: v, Bucket: b, Key: name.Key, Owner: v.Owner(b, name.Key)}
	for try := 1; ; try++ {
		s, err := r.sourceAt(&src, name.VersionID)
		switch {
		case !errs.Is(err, errs.StaleMap, errs.WrongOwner):
			return s, src, err
		case try == servedMost:
			return nil, src, errs.F(op, &src, errs.Unavailable, "%w", err)
		}
		if _, err := r.w.node.Control().Latest(ctx); err != nil { // who was asked knows a newer map
			return nil, src, errs.E(op, "cluster map", err)
		}
		if err := r.w.node.Refresh(&src); err != nil {
			return nil, src, err
		}
	}
}

// sourceAt opens a source where it is by src's view.
func (r *request) sourceAt(src *node.Object, version string) (*source, error) {
	const op = "owner.openSource"
	ctx := r.c.Context()
	switch {
	case src.Owner == nil:
		return nil, errs.E(op, src, errs.Unavailable, "no target is in service")
	case src.Owner.ID != r.w.node.ID && !src.Owner.Alive:
		return nil, errs.F(op, src, errs.Unavailable, "its owner %s does not answer", src.Owner.ID)
	case src.Owner.ID != r.w.node.ID:
		return r.w.remoteSource(ctx, src, src.Owner, version, r.caller, &r.h)
	}
	holder, err := r.w.target.OwnToRead(ctx, src)
	switch {
	case err != nil:
		return nil, err
	case holder != nil:
		return r.w.remoteSource(ctx, src, holder, version, r.caller, &r.h)
	}
	s, err := r.w.localSource(src, version, r.caller, &r.h)
	return s, r.w.target.Judged(src, err)
}

// localSource opens a source that this node owns.
func (w *Owner) localSource(o *node.Object, version string, caller *s3.Caller, h *s3.Headers) (*source, error) {
	set, err := w.settings.Of(o.View, o.Bucket)
	if err != nil {
		return nil, err
	}
	r := &request{Object: *o, w: w, caller: caller, set: set, version: version, op: operation(s3.GetObject)}
	r.h.CopySource, r.h.UserAgent, r.h.Referer = h.CopySource, h.UserAgent, h.Referer
	if e := h.ExpectedSourceOwner; e != "" && e != o.Bucket.Owner {
		return nil, s3.E("owner.source", o.Bucket.Name, "AccessDenied", "")
	}
	var obj *store.Object
	if r.plain() {
		obj, err = w.store.Open(r.Name())
	} else {
		obj, err = w.store.OpenVersion(r.Name(), version)
	}
	if err != nil {
		return nil, r.missing(err)
	}
	s := &source{obj: obj, version: version}
	if err := s.judge(r, h); err != nil {
		obj.Close()
		return nil, err
	}
	if s.Span.Length == s.Info.Size {
		s.body = obj.Reader()
	} else {
		s.body = obj.RangeReader(s.Span)
	}
	return s, nil
}

// judge decides whether the caller may read the source, and whether the copy's conditions hold.
func (s *source) judge(r *request, h *s3.Headers) error {
	info := s.obj.Info()
	if info.DeleteMarker {
		if r.version != "" {
			return s3.E("owner.source", &r.Object, "InvalidRequest", "The source of a copy request may not specifically refer to a delete marker by version id.")
		}
		return r.missing(errs.E("owner.source", r.Name(), errs.NotFound))
	}
	if err := r.authorizeObject(info); err != nil {
		return err
	}
	if err := r.w.node.Control().Lease(); err != nil {
		return err
	}
	cond := conditions(h.CopyIfMatch, h.CopyIfNoneMatch, h.CopyIfModifiedSince, h.CopyIfUnmodifiedSince)
	if err := cond.Check(info, true); err != nil {
		return s3.E("owner.source", "x-amz-copy-source-if", "PreconditionFailed", "", s3.Field{Name: "Condition", Value: "x-amz-copy-source-" + conditionName(err)})
	}
	s.Info, s.Span = *info, object.Span{Length: info.Size}
	if h.CopyRange != "" {
		sp, err := s3.ParseCopyRange(h.CopyRange, info.Size)
		if err != nil {
			return err
		}
		s.Span = sp
	}
	return nil
}

func operation(op s3.Op) *s3.Operation {
	for i, o := range s3.Operations() {
		if o.Op == op {
			return &s3.Operations()[i]
		}
	}
	panic("BUG: owner.operation: no such operation")
}

// remoteSource asks another node for a source: its owner, or the one that has it while it is on its way to this node.
func (w *Owner) remoteSource(ctx context.Context, o *node.Object, at *cluster.Node, version string, caller *s3.Caller, h *s3.Headers) (*source, error) {
	const op = "owner.remoteSource"
	url := append([]byte("http://"), at.IntraAddr...)
	url = append(append(append(url, pathSource+"/"...), itoa(int64(o.Bucket.ID))...), '/') //nolint:gosec // ids are counted up from 1
	url = append(httpx.AppendPath(url, o.Key), "?versionId="...)
	url = httpx.AppendQuery(url, version)
	asker := *caller
	asker.View = o.View.Index
	call := &httpx.Call{Method: "GET", URL: string(url), Headers: []httpx.Header{{Key: s3.HeaderCaller, Value: string(asker.Append(nil))}}, Hurry: true}
	if at != o.Owner {
		call.Headers = append(call.Headers, httpx.Header{Key: target.HeaderHeld, Value: strconv.FormatUint(o.View.Map.Epoch, 10)})
	}
	for _, f := range [...][2]string{
		{"x-amz-copy-source", h.CopySource}, {"x-amz-copy-source-range", h.CopyRange}, {"x-amz-copy-source-if-match", h.CopyIfMatch},
		{"x-amz-copy-source-if-none-match", h.CopyIfNoneMatch}, {"x-amz-copy-source-if-modified-since", h.CopyIfModifiedSince},
		{"x-amz-copy-source-if-unmodified-since", h.CopyIfUnmodifiedSince}, {"x-amz-source-expected-bucket-owner", h.ExpectedSourceOwner},
		{"User-Agent", h.UserAgent}, {"Referer", h.Referer},
	} {
		if f[1] != "" {
			call.Headers = append(call.Headers, httpx.Header{Key: f[0], Value: f[1]})
		}
	}
	rep, err := w.node.Client.Do(ctx, call)
	if err != nil {
		return nil, errs.E(op, o, err)
	}
	s := &source{rep: rep}
	if err := s.readHead(rep.Body); err != nil {
		rep.Close()
		return nil, errs.E(op, o, err)
	}
	return s, nil
}

// readHead reads what stands before the bytes: what the source is, or why not.
func (s *source) readHead(r io.Reader) error {
	const op = "owner.readHead"
	br := bufio.NewReaderSize(r, 64<<10)
	n, err := binary.ReadUvarint(br)
	if err != nil {
		return errs.F(op, "source", errs.Unavailable, "ended early: %w", err)
	}
	if n > maxSourceHead {
		return errs.E(op, "source", errs.Other, "its head is too long")
	}
	head := make([]byte, n)
	if _, err = io.ReadFull(br, head); err != nil {
		return errs.F(op, "source", errs.Unavailable, "ended early: %w", err)
	}
	var reply sourceReply
	if err := json.Unmarshal(head, &reply); err != nil {
		return errs.F(op, "source", errs.Other, "%w", err)
	}
	if reply.Span.Start < 0 || reply.Span.Length < 0 {
		return errs.E(op, "source", errs.Other, "its span is negative")
	}
	if f := reply.Fault; f != nil {
		return s3.E("owner.source", s.Info.Key, f.Code, f.Message, f.Extra...)
	}
	s.sourceHead, s.body = reply.sourceHead, br
	for k, v := range reply.Custom {
		s.Info.Custom[k] = string(v)
	}
	for k, v := range reply.System {
		s.Info.System[k] = string(v)
	}
	return nil
}

// sourceReply stands before a source's bytes.
type sourceReply struct {
	sourceHead
	Fault *s3.Fault `json:",omitempty"` // instead of everything else

	Custom, System map[string][]byte `json:",omitempty"` // of Info what is no text, which JSON cannot hold
}

// noText returns the values of m that are no UTF-8.
func noText(m map[string]string) (bytes map[string][]byte) {
	for k, v := range m {
		if utf8.ValidString(v) {
			continue
		}
		if bytes == nil {
			bytes = map[string][]byte{}
		}
		bytes[k] = []byte(v)
	}
	return bytes
}

// serveSource sends a source to the target that copies it. What the client shall know of a failure is in the reply's head.
func (w *Owner) serveSource(c *httpx.Ctx) error {
	caller, err := s3.ParseCaller(c.Header(s3.HeaderCaller))
	if err != nil {
		return err
	}
	o, err := w.node.ResolveByID(c, c.Rest())
	if err != nil {
		return err
	}
	r := &request{Object: o, w: w, c: c, caller: &caller}
	c.EachHeader(r.h.Add)
	held := c.Header(target.HeaderHeld)
	if held != "" {
		if err := w.target.AdmitHeld(c.Context(), &r.Object, held); err != nil {
			return err
		}
	} else {
		if err := w.admit(r); err != nil {
			return err
		}
		holder, err := w.target.OwnToRead(c.Context(), &r.Object)
		if err != nil {
			return err
		}
		if holder != nil {
			return r.toHolder(pathSource, holder)
		}
	}
	s, err := w.localSource(&r.Object, c.Query("versionId"), &caller, &r.h)
	if held != "" {
		err = w.target.StillHeld(&r.Object, err)
	} else {
		err = w.target.Judged(&r.Object, err)
	}
	var reply sourceReply
	switch {
	case err == nil:
		reply.sourceHead, reply.Custom, reply.System = s.sourceHead, noText(s.Info.Custom), noText(s.Info.System)
	case errs.KindOf(err).Retryable():
		return err
	default:
		f := s3.FaultOf(err)
		reply.Fault = &s3.Fault{Code: f.Code, Message: f.Text(), Extra: f.Extra}
	}
	head, err := json.Marshal(&reply)
	if err != nil {
		if s != nil {
			s.Close()
		}
		return errs.E("owner.serveSource", &o, err)
	}
	b := append(binary.AppendUvarint(make([]byte, 0, len(head)+4), uint64(len(head))), head...)
	if s == nil {
		return c.SendBytes(b)
	}
	if err := w.target.Reserve(); err != nil {
		s.Close()
		return err
	}
	defer w.target.Release()
	return c.Send(int64(len(b))+s.Span.Length, &sending{s: s, head: b})
}

// sending is a source as a reply.
type sending struct {
	s    *source
	head []byte
}

// WriteBody implements httpx.Source.
func (x *sending) WriteBody(dst io.Writer) error {
	if _, err := dst.Write(x.head); err != nil {
		return err
	}
	return x.s.obj.WriteSpan(dst, x.s.Span)
}

// Close implements httpx.Source.
func (x *sending) Close() { x.s.Close() }
