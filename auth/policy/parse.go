package policy

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
)

// Limits of a policy's text. The number of statements, values and conditions is bounded by its length.
const maxPolicy = 20 << 10

// Parse reads the JSON of a bucket policy of at most 20 KB. Its faults have code MalformedPolicy and say what is wrong. Every
// resource must be able to name something in the bucket; with bucket "" that is not asked, for a
// policy that was accepted before the bucket was renamed.
func Parse(doc []byte, bucket string) (*Policy, error) {
	if len(doc) > maxPolicy {
		return nil, malformed("Policies must be at most 20480 bytes long")
	}
	top, err := members(doc, "Version", "Id", "Statement")
	if err != nil {
		return nil, err
	}
	pr := parser{bucket: bucket}
	switch version, _ := stringOf(top["Version"]); {
	case version == "2012-10-17":
		pr.variables = true
	case version == "2008-10-17" || top["Version"] == nil:
	default:
		return nil, malformed("The policy must contain a valid version string")
	}
	if _, ok := stringOf(top["Id"]); top["Id"] != nil && !ok {
		return nil, malformed("Id must be a string")
	}
	list, ok := listOf(top["Statement"])
	if !ok || len(list) == 0 {
		return nil, malformed("Missing required field Statement")
	}
	p := &Policy{}
	for _, raw := range list {
		s, err := pr.statement(raw)
		if err != nil {
			return nil, err
		}
		p.statements = append(p.statements, s)
		p.public = p.public || s.public()
	}
	return p, nil
}

// A parser knows what holds for a whole policy.
type parser struct {
	bucket    string
	variables bool
}

// members decodes one JSON object that has no members but the known ones.
func members(doc []byte, known ...string) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	var m map[string]json.RawMessage
	if err := d.Decode(&m); err != nil || m == nil {
		return nil, malformed("Policies must be valid JSON and the first byte must be '{'")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, malformed("Policies must be valid JSON: something follows its end")
	}
	for name := range m {
		if !slices.Contains(known, name) {
			return nil, malformed("Unknown field " + name)
		}
	}
	return m, nil
}

func stringOf(raw json.RawMessage) (string, bool) {
	var s *string
	if raw == nil || json.Unmarshal(raw, &s) != nil || s == nil {
		return "", false
	}
	return *s, true
}

// listOf returns the elements of a list, or raw itself if it is none.
func listOf(raw json.RawMessage) ([]json.RawMessage, bool) {
	if raw == nil {
		return nil, false
	}
	if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) {
		return []json.RawMessage{raw}, true
	}
	var list []json.RawMessage
	err := json.Unmarshal(raw, &list)
	return list, err == nil
}

// stringsOf returns the strings of a list, or the one string that raw is.
func stringsOf(raw json.RawMessage) ([]string, bool) {
	list, ok := listOf(raw)
	if !ok || len(list) == 0 {
		return nil, false
	}
	out := make([]string, 0, len(list))
	for _, one := range list {
		s, ok := stringOf(one)
		if !ok {
			return nil, false
		}
		out = append(out, s)
	}
	return out, true
}

func (pr *parser) statement(raw json.RawMessage) (statement, error) {
	var s statement
	m, err := members(raw, "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition")
	if err != nil {
		return s, err
	}
	if _, ok := stringOf(m["Sid"]); m["Sid"] != nil && !ok {
		return s, malformed("Sid must be a string")
	}
	switch effect, _ := stringOf(m["Effect"]); effect {
	case "Allow":
	case "Deny":
		s.deny = true
	default:
		return s, malformed("Invalid effect: " + effect)
	}
	for _, step := range []func(*statement, map[string]json.RawMessage) error{pr.principals, pr.actions, pr.resources} {
		if err := step(&s, m); err != nil {
			return s, err
		}
	}
	s.conditions, err = pr.conditions(m["Condition"])
	return s, err
}

// either returns the one of two members that is there, and whether it is the second.
func either(m map[string]json.RawMessage, name string) (json.RawMessage, bool, error) {
	plain, not := m[name], m["Not"+name]
	switch {
	case plain == nil && not == nil:
		return nil, false, malformed("Missing required field " + name)
	case plain != nil && not != nil:
		return nil, false, malformed("A statement must have either " + name + " or Not" + name)
	case not != nil:
		return not, true, nil
	}
	return plain, false, nil
}

func (pr *parser) principals(s *statement, m map[string]json.RawMessage) error {
	raw, not, err := either(m, "Principal")
	if err != nil {
		return err
	}
	if not && !s.deny {
		return malformed("Allow with NotPrincipal is not allowed")
	}
	s.notPrincipal = not
	if all, ok := stringOf(raw); ok {
		if all != "*" {
			return malformed("Invalid principal in policy")
		}
		s.principals, s.everyone = []principal{{kind: anyone}}, true
		return nil
	}
	var kinds map[string]json.RawMessage
	if json.Unmarshal(raw, &kinds) != nil || len(kinds) == 0 {
		return malformed("Invalid principal in policy")
	}
	for kind, raw := range kinds {
		values, ok := stringsOf(raw)
		if !ok {
			return malformed("Invalid principal in policy")
		}
		for _, value := range values {
			p, ok := principalOf(kind, value)
			if !ok {
				return malformed("Invalid principal in policy: " + value)
			}
			s.principals = append(s.principals, p)
			s.everyone = s.everyone || p.kind == anyone
		}
	}
	return nil
}

func principalOf(kind, value string) (principal, bool) {
	switch kind {
	case "AWS":
		return parsePrincipal(value)
	case "CanonicalUser":
		return principal{kind: byID, id: value, text: value}, value != ""
	case "Service", "Federated":
		return principal{}, value != ""
	}
	return principal{}, false
}

func (pr *parser) actions(s *statement, m map[string]json.RawMessage) error {
	raw, not, err := either(m, "Action")
	if err != nil {
		return err
	}
	values, ok := stringsOf(raw)
	if !ok {
		return malformed("Action must be a string or a list of strings")
	}
	s.notAction = not
	for _, value := range values {
		pattern := strings.ToLower(value)
		if !knownAction(pattern) {
			return malformed("Policy has invalid action: " + value)
		}
		s.actions = append(s.actions, pattern)
	}
	return nil
}

func (pr *parser) resources(s *statement, m map[string]json.RawMessage) error {
	raw, not, err := either(m, "Resource")
	if err != nil {
		return err
	}
	values, ok := stringsOf(raw)
	if !ok {
		return malformed("Resource must be a string or a list of strings")
	}
	s.notResource = not
	for _, value := range values {
		t, ok := pr.resource(value)
		if !ok {
			return malformed("Policy has invalid resource: " + value)
		}
		s.resources = append(s.resources, t)
	}
	return nil
}

// resource takes an ARN of a bucket or of keys. Region and account are empty in S3's.
func (pr *parser) resource(value string) (text, bool) {
	if value == "*" {
		return text{raw: "*"}, true
	}
	parts := strings.SplitN(value, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || !strings.HasPrefix(parts[1], "aws") || parts[2] != "s3" || parts[3] != "" || parts[4] != "" || parts[5] == "" {
		return text{}, false
	}
	bucket, _, _ := strings.Cut(parts[5], "/")
	if pr.bucket != "" && !strings.Contains(bucket, "${") && !wildcard(bucket, pr.bucket, nil) {
		return text{}, false
	}
	return parseText(parts[5], pr.variables)
}
