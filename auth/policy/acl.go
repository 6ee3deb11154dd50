package policy

// A Permission is a set of what a grant gives.
type Permission uint8

// The permissions of ACLs.
const (
	Read Permission = 1 << iota
	Write
	ReadACP
	WriteACP
	FullControl = Read | Write | ReadACP | WriteACP
)

// String returns S3's name, such as READ_ACP; "" if p is no single one.
func (p Permission) String() string { return "" }

// ParsePermission is the inverse of String.
func ParsePermission(s string) (Permission, bool) { return 0, false }

// A Group is one of S3's predefined grantees.
type Group uint8

// The groups.
const (
	NoGroup Group = iota
	AllUsers
	AuthenticatedUsers
	LogDelivery
)

// URI returns S3's name of the group.
func (g Group) URI() string { return "" }

// ParseGroup is the inverse of URI.
func ParseGroup(uri string) (Group, bool) { return NoGroup, false }

// A Grant gives a permission to a user or to a group.
type Grant struct {
	ID         string // canonical id, if Group is NoGroup
	Group      Group
	Permission Permission
}

// An ACL is the owner of a bucket or object and what others may do. Grants keep their order.
type ACL struct {
	Owner  string
	Grants []Grant
}

// Canned returns the ACL that a name such as public-read stands for; "" is private. An unknown name is InvalidArgument.
func Canned(name, owner, bucketOwner string) (ACL, error) { return ACL{}, nil }

// Allows reports whether the grants, or being the owner (READ_ACP, WRITE_ACP), give c the permission.
func (a *ACL) Allows(c *Caller, p Permission) bool { return false }

// Public reports whether something is granted to all users or all authenticated users.
func (a *ACL) Public() bool { return false }

// Private reports whether a grants nothing to anyone but its owner.
func (a *ACL) Private() bool { return false }

// Encode returns a as short printable ASCII, for a metadata value.
func (a *ACL) Encode() string { return "" }

// ParseACL is the inverse of Encode.
func ParseACL(text string) (*ACL, error) { return &ACL{}, nil }

// GrantHeaders are the x-amz-grant-* headers and x-amz-acl of a request.
type GrantHeaders struct {
	Canned                                      string // x-amz-acl
	FullControl, Read, ReadACP, Write, WriteACP string // x-amz-grant-*: id="..", uri="..", emailAddress=".."
}

// Users resolves grantees; *cluster.UserMap can answer both. Each returns "" for nobody.
type Users struct {
	ByID    func(id string) string    // the canonical id if there is such a user
	ByEmail func(email string) string // the canonical id of the user with this address
}

// ACL returns the ACL that the headers ask for, false if they ask for none.
func (h *GrantHeaders) ACL(owner, bucketOwner string, u Users) (ACL, bool, error) {
	return ACL{}, false, nil
}
