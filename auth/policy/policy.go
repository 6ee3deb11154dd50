package policy

// A Policy is a parsed bucket policy, immutable.
type Policy struct{}

// A Decision is what a policy says about a request.
type Decision uint8

// The decisions. Silent: no statement applies.
const (
	Silent Decision = iota
	Allow
	Deny
)

// Parse reads the JSON of a bucket policy of at most 20 KB. Its faults have code MalformedPolicy and say what is wrong.
func Parse(doc []byte, bucket string) (*Policy, error) { return &Policy{}, nil }

// Decide evaluates every statement: an explicit Deny wins.
func (p *Policy) Decide(r *Request) Decision { return Silent }

// Public reports whether p grants something to everyone, as GetBucketPolicyStatus and BlockPublicPolicy mean it: a
// condition on a fixed address, user or ARN makes a statement not public. nil is not.
func (p *Policy) Public() bool { return false }
