package policy

// A Caller is who asks.
type Caller struct {
	ID, Name  string // canonical id and user name; "" for anonymous
	Admin     bool   // may everything but what a bucket policy denies explicitly
	ReadOnly  bool   // may nothing that changes something
	Anonymous bool
}

// A Request is one act on a bucket or an object.
type Request struct {
	Caller Caller
	Action string // IAM's name, such as s3:GetObject
	Bucket string
	Key    string // "" for acts on the bucket
	// Values returns the values of a condition key, nil if the request has none. The key is lower-case but for
	// the name of a tag: aws:sourceip, s3:prefix, s3:existingobjecttag/Project. It is called only
	// when a policy asks. nil means no keys beyond those that Caller answers (aws:username, aws:userid,
	// aws:principaltype).
	Values func(key string) []string
}

// values returns the values of a condition key.
func (r *Request) values(key string) []string {
	c := &r.Caller
	switch key {
	case "aws:username":
		return one(c.Name)
	case "aws:userid":
		return one(c.ID)
	case "aws:principaltype":
		if c.Anonymous {
			return []string{"Anonymous"}
		}
		return []string{"User"}
	case "aws:principalarn":
		if c.Anonymous {
			return nil
		}
		return []string{"arn:aws:iam:::user/" + c.Name}
	}
	if r.Values == nil {
		return nil
	}
	return r.Values(key)
}

func one(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// resource is what ARNs name after arn:aws:s3:::.
func (r *Request) resource() string {
	if r.Key == "" {
		return r.Bucket
	}
	return r.Bucket + "/" + r.Key
}

// Inputs are the documents that govern a bucket and, for acts on an object, the object.
type Inputs struct {
	BucketOwner string  // canonical id
	Policy      *Policy // nil = none
	BucketACL   *ACL    // nil = private
	ObjectOwner string  // "" = the bucket's owner, or there is no object yet
	ObjectACL   *ACL    // nil = private to the object's owner, or there is no object yet
	Block       Block   // public access block
	Ownership   Ownership
}
