package owner

import (
	"errors"
	"maps"
	"strings"

	"aistore/auth/policy"
	"aistore/cksum"
	"aistore/errs"
	"aistore/object"
	"aistore/s3"
	"aistore/store"
)

// createUpload begins a multipart upload.
func (r multipart) createUpload() error {
	const op = "owner.createUpload"
	o, err := r.newObject()
	if err != nil {
		return err
	}
	algorithm, err := s3.ParseAlgorithm(r.h.ChecksumAlgorithm)
	if err != nil {
		return err
	}
	typ, err := s3.ChooseType(algorithm, r.h.ChecksumType)
	if err != nil {
		return err
	}
	if err := r.authorize(); err != nil {
		return err
	}
	if err := r.guard(); err != nil {
		return err
	}
	o.System = with(o.System, s3.SystemInitiator, r.caller.ID)
	if algorithm != s3.NoAlgorithm {
		o.System[s3.SystemWanted] = algorithm.Name() + " " + string(typ)
	}
	u, err := r.w.store.CreateUpload(r.c.Context(), r.Name(), store.UploadOptions{Custom: o.Custom, System: o.System, Tags: o.Tags, Epoch: o.Epoch, Newest: o.Newest, Guard: o.Guard})
	if err != nil {
		return r.fault(op, err)
	}
	if err := r.acknowledge(); err != nil {
		return err
	}
	if algorithm != s3.NoAlgorithm {
		r.c.SetHeader("x-amz-checksum-algorithm", algorithm.Name())
		r.c.SetHeader("x-amz-checksum-type", string(typ))
	}
	return r.sendXML(s3.AppendInitiated(nil, r.Bucket.Name, r.Key, u.ID))
}

func (r multipart) uploadID() string { return r.c.Query("uploadId") }

// upload describes the upload that the request names.
func (r multipart) upload() (store.Upload, error) {
	u, err := r.w.store.Upload(r.Name(), r.uploadID())
	return u, r.uploadFault("owner.upload", err)
}

// authorizeInitiator is authorize for what the one who began an upload may do with it in any case, unless the bucket's policy denies it.
func (r multipart) authorizeInitiator() error {
	denied := r.authorize()
	if denied == nil || r.caller.Anonymous() || r.caller.ReadOnly {
		return denied
	}
	u, err := r.w.store.Upload(r.Name(), r.uploadID())
	if err != nil || u.System[s3.SystemInitiator] != r.caller.ID {
		return denied
	}
	if p := r.set.Policy; p != nil {
		q := r.act(r.op.Action)
		q.Values = func(key string) []string { return values{r.request}.value(key, nil) }
		if p.Decide(&q) == policy.Deny {
			return denied
		}
	}
	return nil
}

// uploadFault is fault for what is about an upload and not about the object.
func (r multipart) uploadFault(op string, err error) error {
	var known *s3.Fault
	if errs.Is(err, errs.NotFound) && !errors.As(err, &known) {
		return s3.E(op, &r.Object, "NoSuchUpload", "", s3.Field{Name: "UploadId", Value: r.uploadID()})
	}
	return r.fault(op, err)
}

// partOptions reads what a part must be. The upload's algorithm is computed too: the sum of the whole follows from those of parts.
func (r multipart) partOptions(u *store.Upload, in *incoming) store.PartOptions {
	c := r.w.target.Commit(&r.Object)
	o := store.PartOptions{
		Epoch: r.View.Map.Epoch, Durability: r.Bucket.Props.Durability, Size: in.size, Expect: in.expect, Also: in.also, Newest: c.Newest, Guard: c.Guard,
	}
	if a, _ := s3.Wanted(u.System); a != s3.NoAlgorithm && a != in.want.Algorithm {
		o.Also = append(append([]cksum.Type{}, o.Also...), a.Type())
	}
	o.Finish = func(f *store.Finish) error { return in.compare(f.Sum) }
	return o
}

