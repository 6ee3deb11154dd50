package owner

import (
	"context"
	"strconv"

	"aistore/errs"
	"aistore/httpx"
	"aistore/object"
	"aistore/s3"
	"aistore/store"
	"aistore/target"
)

func versioningOf(r *request) store.Versioning { return target.VersioningOf(r.Bucket) }

func parseLength(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, s3.E("owner.parseLength", "x-amz-mp-object-size", "InvalidRequest", "Value for x-amz-mp-object-size header is invalid.")
	}
	return n, nil
}

// run completes the upload and answers.
func (c *completion) run(parts []store.CompletePart) error {
	ctx := c.r.c.Context()
	var info object.Info
	return (&slow{
		r:        c.r,
		work:     func() (err error) { info, err = c.attempt(ctx, parts); return err },
		fault:    func(err error) error { return c.r.fault("owner.complete", err) },
		answer:   func() error { return c.answer(&info) },
		document: func() []byte { return c.document(nil, &info) },
	}).run()
}

func (c *completion) attempt(ctx context.Context, parts []store.CompletePart) (object.Info, error) {
	info, err := c.r.w.store.CompleteUpload(ctx, c.r.Name(), c.id, parts, c.opts)
	switch {
	case err == nil:
		return info, c.r.acknowledge()
	case errs.Is(err, errs.NotFound) && !c.missing(err):
		return info, s3.E("owner.complete", &c.r.Object, "NoSuchUpload", "", s3.Field{Name: "UploadId", Value: c.id})
	}
	return info, c.fault(err)
}

// missing reports whether an error of kind NotFound is about the object that a condition wants to exist.
func (c *completion) missing(error) bool {
	if c.opts.Conditions == nil {
		return false
	}
	_, err := c.r.w.store.Upload(c.r.Name(), c.id)
	return err == nil // the upload is still there
}

func (c *completion) answer(info *object.Info) error {
	r := c.r
	r.showNewVersion(info.VersionID)
	if l := r.set.Lifecycle; l != nil {
		r.c.AddHeaders(l.AppendExpiration(nil, info))
	}
	return r.sendXML(c.document(s3.Prolog(r.Key), info))
}

func (c *completion) document(b []byte, info *object.Info) []byte {
	r := c.r
	scheme := "http://"
	if r.caller.Secure {
		scheme = "https://"
	}
	location := httpx.AppendPath([]byte(scheme+r.caller.Host+"/"+r.Bucket.Name+"/"), r.Key)
	return s3.AppendCompleted(b, &s3.Completed{
		Location: string(location), Bucket: r.Bucket.Name, Key: r.Key, ETag: info.ETag,
		Checksum: s3.DecodeChecksum(info.System[s3.SystemChecksum]),
	})
}
