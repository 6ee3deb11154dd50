// Package edge is S3 on any node: it finds out who asks, answers about buckets, lists, many keys and forms itself, and
// hands requests about one key to the key's owner, in this process or over the intra-cluster listener.
//
// It never looks into an object and stores nothing: what a bucket is configured to lies in the cluster's view, names come
// from package list. What a caller may do with an object is package owner's to decide, how requests and replies
// look is package s3's.
//
// A GET: routes.go -> authenticate.go -> key.go -> the owner. A list: routes.go -> authenticate.go -> bucket.go -> list.go.
// Start at New and (*Edge).Routes.
package edge