// uploadPart stores one part.
func (r multipart) uploadPart() error {
	const op = "owner.uploadPart"
	number, err := s3.ParsePartNumber(r.c.Query("partNumber"))
	if err == nil {
		err = r.lengthSaid()
	}
	if err != nil {
		return err
	}
	in, err := r.incoming(s3.MaxPartSize)
	if err != nil {
		return err
	}
	if err := r.authorize(); err != nil {
		return err
	}
	u, err := r.upload()
	if err != nil {
		return err
	}
	if a, _ := s3.Wanted(u.System); a != s3.NoAlgorithm && !in.want.IsZero() && in.want.Algorithm != a {
		return s3.E(op, in.want.Algorithm.Header(), "InvalidRequest", "Checksum Type mismatch occurred, expected checksum Type: "+
			strings.ToLower(a.Name())+", actual checksum Type: "+strings.ToLower(in.want.Algorithm.Name()))
	}
	if err := r.guard(); err != nil {
		return err
	}
	if err := r.w.target.Reserve(); err != nil {
		return err
	}
	defer r.w.target.Release()
	br, err := r.reader()
	if err != nil {
		return err
	}
	defer br.Close()
	in.trailer = br.Trailer
	p, err := r.w.store.PutPart(r.c.Context(), r.Name(), u.ID, number, br, r.partOptions(&u, in))
	if err != nil {
		return r.uploadFault(op, err)
	}
	if err := r.acknowledge(); err != nil {
		return err
	}
	var buf [256]byte
	b := append(append(append(buf[:0], `ETag: "`...), p.ETag...), "\"\r\n"...)
	if in.sum.IsZero() {
		r.c.AddHeaders(b)
		return nil
	}
	b = append(append(append(append(b, in.sum.Algorithm.Header()...), ": "...), in.sum.Value...), "\r\n"...)
	r.c.AddHeaders(b)
	return nil
}

// copyPart makes a part of an object, or of a range of it.
func (r multipart) copyPart() error {
	const op = "owner.copyPart"
	number, err := s3.ParsePartNumber(r.c.Query("partNumber"))
	if err != nil {
		return err
	}
	if err := r.authorize(); err != nil {
		return err
	}
	u, err := r.upload()
	if err != nil {
		return err
	}
	src, from, err := r.openSource()
	if err != nil {
		return err
	}
	defer src.Close()
	if src.Span.Length > s3.MaxPartSize {
		return s3.E(op, &from, "InvalidRequest", "The specified copy source is larger than the maximum allowable size for a copy source: "+itoa(s3.MaxPartSize))
	}
	if err := r.guard(); err != nil {
		return err
	}
	if err := r.w.target.Reserve(); err != nil {
		return err
	}
	defer r.w.target.Release()
	in := &incoming{r: r.request, size: src.Span.Length, also: md5Only}
	ctx, o := r.c.Context(), r.partOptions(&u, in)
	var p store.PartInfo
	copied := func() []byte { return s3.AppendPartCopied(nil, p.ETag, p.Modified, uploadSum(&p, &u)) }
	return (&slow{
		r: r.request,
		work: func() (err error) {
			if p, err = r.w.store.PutPart(ctx, r.Name(), u.ID, number, src.body, o); err == nil {
				err = r.acknowledge()
			}
			return err
		},
		fault: func(err error) error { return r.uploadFault(op, err) },
		answer: func() error {
			if v := src.Info.VersionID; v != "" {
				r.c.SetHeader("x-amz-copy-source-version-id", v)
			}
			return r.sendXML(copied())
		},
		document: func() []byte { return copied()[len(s3.Prolog("")):] },
	}).run()
}

// uploadSum is the checksum of a part that its upload is about.
func uploadSum(p *store.PartInfo, u *store.Upload) s3.Checksum {
	a, t := s3.Wanted(u.System)
	v, ok := p.Sum(a.Type())
	if a == s3.NoAlgorithm || !ok {
		return s3.Checksum{}
	}
	return s3.NewChecksum(a, t, v.Raw())
}

// listParts lists the parts of an upload under way.
func (r multipart) listParts() error {
	most, err := s3.ParseCount("max-parts", r.c.Query("max-parts"))
	if err != nil {
		return err
	}
	after, err := s3.ParseMarker(r.c.Query("part-number-marker"))
	if err != nil {
		return err
	}
	if err := r.authorizeInitiator(); err != nil {
		return err
	}
	u, err := r.upload()
	if err != nil {
		return err
	}
	l := s3.PartList{Bucket: r.Bucket.Name, Key: r.Key, UploadID: u.ID, Class: u.System[s3.SystemClass], Marker: after, Max: most}
	if most > 0 {
		parts, more, err := r.w.store.ListParts(r.c.Context(), r.Name(), u.ID, after, most)
		if err != nil {
			return r.uploadFault("owner.listParts", err)
		}
		l.Truncated = more
		for i := range parts {
			p := &parts[i]
			l.Parts = append(l.Parts, s3.Part{Number: p.Number, Modified: p.Modified, ETag: p.ETag, Size: p.Size, Checksum: uploadSum(p, &u)})
			l.NextMarker = p.Number
		}
	}
	l.Algorithm, l.Type = s3.Wanted(u.System)
	initiator := u.System[s3.SystemInitiator]
	l.Initiator = s3.Owner{ID: initiator, Display: r.display(initiator)}
	a, err := r.aclOf(&object.Info{System: u.System})
	if err != nil {
		return err
	}
	l.Owner = s3.Owner{ID: a.Owner, Display: r.display(a.Owner)}
	if err := r.w.node.Control().Lease(); err != nil {
		return err
	}
	return r.sendXML(s3.AppendParts(nil, &l))
}

