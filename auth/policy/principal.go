package policy

import "strings"

// A principal is one of a statement.
type principal struct {
	kind principalKind
	name string // user name
	id   string // canonical id; with a name: of the account it must be in, "" = any
	text string // as the policy has it, when it must name a user
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
		p := principal{kind: byEither, name: value}
		if !accountNumber(value) {
			p.text = value
		}
		return p, true
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
		return principal{kind: byName, name: name, id: account, text: value}, true
	case kind == "role" || kind == "group" || kind == "federated-user" || kind == "saml-provider" || kind == "oidc-provider":
		return principal{}, true
	}
	return principal{}, false
}

// accountNumber reports whether s is the number of an account of AWS.
func accountNumber(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

// Unknown returns a principal of the policy that must be a user and is none, "" if there is no such. Accounts, roles, services and federations may
// be AWS's: they need not be known.
func (p *Policy) Unknown(user Named) string {
	for i := range p.statements {
		for j := range p.statements[i].principals {
			if pr := &p.statements[i].principals[j]; pr.text != "" && !pr.known(user) {
				return pr.text
			}
		}
	}
	return ""
}

// Named resolves users.
type Named struct {
	ByName func(name string) string // the canonical id of the user of the name, "" for nobody
	ByID   func(id string) string   // the canonical id if there is such a user
}

func (p *principal) known(user Named) bool {
	switch p.kind {
	case byID:
		return user.ByID(p.id) != ""
	case byName:
		id := user.ByName(p.name)
		return id != "" && (p.id == "" || p.id == id)
	case byEither:
		return user.ByName(p.name) != "" || user.ByID(p.name) != ""
	case anyone, nobodyHere:
	}
	return true
}
