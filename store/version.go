package store

import (
	"aistore/cksum"
	"aistore/errs"
	"aistore/object"
)

// Versioning says what becomes of the state that a write or delete replaces.
type Versioning uint8

// The states of a bucket.
const (
	Unversioned Versioning = iota // it goes
	Versioned                     // it stays as an older version
	Suspended                     // the write becomes the null version and replaces the former null version; other versions stay
)

// Finish is what a write knows when its content is whole and nothing is sealed yet.
type Finish struct {
	Size  int64
	Sums  []cksum.Value // of the types asked for by Checksum, Also and Expect
	Parts []PartInfo    // of CompleteUpload, in order

	// These may be set; they begin as in PutOptions.
	ETag                 string
	Custom, System, Tags map[string]string
}

// Sum returns the checksum of a type; false when it was not asked for.
func (f *Finish) Sum(t cksum.Type) (cksum.Value, bool) {
	for _, v := range f.Sums {
		if v.Type == t {
			return v, true
		}
	}
	return cksum.Value{}, false
}

// StatVersion describes a version of n, "" = the current one. Delete markers are told of (Info.DeleteMarker), not hidden; kind
// NotFound when there is no such version.
func (s *Store) StatVersion(n object.Name, versionID string) (info object.Info, err error) {
	return info, errs.E("store.StatVersion", n, errs.Unsupported)
}

// OpenVersion opens a version of n, "" = the current one. A delete marker opens as an object without content: look at
// Info().DeleteMarker. Close it.
func (s *Store) OpenVersion(n object.Name, versionID string) (*Object, error) {
	return nil, errs.E("store.OpenVersion", n, errs.Unsupported)
}

// Empty reports whether a bucket has nothing here: no object, version or delete marker. Open uploads do not count.
func (s *Store) Empty(bucket uint64) (bool, error) {
	return false, errs.E("store.Empty", "", errs.Unsupported)
}
