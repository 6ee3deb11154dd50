package policy

import (
	"strings"

	"aistore/errs"
)

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
func (p Permission) String() string {
	switch p {
	case Read:
		return "READ"
	case Write:
		return "WRITE"
	case ReadACP:
		return "READ_ACP"
	case WriteACP:
		return "WRITE_ACP"
	case FullControl:
		return "FULL_CONTROL"
	}
	return ""
}

// ParsePermission is the inverse of String.
func ParsePermission(s string) (Permission, bool) {
	for _, p := range []Permission{Read, Write, ReadACP, WriteACP, FullControl} {
		if p.String() == s {
			return p, true
		}
	}
	return 0, false
}

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
func (g Group) URI() string {
	switch g {
	case AllUsers:
		return "http://acs.amazonaws.com/groups/global/AllUsers"
	case AuthenticatedUsers:
		return "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
	case LogDelivery:
		return "http://acs.amazonaws.com/groups/s3/LogDelivery"
	}
	return ""
}

// ParseGroup is the inverse of URI.
func ParseGroup(uri string) (Group, bool) {
	for _, g := range []Group{AllUsers, AuthenticatedUsers, LogDelivery} {
		if g.URI() == uri {
			return g, true
		}
	}
	return NoGroup, false
}

// A Grant gives a permission to a user or to a group.
type Grant struct {
	ID         string // canonical id, if Group is NoGroup
	Group      Group
	Permission Permission
}

// to reports whether c is the grantee.
func (g *Grant) to(c *Caller) bool {
	switch g.Group {
	case AllUsers:
		return true
	case AuthenticatedUsers:
		return !c.Anonymous
	case NoGroup:
		return !c.Anonymous && g.ID == c.ID
	}
	return false
}

// An ACL is the owner of a bucket or object and what others may do. Grants keep their order.
type ACL struct {
	Owner  string
	Grants []Grant
}

// Private returns the ACL of what belongs to owner alone.
func Private(owner string) ACL { return ACL{owner, []Grant{{ID: owner, Permission: FullControl}}} }

// Canned returns the ACL that a name such as public-read stands for; "" is private. An unknown name is InvalidArgument.
func Canned(name, owner, bucketOwner string) (ACL, error) {
	var more []Grant
	switch name {
	case "", "private":
	case "public-read":
		more = []Grant{{Group: AllUsers, Permission: Read}}
	case "public-read-write":
		more = []Grant{{Group: AllUsers, Permission: Read}, {Group: AllUsers, Permission: Write}}
	case "authenticated-read":
		more = []Grant{{Group: AuthenticatedUsers, Permission: Read}}
	case "log-delivery-write":
		more = []Grant{{Group: LogDelivery, Permission: Write}, {Group: LogDelivery, Permission: ReadACP}}
	case "bucket-owner-read":
		more = toBucketOwner(owner, bucketOwner, Read)
	case "bucket-owner-full-control":
		more = toBucketOwner(owner, bucketOwner, FullControl)
	case "aws-exec-read": // for a service of AWS that does not exist here
	default:
		return ACL{}, errs.E("policy.Canned", name, errs.Invalid, &Fault{Code: "InvalidArgument", Message: "Argument x-amz-acl is not a canned ACL: " + name})
	}
	return ACL{owner, append(more, Grant{ID: owner, Permission: FullControl})}, nil
}

func toBucketOwner(owner, bucketOwner string, p Permission) []Grant {
	if bucketOwner == "" || bucketOwner == owner {
		return nil
	}
	return []Grant{{ID: bucketOwner, Permission: p}}
}

// Allows reports whether the grants, or being the owner (READ_ACP, WRITE_ACP), give c the permission.
func (a *ACL) Allows(c *Caller, p Permission) bool {
	given := a.grants(c, Block{})
	if !c.Anonymous && c.ID == a.Owner {
		given |= ReadACP | WriteACP
	}
	return given&p == p
}

// grants returns what the grants give c.
func (a *ACL) grants(c *Caller, block Block) (given Permission) {
	for i := range a.Grants {
		g := &a.Grants[i]
		if !(block.IgnorePublicACLs && g.Group != NoGroup) && g.to(c) {
			given |= g.Permission
		}
	}
	return given
}

