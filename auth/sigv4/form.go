package sigv4

import "time"

// A Form is a POST form up to its file field.
type Form struct {
	Bucket   string            // of the request's path or host
	Fields   map[string]string // by lower-case name; without "file"
	Filename string            // of the file field: replaces ${filename} in every field
	Now      time.Time
}

// A Post is what a verified form allows.
type Post struct {
	Access   string // "" = anonymous: the form has no policy
	Min, Max int64  // of the file's length; Max -1 = no limit
}

// VerifyForm expands ${filename} in f's fields, checks the signature of the policy (V4, or V2 with
// AWSAccessKeyId) and that every field satisfies it. Permissions are not its business.
func (v *Verifier) VerifyForm(f *Form, s Secrets) (Post, error) {
	return Post{}, fault("sigv4.VerifyForm", codeAccessDenied, "not built yet")
}

// Check refuses a file of the wrong length: EntityTooSmall, EntityTooLarge.
func (p *Post) Check(size int64) error { return nil }

// TooLarge refuses a file that has grown past the limit already.
func (p *Post) TooLarge(size int64) error { return nil }
