package store

import (
	"context"

	"aistore/errs"
	"aistore/object"
)

// VersionQuery says which versions of a bucket to list.
type VersionQuery struct {
	Bucket       uint64
	Prefix       string
	After        string // keys up to and including it are left out; a common prefix here leaves out all keys below it
	AfterVersion string // with After: only the versions of After up to and including this one are left out; "null" is allowed
	Delimiter    string
	Limit        int // versions, delete markers and common prefixes; 0 = all
}

// ListVersions yields versions and delete markers ordered by key, within a key the newest first, until yield returns false. What
// List says of common prefixes, the Info and failed mountpaths holds here too. VersionID is never empty: what was written without
// versions is "null".
func (s *Store) ListVersions(ctx context.Context, q VersionQuery, yield func(*object.Info) bool) error {
	return errs.E("store.ListVersions", "", errs.Unsupported)
}