// abort gives an upload up.
func (r multipart) abort() error {
	if err := r.authorizeInitiator(); err != nil {
		return err
	}
	if err := r.guard(); err != nil {
		return err
	}
	c := r.w.target.Commit(&r.Object)
	if err := r.w.store.AbortUpload(r.c.Context(), r.Name(), r.uploadID(), store.AbortOptions{Epoch: r.View.Map.Epoch, Newest: c.Newest, Guard: c.Guard}); err != nil {
		return r.uploadFault("owner.abort", err)
	}
	r.c.Status(204)
	return r.acknowledge()
}

// completion is a CompleteMultipartUpload.
type completion struct {
	r    *request
	id   string
	opts store.CompleteOptions
	want s3.Checksum // of the object, as the client declares it
	size int64       // the same; -1 = not declared
}

// complete makes the parts the object.
func (r multipart) complete() error {
	c := &completion{r: r.request, id: r.uploadID(), size: -1}
	if err := c.declared(); err != nil {
		return err
	}
	if err := r.authorize(); err != nil {
		return err
	}
	doc, err := r.body()
	if s3.IsCode(err, "MissingRequestBodyError") {
		return s3.E("owner.complete", "request body", "MalformedXML", "")
	}
	if err != nil {
		return err
	}
	named, err := s3.ParseComplete(doc)
	if err != nil {
		return err
	}
	parts, err := partsNamed(named)
	if err != nil {
		return err
	}
	if err := r.guard(); err != nil {
		return err
	}
	return c.run(parts)
}

// declared reads what the headers say of the whole.
func (c *completion) declared() error {
	h := &c.r.h
	var err error
	if c.want, err = h.Declared(); err != nil {
		return err
	}
	if !c.want.IsZero() {
		if _, _, ok := c.want.Raw(); !ok {
			return s3.E("owner.complete", c.want.Algorithm.Header(), "BadDigest", "Value for "+c.want.Algorithm.Header()+" header is invalid.")
		}
	}
	if h.Size != "" {
		if c.size, err = parseLength(h.Size); err != nil {
			return err
		}
	}
	props, change := &c.r.Bucket.Props, c.r.w.target.Commit(&c.r.Object)
	c.opts = store.CompleteOptions{MinPart: s3.MinPartSize, PutOptions: store.PutOptions{
		Epoch: c.r.View.Map.Epoch, Durability: props.Durability, Checksum: props.Checksum, Conditions: c.r.writeConditions(),
		Versioning: versioningOf(c.r), Newest: change.Newest, Guard: change.Guard, Finish: c.finish,
	}}
	return nil
}

// partsNamed is the client's list of parts as the store takes it.
func partsNamed(named []s3.CompletedPart) ([]store.CompletePart, error) {
	parts := make([]store.CompletePart, len(named))
	for i := range named {
		p := &named[i]
		parts[i] = store.CompletePart{Number: p.Number, ETag: strings.ToLower(p.ETag)}
		for _, a := range s3.Algorithms() {
			v := p.Checksums.Get(a)
			if v == "" {
				continue
			}
			sum := s3.Checksum{Algorithm: a, Value: v}
			raw, n, ok := sum.Raw()
			if !ok || n != 0 {
				return nil, s3.E("owner.complete", "Checksum"+a.Name(), "InvalidPart", "")
			}
			parts[i].Sums = append(parts[i].Sums, cksum.FromRaw(a.Type(), raw))
		}
	}
	return parts, nil
}

