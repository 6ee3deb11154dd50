package store

import (
	"context"
	"time"

	"aistore/cksum"
	"aistore/cluster"
	"aistore/errs"
	"aistore/object"
)

// MaxParts is the greatest number of a part.
const MaxParts = 10_000

// UploadOptions of a CreateUpload. The metadata is that of the object to be, unless CompleteUpload says otherwise.
type UploadOptions struct {
	Custom, System, Tags map[string]string
	Guard                func() error
}

// Upload is a multipart upload under way.
type Upload struct {
	Key                  string
	ID                   string // 32 hex digits
	Initiated            time.Time
	Custom, System, Tags map[string]string
}

// UploadQuery says which uploads of a bucket to list.
type UploadQuery struct {
	Bucket    uint64
	Prefix    string
	After     string // keys up to and including it are left out; a common prefix here leaves out all keys below it
	AfterID   string // with After: only the uploads of After up to and including this one are left out
	Delimiter string
	Limit     int // uploads and common prefixes; 0 = all
}

// CompletePart names a part as the client knows it.
type CompletePart struct {
	Number int
	ETag   string        // without quotes; "" = not compared
	Sums   []cksum.Value // compared with the part's; one that the part has not got is a fault
}

// CompleteOptions of a CompleteUpload. Checksum, Expect, Size and Also of PutOptions mean nothing here: no byte is read. Metadata
// that is nil is the upload's; ETag "" is the MD5 of the parts' MD5s and their number.
type CompleteOptions struct {
	PutOptions
	MinPart int64 // bytes that every part but the last must have
}

// PartFault is why an upload could not be completed, inside an error of kind Invalid; errors.As finds it.
type PartFault struct {
	Number int
	Why    PartFaultKind
	Size   int64 // of the part, for PartSmall
}

// PartFaultKind says what is wrong with a part.
type PartFaultKind uint8

// What can be wrong with a part.
const (
	PartMissing PartFaultKind = iota // no such part, or another ETag
	PartOrder                        // numbers do not grow
	PartSmall                        // below the least size
	PartSum                          // another checksum
	PartNone                         // no part is named
)

// Error says it in words.
func (f *PartFault) Error() string { return "" }

// CreateUpload begins a multipart upload of n, durably.
func (s *Store) CreateUpload(ctx context.Context, n object.Name, o UploadOptions) (Upload, error) {
	return Upload{}, errs.E("store.CreateUpload", n, errs.Unsupported)
}

// Upload describes an upload under way; kind NotFound when it was completed, aborted, swept or never begun.
func (s *Store) Upload(n object.Name, id string) (Upload, error) {
	return Upload{}, errs.E("store.Upload", n, errs.Unsupported)
}

// ListUploads yields the uploads under way by key, then by when they began, until yield returns false. A common prefix comes as an
// Upload that has only a Key.
func (s *Store) ListUploads(ctx context.Context, q UploadQuery, yield func(*Upload) bool) error {
	return errs.E("store.ListUploads", "", errs.Unsupported)
}

// CompleteUpload makes the parts named the content of n without copying a byte, and removes the others. Repeated after success it
// returns the same Info, as long as the upload is remembered (SweepUploads).
func (s *Store) CompleteUpload(ctx context.Context, n object.Name, id string, parts []CompletePart, o CompleteOptions) (object.Info, error) {
	return object.Info{}, errs.E("store.CompleteUpload", n, errs.Unsupported)
}

// AbortUpload gives an upload up and removes its parts; kind NotFound when it is not under way.
func (s *Store) AbortUpload(ctx context.Context, n object.Name, id string) error {
	return errs.E("store.AbortUpload", n, errs.Unsupported)
}

// SweepUploads aborts the uploads that began before then and forgets those completed before then; it returns how many were aborted.
func (s *Store) SweepUploads(ctx context.Context, before time.Time) (int, error) {
	return 0, errs.E("store.SweepUploads", "", errs.Unsupported)
}

var _ cluster.Durability
