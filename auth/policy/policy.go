package policy

import (
	"strings"

	"aistore/errs"
)

// A Policy is a parsed bucket policy, immutable.
type Policy struct {
	statements []statement
	public     bool
}

// A statement is one of a policy.
type statement struct {
	deny         bool
	principals   []principal
	notPrincipal bool
	actions      []string // lower-case patterns
	notAction    bool
	resources    []text // what follows arn:aws:s3:::
	notResource  bool
	conditions   []condition
	everyone     bool // a wildcard principal
}

// A Decision is what a policy says about a request.
type Decision uint8

// The decisions. Silent: no statement applies.
const (
	Silent Decision = iota
	Allow
	Deny
)

// String returns the decision as a word.
func (d Decision) String() string { return [...]string{"silent", "allow", "deny"}[d] }

// Decide evaluates every statement: an explicit Deny wins.
func (p *Policy) Decide(r *Request) Decision {
	if p == nil {
		return Silent
	}
	action, resource := strings.ToLower(r.Action), r.resource()
	d := Silent
	for i := range p.statements {
		s := &p.statements[i]
		if !s.deny && d == Allow || !s.applies(r, action, resource) {
			continue
		}
		if s.deny {
			return Deny
		}
		d = Allow
	}
	return d
}

// Public reports whether p grants something to everyone, as GetBucketPolicyStatus and BlockPublicPolicy mean it: a
// condition on a fixed address, user or ARN makes a statement not public. nil is not.
func (p *Policy) Public() bool { return p != nil && p.public }

func (s *statement) applies(r *Request, action, resource string) bool {
	return s.forPrincipal(&r.Caller) != s.notPrincipal &&
		s.forAction(action) != s.notAction &&
		s.forResource(r, resource) != s.notResource &&
		s.forConditions(r)
}

func (s *statement) forPrincipal(c *Caller) bool {
	for i := range s.principals {
		if s.principals[i].is(c) {
			return true
		}
	}
	return false
}

func (s *statement) forAction(action string) bool {
	for _, pattern := range s.actions {
		if wildcard(pattern, action, nil) {
			return true
		}
	}
	return false
}

func (s *statement) forResource(r *Request, resource string) bool {
	for i := range s.resources {
		if s.resources[i].matches(resource, r) {
			return true
		}
	}
	return false
}

func (s *statement) forConditions(r *Request) bool {
	for i := range s.conditions {
		if !s.conditions[i].holds(r) {
			return false
		}
	}
	return true
}

// public reports whether the statement gives something to everyone.
func (s *statement) public() bool {
	if s.deny || !s.everyone && !s.notPrincipal {
		return false
	}
	for i := range s.conditions {
		if s.conditions[i].narrows() {
			return false
		}
	}
	return true
}

func malformed(message string) error {
	return fault("policy.Parse", errs.Invalid, "MalformedPolicy", message)
}