// finish gives the object its checksum and takes away what was only the upload's.
func (c *completion) finish(f *store.Finish) error {
	const op = "owner.complete"
	if c.size >= 0 && c.size != f.Size {
		return s3.E(op, "x-amz-mp-object-size", "InvalidRequest", "The provided 'x-amz-mp-object-size' header does not match what was computed.")
	}
	if err := c.r.checkSize(f.Size, s3.MaxObjectSize); err != nil {
		return err
	}
	a, t := s3.Wanted(f.System)
	if asked := s3.ChecksumType(strings.ToUpper(c.r.h.ChecksumType)); a != s3.NoAlgorithm && asked != "" && asked != t {
		return s3.E(op, "x-amz-checksum-type", "InvalidRequest", "The upload was created using the "+string(t)+" checksum mode. The complete request must use the same checksum mode.")
	}
	if a == s3.NoAlgorithm {
		a, t = c.unannounced(f.Parts)
	}
	system := maps.Clone(f.System)
	delete(system, s3.SystemInitiator)
	delete(system, s3.SystemWanted)
	if a != s3.NoAlgorithm {
		sum, err := wholeSum(a, t, f.Parts)
		if err != nil {
			return err
		}
		if !c.want.IsZero() && (c.want.Algorithm != a || !sum.Equal(&c.want)) {
			return s3.E(op, c.want.Algorithm.Header(), "BadDigest", "The "+strings.ToLower(c.want.Algorithm.Name())+" you specified did not match the calculated checksum.")
		}
		system = with(system, s3.SystemChecksum, sum.Encode())
	}
	f.System = with(system, s3.SystemUpload, c.id)
	return nil
}

// unannounced returns the checksum to make of the parts of an upload that was begun without one, if the completion declares one that their own
// checksums can tell. Any other is ignored, as by AWS.
func (c *completion) unannounced(parts []store.PartInfo) (s3.Algorithm, s3.ChecksumType) {
	a, t := c.want.Algorithm, s3.FullObject
	if strings.Contains(c.want.Value, "-") {
		t = s3.Composite
	}
	if c.want.IsZero() || t == s3.FullObject && !a.CanCombine() && len(parts) > 1 {
		return s3.NoAlgorithm, ""
	}
	for i := range parts {
		if _, ok := parts[i].Sum(a.Type()); !ok {
			return s3.NoAlgorithm, ""
		}
	}
	return a, t
}

// wholeSum returns the checksum of an object from those of its parts.
func wholeSum(a s3.Algorithm, t s3.ChecksumType, parts []store.PartInfo) (s3.Checksum, error) {
	const op = "owner.wholeSum"
	typ := a.Type()
	var whole cksum.Value
	all := cksum.New(typ)
	for i := range parts {
		v, ok := parts[i].Sum(typ)
		if !ok {
			return s3.Checksum{}, s3.E(op, "part "+itoa(int64(parts[i].Number)), "InvalidRequest", "The upload was not created using the "+strings.ToLower(a.Name())+" checksum.")
		}
		switch {
		case t == s3.Composite:
			_, _ = all.Write(v.Raw()) // never fails
		case i == 0:
			whole = v
		default:
			var err error
			if whole, err = cksum.Combine(whole, v, parts[i].Size); err != nil {
				return s3.Checksum{}, errs.E(op, a.Name(), errs.Invalid, err)
			}
		}
	}
	if t != s3.Composite {
		return s3.NewChecksum(a, t, whole.Raw()), nil
	}
	sum := s3.NewChecksum(a, t, all.Sum().Raw())
	sum.Value += "-" + itoa(int64(len(parts)))
	return sum, nil
}

// fault words what the store has against the parts.
func (c *completion) fault(err error) error {
	var f *store.PartFault
	if !errors.As(err, &f) {
		if errs.Is(err, errs.Precondition) {
			return conditionFault(err)
		}
		return err
	}
	const op = "owner.complete"
	number := s3.Field{Name: "PartNumber", Value: itoa(int64(f.Number))}
	switch f.Why {
	case store.PartOrder:
		return s3.E(op, &c.r.Object, "InvalidPartOrder", "")
	case store.PartSmall:
		return s3.E(op, &c.r.Object, "EntityTooSmall", "", s3.Field{Name: "ProposedSize", Value: itoa(f.Size)}, s3.Field{Name: "MinSizeAllowed", Value: itoa(s3.MinPartSize)}, number)
	case store.PartNone:
		return s3.E(op, &c.r.Object, "MalformedXML", "")
	case store.PartMissing, store.PartSum:
	}
	return s3.E(op, &c.r.Object, "InvalidPart", "", s3.Field{Name: "UploadId", Value: c.id}, number)
}
