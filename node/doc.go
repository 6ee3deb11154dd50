// Package node is what a gateway and a target have in common: the two listeners and their route table, the
// view and the lease, the resolution of requests to buckets and owners, signed redirects, health, metrics,
// logs and the queries about one node.
//
// It neither routes object requests (package proxy) nor serves them (package target).
//
// Start at New and (*Node).Run; a request passes (*Node).ResolveObject.
package node
