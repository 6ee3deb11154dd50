package cluster

import (
	"unicode/utf8"

	"aistore/errs"
)

// maxBucketMap bounds the bucket map as JSON, in bytes. A node that follows receives it whole in one message, of 64 MiB at most with the other parts
// of a view; a cluster whose followers cannot take a view over any more stops as soon as their leases have run out.
const maxBucketMap = 56 << 20

// fits refuses to let the bucket map grow beyond its bound. was is the bucket that b replaces, nil if it is new.
func (c *change) fits(op string, b, was *Bucket) error {
	if was != nil && b.size() <= was.size() {
		return nil
	}
	total := 0
	for _, o := range c.Buckets.Buckets {
		total += o.size()
	}
	if total > maxBucketMap {
		return errs.F(op, b, errs.Conflict, "all buckets with their properties would take %d bytes, the limit is %d: remove some, or what policies, CORS and lifecycle rules are not needed", total, maxBucketMap)
	}
	return nil
}

// size is how long b is at most in the JSON of a bucket map.
func (b *Bucket) size() int {
	n := 314 + 2*len(b.Name) + 2*len(b.Namespace) + len(b.Owner) // also with what is set to remove it
	p := &b.Props.S3
	if *p == (S3Props{}) {
		return n
	}
	for _, text := range [...]string{
		p.Versioning, p.ACL, p.Policy, p.CORS, p.Lifecycle, p.Tags, p.PublicAccess, p.Ownership, p.Encryption, p.Logging, p.Website, p.Notification,
	} {
		if text != "" {
			n += 24 + escaped(text)
		}
	}
	return n
}

// escaped is how long s is at most as a JSON string, without quotes.
func escaped(s string) int {
	n, wide := 0, 2 // of three bytes two characters are written in six
	if !utf8.ValidString(s) {
		wide = 6
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' || c == '<' || c == '>' || c == '&' || c == 0x7f:
			n += 6
		case c == '"' || c == '\\':
			n += 2
		case c >= utf8.RuneSelf:
			n += wide
		default:
			n++
		}
	}
	return n
}
