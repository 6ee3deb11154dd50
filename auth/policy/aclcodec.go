package policy

import (
	"strings"

	"aistore/errs"
)

// The text of an ACL in a metadata value is
//
//	1;OWNER;PERMISSION GRANTEE;PERMISSION GRANTEE...
//
// without the space: the permission is one letter, r w R W (READ_ACP, WRITE_ACP) or f; the grantee is *all, *auth, *log or a
// canonical id. In ids the bytes ; * % and all that is not printable ASCII are written %XX.

// Encode returns a as short printable ASCII, for a metadata value.
func (a *ACL) Encode() string {
	b := append(make([]byte, 0, 64), "1;"...)
	b = appendID(b, a.Owner)
	for i := range a.Grants {
		g := &a.Grants[i]
		b = append(b, ';', letter(g.Permission))
		switch g.Group {
		case AllUsers:
			b = append(b, "*all"...)
		case AuthenticatedUsers:
			b = append(b, "*auth"...)
		case LogDelivery:
			b = append(b, "*log"...)
		default:
			b = appendID(b, g.ID)
		}
	}
	return string(b)
}

// ParseACL is the inverse of Encode.
func ParseACL(text string) (*ACL, error) {
	bad := func(what string) (*ACL, error) {
		return nil, errs.F("policy.ParseACL", "", errs.Corrupt, "not an ACL: %s: %.100q", what, text)
	}
	rest, ok := strings.CutPrefix(text, "1;")
	if !ok {
		return bad("unknown format")
	}
	owner, rest, more := strings.Cut(rest, ";")
	a := &ACL{}
	if a.Owner, ok = parseID(owner); !ok {
		return bad("its owner is malformed")
	}
	for more {
		var one string
		one, rest, more = strings.Cut(rest, ";")
		g, ok := parseShort(one)
		if !ok || len(a.Grants) == maxStored {
			return bad("a grant is malformed, or there are too many")
		}
		a.Grants = append(a.Grants, g)
	}
	return a, nil
}

// maxStored is more than maxGrants, so that whatever was accepted can be read.
const maxStored = 1000

func parseShort(s string) (Grant, bool) {
	if s == "" {
		return Grant{}, false
	}
	g := Grant{Permission: permissionOf(s[0])}
	switch s[1:] {
	case "*all":
		g.Group = AllUsers
	case "*auth":
		g.Group = AuthenticatedUsers
	case "*log":
		g.Group = LogDelivery
	default:
		var ok bool
		if g.ID, ok = parseID(s[1:]); !ok {
			return Grant{}, false
		}
	}
	return g, g.Permission != 0
}

func letter(p Permission) byte {
	switch p {
	case Read:
		return 'r'
	case Write:
		return 'w'
	case ReadACP:
		return 'R'
	case WriteACP:
		return 'W'
	}
	return 'f'
}

func permissionOf(letter byte) Permission {
	switch letter {
	case 'r':
		return Read
	case 'w':
		return Write
	case 'R':
		return ReadACP
	case 'W':
		return WriteACP
	case 'f':
		return FullControl
	}
	return 0
}

func plainID(c byte) bool { return c > ' ' && c <= '~' && c != ';' && c != '*' && c != '%' }

func appendID(b []byte, id string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(id) {
		if c := id[i]; plainID(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return b
}

// parseID accepts only what appendID writes, so that an ACL has one text.
func parseID(s string) (string, bool) {
	if !strings.Contains(s, "%") {
		for i := range len(s) {
			if !plainID(s[i]) {
				return "", false
			}
		}
		return s, true
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 >= len(s) {
				return "", false
			}
			hi, lo := strings.IndexByte("0123456789ABCDEF", s[i+1]), strings.IndexByte("0123456789ABCDEF", s[i+2])
			if hi < 0 || lo < 0 {
				return "", false
			}
			c = byte(hi<<4 | lo)
			i += 2
			if plainID(c) {
				return "", false
			}
		} else if !plainID(c) {
			return "", false
		}
		out = append(out, c)
	}
	return string(out), true
}
