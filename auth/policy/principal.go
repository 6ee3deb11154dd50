package policy

import "strings"

// A principal is one of a statement.
type principal struct {
	kind principalKind
	name string // user name
	id   string // canonical id; with a name: of the account it must be in, "" = any
}

type principalKind uint8

const (
	nobodyHere principalKind = iota // a service, a role, a federation: known to AWS, never a caller here
	anyone
	byID
	byName
	byEither // the policy does not say which it is
)

// is reports whether c is meant.
func (p *principal) is(c *Caller) bool {
	if p.kind == anyone {
		return true
	}
	if c.Anonymous {
		return false
	}
	switch p.kind {
	case byID:
		return c.ID == p.id
	case byName:
		return c.Name == p.name && (p.id == "" || c.ID == p.id)
	case byEither:
		return c.ID == p.name || c.Name == p.name
	}
	return false
}

// parsePrincipal takes one principal of {"AWS": ...}: "*", a canonical id, a user name, or an ARN. Each user is an account of
// its own here, whose number is the canonical id: arn:aws:iam::ID:root and arn:aws:iam::ID:user/NAME name the same user, as does
// arn:aws:iam:::user/NAME.
func parsePrincipal(value string) (principal, bool) {
	if value == "*" {
		return principal{kind: anyone}, true
	}
	if value == "" || strings.ContainsAny(value, "*?") {
		return principal{}, false
	}
	if !strings.HasPrefix(value, "arn:") {
		return principal{kind: byEither, name: value}, true
	}
	parts := strings.SplitN(value, ":", 6)
	if len(parts) != 6 || !strings.HasPrefix(parts[1], "aws") || parts[5] == "" {
		return principal{}, false
	}
	account, rest := parts[4], parts[5]
	switch parts[2] {
	case "sts":
		return principal{}, true
	case "iam":
	default:
		return principal{}, false
	}
	kind, name, _ := strings.Cut(rest, "/")
	name = name[strings.LastIndexByte(name, '/')+1:]
	switch {
	case kind == "root" && name == "" && account != "":
		return principal{kind: byID, id: account}, true
	case kind == "user" && name != "":
		return principal{kind: byName, name: name, id: account}, true
	case kind == "role" || kind == "group" || kind == "federated-user" || kind == "saml-provider" || kind == "oidc-provider":
		return principal{}, true
	}
	return principal{}, false
}
