package owner

import (
	"bytes"
	"encoding/hex"
	"io"
	"maps"
	"strings"

	"aistore/auth/policy"
	"aistore/cksum"
	"aistore/errs"
	"aistore/object"
	"aistore/s3"
	"aistore/store"
	"aistore/target"
)

// put stores the request's body as the object. What can be refused is refused before the client is asked for the body.
func (r write) put() error {
	const op = "owner.put"
	if err := r.lengthSaid(); err != nil {
		return err
	}
	o, in, err := r.putOptions()
	if err != nil {
		return err
	}
	if err := r.authorize(); err != nil {
		return err
	}
	if err := r.guard(); err != nil {
		return err
	}
	info, err := r.store(&o, in)
	if err != nil {
		return r.writeFault(op, err)
	}
	return r.acknowledgePut(&info, &in.sum)
}

// lengthSaid refuses a request that neither says a length nor sends chunks. HTTP takes it for one without content, and what its client meant to
// send would be replaced by nothing.
func (r write) lengthSaid() error {
	if r.caller.Body.Decoded < 0 && r.c.BodyLen() == 0 {
		return s3.E("owner.put", "Content-Length", "MissingContentLength", "")
	}
	return nil
}

// store writes the content: a short one from memory, a long one as it comes.
func (r write) store(o *store.PutOptions, in *incoming) (object.Info, error) {
	ctx := r.c.Context()
	if data, ok := r.c.BodyBytes(); ok {
		content, release, err := in.decode(data)
		if err != nil {
			return object.Info{}, err
		}
		defer release()
		o.Size = int64(len(content))
		return r.w.store.Put(ctx, r.Name(), content, *o)
	}
	if err := r.checkEarly(o.Conditions); err != nil {
		return object.Info{}, err
	}
	if err := r.w.target.Reserve(); err != nil {
		return object.Info{}, err
	}
	defer r.w.target.Release()
	br, err := r.reader()
	if err != nil {
		return object.Info{}, err
	}
	defer br.Close()
	in.trailer = br.Trailer
	return r.w.store.PutStream(ctx, r.Name(), br, *o)
}

// checkEarly evaluates conditions before a long body is read; they are checked again at the commit.
func (r write) checkEarly(cond *object.Conditions) error {
	if cond == nil {
		return nil
	}
	info, err := r.w.store.Stat(r.Name())
	switch {
	case err == nil:
		return cond.Check(&info, false)
	case errs.Is(err, errs.NotFound):
		return cond.Check(nil, false)
	}
	return err
}

// putOptions reads what the headers of a PUT say of the object to be.
func (r write) putOptions() (store.PutOptions, *incoming, error) {
	var o store.PutOptions
	in, err := r.incoming(s3.MaxPutSize)
	if err != nil {
		return o, nil, err
	}
	if o, err = r.newObject(); err != nil {
		return o, nil, err
	}
	o.Size, o.Expect, o.Also, o.Conditions = in.size, in.expect, in.also, r.writeConditions()
	o.Finish = in.finish
	return o, in, nil
}

// newObject reads what the headers of a request say of an object that it makes, but for its content.
func (r write) newObject() (store.PutOptions, error) {
	props := &r.Bucket.Props
	c := r.w.target.Commit(&r.Object)
	o := store.PutOptions{
		Epoch: r.View.Map.Epoch, Durability: props.Durability, Checksum: props.Checksum, Custom: r.h.Meta,
		Versioning: target.VersioningOf(r.Bucket), Newest: c.Newest, Guard: c.Guard,
	}
	var err error
	if o.System, err = r.h.System(nil); err != nil {
		return o, err
	}
	if o.Tags, err = s3.ParseTagHeader(r.h.Tagging); err != nil {
		return o, err
	}
	r.tags = o.Tags
	acl, err := r.newACL()
	if acl != "" {
		o.System = with(o.System, s3.SystemACL, acl)
	}
	return o, err
}

