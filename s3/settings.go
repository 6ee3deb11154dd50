package s3

import (
	"sync"
	"sync/atomic"

	"aistore/auth/policy"
	"aistore/cluster"
	"aistore/errs"
)

// Settings are a bucket's sub-resources that decide about requests, parsed. Immutable.
//
// cluster.S3Props keeps them as text: Policy as the client sent it; ACL as policy.ACL.Encode writes it; CORS, Lifecycle, Tags,
// PublicAccess and Ownership as this package's AppendXML and Append functions write them.
type Settings struct {
	ACL       *policy.ACL    // nil = private
	Policy    *policy.Policy // nil = none
	CORS      *CORS          // nil = none
	Lifecycle *Lifecycle     // nil = none
	Block     policy.Block
	Ownership policy.Ownership
}

// ParseSettings parses what b has. An error means that the bucket's text was not written by this endpoint: nothing may be allowed then.
func ParseSettings(b *cluster.Bucket) (*Settings, error) {
	p := &b.Props.S3
	s := &Settings{}
	var err error
	fail := func(what string, cause error) (*Settings, error) {
		return nil, errs.F("s3.ParseSettings", b.Name, errs.Corrupt, "the bucket's %s cannot be read: %w", what, cause)
	}
	if p.ACL != "" {
		if s.ACL, err = policy.ParseACL(p.ACL); err != nil {
			return fail("acl", err)
		}
	}
	if p.Policy != "" {
		if s.Policy, err = policy.Parse([]byte(p.Policy), b.Name); err != nil {
			return fail("policy", err)
		}
	}
	if p.CORS != "" {
		if s.CORS, err = ParseCORS([]byte(p.CORS)); err != nil {
			return fail("cors", err)
		}
	}
	if p.Lifecycle != "" {
		if s.Lifecycle, err = ParseLifecycle([]byte(p.Lifecycle)); err != nil {
			return fail("lifecycle", err)
		}
	}
	if p.PublicAccess != "" {
		if s.Block, err = ParsePublicAccessBlock([]byte(p.PublicAccess)); err != nil {
			return fail("public access block", err)
		}
	}
	if p.Ownership != "" {
		if s.Ownership, err = ParseOwnershipControls([]byte(p.Ownership)); err != nil {
			return fail("ownership controls", err)
		}
	}
	return s, nil
}

// Cache keeps the parsed settings of buckets. The zero value is ready; it is safe for concurrent use.
type Cache struct {
	m     sync.Map     // bucket id -> *cached
	added atomic.Int64 // since buckets that are gone were last forgotten
}

type cached struct {
	props    cluster.S3Props
	name     string
	settings *Settings
	err      error
}

var noSettings Settings

// Of returns the settings of v's bucket b, parsed anew only when they have changed.
func (c *Cache) Of(v *cluster.View, b *cluster.Bucket) (*Settings, error) {
	if b.Props.S3 == (cluster.S3Props{}) {
		return &noSettings, nil
	}
	if known, ok := c.m.Load(b.ID); ok {
		if e, _ := known.(*cached); e.props == b.Props.S3 && e.name == b.Name {
			return e.settings, e.err
		}
	}
	e := &cached{props: b.Props.S3, name: b.Name}
	e.settings, e.err = ParseSettings(b)
	c.m.Store(b.ID, e)
	// As many have been added as there are buckets: looking at all of them costs each its share.
	if n := int64(len(v.Buckets.Buckets)); c.added.Add(1) > max(n, fewBuckets) {
		c.added.Store(0)
		c.keep(v)
	}
	return e.settings, e.err
}

// fewBuckets are not worth looking for those that are gone.
const fewBuckets = 64

// keep forgets the buckets that v no longer has.
func (c *Cache) keep(v *cluster.View) {
	c.m.Range(func(id, _ any) bool {
		if n, _ := id.(uint64); v.BucketByID(n) == nil {
			c.m.Delete(id)
		}
		return true
	})
}