// Public reports whether something is granted to all users or all authenticated users.
func (a *ACL) Public() bool {
	if a == nil {
		return false
	}
	for _, g := range a.Grants {
		if g.Group == AllUsers || g.Group == AuthenticatedUsers {
			return true
		}
	}
	return false
}

// Private reports whether a grants nothing to anyone but its owner.
func (a *ACL) Private() bool {
	if a == nil {
		return true
	}
	for _, g := range a.Grants {
		if g.Group != NoGroup || g.ID != a.Owner {
			return false
		}
	}
	return true
}

// GrantHeaders are the x-amz-grant-* headers and x-amz-acl of a request.
type GrantHeaders struct {
	Canned                                      string // x-amz-acl
	FullControl, Read, ReadACP, Write, WriteACP string // x-amz-grant-*: id="..", uri="..", emailAddress=".."
}

// Users resolves grantees. Each returns "" for nobody.
type Users struct {
	ByID    func(id string) string    // the canonical id if there is such a user
	ByEmail func(email string) string // the canonical id of the user with this address
}

// ACL returns the ACL that the headers ask for, false (and a private one) if they ask for none.
func (h *GrantHeaders) ACL(owner, bucketOwner string, u Users) (ACL, bool, error) {
	if !h.grants() {
		a, err := Canned(h.Canned, owner, bucketOwner)
		return a, h.Canned != "", err
	}
	if h.Canned != "" {
		return ACL{}, false, fault("policy.GrantHeaders", errs.Invalid, "InvalidRequest", "Specifying both Canned ACLs and Header Grants is not allowed")
	}
	a := ACL{Owner: owner}
	for _, one := range []struct {
		header string
		gives  Permission
	}{{h.Read, Read}, {h.Write, Write}, {h.ReadACP, ReadACP}, {h.WriteACP, WriteACP}, {h.FullControl, FullControl}} {
		if one.header == "" {
			continue
		}
		for _, grantee := range strings.Split(one.header, ",") {
			g, err := parseGrantee(grantee, u)
			if err != nil {
				return ACL{}, false, err
			}
			g.Permission = one.gives
			a.Grants = append(a.Grants, g)
		}
	}
	if len(a.Grants) > maxGrants {
		return ACL{}, false, fault("policy.GrantHeaders", errs.Invalid, "InvalidRequest", "An ACL can have at most 100 grants")
	}
	return a, true, nil
}

// maxGrants bounds an ACL, as AWS does.
const maxGrants = 100

func (h *GrantHeaders) grants() bool {
	return h.FullControl != "" || h.Read != "" || h.ReadACP != "" || h.Write != "" || h.WriteACP != ""
}

// parseGrantee takes one of id="..", uri="..", emailAddress="..".
func parseGrantee(s string, u Users) (Grant, error) {
	const op = "policy.GrantHeaders"
	kind, value, ok := strings.Cut(strings.TrimSpace(s), "=")
	value = strings.Trim(strings.TrimSpace(value), `"`)
	if !ok {
		return Grant{}, fault(op, errs.Invalid, "InvalidArgument", "Argument format not recognized: "+s)
	}
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "id":
		if id := u.ByID(value); id != "" {
			return Grant{ID: id}, nil
		}
		return Grant{}, fault(op, errs.Invalid, "InvalidArgument", "Invalid id: "+value)
	case "uri":
		if g, ok := ParseGroup(value); ok {
			return Grant{Group: g}, nil
		}
		return Grant{}, fault(op, errs.Invalid, "InvalidArgument", "Invalid group uri: "+value)
	case "emailaddress":
		if id := u.ByEmail(value); id != "" {
			return Grant{ID: id}, nil
		}
		return Grant{}, fault(op, errs.Invalid, "UnresolvableGrantByEmailAddress", "The e-mail address you provided does not match any account on record: "+value)
	}
	return Grant{}, fault(op, errs.Invalid, "InvalidArgument", "Argument format not recognized: "+s)
}