// newACL returns what is kept as the ACL of an object that the caller makes: nothing when it is private to the bucket's owner.
func (r write) newACL() (string, error) {
	g := &r.h.Grants
	if *g == (policy.GrantHeaders{}) && r.caller.ID == r.Bucket.Owner {
		return "", nil
	}
	q := subject(r.caller)
	a, err := r.set.Ownership.NewObject(&q, r.Bucket.Owner, g, r.users())
	if err != nil {
		return "", err
	}
	if err := r.set.Block.CheckACL(&a); err != nil {
		return "", err
	}
	if a.Owner == r.Bucket.Owner && a.Private() {
		return "", nil
	}
	return a.Encode(), nil
}

func with(m map[string]string, k, v string) map[string]string {
	if m == nil {
		m = make(map[string]string, 2)
	}
	m[k] = v
	return m
}

// writeConditions returns the If-* headers of a write, nil without any.
func (r *request) writeConditions() *object.Conditions {
	if r.h.IfMatch == "" && r.h.IfNoneMatch == "" {
		return nil
	}
	return &object.Conditions{IfMatch: object.ParseETags(r.h.IfMatch), IfNoneMatch: object.ParseETags(r.h.IfNoneMatch), MissingIsNotFound: true}
}

// writeFault gives an error of a write its code.
func (r *request) writeFault(op string, err error) error {
	if errs.Is(err, errs.Precondition) {
		return conditionFault(err)
	}
	return r.fault(op, err)
}

// acknowledgePut makes the reply to a PUT.
func (r write) acknowledgePut(info *object.Info, sum *s3.Checksum) error {
	if err := r.acknowledge(); err != nil {
		return err
	}
	var buf [256]byte
	b := append(append(append(buf[:0], `ETag: "`...), info.ETag...), "\"\r\n"...)
	b = sum.AppendHeaders(b)
	r.showNewVersion(info.VersionID)
	if l := r.set.Lifecycle; l != nil {
		b = l.AppendExpiration(b, info)
	}
	r.c.AddHeaders(b)
	return nil
}

// incoming is the content of a request on its way in: what it must be, and what is found out about it.
type incoming struct {
	r       *request
	size    int64 // -1 = not said
	expect  []cksum.Value
	also    []cksum.Type
	want    s3.Checksum // declared, in header or trailer; no Value = a trailer has it
	sum     s3.Checksum // found, and kept with the object; the zero value when none was asked for
	trailer func(name string) (string, bool)
}

// md5Only is what nearly every write computes; read only.
var md5Only = []cksum.Type{cksum.MD5}

// incoming reads what the headers say of the content.
func (r write) incoming(limit int64) (*incoming, error) {
	in := &incoming{r: r.request, size: r.caller.Body.Decoded, also: md5Only}
	if in.size < 0 {
		in.size = -1
		if !r.caller.Body.Mode.Encoded() {
			in.size = r.c.BodyLen()
		}
	}
	if err := r.checkSize(in.size, limit); err != nil {
		return nil, err
	}
	if in.size < 0 { // not aws-chunked, which has to say it
		r.c.LimitBody(r.sizeLimit(limit))
	}
	raw, err := r.h.MD5()
	if err != nil {
		return nil, err
	}
	if raw != nil {
		in.expect = append(in.expect, cksum.Value{Type: cksum.MD5, Value: hex.EncodeToString(raw)})
	}
	return in, in.declared()
}

// sizeLimit is the most bytes that what the request makes may have: of the protocol's limit and the cluster's the lower one.
func (r *request) sizeLimit(protocol int64) int64 {
	return min(protocol, r.View.Config.Limits.MaxObjectSize)
}

func (r *request) checkSize(size, protocol int64) error {
	limit := r.sizeLimit(protocol)
	if size <= limit {
		return nil
	}
	return s3.E("owner.checkSize", &r.Object, "EntityTooLarge", "", s3.Field{Name: "ProposedSize", Value: itoa(size)}, s3.Field{Name: "MaxSizeAllowed", Value: itoa(limit)})
}

