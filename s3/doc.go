// Package s3 is the S3 dialect: what requests, replies, errors and documents of buckets look like on the wire.
//
// Pure code: it parses bytes into values and writes values as bytes. It knows nothing of connections, stores
// or who may do what; packages s3/edge and s3/owner do, and share it.
//
// Start at Operations (the one list of what is served), Fault (errors) and ParseObject (headers of an object).
package s3
