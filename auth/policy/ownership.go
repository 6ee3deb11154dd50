package policy

import "aistore/errs"

// Block is a bucket's public access block.
type Block struct {
	BlockPublicACLs       bool // refuse to set an ACL that is public
	IgnorePublicACLs      bool // grants to groups count for nothing
	BlockPublicPolicy     bool // refuse to set a policy that is public
	RestrictPublicBuckets bool // a public policy allows only the bucket's owner
}

// CheckACL refuses (AccessDenied) to set a public ACL if b says so. Admins and owners are refused too.
func (b Block) CheckACL(a *ACL) error {
	if b.BlockPublicACLs && a.Public() {
		return fault("policy.Block", errs.Forbidden, "AccessDenied", "Access Denied because the bucket's public access block has BlockPublicAcls")
	}
	return nil
}

// CheckPolicy refuses (AccessDenied) to set a public policy if b says so.
func (b Block) CheckPolicy(p *Policy) error {
	if b.BlockPublicPolicy && p.Public() {
		return fault("policy.Block", errs.Forbidden, "AccessDenied", "Access Denied because the bucket's public access block has BlockPublicPolicy")
	}
	return nil
}

// Ownership says who owns objects that others write, and whether ACLs count.
type Ownership uint8

// The settings. The zero value is that of a bucket without ownership controls.
const (
	ObjectWriter Ownership = iota
	BucketOwnerPreferred
	BucketOwnerEnforced
)

// String returns S3's name.
func (o Ownership) String() string {
	switch o {
	case BucketOwnerPreferred:
		return "BucketOwnerPreferred"
	case BucketOwnerEnforced:
		return "BucketOwnerEnforced"
	}
	return "ObjectWriter"
}

// ParseOwnership is the inverse of String; an unknown name is MalformedXML.
func ParseOwnership(s string) (Ownership, error) {
	for _, o := range []Ownership{ObjectWriter, BucketOwnerPreferred, BucketOwnerEnforced} {
		if o.String() == s {
			return o, nil
		}
	}
	return 0, fault("policy.ParseOwnership", errs.Invalid, "MalformedXML", "ObjectOwnership must be BucketOwnerEnforced, BucketOwnerPreferred or ObjectWriter, not "+s)
}

const fullControlName = "bucket-owner-full-control"

// NewObject returns the ACL (with its owner) of an object that c writes with the ACL headers h into a bucket. The
// object belongs to the bucket's owner if o is BucketOwnerEnforced, if it is BucketOwnerPreferred and h asks for
// bucket-owner-full-control, and if c is anonymous. Enforced refuses other ACLs: AccessControlListNotSupported.
func (o Ownership) NewObject(c *Caller, bucketOwner string, h *GrantHeaders, u Users) (ACL, error) {
	owner := c.ID
	switch {
	case o == BucketOwnerEnforced:
		full := h.FullControl == `id="`+bucketOwner+`"` || h.FullControl == "id="+bucketOwner
		only := *h
		only.FullControl, only.Canned = "", ""
		if only != (GrantHeaders{}) || h.Canned != "" && h.Canned != fullControlName || h.FullControl != "" && !full {
			return ACL{}, o.CheckSetACL()
		}
		return Private(bucketOwner), nil
	case o == BucketOwnerPreferred && h.Canned == fullControlName, c.Anonymous:
		owner = bucketOwner
	}
	a, _, err := h.ACL(owner, bucketOwner, u)
	return a, err
}

// CheckSetACL refuses PutBucketAcl and PutObjectAcl under BucketOwnerEnforced: AccessControlListNotSupported.
func (o Ownership) CheckSetACL() error {
	if o == BucketOwnerEnforced {
		return fault("policy.Ownership", errs.Invalid, "AccessControlListNotSupported", "The bucket does not allow ACLs")
	}
	return nil
}

// CheckBucketACL refuses BucketOwnerEnforced for a bucket whose ACL (nil = private) grants something to others:
// InvalidBucketAclWithObjectOwnership.
func (o Ownership) CheckBucketACL(a *ACL) error {
	if o == BucketOwnerEnforced && !a.Private() {
		return fault("policy.Ownership", errs.Invalid, "InvalidBucketAclWithObjectOwnership", "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting")
	}
	return nil
}
