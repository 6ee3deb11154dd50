package owner

import (
	"strconv"
	"strings"
	"time"

	"aistore/api"
	"aistore/errs"
	"aistore/httpx"
	"aistore/object"
	"aistore/s3"
	"aistore/store"
)

// get serves the object: whole, one range or part of it, or several ranges where they are asked for.
func (r read) get() error {
	obj, err := r.open()
	if err != nil {
		return err
	}
	v, err := r.view(obj.Info(), obj.Parts)
	if err != nil {
		obj.Close()
		return err
	}
	if len(v.spans) > 1 {
		var buf [1024]byte
		r.c.AddHeaders(r.appendObject(buf[:0], obj.Info(), v))
		return r.w.target.SendParts(r.c, obj, v.spans)
	}
	sp := r.announce(obj.Info(), v)
	return r.w.target.SendSpan(r.c, obj, sp)
}

// head serves what get would, without the content.
func (r read) head() error {
	if r.c.RawQuery() != "" && r.c.HasQuery("partNumber") {
		return r.headPart()
	}
	info, err := r.stat()
	if err != nil {
		return err
	}
	if err := r.authorizeObject(&info); err != nil {
		return err
	}
	v, err := r.view(&info, nil)
	if err != nil {
		return err
	}
	return r.c.SendHead(r.announce(&info, v).Length)
}

// headPart is head of a part. Only an object that is open tells its own parts: by the time they were asked for by its name, that could have others.
func (r read) headPart() error {
	obj, err := r.open()
	if err != nil {
		return err
	}
	defer obj.Close()
	v, err := r.view(obj.Info(), obj.Parts)
	if err != nil {
		return err
	}
	return r.c.SendHead(r.announce(obj.Info(), v).Length)
}

// open opens the object for a caller who may read it.
func (r read) open() (*store.Object, error) {
	var obj *store.Object
	var err error
	if r.plain() {
		obj, err = r.w.store.Open(r.Name())
	} else {
		obj, err = r.w.store.OpenVersion(r.Name(), r.version)
	}
	if err != nil {
		return nil, r.missing(err)
	}
	info := obj.Info()
	if info.DeleteMarker {
		err = r.marker(info)
	} else {
		err = r.authorizeObject(info)
	}
	if err != nil {
		obj.Close()
		return nil, err
	}
	return obj, nil
}

// view is what of an object a reply shows.
type view struct {
	spans []object.Span // none = the whole
	part  *part         // of a partNumber
	over  *s3.Overrides
}

// part is the part of a partNumber.
type part struct {
	count int // parts of the object; 0 = it was not uploaded in parts
	sum   s3.Checksum
}

// view decides what of the object is served: this node must hold its lease, unless the bucket does without, the conditions must hold, ranges must lie
// inside. parts tells the parts of this very version; it is asked only for a partNumber.
func (r read) view(info *object.Info, parts func() []store.PartInfo) (*view, error) {
	stale, err := r.w.node.MayRead(r.Bucket)
	if err != nil {
		return nil, err
	}
	if stale {
		r.c.SetHeader(api.HeaderStale, "true")
	}
	if err := r.judge(info); err != nil {
		return nil, err
	}
	query := r.c.RawQuery()
	if query == "" && r.h.Range == "" {
		return &whole, nil
	}
	v := &view{}
	if query != "" {
		if err := r.refine(v, info, query, parts); err != nil {
			return nil, err
		}
	}
	if r.h.Range == "" || v.part != nil || !r.ifRange(info) {
		return v, nil
	}
	several := s3.Whole
	if r.Bucket.Props.S3.MultiRange || strings.EqualFold(r.h.MultiRange, "multipart") {
		several = s3.Multipart
	}
	if v.spans, err = s3.ParseRange(r.h.Range, info.Size, several); err != nil {
		r.c.SetFailHeader("Content-Range", "bytes */"+itoa(info.Size))
	}
	return v, err
}

var whole view // most requests; read only

