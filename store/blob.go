package store

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math"

	"aistore/cksum"
	"aistore/errs"
	"aistore/fs"
)

// A blob is an immutable file: header, content, checksums of the content's blocks, the record it was
// written for, trailer. docs/format/blob.md draws it.
const (
	blobHeaderSize  = 4096 // the content starts on a page
	blobTrailerSize = 68
	blobMagic       = "AISBLOB1"
	footMagic       = "AISFOOT1"
	crcsPerPage     = 1023 // and one for the page: 4 KiB

	minBlockSize = 4 << 10
	maxBlockSize = 1 << 20
)

// blobID names a blob within its mountpath; never reused. The first eight bytes count upwards, so blobs
// written together share a directory and its sync.
type blobID [16]byte

func (id blobID) String() string { return hex.EncodeToString(id[:]) }

// dir is the directory below blobs/ that holds the blob: bits 8 to 15 of the count.
func (id blobID) dir() string  { return "blobs/" + hex.EncodeToString(id[6:7]) }
func (id blobID) path() string { return id.dir() + "/" + id.String() }

func parseBlobID(s string) (id blobID, ok bool) {
	n, err := hex.Decode(id[:], []byte(s[:min(len(s), 2*len(id))]))
	return id, err == nil && n == len(id) && len(s) == 2*len(id)
}

func newBlobID(count uint64) (id blobID) {
	binary.BigEndian.PutUint64(id[:], count)
	_, _ = rand.Read(id[8:]) // never fails (crypto/rand)
	return id
}

// appendBlobHeader adds the first page of a blob.
func appendBlobHeader(b []byte, id blobID, blockSize int64) []byte {
	start := len(b)
	b = append(b, blobMagic...)
	b = append(b, id[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(blockSize))
	b = binary.LittleEndian.AppendUint32(b, blobHeaderSize)
	b = binary.LittleEndian.AppendUint32(b, cksum.Block(b[start:]))
	return append(b, make([]byte, blobHeaderSize-(len(b)-start))...)
}

// blockCRC returns the i-th of packed checksums.
func blockCRC(crcs []byte, i int64) uint32 { return binary.LittleEndian.Uint32(crcs[4*i:]) }

// crcPage is the checksum of a page of block checksums, bound to its place.
func crcPage(id blobID, page int64, crcs []byte) uint32 {
	var head [24]byte
	copy(head[:], id[:])
	binary.LittleEndian.PutUint64(head[16:], uint64(page))
	return cksum.BlockUpdate(cksum.Block(head[:]), crcs)
}

// tableSize is the length of the checksum table of n blocks.
func tableSize(n int64) int64 { return 4*n + 4*((n+crcsPerPage-1)/crcsPerPage) }

func blocksOf(length, blockSize int64) int64 { return (length + blockSize - 1) / blockSize }

// foot is what a blob's footer says.
type foot struct {
	id        blobID
	length    int64 // of the content
	blockSize int64
	key       string
	record    []byte // encoded
}

// appendFooter adds everything that follows the content.
func appendFooter(b []byte, f *foot, crcs []byte) []byte {
	tableAt := blobHeaderSize + f.length
	for page := int64(0); len(crcs) > 0; page++ {
		n := min(len(crcs), 4*crcsPerPage)
		b = append(b, crcs[:n]...)
		b = binary.LittleEndian.AppendUint32(b, crcPage(f.id, page, crcs[:n]))
		crcs = crcs[n:]
	}
	metaAt := tableAt + tableSize(blocksOf(f.length, f.blockSize))
	start := len(b)
	b = appendBytes(b, []byte(f.key))
	b = append(b, f.record...)
	meta := b[start:]
	start = len(b)
	b = append(b, footMagic...)
	b = append(b, f.id[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(f.length))
	b = binary.LittleEndian.AppendUint32(b, uint32(f.blockSize))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(meta)))
	b = binary.LittleEndian.AppendUint64(b, uint64(tableAt))
	b = binary.LittleEndian.AppendUint64(b, uint64(metaAt))
	b = binary.LittleEndian.AppendUint32(b, cksum.Block(meta))
	b = binary.LittleEndian.AppendUint32(b, 0) // reserved
	return binary.LittleEndian.AppendUint32(b, cksum.Block(b[start:]))
}

// trailer is the fixed end of a blob.
type trailer struct {
	foot
	metaAt, metaLen int64
	metaCRC         uint32
}

func decodeTrailer(b []byte, fileSize int64) (t trailer, err error) {
	const op = "store.decodeTrailer"
	if len(b) != blobTrailerSize || string(b[:8]) != footMagic ||
		cksum.Block(b[:blobTrailerSize-4]) != binary.LittleEndian.Uint32(b[blobTrailerSize-4:]) {
		return t, errs.E(op, "", errs.Corrupt, "the blob's trailer is damaged")
	}
	d := decoder{b: b[8:]}
	copy(t.id[:], d.take(16))
	t.length = int64(d.u64())
	t.blockSize = int64(d.u32())
	t.metaLen = int64(d.u32())
	tableAt := int64(d.u64())
	t.metaAt = int64(d.u64())
	t.metaCRC = d.u32()
	if t.length < 0 || t.length > math.MaxInt64/2 || t.blockSize < minBlockSize || t.blockSize > maxBlockSize ||
		tableAt != blobHeaderSize+t.length || t.metaAt != tableAt+tableSize(blocksOf(t.length, t.blockSize)) ||
		t.metaAt+t.metaLen+blobTrailerSize != fileSize {
		return t, errs.E(op, "", errs.Corrupt, "the blob's trailer contradicts the file")
	}
	return t, nil
}

// readFoot reads and checks the footer of an open blob.
func readFoot(f fs.File) (*foot, error) {
	const op = "store.readFoot"
	fi, err := f.Stat()
	if err != nil {
		return nil, errs.E(op, "", err)
	}
	if fi.Size() < blobHeaderSize+blobTrailerSize {
		return nil, errs.F(op, "", errs.Corrupt, "the blob has only %d bytes", fi.Size())
	}
	b := make([]byte, blobTrailerSize)
	if err := readFull(f, b, fi.Size()-blobTrailerSize); err != nil {
		return nil, errs.E(op, "", err)
	}
	t, err := decodeTrailer(b, fi.Size())
	if err != nil {
		return nil, err
	}
	meta := make([]byte, t.metaLen)
	if err := readFull(f, meta, t.metaAt); err != nil {
		return nil, errs.E(op, "", err)
	}
	d := decoder{b: meta}
	key := d.bytes()
	if d.bad || cksum.Block(meta) != t.metaCRC {
		return nil, errs.E(op, "", errs.Corrupt, "the blob's footer is damaged")
	}
	t.key, t.record = string(key), d.b
	return &t.foot, nil
}

// readFull reads all of b at off; a file that ends before is corrupt.
func readFull(f fs.File, b []byte, off int64) error {
	n, err := f.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return errs.F("store.read", "", errs.Corrupt, "the blob ends %d bytes too early", len(b)-n)
	}
	return err
}
