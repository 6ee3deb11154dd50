package owner

import (
	"context"
	"io"
	"strconv"
	"time"

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
		return 0, s3.E("owner.parseLength", "x-amz-mp-object-size", "InvalidArgument", "")
	}
	return n, nil
}

// A completion that takes longer than patience gets its 200 before it is known how it ends; from then on a byte of white space every
// pulse tells client and middlemen that the server lives, and the body tells the outcome.
const (
	patience = 5 * time.Second
	pulse    = 5 * time.Second
)

// outcome is how a completion ended.
type outcome struct {
	info object.Info
	err  error
}

// run completes the upload and answers.
func (c *completion) run(parts []store.CompletePart) error {
	r := c.r
	ctx := r.c.Context()
	done := make(chan outcome, 1)
	go func() { done <- c.attempt(ctx, parts) }()
	wait := time.NewTimer(r.w.patience)
	defer wait.Stop()
	select {
	case o := <-done:
		return c.answer(&o)
	case <-wait.C:
	}
	r.c.SetHeader("Content-Type", "application/xml")
	return r.c.Send(-1, &waiting{c: c, done: done})
}

func (c *completion) attempt(ctx context.Context, parts []store.CompletePart) (o outcome) {
	o.info, o.err = c.r.w.store.CompleteUpload(ctx, c.r.Name(), c.id, parts, c.opts)
	if o.err == nil {
		o.err = c.r.acknowledge()
	} else if errs.Is(o.err, errs.NotFound) && !c.missing(o.err) {
		o.err = s3.E("owner.complete", &c.r.Object, "NoSuchUpload", "", s3.Field{Name: "UploadId", Value: c.id})
	} else {
		o.err = c.fault(o.err)
	}
	return o
}

// missing reports whether an error of kind NotFound is about the object that a condition wants to exist.
func (c *completion) missing(error) bool {
	if c.opts.Conditions == nil {
		return false
	}
	_, err := c.r.w.store.Upload(c.r.Name(), c.id)
	return err == nil // the upload is still there
}

func (c *completion) answer(o *outcome) error {
	if o.err != nil {
		return c.r.fault("owner.complete", o.err)
	}
	r := c.r
	r.showNewVersion(o.info.VersionID)
	if l := r.set.Lifecycle; l != nil {
		r.c.AddHeaders(l.AppendExpiration(nil, &o.info))
	}
	return r.sendXML(c.document(s3.Prolog(r.Key), o))
}

func (c *completion) document(b []byte, o *outcome) []byte {
	r := c.r
	scheme := "http://"
	if r.caller.Secure {
		scheme = "https://"
	}
	location := httpx.AppendPath([]byte(scheme+r.caller.Host+"/"+r.Bucket.Name+"/"), r.Key)
	return s3.AppendCompleted(b, &s3.Completed{
		Location: string(location), Bucket: r.Bucket.Name, Key: r.Key, ETag: o.info.ETag,
		Checksum: s3.DecodeChecksum(o.info.System[s3.SystemChecksum]),
	})
}

// waiting is the reply to a completion that takes long.
type waiting struct {
	c    *completion
	done chan outcome
	over bool
}

// WriteBody implements httpx.Source.
func (x *waiting) WriteBody(dst io.Writer) error {
	if _, err := dst.Write(s3.Prolog(x.c.r.Key)); err != nil {
		return err
	}
	tick := time.NewTicker(x.c.r.w.pulse)
	defer tick.Stop()
	for {
		if f, ok := dst.(httpx.Flusher); ok {
			if err := f.Flush(); err != nil {
				return err
			}
		}
		select {
		case o := <-x.done:
			x.over = true
			return x.end(dst, &o)
		case <-tick.C:
			if _, err := dst.Write([]byte(" ")); err != nil {
				return err
			}
		}
	}
}

func (x *waiting) end(dst io.Writer, o *outcome) error {
	var doc []byte
	if o.err != nil {
		r := x.c.r
		doc = s3.AppendError(nil, s3.FaultOf(r.fault("owner.complete", o.err)), "/"+r.Bucket.Name+"/"+r.Key, r.c.RequestID(), "")
		doc = doc[len(s3.Prolog("")):]
	} else {
		doc = x.c.document(nil, o)
	}
	_, err := dst.Write(doc)
	return err
}

// Close implements httpx.Source: it waits for the completion, which uses the request.
func (x *waiting) Close() {
	if !x.over {
		<-x.done
	}
}
