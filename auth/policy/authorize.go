package policy

// Authorize returns nil if r is allowed, else a *Fault (AccessDenied) within an error of kind Forbidden.
func Authorize(r *Request, in *Inputs) error { return denied("policy.Authorize", r) }

// AuthorizeMissing decides about an object that turned out not to exist: nil if the caller may learn so (answer
// NoSuchKey), since it may list the bucket with that key as prefix; else AccessDenied. Call it instead of Authorize.
func AuthorizeMissing(r *Request, in *Inputs) error { return denied("policy.AuthorizeMissing", r) }
