package policy

// Authorize returns nil if r is allowed, else a *Fault (AccessDenied) within an error of kind Forbidden. In this order:
//
//  1. The role readonly changes nothing.
//  2. An explicit Deny of the bucket policy wins, over admins and the bucket's owner too; but nobody can lock these two out of
//     the policy itself.
//  3. Admins may everything.
//  4. The bucket's owner may everything on the bucket and on objects that are its own; on objects of others it may delete and what else
//     the bucket decides, such as listing.
//  5. An Allow of the bucket policy counts, except for objects that are not the bucket owner's, and except for strangers if the policy
//     is public and the public access block restricts that.
//  6. Grants of ACLs count, unless ownership disables them; those to groups count unless the public access block ignores them.
//
// Two actions concern no bucket that exists: every user may s3:CreateBucket, and everybody s3:ListAllMyBuckets, since strangers
// own none.
func Authorize(r *Request, in *Inputs) error {
	const op = "policy.Authorize"
	rule := ruleOf(r.Action)
	c := &r.Caller
	if c.ReadOnly && rule.changes {
		return denied(op, r)
	}
	if r.Action == "s3:ListAllMyBuckets" || r.Action == "s3:CreateBucket" && !c.Anonymous {
		return nil
	}
	owner := !c.Anonymous && c.ID == in.BucketOwner
	said := in.Policy.Decide(r)
	if said == Deny && !((owner || c.Admin) && managesPolicy(r.Action)) {
		return denied(op, r)
	}
	foreign := in.foreign()
	if c.Admin || owner && !(foreign && ofKey(r, rule)) {
		return nil
	}
	if said == Allow && !(foreign && ofKey(r, rule)) && !(in.Block.RestrictPublicBuckets && in.Policy.Public()) {
		return nil
	}
	if in.granted(r, rule) {
		return nil
	}
	return denied(op, r)
}

// foreign reports whether the object belongs to somebody else than the bucket.
func (in *Inputs) foreign() bool {
	return in.ObjectOwner != "" && in.ObjectOwner != in.BucketOwner && in.Ownership != BucketOwnerEnforced
}

// ofKey reports whether the object's owner, and not the bucket's, decides about r: all that is done to an existing object but to
// delete or overwrite it. Uploads are the bucket owner's to look after, too.
func ofKey(r *Request, rule rule) bool {
	switch r.Action {
	case "s3:DeleteObjectVersion", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts":
		return false
	}
	return r.Key != "" && rule.on != ofBucket
}

// granted reports whether an ACL, or being the owner of the object (or upload), gives the caller what the action needs.
func (in *Inputs) granted(r *Request, rule rule) bool {
	if in.Ownership == BucketOwnerEnforced {
		return false
	}
	c := &r.Caller
	mine := !c.Anonymous && in.ObjectOwner != "" && c.ID == in.ObjectOwner
	switch {
	case rule.on == ofBucket:
		return in.BucketACL != nil && in.BucketACL.grants(c, in.Block)&rule.needs == rule.needs
	case rule.on == ofObject && in.ObjectACL != nil:
		given := in.ObjectACL.grants(c, in.Block)
		if mine {
			given |= ReadACP | WriteACP
		}
		return given&rule.needs == rule.needs
	}
	return mine && r.Key != "" && r.Action != "s3:DeleteObjectVersion"
}

// Public reports whether the bucket is open to everyone, by its policy or its ACL: what GetBucketPolicyStatus answers here. AWS's
// answer is about the policy alone.
func (in *Inputs) Public() bool {
	return in.Policy.Public() || in.Ownership != BucketOwnerEnforced && in.BucketACL.Public()
}

// AuthorizeMissing decides about an object that turned out not to exist: nil if the caller may learn so (answer
// NoSuchKey), since it may list the bucket with that key as prefix; else AccessDenied. Call it instead of Authorize.
func AuthorizeMissing(r *Request, in *Inputs) error {
	const op = "policy.AuthorizeMissing"
	if in.Policy.Decide(r) == Deny {
		return denied(op, r)
	}
	list := *r
	list.Action, list.Key = "s3:ListBucket", ""
	list.Values = func(key string) []string {
		if key == "s3:prefix" {
			return []string{r.Key}
		}
		if r.Values == nil {
			return nil
		}
		return r.Values(key)
	}
	if Authorize(&list, in) != nil {
		return denied(op, r)
	}
	return nil
}
