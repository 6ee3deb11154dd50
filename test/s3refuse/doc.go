// Package s3refuse holds a test that is made from the table of S3 operations: every one of them, asked by somebody who may
// not ask, is refused and changes nothing.
package s3refuse
