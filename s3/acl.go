package s3

import (
	"aistore/auth/policy"
)

const xsi = ` xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"`

// maxGrants bounds an ACL, as AWS does.
const maxGrants = 100

// AppendACL appends the AccessControlPolicy document of a. display returns the name that is shown of a canonical id. Grants to groups
// come first however they were made, as those of canned ACLs do; else the order is that of a.
func AppendACL(b []byte, a *policy.ACL, display func(id string) string) []byte {
	b = append(b, xmlHeader+"<AccessControlPolicy"+xmlns+">"...)
	b = appendOwner(b, "Owner", Owner{a.Owner, display(a.Owner)})
	b = append(b, "<AccessControlList>"...)
	for _, groups := range [...]bool{true, false} {
		for i := range a.Grants {
			if g := &a.Grants[i]; (g.Group != policy.NoGroup) == groups {
				b = appendGrant(b, g, display)
			}
		}
	}
	return append(b, "</AccessControlList></AccessControlPolicy>"...)
}

func appendGrant(b []byte, g *policy.Grant, display func(id string) string) []byte {
	b = append(b, "<Grant><Grantee"+xsi...)
	if g.Group != policy.NoGroup {
		b = append(b, ` xsi:type="Group">`...)
		b = appendText(b, "URI", g.Group.URI())
	} else {
		b = append(b, ` xsi:type="CanonicalUser">`...)
		b = appendText(b, "ID", g.ID)
		b = appendText(b, "DisplayName", display(g.ID))
	}
	b = append(b, "</Grantee>"...)
	b = appendText(b, "Permission", g.Permission.String())
	return append(b, "</Grant>"...)
}

// ParseACL reads an AccessControlPolicy document. Grantees must be known to u. An owner that is not named is "".
func ParseACL(doc []byte, u policy.Users) (*policy.ACL, error) {
	const op = "s3.ParseACL"
	root, err := parseXML(doc, "AccessControlPolicy")
	if err != nil {
		return nil, E(op, "request body", "MalformedACLError", "")
	}
	list := root.child("AccessControlList")
	if list == nil || !list.only("Grant") || len(list.kids) > maxGrants {
		return nil, E(op, "AccessControlList", "MalformedACLError", "")
	}
	a := &policy.ACL{}
	if o := root.child("Owner"); o != nil {
		a.Owner = o.value("ID")
	}
	for i := range list.kids {
		g, err := parseGrant(&list.kids[i], u)
		if err != nil {
			return nil, err
		}
		a.Grants = append(a.Grants, g)
	}
	return a, nil
}

func parseGrant(e *element, u policy.Users) (policy.Grant, error) {
	const op = "s3.ParseACL"
	var g policy.Grant
	var ok bool
	who := e.child("Grantee")
	if g.Permission, ok = policy.ParsePermission(e.value("Permission")); !ok || who == nil {
		return g, E(op, "Grant", "MalformedACLError", "")
	}
	uri, email, id := who.value("URI"), who.value("EmailAddress"), who.value("ID")
	switch {
	case uri != "":
		if g.Group, ok = policy.ParseGroup(uri); !ok {
			return g, E(op, "URI", "InvalidArgument", "Invalid group uri", Field{"ArgumentName", "uri"}, Field{"ArgumentValue", uri})
		}
	case email != "":
		if g.ID = u.ByEmail(email); g.ID == "" {
			return g, E(op, "EmailAddress", "UnresolvableGrantByEmailAddress", "")
		}
	default:
		if g.ID = u.ByID(id); g.ID == "" {
			return g, E(op, "ID", "InvalidArgument", "Invalid id", Field{"ArgumentName", "CanonicalUser/ID"}, Field{"ArgumentValue", id})
		}
	}
	return g, nil
}
