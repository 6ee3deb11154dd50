package edge

import (
	"context"

	"aistore/auth/sigv4"
	"aistore/cluster"
	"aistore/httpx"
	"aistore/list"
	"aistore/node"
	"aistore/s3"
)

// Control is what the edge asks of the control plane.
type Control interface {
	Latest(ctx context.Context) (*cluster.View, error)
	Propose(ctx context.Context, cmd cluster.Command) (cluster.Result, error)
	Lease() error
}

// Owner serves in this process what this node owns. *owner.Owner is the one real one.
type Owner interface {
	// Serve answers a request about one key. o was resolved by the caller; an error of kind WrongOwner or StaleMap says that
	// nothing was done, because another node owns the key now.
	Serve(c *httpx.Ctx, o node.Object, caller *s3.Caller) error
	// DeleteMany deletes what it may of the items, all of which this node owns, and returns one line each in their order. An
	// error is about all of them.
	DeleteMany(ctx context.Context, v *cluster.View, b *cluster.Bucket, caller *s3.Caller, items []s3.DeleteItem) ([]s3.Deleted, error)
}

// Config of an Edge.
type Config struct {
	Node     *node.Node
	Control  Control
	Verifier *sigv4.Verifier
	Owner    Owner       // nil on a gateway
	Lists    *list.Local // nil on a gateway
	Domains  []string    // of virtual-host style: requests to BUCKET.DOMAIN
}
