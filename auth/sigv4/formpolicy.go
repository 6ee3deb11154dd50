package sigv4

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"strings"
	"time"
)

// A formPolicy is the decoded policy of a POST form.
type formPolicy struct {
	expiration time.Time
	conditions []condition
	min, max   int64 // content-length-range; max -1 = none
}

// A condition demands a value of a field, or a beginning of it.
type condition struct {
	field  string // lower-case, without the dollar sign
	value  string
	prefix bool
}

// Limits of a policy: AWS bounds the whole form at 20 KB.
const (
	maxFormPolicy     = 20 << 10
	maxFormConditions = 1000
)

func badPolicy(what string) error {
	return fault("sigv4.VerifyForm", codePolicy, "Invalid Policy: "+what)
}

// parseFormPolicy decodes a policy. Its two members have names that are case-sensitive.
func parseFormPolicy(encoded string) (*formPolicy, error) {
	if len(encoded) > maxFormPolicy {
		return nil, badPolicy("it is longer than 20 KB.")
	}
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, badPolicy("it is not base64.")
	}
	var members map[string]json.RawMessage
	if err := decodeOne(text, &members); err != nil {
		return nil, badPolicy("Invalid JSON: " + err.Error())
	}
	p := &formPolicy{max: -1}
	var expiration string
	if members["expiration"] == nil {
		return nil, badPolicy("Policy missing expiration.")
	}
	if err := json.Unmarshal(members["expiration"], &expiration); err != nil {
		return nil, badPolicy("the expiration is not a string.")
	}
	if p.expiration, err = time.Parse(time.RFC3339, expiration); err != nil || !strings.HasSuffix(expiration, "Z") {
		return nil, badPolicy("Invalid 'expiration' value: '" + expiration + "'")
	}
	if members["conditions"] == nil {
		return nil, badPolicy("Policy missing conditions.")
	}
	var conditions []json.RawMessage
	if err := json.Unmarshal(members["conditions"], &conditions); err != nil || conditions == nil {
		return nil, badPolicy("the conditions are not a list.")
	}
	if len(conditions) > maxFormConditions {
		return nil, badPolicy("too many conditions.")
	}
	for _, c := range conditions {
		if err := p.add(c); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// decodeOne decodes exactly one JSON value.
func decodeOne(text []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(to); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// add takes one condition: {"field": "value"}, ["eq", "$field", "value"], ["starts-with", "$field", "start"] or
// ["content-length-range", min, max].
func (p *formPolicy) add(text json.RawMessage) error {
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return p.addExact(text)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(text, &list); err != nil || len(list) != 3 {
		return badPolicy("a condition must be an object with one member or a list of three: " + string(text))
	}
	var name string
	if err := json.Unmarshal(list[0], &name); err != nil {
		return badPolicy("a condition must begin with its name: " + string(text))
	}
	switch strings.ToLower(name) {
	case "content-length-range":
		return p.addRange(list[1], list[2], text)
	case "eq", "starts-with":
	default:
		return badPolicy("unknown condition " + name)
	}
	var field, value string
	if json.Unmarshal(list[1], &field) != nil || json.Unmarshal(list[2], &value) != nil || len(field) < 2 || field[0] != '$' {
		return badPolicy("a condition needs a field such as $key and a string: " + string(text))
	}
	p.conditions = append(p.conditions, condition{strings.ToLower(field[1:]), value, strings.EqualFold(name, "starts-with")})
	return nil
}

func (p *formPolicy) addExact(text json.RawMessage) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil || len(members) != 1 {
		return badPolicy("a condition must have exactly one member: " + string(text))
	}
	for field, raw := range members {
		var value string
		if json.Unmarshal(raw, &value) != nil || field == "" {
			return badPolicy("a condition's value must be a string: " + string(text))
		}
		p.conditions = append(p.conditions, condition{strings.ToLower(field), value, false})
	}
	return nil
}

func (p *formPolicy) addRange(low, high, text json.RawMessage) error {
	lo, ok1 := length(low)
	hi, ok2 := length(high)
	if !ok1 || !ok2 || lo > hi {
		return badPolicy("content-length-range needs two lengths: " + string(text))
	}
	p.min = max(p.min, lo) // of several all hold
	if p.max < 0 || hi < p.max {
		p.max = hi
	}
	return nil
}

// length reads a number that is not negative; some signers write it as a string.
func length(raw json.RawMessage) (int64, bool) {
	text := strings.Trim(string(raw), `"`)
	var n int64
	if !digits(text) || json.Unmarshal([]byte(text), &n) != nil {
		return 0, false
	}
	return n, true
}

// exempt reports whether a field needs no condition: the policy and its signature, what says itself to be ignored, and
// checksums, which only the file's bytes can satisfy.
func exempt(field string) bool {
	switch field {
	case "policy", "signature", "awsaccesskeyid", "x-amz-signature", "bucket", "file":
		return true
	}
	return strings.HasPrefix(field, "x-ignore-") || strings.HasPrefix(field, "x-amz-checksum-")
}

// check tries every condition on the form, and that every field of the form has one.
func (p *formPolicy) check(f *Form, to *Post) error {
	const op = "sigv4.VerifyForm"
	covered := map[string]bool{}
	for _, c := range p.conditions {
		covered[c.field] = true
		if !c.holds(f) {
			name := "eq"
			if c.prefix {
				name = "starts-with"
			}
			return fault(op, codeAccessDenied, `Invalid according to Policy: Policy Condition failed: ["`+name+`", "$`+c.field+`", "`+c.value+`"]`)
		}
	}
	if !covered["bucket"] {
		return fault(op, codeAccessDenied, "Invalid according to Policy: no condition on the bucket")
	}
	for field := range f.Fields {
		if !covered[field] && !exempt(field) {
			return fault(op, codeAccessDenied, "Invalid according to Policy: Extra input fields: "+field)
		}
	}
	to.Min, to.Max = p.min, p.max
	return nil
}

func (c *condition) holds(f *Form) bool {
	value, ok := f.Fields[c.field]
	if c.field == "bucket" {
		value, ok = f.Bucket, true
	}
	switch {
	case c.field == "content-type" && c.prefix && strings.Contains(value, ","):
		for _, one := range strings.Split(value, ",") {
			if !strings.HasPrefix(strings.TrimSpace(one), c.value) {
				return false
			}
		}
		return true
	case c.prefix:
		return strings.HasPrefix(value, c.value) && (ok || c.value == "")
	}
	return ok && value == c.value
}