// refine reads what the query says of the reply.
func (r read) refine(v *view, info *object.Info, query string, parts func() []store.PartInfo) error {
	const op = "owner.view"
	if v.over = s3.ParseOverrides(query); v.over != nil && r.caller.Anonymous() {
		return s3.E(op, "response-", "InvalidRequest", "Request specific response headers cannot be used for anonymous GET requests.")
	}
	n := r.c.Query("partNumber")
	if n == "" {
		return nil
	}
	if r.h.Range != "" {
		return s3.E(op, "partNumber", "InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
	}
	number, err := s3.ParsePartNumber(n)
	if err != nil {
		return err
	}
	return r.selectPart(v, info, number, parts())
}

// selectPart makes one part the range of the reply. An object that was not uploaded in parts is its own part 1.
func (r read) selectPart(v *view, info *object.Info, number int, parts []store.PartInfo) error {
	v.part = &part{count: len(parts)}
	if len(parts) == 0 {
		if number != 1 {
			return s3.E("owner.view", "partNumber", "InvalidPart", "")
		}
		v.part.sum = s3.DecodeChecksum(info.System[s3.SystemChecksum])
		return nil
	}
	var start int64
	for i := range parts {
		p := &parts[i]
		if p.Number == number {
			v.spans = []object.Span{{Start: start, Length: p.Size}}
			v.part.sum = partSum(p, s3.DecodeChecksum(info.System[s3.SystemChecksum]))
			return nil
		}
		start += p.Size
	}
	return s3.E("owner.view", "partNumber", "InvalidPart", "")
}

// partSum is the checksum of a part, of the object's algorithm and shown with the object's type.
func partSum(p *store.PartInfo, of s3.Checksum) s3.Checksum {
	v, ok := p.Sum(of.Algorithm.Type())
	if of.IsZero() || !ok {
		return s3.Checksum{}
	}
	return s3.NewChecksum(of.Algorithm, of.Type, v.Raw())
}

// judge evaluates the conditions of a read.
func (r *request) judge(info *object.Info) error {
	h := &r.h
	if h.IfMatch == "" && h.IfNoneMatch == "" && h.IfModifiedSince == "" && h.IfUnmodifiedSince == "" {
		return nil
	}
	cond := conditions(h.IfMatch, h.IfNoneMatch, h.IfModifiedSince, h.IfUnmodifiedSince)
	if err := cond.Check(info, true); err != nil {
		r.c.SetFailHeader("ETag", `"`+info.ETag+`"`)
		r.c.SetFailHeader("Last-Modified", httpx.Time(info.Created))
		if r.versioned() {
			r.c.SetFailHeader("x-amz-version-id", s3.ShownVersion(info.VersionID))
		}
		return conditionFault(err)
	}
	return nil
}

// conditionFault names the condition that did not hold, as S3 does.
func conditionFault(err error) error {
	if !errs.Is(err, errs.Precondition) {
		return err
	}
	return s3.E("owner.conditions", "", "PreconditionFailed", "", s3.Field{Name: "Condition", Value: conditionName(err)})
}

func conditionName(err error) string {
	text := err.Error()
	for _, name := range [...]string{"If-Match", "If-None-Match", "If-Unmodified-Since", "If-Modified-Since"} {
		if strings.Contains(text, name) {
			return name
		}
	}
	return "If-Match"
}

// conditions parses If-* headers. A date that cannot be read is ignored, as RFC 9110 wants.
func conditions(match, noneMatch, modified, unmodified string) *object.Conditions {
	return &object.Conditions{
		IfMatch: object.ParseETags(match), IfNoneMatch: object.ParseETags(noneMatch),
		IfModifiedSince: httpDate(modified), IfUnmodifiedSince: httpDate(unmodified),
	}
}

func httpDate(s string) time.Time {
	t, _ := httpx.ParseTime(s) // zero when it cannot be read
	return t
}

// ifRange reports whether the ranges are meant for this version of the object.
func (r read) ifRange(info *object.Info) bool {
	h := r.h.IfRange
	if h == "" {
		return true
	}
	if t, ok := httpx.ParseTime(h); ok {
		return info.Created.Truncate(time.Second).Equal(t)
	}
	return strings.Trim(h, `"`) == info.ETag && !strings.HasPrefix(h, "W/")
}

// announce sets status and headers of a reply that shows one piece of the object, and returns the piece.
func (r read) announce(info *object.Info, v *view) object.Span {
	sp := object.Span{Length: info.Size}
	var buf [1024]byte
	b := httpx.AppendHeader(buf[:0], "Content-Type", s3.ContentType(info, v.over))
	b = r.appendObject(b, info, v)
	switch {
	case len(v.spans) == 1:
		sp = v.spans[0]
		r.c.Status(206)
		if sp.Length > 0 {
			b = httpx.AppendHeader(b, "Content-Range", sp.ContentRange(info.Size))
		}
	case v.part != nil && info.Size > 0:
		r.c.Status(206)
		b = httpx.AppendHeader(b, "Content-Range", sp.ContentRange(info.Size))
	}
	r.c.AddHeaders(b)
	return sp
}

// appendObject adds the headers of a GET or HEAD, but for the Content-Type.
func (r read) appendObject(b []byte, info *object.Info, v *view) []byte {
	b = append(append(append(b, `ETag: "`...), info.ETag...), "\"\r\nAccept-Ranges: bytes\r\nLast-Modified: "...)
	b = append(httpx.AppendTime(b, info.Created), "\r\n"...)
	b = s3.AppendMeta(b, info, v.over)
	if r.versioned() {
		b = append(append(append(b, "x-amz-version-id: "...), s3.ShownVersion(info.VersionID)...), "\r\n"...)
	}
	if v.part != nil && v.part.count > 0 {
		b = append(strconv.AppendInt(append(b, "x-amz-mp-parts-count: "...), int64(v.part.count), 10), "\r\n"...)
	}
	if l := r.set.Lifecycle; l != nil && r.version == "" {
		b = l.AppendExpiration(b, info)
	}
	if strings.EqualFold(r.h.ChecksumMode, "ENABLED") {
		switch {
		case v.part != nil:
			b = v.part.sum.AppendHeaders(b)
		case len(v.spans) == 0: // of the whole: it would be checked against the range
			sum := s3.DecodeChecksum(info.System[s3.SystemChecksum])
			b = sum.AppendHeaders(b)
		}
	}
	return b
}
