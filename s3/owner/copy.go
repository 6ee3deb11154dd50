package owner

import (
	"context"
	"maps"
	"strings"

	"aistore/cksum"
	"aistore/errs"
	"aistore/node"
	"aistore/object"
	"aistore/s3"
	"aistore/store"
)

// copy makes the object from another one, or changes an object's metadata by copying it onto itself. Content that is on this node already
// is shared, not copied.
func (r copying) copy() error {
	const op = "owner.copy"
	o, in, err := r.putOptions()
	if err != nil {
		return err
	}
	if err := r.authorize(); err != nil {
		return err
	}
	replaceMeta, err := directive("x-amz-metadata-directive", r.h.MetadataDirective)
	if err != nil {
		return err
	}
	replaceTags, err := directive("x-amz-tagging-directive", r.h.TaggingDirective)
	if err != nil {
		return err
	}
	src, from, err := r.openSource()
	if err != nil {
		return err
	}
	defer src.Close()
	if src.Info.Size > s3.MaxPutSize {
		return s3.E(op, &from, "InvalidRequest", "The specified copy source is larger than the maximum allowable size for a copy source: "+itoa(s3.MaxPutSize))
	}
	if err := r.onItself(&from, &src.Info, replaceMeta); err != nil {
		return err
	}
	if err := r.checkSize(src.Info.Size, s3.MaxPutSize); err != nil && from.Name() != r.Name() { // what is there already may get other metadata
		return err
	}
	takeOver(&o, &src.Info, replaceMeta, replaceTags)
	if err := r.guard(); err != nil {
		return err
	}
	ctx := r.c.Context()
	var info object.Info
	return (&slow{
		r: r.request,
		work: func() (err error) {
			if info, err = r.copyContent(ctx, src, &o, in); err == nil {
				err = r.acknowledge()
			}
			return err
		},
		fault:    func(err error) error { return r.writeFault(op, err) },
		answer:   func() error { return r.answer(&info, src) },
		document: func() []byte { return copied(&info)[len(s3.Prolog("")):] },
	}).run()
}

// takeOver fills in what a copy has of its source besides the content.
func takeOver(o *store.PutOptions, src *object.Info, replaceMeta, replaceTags bool) {
	if !replaceMeta {
		o.Custom, o.System = src.Custom, kept(src.System, o.System)
	} else if o.Custom == nil {
		o.Custom = map[string]string{} // the store takes nil for "as the source has it"
	}
	if sum := src.System[s3.SystemChecksum]; sum != "" || o.System == nil {
		o.System = with(o.System, s3.SystemChecksum, sum)
	}
	if !replaceTags {
		o.Tags = src.Tags
	} else if o.Tags == nil {
		o.Tags = map[string]string{}
	}
}

// directive reads COPY or REPLACE; "" is COPY.
func directive(name, v string) (replace bool, err error) {
	switch v {
	case "", "COPY":
		return false, nil
	case "REPLACE":
		return true, nil
	}
	return false, s3.E("owner.copy", name, "InvalidArgument", "Unknown "+strings.ReplaceAll(strings.TrimPrefix(name, "x-amz-"), "-", " ")+".", s3.Field{Name: "ArgumentName", Value: name}, s3.Field{Name: "ArgumentValue", Value: v})
}

// onItself refuses a copy onto itself that changes nothing.
func (r copying) onItself(from *node.Object, info *object.Info, replaced bool) error {
	if from.Name() != r.Name() || replaced || strings.Contains(r.h.CopySource, "?versionId=") {
		return nil
	}
	if r.h.Class != "" && r.h.Class != s3.Class(info) || r.h.Redirect != "" {
		return nil
	}
	return s3.E("owner.copy", &r.Object, "InvalidRequest", "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
}

// kept returns what a copy takes over of the source's headers: not its class, ACL and the like, which the request says anew.
func kept(source, asked map[string]string) map[string]string {
	m := make(map[string]string, len(source)+2)
	for k, v := range source {
		if !strings.HasPrefix(k, "s3.") || k == s3.SystemChecksum {
			m[k] = v
		}
	}
	for k, v := range asked {
		if strings.HasPrefix(k, "s3.") {
			m[k] = v
		}
	}
	return m
}

// copyContent makes the copy: of a source on this node by sharing its content, unless another checksum is asked for.
func (r copying) copyContent(ctx context.Context, src *source, o *store.PutOptions, in *incoming) (object.Info, error) {
	algorithm, err := s3.ParseAlgorithm(r.h.ChecksumAlgorithm)
	if err != nil {
		return object.Info{}, err
	}
	have := s3.DecodeChecksum(src.Info.System[s3.SystemChecksum])
	o.Size, o.Expect, o.Also, o.Finish = src.Info.Size, nil, nil, nil
	if algorithm == s3.NoAlgorithm || algorithm == have.Algorithm && have.Type != s3.Composite {
		o.ETag = src.Info.ETag
		if src.obj != nil {
			return r.w.target.Copy(ctx, src.obj, src.version, r.Name(), *o)
		}
	} else { // computed anew, and with it the ETag of a whole
		in.want, in.also = s3.Checksum{Algorithm: algorithm}, []cksum.Type{cksum.MD5, algorithm.Type()}
		o.Also, o.Finish = in.also, in.finishCopy
	}
	if err := r.w.target.Reserve(); err != nil {
		return object.Info{}, err
	}
	defer r.w.target.Release()
	return r.w.store.PutStream(ctx, r.Name(), src.body, *o)
}

// finishCopy is the store's Finish of a copy whose checksum is computed: nothing was declared to compare it with.
func (in *incoming) finishCopy(f *store.Finish) error {
	v, ok := f.Sum(in.want.Algorithm.Type())
	if !ok {
		return errs.E("owner.finishCopy", in.want.Algorithm.Name(), errs.Other, "the store did not compute the checksum")
	}
	if md5, ok := f.Sum(cksum.MD5); ok {
		f.ETag = md5.Value
	}
	in.sum = s3.NewChecksum(in.want.Algorithm, "", v.Raw())
	f.System = with(maps.Clone(f.System), s3.SystemChecksum, in.sum.Encode())
	return nil
}

func (r copying) answer(info *object.Info, src *source) error {
	r.showNewVersion(info.VersionID)
	if v := src.Info.VersionID; v != "" {
		r.c.SetHeader("x-amz-copy-source-version-id", v)
	}
	if l := r.set.Lifecycle; l != nil {
		r.c.AddHeaders(l.AppendExpiration(nil, info))
	}
	return r.sendXML(copied(info))
}

func copied(info *object.Info) []byte {
	return s3.AppendCopied(nil, info.ETag, info.Created, s3.DecodeChecksum(info.System[s3.SystemChecksum]))
}
