package target

import (
	"context"

	"aistore/object"
	"aistore/store"
)

// Objects is what jobs and lists do to this target's objects; each call checks what a client's request would.
type Objects struct{ t *Target }

// Objects returns the target's objects for packages xact and list.
func (t *Target) Objects() Objects { return Objects{t} }

// Names yields the names of a bucket in byte order (list.Names).
func (o Objects) Names(ctx context.Context, bucket uint64, prefix, after string, yield func(*object.Info) bool) error {
	return o.t.store.List(ctx, store.ListQuery{Bucket: bucket, Prefix: prefix, After: after}, yield)
}

// Lane tells which of the node's mountpaths holds a name, and how many there are.
func (o Objects) Lane(n object.Name) (lane, lanes int) { return o.t.store.Lane(n) }
