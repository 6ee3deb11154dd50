package policy

import (
	"strings"
)

// wildcard reports whether s matches pattern, in which * stands for any run of bytes and ? for one. literal
// are the positions of pattern whose bytes stand for themselves, ascending; mostly there are none. It takes time
// proportional to the product of both lengths at most.
func wildcard(pattern, s string, literal []int) bool {
	special := func(p int, c byte) bool {
		if pattern[p] != c {
			return false
		}
		for _, l := range literal {
			if l == p {
				return false
			}
		}
		return true
	}
	p, i := 0, 0
	star, mark := -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && special(p, '*'):
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == s[i] || special(p, '?')):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && special(p, '*') {
		p++
	}
	return p == len(pattern)
}

// matchFold is wildcard without regard to the case of ASCII letters; pattern is in lower case.
func matchFold(pattern, s string) bool { return wildcard(pattern, strings.ToLower(s), nil) }

// A text is a string of a policy with its variables: ${aws:username}, ${key, 'default'}, and ${*} ${?} ${$} for the bytes
// themselves. Only policies of version 2012-10-17 have variables.
type text struct {
	raw   string
	parts []part // nil = raw is all
}

// A part is a literal, or a variable, or a byte of ${*}.
type part struct {
	literal  string // wildcards in it count
	exact    string
	variable string // a condition key
	fallback *string
}

// parseText reports false if a variable is malformed.
func parseText(raw string, variables bool) (text, bool) {
	t := text{raw: raw}
	if !variables || !strings.Contains(raw, "${") {
		return t, true
	}
	for rest := raw; rest != ""; {
		before, after, found := strings.Cut(rest, "${")
		if before != "" {
			t.parts = append(t.parts, part{literal: before})
		}
		if !found {
			break
		}
		inner, behind, closed := strings.Cut(after, "}")
		if !closed || inner == "" {
			return t, false
		}
		rest = behind
		if inner == "*" || inner == "?" || inner == "$" {
			t.parts = append(t.parts, part{exact: inner})
			continue
		}
		key, fallback, has := strings.Cut(inner, ",")
		p := part{variable: conditionKey(strings.TrimSpace(key))}
		if has {
			fallback = strings.Trim(strings.TrimSpace(fallback), "'")
			p.fallback = &fallback
		}
		t.parts = append(t.parts, p)
	}
	return t, true
}

// expand returns t with its variables' values in place, and where in it bytes are literal although they look like wildcards. ok is
// false if a variable has not exactly one value: t then matches nothing.
func (t *text) expand(r *Request) (s string, literal []int, ok bool) {
	if t.parts == nil {
		return t.raw, nil, true
	}
	var b strings.Builder
	exact := func(s string) {
		for i := range len(s) {
			if s[i] == '*' || s[i] == '?' {
				literal = append(literal, b.Len()+i)
			}
		}
		b.WriteString(s)
	}
	for _, p := range t.parts {
		b.WriteString(p.literal)
		exact(p.exact)
		if p.variable == "" {
			continue
		}
		switch values := r.values(p.variable); {
		case len(values) == 1:
			exact(values[0])
		case len(values) == 0 && p.fallback != nil:
			exact(*p.fallback)
		default:
			return "", nil, false
		}
	}
	return b.String(), literal, true
}

// matches reports whether s matches t as a pattern.
func (t *text) matches(s string, r *Request) bool {
	pattern, literal, ok := t.expand(r)
	return ok && wildcard(pattern, s, literal)
}

// conditionKey returns the form in which keys are compared: lower-case but for a tag's name.
func conditionKey(key string) string {
	name, tag, has := strings.Cut(key, "/")
	if !has {
		return strings.ToLower(key)
	}
	return strings.ToLower(name) + "/" + tag
}
