package policy

import (
	"encoding/json"
	"slices"
	"strings"
)

// A condition is one key of one operator: it compares what the request has for the key with the policy's values.
type condition struct {
	op       operator
	key      string
	quantity quantity
	ifExists bool
	values   []value
}

// quantity says how keys with many values are compared.
type quantity uint8

const (
	single quantity = iota
	forAllValues
	forAnyValue
)

// An operator compares one value of the request with one of the policy.
type operator struct {
	name     string
	negated  bool // true if no value of the policy matches
	null     bool // asks whether the key is there at all
	narrows  bool // a fixed value of it restricts who may come, for (*Policy).Public
	patterns bool // wildcards count
	parse    func(v *value) bool
	match    func(v *value, got string, r *Request) bool
}

// A value is one of a policy's, parsed as its operator wants it.
type value struct {
	text   text
	parsed any
}

// operators by lower-case name. Read only.
var operators = table()

func table() map[string]operator {
	m := map[string]operator{}
	add := func(name, negative string, o operator) {
		o.name = name
		m[strings.ToLower(name)] = o
		if negative != "" {
			o.name, o.negated, o.narrows = negative, true, false
			m[strings.ToLower(negative)] = o
		}
	}
	add("StringEquals", "StringNotEquals", operator{match: equal, narrows: true})
	add("StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", operator{match: equalFold, narrows: true})
	add("StringLike", "StringNotLike", operator{match: like, narrows: true, patterns: true})
	add("ArnEquals", "ArnNotEquals", operator{match: arnLike, narrows: true, patterns: true})
	add("ArnLike", "ArnNotLike", operator{match: arnLike, narrows: true, patterns: true})
	add("BinaryEquals", "", operator{match: equal})
	add("Bool", "", operator{parse: parseBool, match: matchBool})
	add("Null", "", operator{parse: parseBool, null: true})
	add("IpAddress", "NotIpAddress", operator{parse: parsePrefix, match: inPrefix, narrows: true})
	for kind, o := range map[string]struct {
		parse   func(v *value) bool
		compare func(v *value, got string) (int, bool)
	}{
		"Numeric": {parseNumber, compareNumber},
		"Date":    {parseDate, compareDate},
	} {
		ordered := func(holds func(order int) bool) operator {
			return operator{parse: o.parse, match: func(v *value, got string, _ *Request) bool {
				order, ok := o.compare(v, got)
				return ok && holds(order)
			}}
		}
		add(kind+"Equals", kind+"NotEquals", ordered(func(n int) bool { return n == 0 }))
		add(kind+"LessThan", "", ordered(func(n int) bool { return n < 0 }))
		add(kind+"LessThanEquals", "", ordered(func(n int) bool { return n <= 0 }))
		add(kind+"GreaterThan", "", ordered(func(n int) bool { return n > 0 }))
		add(kind+"GreaterThanEquals", "", ordered(func(n int) bool { return n >= 0 }))
	}
	return m
}

// conditions parses {"StringEquals": {"aws:username": ["ann", "bob"]}, ...}.
func (pr *parser) conditions(raw json.RawMessage) ([]condition, error) {
	if raw == nil {
		return nil, nil
	}
	var blocks map[string]map[string]json.RawMessage
	if err := json.Unmarshal(raw, &blocks); err != nil || blocks == nil {
		return nil, malformed("Condition must be an object of operators")
	}
	var out []condition
	for name, keys := range blocks {
		c, ok := operatorOf(name)
		if !ok || keys == nil {
			return nil, malformed("Invalid Condition type : " + name)
		}
		for key, raw := range keys {
			one := c
			one.key = conditionKey(key)
			if !strings.HasPrefix(one.key, "aws:") && !strings.HasPrefix(one.key, "s3:") {
				return nil, malformed("Policy has an invalid condition key: " + key)
			}
			if err := pr.conditionValues(&one, name, raw); err != nil {
				return nil, err
			}
			out = append(out, one)
		}
	}
	// A fixed order: the same policy is evaluated in the same way everywhere.
	slices.SortFunc(out, func(a, b condition) int { return strings.Compare(a.op.name+a.key, b.op.name+b.key) })
	return out, nil
}

