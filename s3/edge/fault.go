package edge

import (
	"aistore/errs"
	"aistore/httpx"
	"aistore/s3"
)

// fault is the httpx.FaultWriter of S3 routes.
func fault(c *httpx.Ctx, status int, err error) {
	f := s3.FaultOf(err)
	if status == 431 {
		f = &s3.Fault{Code: "RequestHeaderSectionTooLarge"}
	}
	status = f.Status()
	c.Status(status)
	mark(c)
	if status == 503 {
		c.SetHeader("Retry-After", "1")
		c.SetHeader(s3.HeaderRetryAfter, s3.RetryAfter())
	}
	if status == 304 {
		return
	}
	c.SetHeader("Content-Type", "application/xml")
	if c.Method() == "HEAD" {
		return
	}
	_, _ = c.Write(s3.AppendError(nil, f, c.Path(), c.RequestID(), c.RequestID())) // into memory
}

// noRoute keeps paths of the native API from being taken for buckets.
func noRoute(c *httpx.Ctx) error {
	return errs.F("edge.noRoute", c.Path(), errs.NotFound, "no such route")
}
