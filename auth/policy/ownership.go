package policy

// Block is a bucket's public access block.
type Block struct {
	BlockPublicACLs       bool // refuse to set an ACL that is public
	IgnorePublicACLs      bool // grants to groups count for nothing
	BlockPublicPolicy     bool // refuse to set a policy that is public
	RestrictPublicBuckets bool // a public policy allows only users of the bucket's owner
}

// CheckACL refuses (AccessDenied) to set a public ACL if b says so. Admins and owners are refused too.
func (b Block) CheckACL(a *ACL) error { return nil }

// CheckPolicy refuses (AccessDenied) to set a public policy if b says so.
func (b Block) CheckPolicy(p *Policy) error { return nil }

// Ownership says who owns objects that others write, and whether ACLs count.
type Ownership uint8

// The settings. The zero value is that of a bucket without ownership controls.
const (
	ObjectWriter Ownership = iota
	BucketOwnerPreferred
	BucketOwnerEnforced
)

// String returns S3's name.
func (o Ownership) String() string { return "" }

// ParseOwnership is the inverse of String; an unknown name is MalformedXML.
func ParseOwnership(s string) (Ownership, error) { return 0, nil }

// NewObject returns the ACL (with its owner) of an object that c writes with the ACL headers h into a bucket. The
// object belongs to the bucket's owner if o is BucketOwnerEnforced, if it is BucketOwnerPreferred and h asks for
// bucket-owner-full-control, and if c is anonymous. Enforced refuses other ACLs: AccessControlListNotSupported.
func (o Ownership) NewObject(c *Caller, bucketOwner string, h *GrantHeaders, u Users) (ACL, error) {
	return ACL{}, nil
}

// CheckSetACL refuses PutBucketAcl and PutObjectAcl under BucketOwnerEnforced: AccessControlListNotSupported.
func (o Ownership) CheckSetACL() error { return nil }

// CheckBucketACL refuses BucketOwnerEnforced for a bucket whose ACL (nil = private) grants something to others:
// InvalidBucketAclWithObjectOwnership.
func (o Ownership) CheckBucketACL(a *ACL) error { return nil }
