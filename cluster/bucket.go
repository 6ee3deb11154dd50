package cluster

import (
	"errors"
	"sort"
	"strings"
	"time"

	"aistore/cksum"
	"aistore/errs"
)

// Durability says what an acknowledged write survives. Every reply to a PUT names it.
type Durability string

// The classes. Volatile survives a crash of the process (page cache), Local a power loss (synced on one disk).
const (
	Volatile Durability = "volatile"
	Local    Durability = "local"
)

// BucketProps are the settings of a bucket that its owner may change.
type BucketProps struct {
	Checksum      cksum.Type `json:"checksum"`              // of whole objects
	Durability    Durability `json:"durability"`            // class of every acknowledged write
	ValidateOnGet bool       `json:"validate_on_get"`       // also recompute the whole-object checksum on full reads (blocks are always verified)
	StaleReads    bool       `json:"stale_reads,omitempty"` // objects may be read where they were last known to be when no primary answers: what others have written since may be missing
	S3            S3Props    `json:"s3,omitzero"`
}

// DefaultBucketProps returns what a bucket has that is created without properties.
func DefaultBucketProps() BucketProps {
	return BucketProps{Checksum: cksum.XXHash, Durability: Local}
}

// Validate names every wrong field.
func (p BucketProps) Validate() error {
	const op = "cluster.BucketProps"
	if !p.Checksum.Valid() {
		return errs.F(op, "checksum.type", errs.Invalid, "%v is unknown", p.Checksum)
	}
	if p.Durability != Volatile && p.Durability != Local {
		return errs.F(op, "durability", errs.Invalid, "%q is unknown: use volatile or local", p.Durability)
	}
	return p.S3.Validate()
}

// ErrRanOut is in the error of a lease that a node had, and that nothing but time took away: no primary has answered it since. It may still read
// for buckets with StaleReads.
var ErrRanOut = errors.New("ran out")

// Bucket is one bucket. Immutable once published in a View.
type Bucket struct {
	ID        uint64      `json:"id"` // never reused, also not after the bucket is destroyed
	Name      string      `json:"name"`
	Namespace string      `json:"namespace,omitempty"` // "" is the global namespace
	Seed      uint64      `json:"seed"`                // placement seed; renaming keeps it, so nothing moves
	Created   time.Time   `json:"created"`
	Owner     string      `json:"owner,omitempty"` // id of a user; "" = nobody's: made by a client that does not say who it is
	Props     BucketProps `json:"props"`
	Version   uint64      `json:"version"` // of the bucket map when this bucket last changed
}

// Key returns the bucket's key in BucketMap.Buckets.
func (b *Bucket) Key() string { return BucketKey(b.Namespace, b.Name) }

// Sealed reports whether the bucket takes no writes at the time, because it is about to go.
func (b *Bucket) Sealed(at time.Time) bool { return at.Unix() < b.Props.S3.Sealed }

// String returns the name that users see: "ais://name" or "ais://#ns/name".
func (b *Bucket) String() string { return BucketURI(b.Namespace, b.Name) }

// BucketKey is the key of a name in BucketMap.Buckets.
func BucketKey(namespace, name string) string { return "#" + namespace + "/" + name }

// BucketURI is how users and error messages write a bucket.
func BucketURI(namespace, name string) string {
	if namespace == "" {
		return "ais://" + name
	}
	return "ais://#" + namespace + "/" + name
}

// CheckBucketName accepts 3 to 63 of [a-z0-9.-] for new names as S3 does, and also upper case and '_' as
// AIStore does, 1 to 64 (S3 clients reach those of 3 and more). Names that the public port needs are refused.
func CheckBucketName(name string) error {
	const op = "cluster.CheckBucketName"
	if name == "" || len(name) > 64 {
		return errs.F(op, "bucket name", errs.Invalid, "%q has %d characters: use 1 to 64", name, len(name))
	}
	for i := range len(name) {
		c := name[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && (c != '.' && c != '-' && c != '_' || i == 0) {
			return errs.F(op, "bucket name", errs.Invalid, "%q: use letters, digits, and after the first character also '.', '-', '_'", name)
		}
	}
	if strings.Contains(name, "..") {
		return errs.F(op, "bucket name", errs.Invalid, "%q contains two dots in a row", name)
	}
	switch name {
	case "v1", "s3", "ui", "ais", "metrics", "health":
		return errs.F(op, "bucket name", errs.Invalid, "%q is reserved", name)
	}
	return nil
}

// BucketMap holds every bucket (AIStore: BMD). Immutable once published in a View.
type BucketMap struct {
	Version uint64             `json:"version"`
	NextID  uint64             `json:"next_id"` // ids below were given out, whether or not the bucket still exists
	Buckets map[string]*Bucket `json:"buckets"` // by BucketKey
}

// Get returns the bucket or nil.
func (m *BucketMap) Get(namespace, name string) *Bucket { return m.Buckets[BucketKey(namespace, name)] }

// List returns all buckets ordered by name.
func (m *BucketMap) List() []*Bucket {
	bs := make([]*Bucket, 0, len(m.Buckets))
	for _, b := range m.Buckets {
		bs = append(bs, b)
	}
	sort.Slice(bs, func(i, j int) bool { return bs[i].Key() < bs[j].Key() })
	return bs
}