// operatorOf takes [ForAllValues:|ForAnyValue:]Operator[IfExists] apart.
func operatorOf(name string) (c condition, ok bool) {
	rest := strings.ToLower(name)
	if after, found := strings.CutPrefix(rest, "forallvalues:"); found {
		c.quantity, rest = forAllValues, after
	} else if after, found := strings.CutPrefix(rest, "foranyvalue:"); found {
		c.quantity, rest = forAnyValue, after
	}
	rest, c.ifExists = strings.CutSuffix(rest, "ifexists")
	c.op, ok = operators[rest]
	return c, ok && !(c.op.null && (c.ifExists || c.quantity != single))
}

func (pr *parser) conditionValues(c *condition, name string, raw json.RawMessage) error {
	list, ok := listOf(raw)
	if !ok {
		return malformed("The values of " + name + " must be a string or a list of strings")
	}
	for _, one := range list {
		s, ok := scalar(one)
		if !ok {
			return malformed("The values of " + name + " must be strings")
		}
		var v value
		// Only text can be compared with a variable's value.
		if v.text, ok = parseText(s, pr.variables && c.op.parse == nil); !ok {
			return malformed("A variable is malformed: " + s)
		}
		if c.op.parse != nil && !c.op.parse(&v) {
			return malformed("Invalid value for " + name + ": " + s)
		}
		c.values = append(c.values, v)
	}
	return nil
}

// scalar returns a string, number or boolean as text.
func scalar(raw json.RawMessage) (string, bool) {
	if s, ok := stringOf(raw); ok {
		return s, true
	}
	text := strings.TrimSpace(string(raw))
	if text == "" || strings.ContainsAny(text[:1], `{["n`) {
		return "", false
	}
	return text, true
}

// holds reports whether the condition is true of r.
func (c *condition) holds(r *Request) bool {
	got := r.values(c.key)
	if c.op.null {
		absent := len(got) == 0
		return slices.ContainsFunc(c.values, func(v value) bool { return v.parsed == absent })
	}
	switch {
	case c.quantity == forAllValues:
		return !slices.ContainsFunc(got, func(g string) bool { return !c.one(g, r) })
	case len(got) == 0 && c.ifExists:
		return true
	case c.quantity == forAnyValue:
		return slices.ContainsFunc(got, func(g string) bool { return c.one(g, r) })
	case c.op.negated:
		return !slices.ContainsFunc(got, func(g string) bool { return !c.one(g, r) })
	}
	return slices.ContainsFunc(got, func(g string) bool { return c.one(g, r) })
}

// one compares one value of the request with all of the policy's.
func (c *condition) one(got string, r *Request) bool {
	for i := range c.values {
		if c.op.match(&c.values[i], got, r) {
			return !c.op.negated
		}
	}
	return c.op.negated
}

// narrows reports whether the condition lets only fixed places or users in. Source: "The meaning of public" of the S3 user guide.
func (c *condition) narrows() bool {
	if !c.op.narrows || c.ifExists || c.quantity == forAllValues || len(c.values) == 0 {
		return false
	}
	switch c.key {
	case "aws:sourceip", "aws:sourcearn", "aws:sourcevpc", "aws:sourcevpce", "aws:sourceaccount", "aws:sourceowner", "aws:userid",
		"aws:principalarn", "aws:principalaccount", "aws:principalorgid", "aws:principalorgpaths",
		"s3:x-amz-server-side-encryption-aws-kms-key-id", "s3:dataaccesspointarn", "s3:dataaccesspointaccount":
	default:
		return false
	}
	return !slices.ContainsFunc(c.values, func(v value) bool { return !c.fixed(&v) })
}

// fixed reports whether v leaves nothing open.
func (c *condition) fixed(v *value) bool {
	if prefix, ok := v.parsed.(prefixOf); ok {
		return prefix.narrow()
	}
	return v.text.parts == nil && !(c.op.patterns && strings.ContainsAny(v.text.raw, "*?"))
}
