package cluster

import (
	"strings"

	"aistore/errs"
)

// S3Props are the sub-resources that S3 clients give a bucket, as the text they sent ("" = not configured).
// Whoever writes one has validated its content; here only sizes are bounded.
type S3Props struct {
	Versioning   string `json:"versioning,omitempty"` // VersioningEnabled, VersioningSuspended; "" = never had versions
	ACL          string `json:"acl,omitempty"`
	Policy       string `json:"policy,omitempty"`
	CORS         string `json:"cors,omitempty"`
	Lifecycle    string `json:"lifecycle,omitempty"`
	Tags         string `json:"tags,omitempty"`
	PublicAccess string `json:"public_access,omitempty"`
	Ownership    string `json:"ownership,omitempty"`
	Encryption   string `json:"encryption,omitempty"`
	Logging      string `json:"logging,omitempty"`
	Website      string `json:"website,omitempty"`
	Notification string `json:"notification,omitempty"`
	MultiRange   bool   `json:"multi_range,omitempty"` // answer several ranges in one GET, as RFC 9110 allows and S3 does not
}

// Values of S3Props.Versioning. Versions once kept stay, hence no way back to "".
const (
	VersioningEnabled   = "Enabled"
	VersioningSuspended = "Suspended"
)

// Sizes of sub-resources in bytes. All of a bucket's together stay well below what one message between nodes takes.
const (
	maxPolicy    = 20 << 10 // as in S3
	maxLifecycle = 256 << 10
	maxSub       = 64 << 10
	maxS3Props   = 512 << 10
)

// Validate names the field that is wrong.
func (p *S3Props) Validate() error {
	const op = "cluster.S3Props"
	if p.Versioning != "" && p.Versioning != VersioningEnabled && p.Versioning != VersioningSuspended {
		return errs.F(op, "s3.versioning", errs.Invalid, "%.60q is unknown: use Enabled or Suspended", p.Versioning)
	}
	sum := 0
	for _, f := range []struct {
		name, text string
		max        int
	}{
		{"acl", p.ACL, maxSub}, {"policy", p.Policy, maxPolicy}, {"cors", p.CORS, maxSub}, {"lifecycle", p.Lifecycle, maxLifecycle},
		{"tags", p.Tags, maxSub}, {"public_access", p.PublicAccess, maxSub}, {"ownership", p.Ownership, maxSub},
		{"encryption", p.Encryption, maxSub}, {"logging", p.Logging, maxSub}, {"website", p.Website, maxSub}, {"notification", p.Notification, maxSub},
	} {
		if len(f.text) > f.max {
			return errs.F(op, "s3."+f.name, errs.TooLarge, "has %d bytes, the limit is %d", len(f.text), f.max)
		}
		if strings.ContainsRune(f.text, 0) {
			return errs.F(op, "s3."+f.name, errs.Invalid, "contains a zero byte")
		}
		sum += len(f.text)
	}
	if sum > maxS3Props {
		return errs.F(op, "s3", errs.TooLarge, "the bucket's sub-resources have %d bytes together, the limit is %d", sum, maxS3Props)
	}
	return nil
}
