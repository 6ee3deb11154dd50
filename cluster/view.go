package cluster

// View is everything a request needs to know about the cluster, frozen. Views are ordered by Index.
type View struct {
	Index   uint64     `json:"index"` // position in the replicated log: grows with any change
	Map     *Map       `json:"map"`
	Buckets *BucketMap `json:"buckets"`
	Config  *Config    `json:"config"`
	Users   *UserMap   `json:"users,omitempty"` // with their secrets: every node verifies signatures
	Secret  []byte     `json:"secret"`          // signs redirects between nodes; never leaves the cluster

	byID  map[uint64]*Bucket // built by Freeze
	place placement          // built by Freeze

	former []formerPlacement // built by Freeze
}

// Freeze builds the lookup tables. Call it once, before the View is shared.
func (v *View) Freeze() *View {
	v.byID = make(map[uint64]*Bucket, len(v.Buckets.Buckets))
	for _, b := range v.Buckets.Buckets {
		v.byID[b.ID] = b
	}
	v.place = newPlacement(v.Map.Targets())
	v.former = newFormer(v.Map.Former)
	if v.Users == nil {
		v.Users = newUserMap()
	}
	v.Users.freeze()
	return v
}

// Public returns v without anything secret: what a client may see, and needs to find owners by itself.
func (v *View) Public() *View {
	open := *v
	open.Secret, open.Users = nil, nil
	return &open
}

// BucketByID returns the bucket or nil if it is gone.
func (v *View) BucketByID(id uint64) *Bucket { return v.byID[id] }

// Owner returns the target that owns key in b, or nil when no target is in service.
func (v *View) Owner(b *Bucket, key string) *Node { return v.place.owner(Digest(b.Seed, key)) }

// Ranked returns the first n of the score order, no two in one zone while zones allow; index 0 is the owner.
func (v *View) Ranked(b *Bucket, key string, n int) []*Node {
	return v.place.ranked(Digest(b.Seed, key), n)
}
