package store

import (
	"context"
	"io"
	"time"

	"aistore/cksum"
	"aistore/cluster"
	"aistore/errs"
	"aistore/object"
)

// PartOptions of a PutPart; the fields mean what they do in PutOptions. The MD5 is always computed: it is the part's ETag.
type PartOptions struct {
	Durability cluster.Durability
	Size       int64
	Expect     []cksum.Value
	Also       []cksum.Type // computed and kept with the part
	Finish     func(*Finish) error
	Guard      func() error
}

// PartInfo is what is known of a part, of an upload or of a completed object.
type PartInfo struct {
	Number   int
	Size     int64
	ETag     string        // MD5 in hex
	Sums     []cksum.Value // those kept with it
	Modified time.Time
}

// Sum returns the part's checksum of a type; false when it has none.
func (p *PartInfo) Sum(t cksum.Type) (cksum.Value, bool) {
	f := Finish{Sums: p.Sums}
	return f.Sum(t)
}

// PutPart stores part number (1 to MaxParts) of an upload; it replaces what was there under the number. The part is durable when
// PutPart returns. Kind NotFound when the upload is not under way.
func (s *Store) PutPart(ctx context.Context, n object.Name, id string, number int, r io.Reader, o PartOptions) (PartInfo, error) {
	return PartInfo{}, errs.E("store.PutPart", n, errs.Unsupported)
}

// ListParts returns up to limit parts (0 = all) of an upload under way whose numbers are above after, and whether there are more.
func (s *Store) ListParts(ctx context.Context, n object.Name, id string, after, limit int) (parts []PartInfo, more bool, err error) {
	return nil, false, errs.E("store.ListParts", n, errs.Unsupported)
}

// Parts returns the parts of which a version of n ("" = the current) was completed; nil when it was not uploaded in parts.
func (s *Store) Parts(n object.Name, versionID string) ([]PartInfo, error) {
	return nil, errs.E("store.Parts", n, errs.Unsupported)
}