// declared reads the checksum that the header declares or announces as a trailer.
func (in *incoming) declared() error {
	h := &in.r.h
	var err error
	if in.want, err = h.Declared(); err != nil {
		return err
	}
	if in.want.IsZero() {
		for _, name := range in.r.caller.Body.Trailer {
			a := s3.AlgorithmOfHeader(name)
			if a == s3.NoAlgorithm && strings.HasPrefix(name, "x-amz-checksum-") {
				return s3.E("owner.declared", name, "BadDigest", "The trailing checksum "+name+" is not known.")
			}
			if a != s3.NoAlgorithm {
				in.want.Algorithm = a
			}
		}
	}
	if err = h.CheckNamed(in.want.Algorithm); err != nil || in.want.IsZero() {
		return err
	}
	t := in.want.Algorithm.Type()
	in.also = append([]cksum.Type{cksum.MD5}, t)
	if in.want.Value == "" {
		return nil
	}
	raw, parts, ok := in.want.Raw()
	if !ok || parts != 0 {
		return s3.E("owner.declared", in.want.Algorithm.Header(), "BadDigest", "Value for "+in.want.Algorithm.Header()+" header is invalid.")
	}
	in.expect = append(in.expect, cksum.FromRaw(t, raw))
	return nil
}

// finish is the store's Finish: the ETag is the MD5, a declared checksum is compared and kept.
func (in *incoming) finish(f *store.Finish) error {
	if v, ok := f.Sum(cksum.MD5); ok {
		f.ETag = v.Value
	}
	if err := in.compare(f.Sum); err != nil {
		return err
	}
	if !in.sum.IsZero() {
		if f.System == nil {
			f.System = map[string]string{s3.SystemChecksum: in.sum.Encode()}
		} else {
			f.System = maps.Clone(f.System)
			f.System[s3.SystemChecksum] = in.sum.Encode()
		}
	}
	return nil
}

// compare checks a trailer's checksum and fills in sum.
func (in *incoming) compare(found func(cksum.Type) (cksum.Value, bool)) error {
	if in.want.IsZero() {
		return nil
	}
	v, ok := found(in.want.Algorithm.Type())
	if !ok {
		return errs.E("owner.finish", in.want.Algorithm.Name(), errs.Other, "the store did not compute the checksum")
	}
	in.sum = s3.NewChecksum(in.want.Algorithm, "", v.Raw())
	if in.want.Value != "" {
		return nil // the store has compared it
	}
	value, ok := "", false
	if in.trailer != nil {
		value, ok = in.trailer(in.want.Algorithm.Header())
	}
	if !ok {
		return s3.E("owner.finish", in.want.Algorithm.Header(), "MalformedTrailerError", "")
	}
	if value != in.sum.Value {
		return s3.E("owner.finish", in.want.Algorithm.Header(), "BadDigest", "The "+in.want.Algorithm.Name()+" you specified did not match the calculated checksum.")
	}
	return nil
}

// decode returns the content of a short body. Call release when it has been used.
func (in *incoming) decode(data []byte) (content []byte, release func(), err error) {
	r := in.r
	b := &r.caller.Body
	if b.Mode == unsigned {
		return data, func() {}, nil
	}
	br, err := r.w.verifier.Reader(bytes.NewReader(data), r.caller.Access, b, r.secrets())
	if err != nil {
		return nil, nil, err
	}
	defer br.Close()
	buf := r.w.buffers.get(len(data))
	n := 0
	for err == nil && n < len(buf) {
		var m int
		m, err = br.Read(buf[n:])
		n += m
	}
	if err == nil { // as long as it could be: the end is still to come
		var one [1]byte
		if m, end := br.Read(one[:]); m > 0 {
			err = errs.E("owner.decode", "body", errs.Other, "is longer than its encoding")
		} else {
			err = end
		}
	}
	if err != io.EOF {
		r.w.buffers.put(buf)
		return nil, nil, err
	}
	values := map[string]string(nil)
	if len(b.Trailer) > 0 {
		values = make(map[string]string, len(b.Trailer))
		for _, name := range b.Trailer {
			if v, ok := br.Trailer(name); ok {
				values[name] = v
			}
		}
	}
	in.trailer = func(name string) (string, bool) { v, ok := values[name]; return v, ok }
	return buf[:n], func() { r.w.buffers.put(buf) }, nil
}
