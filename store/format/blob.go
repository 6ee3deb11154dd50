package format

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"os"

	"aistore/cksum"
	"aistore/errs"
)

// A blob is an immutable file: header, content, checksums of the content's blocks, the record it was
// written for, trailer. docs/format/blob.md draws it.
const (
	BlobHeaderSize  = 4096 // the content starts on a page
	blobTrailerSize = 68
	blobMagic       = "AISBLOB1"
	footMagic       = "AISFOOT1"
	CrcsPerPage     = 1023 // and one for the page: 4 KiB

	MinBlockSize = 4 << 10
	MaxBlockSize = 1 << 20
)

// BlobID names a blob within its mountpath; never reused. The first eight bytes count upwards, so blobs
// written together share a directory and its sync.
type BlobID [16]byte

// String returns the id in hex, the name of the blob's file.
func (id BlobID) String() string { return hex.EncodeToString(id[:]) }

// Dir is the directory below blobs/ that holds the blob: bits 8 to 15 of the count.
func (id BlobID) Dir() string { return "blobs/" + hex.EncodeToString(id[6:7]) }

// Path is the blob's file within the mountpath.
func (id BlobID) Path() string { return id.Dir() + "/" + id.String() }

// ParseBlobID is the inverse of String.
func ParseBlobID(s string) (id BlobID, ok bool) {
	n, err := hex.Decode(id[:], []byte(s[:min(len(s), 2*len(id))]))
	return id, err == nil && n == len(id) && len(s) == 2*len(id)
}

// NewBlobID makes an id from a count that grows with every blob of the mountpath.
func NewBlobID(count uint64) (id BlobID) {
	binary.BigEndian.PutUint64(id[:], count)
	_, _ = rand.Read(id[8:]) // never fails (crypto/rand)
	return id
}

// AppendBlobHeader adds the first page of a blob.
func AppendBlobHeader(b []byte, id BlobID, blockSize int64) []byte {
	start := len(b)
	b = append(b, blobMagic...)
	b = append(b, id[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(blockSize))
	b = binary.LittleEndian.AppendUint32(b, BlobHeaderSize)
	b = binary.LittleEndian.AppendUint32(b, cksum.Block(b[start:]))
	return append(b, make([]byte, BlobHeaderSize-(len(b)-start))...)
}

// BlockCRC returns the i-th of packed checksums.
func BlockCRC(crcs []byte, i int64) uint32 { return binary.LittleEndian.Uint32(crcs[4*i:]) }

// TableCRC is the checksum of a page of block checksums, bound to its place.
func TableCRC(id BlobID, page int64, crcs []byte) uint32 {
	var head [24]byte
	copy(head[:], id[:])
	binary.LittleEndian.PutUint64(head[16:], uint64(page))
	return cksum.BlockUpdate(cksum.Block(head[:]), crcs)
}

// TableSize is the length of the checksum table of n blocks.
func TableSize(n int64) int64 { return 4*n + 4*((n+CrcsPerPage-1)/CrcsPerPage) }

// BlocksOf is the number of blocks of a content; the last may be short.
func BlocksOf(length, blockSize int64) int64 { return (length + blockSize - 1) / blockSize }

// Foot is what a blob's footer says.
type Foot struct {
	ID        BlobID
	Length    int64 // of the content
	BlockSize int64
	Key       string
	Record    []byte // encoded
}

// AppendFooter adds everything that follows the content.
func AppendFooter(b []byte, f *Foot, crcs []byte) []byte {
	tableAt := BlobHeaderSize + f.Length
	for page := int64(0); len(crcs) > 0; page++ {
		n := min(len(crcs), 4*CrcsPerPage)
		b = append(b, crcs[:n]...)
		b = binary.LittleEndian.AppendUint32(b, TableCRC(f.ID, page, crcs[:n]))
		crcs = crcs[n:]
	}
	metaAt := tableAt + TableSize(BlocksOf(f.Length, f.BlockSize))
	start := len(b)
	b = appendBytes(b, []byte(f.Key))
	b = append(b, f.Record...)
	meta := b[start:]
	start = len(b)
	b = append(b, footMagic...)
	b = append(b, f.ID[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(f.Length))
	b = binary.LittleEndian.AppendUint32(b, uint32(f.BlockSize))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(meta)))
	b = binary.LittleEndian.AppendUint64(b, uint64(tableAt))
	b = binary.LittleEndian.AppendUint64(b, uint64(metaAt))
	b = binary.LittleEndian.AppendUint32(b, cksum.Block(meta))
	b = binary.LittleEndian.AppendUint32(b, 0) // reserved
	return binary.LittleEndian.AppendUint32(b, cksum.Block(b[start:]))
}

// trailer is the fixed end of a blob.
type trailer struct {
	Foot
	metaAt, metaLen int64
	metaCRC         uint32
}

func decodeTrailer(b []byte, fileSize int64) (t trailer, err error) {
	const op = "format.trailer"
	if len(b) != blobTrailerSize || string(b[:8]) != footMagic ||
		cksum.Block(b[:blobTrailerSize-4]) != binary.LittleEndian.Uint32(b[blobTrailerSize-4:]) {
		return t, errs.E(op, "", errs.Corrupt, "the blob's trailer is damaged")
	}
	d := decoder{b: b[8:]}
	copy(t.ID[:], d.take(16))
	t.Length = int64(d.u64())
	t.BlockSize = int64(d.u32())
	t.metaLen = int64(d.u32())
	tableAt := int64(d.u64())
	t.metaAt = int64(d.u64())
	t.metaCRC = d.u32()
	if t.Length < 0 || t.Length > math.MaxInt64/2 || t.BlockSize < MinBlockSize || t.BlockSize > MaxBlockSize ||
		tableAt != BlobHeaderSize+t.Length || t.metaAt != tableAt+TableSize(BlocksOf(t.Length, t.BlockSize)) ||
		t.metaAt+t.metaLen+blobTrailerSize != fileSize {
		return t, errs.E(op, "", errs.Corrupt, "the blob's trailer contradicts the file")
	}
	return t, nil
}

// statReader is an open file.
type statReader interface {
	io.ReaderAt
	Stat() (os.FileInfo, error)
}

// ReadFoot reads and checks the footer of an open blob.
func ReadFoot(f statReader) (*Foot, error) {
	const op = "format.ReadFoot"
	fi, err := f.Stat()
	if err != nil {
		return nil, errs.E(op, "", err)
	}
	if fi.Size() < BlobHeaderSize+blobTrailerSize {
		return nil, errs.F(op, "", errs.Corrupt, "the blob has only %d bytes", fi.Size())
	}
	b := make([]byte, blobTrailerSize)
	if err := ReadFull(f, b, fi.Size()-blobTrailerSize); err != nil {
		return nil, errs.E(op, "", err)
	}
	t, err := decodeTrailer(b, fi.Size())
	if err != nil {
		return nil, err
	}
	meta := make([]byte, t.metaLen)
	if err := ReadFull(f, meta, t.metaAt); err != nil {
		return nil, errs.E(op, "", err)
	}
	d := decoder{b: meta}
	key := d.bytes()
	if d.bad || cksum.Block(meta) != t.metaCRC {
		return nil, errs.E(op, "", errs.Corrupt, "the blob's footer is damaged")
	}
	t.Key, t.Record = string(key), d.b
	return &t.Foot, nil
}

// ReadFull reads all of b at off; a file that ends before is corrupt.
func ReadFull(f io.ReaderAt, b []byte, off int64) error {
	n, err := f.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return errs.F("format.ReadFull", "", errs.Corrupt, "the blob ends %d bytes too early", len(b)-n)
	}
	return err
}
