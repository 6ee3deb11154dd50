// Package policy decides what a caller may do: by role, bucket policy, ACLs, public access block and object
// ownership, in the order that AWS documents.
//
// It is pure: documents are parsed by Parse, ParseACL and the like and are then immutable; what a request is about
// comes as values. It does not know who the caller is (package auth/sigv4) nor where documents are kept.
//
// Start at Authorize.
// Sources: "Policies and Permissions in Amazon S3", "Access control list (ACL) overview", "Blocking public
// access to your Amazon S3 storage" and "Controlling ownership of objects" of the Amazon S3 user guide; "IAM JSON policy
// elements reference" of the IAM user guide.
package policy
