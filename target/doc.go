// Package target serves the objects that this node owns: reads, writes, deletes, appends, metadata, copies
// and renames, on the public listener for clients and on the intra-cluster one for other nodes.
//
// Whether a request may be served here (owner, epoch, lease, bucket) is decided in admit.go, once before
// the work and again at the commit; what bytes and records do on disk is package store's. target knows no
// gateway: one that runs in the same process calls Target.Serve.
//
// A GET: routes.go -> admit.go -> read.go -> store. A PUT: routes.go -> admit.go -> write.go -> store.
// Start at New and (*Target).Serve.
package target
