// Package list makes pages of a bucket's names, in byte order, out of what every target holds.
//
// On a target, Local cuts a page from the store's ordered index; nothing is walked and no state is kept between
// pages. On a gateway, Lister asks each target in service for a little over its share of the page, merges, and asks
// again only the one whose names run out before the page is full. A page is exact or it fails: a target that cannot
// answer is an error (kind Unavailable), never a shorter page. Which properties clients see, and in which encoding,
// is package proxy's; finding names inside a target is package store's.
//
// Start at (*Lister).Page and (*Local).Page.
package list

import (
	"context"

	"aistore/cluster"
	"aistore/object"
)

// Fields are what a page tells of an object besides its name and version.
type Fields uint8

// The fields.
const (
	Size Fields = 1 << iota
	Checksum
	Created
	Custom
	ETag
	Extra            // what Local.Describe says
	State            // marks, and keys that have a mark and no object: see state.go
	allFields Fields = 1<<iota - 1
)

// MaxLimit bounds the entries of one page, and maxPageBytes its encoded size: a page also ends when it is
// that large, with More set.
const (
	MaxLimit     = 100_000
	maxPageBytes = 16 << 20

	maxReplyBytes = maxPageBytes + 1<<20 // with the entry that makes it so large
)

// MaxStale is how often a page is begun again because the cluster map changed meanwhile: with every target that has moved what it
// had, at the end of a rebalance in quick succession.
const MaxStale = 16

// Query asks one target for its next names.
type Query struct {
	Bucket    uint64 // id
	Epoch     uint64 // of the map that says who is asked; another one at the target is kind StaleMap
	Stage     uint64 // of the same map; as Epoch
	Prefix    string
	After     string // names strictly greater in byte order; see AfterDir
	Delimiter string // not empty: names are cut behind its first occurrence after the prefix and become one Dir entry
	Limit     int    // 1..MaxLimit
	Fields    Fields
}

// Entry is one name.
type Entry struct {
	Name     string
	Dir      bool // a group of names; only Name is set
	Version  object.Version
	Size     int64
	Created  int64  // unix nanoseconds
	Checksum string // hex; its type is the bucket's
	Custom   string // "k=v,k=v", sorted
	ETag     string
	Extra    string

	Mark uint64 // with State: the epoch in which the target took the key over, if that is not settled
	Gone bool   // with State: there is no object, the mark alone speaks
}

// After returns the Query.After that continues behind e.
func (e *Entry) After() string {
	if e.Dir {
		return AfterDir(e.Name)
	}
	return e.Name
}

// AfterDir is the Query.After that skips every name with the prefix dir. Keys are UTF-8 and so never hold the byte 0xff.
func AfterDir(dir string) string { return dir + "\xff" }

// Page is one target's answer.
type Page struct {
	Entries []Entry
	More    bool // the limit ended it: there may be names behind the last entry
}

// Fetcher asks one target.
type Fetcher interface {
	Fetch(ctx context.Context, n *cluster.Node, q *Query) (*Page, error)
}
