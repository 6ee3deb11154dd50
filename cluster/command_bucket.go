package cluster

import (
	"aistore/errs"
)

// MaxBuckets bounds the bucket map, which every node holds and receives whole.
const MaxBuckets = 100_000

// CreateBucket makes a bucket; the zero Props are the defaults.
type CreateBucket struct {
	Namespace string      `json:"namespace,omitempty"`
	Name      string      `json:"name"`
	Props     BucketProps `json:"props"`
	Owner     string      `json:"owner,omitempty"` // id of a user
}

// DestroyBucket removes a bucket with all it holds.
type DestroyBucket struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	ID        uint64 `json:"id,omitempty"` // if not 0 the bucket must have it: nothing younger of the same name is destroyed
}

// RenameBucket gives a bucket another name. Its id and placement seed stay, so nothing moves.
type RenameBucket struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	To        string `json:"to"` // in the same namespace
	ID        uint64 `json:"id,omitempty"`
}

// SetBucketProps replaces the properties of a bucket.
type SetBucketProps struct {
	Namespace string      `json:"namespace,omitempty"`
	Name      string      `json:"name"`
	Props     BucketProps `json:"props"`
	Version   uint64      `json:"version,omitempty"` // if not 0, the Bucket.Version that Props were derived from
}

// SetConfig changes settings, named by their dotted keys, all or none.
type SetConfig struct {
	Set map[string]string `json:"set"`
}

// Op implements Command.
func (CreateBucket) Op() string { return "create-bucket" }

// Op implements Command.
func (DestroyBucket) Op() string { return "destroy-bucket" }

// Op implements Command.
func (RenameBucket) Op() string { return "rename-bucket" }

// Op implements Command.
func (SetBucketProps) Op() string { return "set-bucket-props" }

// Op implements Command.
func (SetConfig) Op() string { return "set-config" }

func (b CreateBucket) apply(c *change) error {
	const op = "cluster.CreateBucket"
	if err := CheckBucketName(b.Name); err != nil {
		return err
	}
	if err := CheckNamespace(b.Namespace); err != nil {
		return err
	}
	if b.Props == (BucketProps{}) {
		b.Props = DefaultBucketProps()
	}
	if err := b.Props.Validate(); err != nil {
		return err
	}
	if c.Buckets.Get(b.Namespace, b.Name) != nil {
		return errs.E(op, BucketURI(b.Namespace, b.Name), errs.Exists, "the bucket already exists")
	}
	if err := c.checkOwner(op, b.Owner); err != nil {
		return err
	}
	if len(c.Buckets.Buckets) >= MaxBuckets {
		return errs.F(op, BucketURI(b.Namespace, b.Name), errs.Conflict, "the cluster has %d buckets, which is the limit", MaxBuckets)
	}
	if len(c.Buckets.Buckets) == 0 {
		c.takeStandbysIn()
	}
	m := c.editBuckets()
	nb := &Bucket{
		ID: m.NextID, Name: b.Name, Namespace: b.Namespace, Seed: Mix(NodeDigest(c.Map.UUID), m.NextID),
		Created: c.now, Owner: b.Owner, Props: b.Props, Version: m.Version,
	}
	m.NextID++
	m.Buckets[nb.Key()] = nb
	c.result.Bucket = nb
	return c.fits(op, nb, nil)
}

// takeStandbysIn puts live standby targets in service while there is no bucket, hence nothing to move.
func (c *change) takeStandbysIn() {
	for _, n := range c.Map.All() {
		if n.State == Standby && n.Alive && !n.Manual {
			c.editNode(n.ID).State = Online
		}
	}
}

// CheckNamespace accepts "" and 1 to 32 letters, digits, '-' and '_'.
func CheckNamespace(ns string) error {
	const op = "cluster.CheckNamespace"
	if len(ns) > 32 {
		return errs.F(op, "namespace", errs.Invalid, "%q has %d characters: use at most 32", ns, len(ns))
	}
	for _, r := range ns {
		if r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return errs.F(op, "namespace", errs.Invalid, "%q: use letters, digits, '-' and '_'", ns)
		}
	}
	return nil
}

// bucket returns the named bucket, which must have the id unless that is 0.
func (c *change) bucket(op, ns, name string, id uint64) (*Bucket, error) {
	b := c.Buckets.Get(ns, name)
	if b == nil || id != 0 && b.ID != id {
		return nil, errs.E(op, BucketURI(ns, name), errs.NoBucket, "the bucket does not exist")
	}
	return b, nil
}

func (d DestroyBucket) apply(c *change) error {
	b, err := c.bucket("cluster.DestroyBucket", d.Namespace, d.Name, d.ID)
	if err != nil {
		return err
	}
	delete(c.editBuckets().Buckets, b.Key())
	c.result.Bucket = b
	return nil
}

func (r RenameBucket) apply(c *change) error {
	const op = "cluster.RenameBucket"
	b, err := c.bucket(op, r.Namespace, r.Name, r.ID)
	if err != nil {
		return err
	}
	if err := CheckBucketName(r.To); err != nil {
		return err
	}
	if c.Buckets.Get(r.Namespace, r.To) != nil {
		return errs.E(op, BucketURI(r.Namespace, r.To), errs.Exists, "the bucket already exists")
	}
	m := c.editBuckets()
	delete(m.Buckets, b.Key())
	nb := *b
	nb.Name, nb.Version = r.To, m.Version
	m.Buckets[nb.Key()] = &nb
	c.result.Bucket = &nb
	return nil
}

func (s SetBucketProps) apply(c *change) error {
	const op = "cluster.SetBucketProps"
	b, err := c.bucket(op, s.Namespace, s.Name, 0)
	if err != nil {
		return err
	}
	if err := s.Props.Validate(); err != nil {
		return err
	}
	if s.Version != 0 && s.Version != b.Version {
		return errs.E(op, b, errs.Conflict, "the properties were changed by someone else meanwhile: read them again")
	}
	c.result.Bucket = b
	if s.Props == b.Props {
		return nil
	}
	m := c.editBuckets()
	nb := *b
	nb.Props, nb.Version = s.Props, m.Version
	m.Buckets[nb.Key()] = &nb
	c.result.Bucket = &nb
	return c.fits(op, &nb, b)
}

func (s SetConfig) apply(c *change) error {
	cfg, err := c.Config.With(s.Set)
	if err != nil {
		return err
	}
	if *cfg == *c.Config {
		return nil
	}
	if cfg.Timeout.Lease != c.Config.Timeout.Lease {
		c.FormerLease, c.LeaseSince = max(c.Config.Timeout.Lease, Duration(c.LongestLease(c.now))), c.now
	}
	cfg.Version++
	c.Config, c.changed = cfg, true
	return nil
}
