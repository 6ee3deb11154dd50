// Package format is what lies on a mountpath, byte by byte: the keys and values of its index, and the
// blobs beside it. docs/format/ draws it.
//
// Pure encoding and decoding: it opens no file and knows no index. Whatever is decoded was checked
// first, so damage is an error of kind Corrupt and never a wrong value, and a format from the future is
// kind Unsupported.
//
// Start at Record and Foot.
package format

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"sort"
	"strconv"
	"time"

	"aistore/cksum"
	"aistore/errs"
	"aistore/object"
)

// RecordVersion is the newest record format this program writes and the last it reads. Records that format 1 can express are written
// in it, so that an older program reads them.
const RecordVersion = 2

const firstRecordVersion = 1

// Flags of a record.
const (
	flagTombstone = 1 << 0 // the name was deleted at this version
	FlagShared    = 1 << 1 // other records may refer to the same blobs
	flagsKnown    = flagTombstone | FlagShared
)

// extUnsynced is a bit of the first byte of a record's extension.
const extUnsynced = 1 << 0

// Kinds of content references.
const (
	RefInline = 1 // the bytes are in the index, family FamContent
	RefBlob   = 2 // the bytes are a part of a blob file
	RefKept   = 3 // the bytes are in the index, family FamKept, under the version of the tag; format 2
	RefTable  = 4 // the bytes are those of parts, listed in family FamTable; format 2
)

// Kinds of ETags.
const (
	etagChecksum = 0 // the checksum's digest in hex
	etagVersion  = 1 // EPOCH.COUNTER
	etagGiven    = 2 // stored as it is
)

// MaxCRCs is the greatest number of block checksums kept in the record itself; a blob with more
// blocks keeps them in its footer, so that records stay small enough to list fast.
const MaxCRCs = 128

// Content says where a part of an object's bytes is. Parts follow each other.
type Content struct {
	Kind   byte
	Role   byte   // 0: the object's bytes; others are for copies and slices
	Index  uint64 // of the slice or copy
	Length int64

	Tag object.Version // RefInline, RefKept: the version under which the bytes were written
	CRC uint32         // RefInline, RefKept: of all bytes

	Blob      BlobID // RefBlob; RefTable: the content's id
	Offset    int64  // RefBlob: of the first byte within the blob's content
	Total     int64  // RefBlob: length of the blob's content; RefTable: number of parts
	BlockSize int64  // RefBlob
	CRCs      []byte // RefBlob: little-endian CRC32C of each block of the blob; empty = in the footer
}

// Record is a decoded index record. Byte slices alias the encoded form.
type Record struct {
	Flags    byte
	Bucket   uint64
	Version  object.Version
	Size     int64
	Created  int64 // Unix nanoseconds
	SumType  cksum.Type
	Digest   []byte
	etagKind byte
	etag     []byte
	Custom   []byte // encoded map
	System   []byte
	Tags     []byte
	S3ID     []byte // S3 version id: empty = none, one zero byte = null, or a version, big-endian
	Parts    []Content
	Ext      []byte // of later minor additions; kept when the record is rewritten

	One [1]Content // backs Parts in the common case
}

// Tombstone reports whether the name was deleted at this version.
func (r *Record) Tombstone() bool { return r.Flags&flagTombstone != 0 }

// Shared reports whether other records may refer to the same blobs.
func (r *Record) Shared() bool { return r.Flags&FlagShared != 0 }

// Unsynced reports whether the blobs may not be durable: they were written under class volatile.
func (r *Record) Unsynced() bool { return len(r.Ext) > 0 && r.Ext[0]&extUnsynced != 0 }

// SetUnsynced makes r say so.
func (r *Record) SetUnsynced() {
	if len(r.Ext) == 0 {
		r.Ext = []byte{0}
	}
	r.Ext[0] |= extUnsynced
}

// InBlobs reports whether any content lies in blobs.
func (r *Record) InBlobs() bool {
	if len(r.Parts) == 0 {
		return false
	}
	k := r.Parts[len(r.Parts)-1].Kind
	return k == RefBlob || k == RefTable
}

// Table returns the id of the content's parts; ok is false when it is not in parts.
func (r *Record) Table() (id [16]byte, ok bool) {
	if len(r.Parts) == 1 && r.Parts[0].Kind == RefTable {
		return r.Parts[0].Blob, true
	}
	return id, false
}

// SetVersionID makes v the S3 version id.
func (r *Record) SetVersionID(v object.Version) { r.S3ID = v.AppendBinary(nil) }

// SetNull makes r the null version.
func (r *Record) SetNull() { r.S3ID = []byte{0} }

// SetTombstone makes r say that the name was deleted.
func (r *Record) SetTombstone() { r.Flags |= flagTombstone }

// Null reports whether r is the null version: it was written while its bucket had no versions, or while they were suspended.
func (r *Record) Null() bool { return len(r.S3ID) <= 1 }

// Born is the version that orders r among the versions of its name: changes of metadata leave it.
func (r *Record) Born() object.Version {
	if len(r.S3ID) == 16 {
		return object.Version{Epoch: binary.BigEndian.Uint64(r.S3ID), Counter: binary.BigEndian.Uint64(r.S3ID[8:])}
	}
	return r.Version
}

// Owner is as whom r refers to its blobs.
func (r *Record) Owner() Owner {
	if len(r.S3ID) != 16 {
		return Owner{}
	}
	return Owner{Kind: OwnerVersion, ID: Invert(r.Born())}
}

// versionID is the S3 version id as clients see it.
func (r *Record) versionID() string {
	switch len(r.S3ID) {
	case 0:
		return ""
	case 1:
		return object.NullVersion
	case 16:
		return r.Born().String()
	}
	return string(r.S3ID)
}

// Sum returns the checksum of the whole.
func (r *Record) Sum() cksum.Value {
	v := cksum.Value{Type: r.SumType}
	if len(r.Digest) > 0 {
		v.Value = hex.EncodeToString(r.Digest)
	}
	return v
}

// AppendRecord encodes r; key takes part in the checksum, so a record is only good under its own name.
func AppendRecord(b []byte, r *Record, key string) []byte {
	start := len(b)
	b = append(b, r.version(), r.Flags, byte(r.SumType), r.etagKind)
	b = binary.LittleEndian.AppendUint64(b, r.Bucket)
	b = binary.LittleEndian.AppendUint64(b, r.Version.Epoch)
	b = binary.LittleEndian.AppendUint64(b, r.Version.Counter)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Size))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Created))
	b = append(b, r.Digest...)
	if r.etagKind == etagGiven {
		b = appendBytes(b, r.etag)
	}
	b = appendMapBytes(b, r.Custom)
	b = appendMapBytes(b, r.System)
	b = appendMapBytes(b, r.Tags)
	b = appendBytes(b, r.S3ID)
	b = binary.AppendUvarint(b, uint64(len(r.Parts)))
	for i := range r.Parts {
		b = appendContent(b, &r.Parts[i])
	}
	b = appendBytes(b, r.Ext)
	return binary.LittleEndian.AppendUint32(b, recordCRC(b[start:], key))
}

// version is the oldest format that can express r.
func (r *Record) version() byte {
	for i := range r.Parts {
		if r.Parts[i].Kind > RefBlob {
			return RecordVersion
		}
	}
	if r.SumType > cksum.SHA256 {
		return RecordVersion
	}
	return firstRecordVersion
}

func recordCRC(b []byte, key string) uint32 {
	return cksum.BlockUpdate(cksum.Block(b), []byte(key))
}

func appendContent(b []byte, c *Content) []byte {
	b = append(b, c.Kind, c.Role)
	b = binary.AppendUvarint(b, c.Index)
	b = binary.AppendUvarint(b, uint64(c.Length))
	if c.Kind == RefInline || c.Kind == RefKept {
		b = binary.AppendUvarint(b, c.Tag.Epoch)
		b = binary.AppendUvarint(b, c.Tag.Counter)
		return binary.LittleEndian.AppendUint32(b, c.CRC)
	}
	b = append(b, c.Blob[:]...)
	if c.Kind == RefTable {
		return binary.AppendUvarint(b, uint64(c.Total))
	}
	b = binary.AppendUvarint(b, uint64(c.Offset))
	b = binary.AppendUvarint(b, uint64(c.Total))
	b = binary.AppendUvarint(b, uint64(c.BlockSize))
	return appendBytes(b, c.CRCs)
}

func appendBytes(b, v []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

// appendMapBytes adds an encoded map; nil is the empty one.
func appendMapBytes(b, m []byte) []byte {
	if len(m) == 0 {
		return append(b, 0)
	}
	return append(b, m...)
}

// EncodeMap writes the number of pairs and then each key and value with its length, sorted by key.
func EncodeMap(m map[string]string) []byte {
	if len(m) == 0 {
		return nil
	}
	keys := make([]string, 0, len(m))
	n := 10
	for k, v := range m {
		keys = append(keys, k)
		n += len(k) + len(v) + 6
	}
	sort.Strings(keys)
	b := binary.AppendUvarint(make([]byte, 0, n), uint64(len(m)))
	for _, k := range keys {
		b = appendBytes(b, []byte(k))
		b = appendBytes(b, []byte(m[k]))
	}
	return b
}

// errRecord is what every malformed record becomes.
var errRecord = errors.New("record is damaged")

// decoder reads the fields of a record; the first fault sticks.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n uint64) []byte {
	if d.bad || n > uint64(len(d.b)) {
		d.bad = true
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

// length reads a count of bytes that must fit an int64.
func (d *decoder) length() int64 {
	v := d.uvarint()
	if v > math.MaxInt64 {
		d.bad = true
		return 0
	}
	return int64(v)
}

func (d *decoder) bytes() []byte { return d.take(d.uvarint()) }

func (d *decoder) u64() uint64 {
	if v := d.take(8); v != nil {
		return binary.LittleEndian.Uint64(v)
	}
	return 0
}

func (d *decoder) u32() uint32 {
	if v := d.take(4); v != nil {
		return binary.LittleEndian.Uint32(v)
	}
	return 0
}

func (d *decoder) u8() byte {
	if v := d.take(1); v != nil {
		return v[0]
	}
	return 0
}

// mapBytes returns an encoded map whole, nil when it is empty.
func (d *decoder) mapBytes() []byte {
	start := d.b
	n := d.uvarint()
	for i := uint64(0); i < n && !d.bad; i++ {
		d.bytes()
		d.bytes()
	}
	if d.bad || n == 0 {
		return nil
	}
	return start[:len(start)-len(d.b)]
}

// DecodeRecord parses b, the record of key. A format from the future is kind Unsupported, anything
// damaged kind Corrupt.
func DecodeRecord(r *Record, b []byte, key []byte) error {
	const op = "format.DecodeRecord"
	if len(b) > 0 && b[0] > RecordVersion {
		return errs.F(op, string(key), errs.Unsupported, "record format %d is newer than the %d this program knows: use a newer release", b[0], RecordVersion)
	}
	if len(b) < 4+4 || b[0] == 0 {
		return errs.E(op, string(key), errs.Corrupt, errRecord)
	}
	body := b[:len(b)-4]
	if cksum.BlockUpdate(cksum.Block(body), key) != binary.LittleEndian.Uint32(b[len(b)-4:]) {
		return errs.F(op, string(key), errs.Corrupt, "%w: its checksum does not match", errRecord)
	}
	d := decoder{b: body[1:]}
	r.Flags = d.u8()
	r.SumType = cksum.Type(d.u8())
	r.etagKind = d.u8()
	r.Bucket = d.u64()
	r.Version = object.Version{Epoch: d.u64(), Counter: d.u64()}
	size := d.u64()
	r.Size = int64(size)
	r.Created = int64(d.u64())
	if !r.SumType.Valid() || r.etagKind > etagGiven || r.Flags&^flagsKnown != 0 || size > math.MaxInt64 {
		return errs.F(op, string(key), errs.Corrupt, "%w: a field is out of range", errRecord)
	}
	r.Digest = d.take(uint64(r.SumType.Size()))
	r.etag = nil
	if r.etagKind == etagGiven {
		r.etag = d.bytes()
	}
	r.Custom, r.System, r.Tags = d.mapBytes(), d.mapBytes(), d.mapBytes()
	r.S3ID = d.bytes()
	d.parts(r)
	r.Ext = d.bytes()
	if d.bad || len(d.b) != 0 || !r.consistent() {
		return errs.E(op, string(key), errs.Corrupt, errRecord)
	}
	return nil
}

func (d *decoder) parts(r *Record) {
	n := d.uvarint()
	if n > uint64(len(d.b)) { // each takes several bytes
		d.bad = true
		return
	}
	r.Parts = r.One[:0]
	for i := uint64(0); i < n && !d.bad; i++ {
		r.Parts = append(r.Parts, d.content())
	}
}

func (d *decoder) content() (c Content) {
	c.Kind, c.Role = d.u8(), d.u8()
	c.Index = d.uvarint()
	c.Length = d.length()
	switch c.Kind {
	case RefInline, RefKept:
		c.Tag = object.Version{Epoch: d.uvarint(), Counter: d.uvarint()}
		c.CRC = d.u32()
	case RefBlob:
		copy(c.Blob[:], d.take(uint64(len(c.Blob))))
		c.Offset, c.Total, c.BlockSize = d.length(), d.length(), d.length()
		c.CRCs = d.bytes()
		if !c.fits() {
			d.bad = true
		}
	case RefTable:
		copy(c.Blob[:], d.take(uint64(len(c.Blob))))
		c.Total = d.length()
	default:
		d.bad = true
	}
	return c
}

// fits checks that the part lies inside its blob and that the checksums, if they are here, are all here.
func (c *Content) fits() bool {
	if c.BlockSize < MinBlockSize || c.BlockSize > MaxBlockSize || c.Total > math.MaxInt64/2 || c.Offset > c.Total-c.Length {
		return false
	}
	return len(c.CRCs) == 0 || int64(len(c.CRCs)) == 4*BlocksOf(c.Total, c.BlockSize)
}

// consistent checks that the parts add up to the object.
func (r *Record) consistent() bool {
	var sum int64
	for i := range r.Parts {
		c := &r.Parts[i]
		if c.Role != 0 {
			continue
		}
		if sum += c.Length; sum < 0 {
			return false
		}
	}
	return r.Tombstone() || sum == r.Size
}

// DecodeMap is the inverse of EncodeMap.
func DecodeMap(b []byte) map[string]string {
	if len(b) == 0 {
		return nil
	}
	d := decoder{b: b}
	n := d.uvarint()
	m := make(map[string]string, min(n, 64))
	for i := uint64(0); i < n && !d.bad; i++ {
		k, v := d.bytes(), d.bytes()
		m[string(k)] = string(v)
	}
	return m
}

// Info fills i from r. Nothing in i aliases r.
func (r *Record) Info(i *object.Info, key string) {
	i.Key = key
	i.Version = r.Version
	i.Size = r.Size
	i.Created = time.Unix(0, r.Created)
	i.Checksum = r.Sum()
	switch r.etagKind {
	case etagChecksum:
		i.ETag = i.Checksum.Value
	case etagVersion:
		i.ETag = r.Version.String()
	default:
		i.ETag = string(r.etag)
	}
	i.Custom, i.System, i.Tags = DecodeMap(r.Custom), DecodeMap(r.System), DecodeMap(r.Tags)
	i.VersionID, i.DeleteMarker, i.Latest = r.versionID(), r.Tombstone(), false
	if i.DeleteMarker {
		i.ETag = ""
	}
}

// SetETag stores etag in its shortest form; "" derives it.
func (r *Record) SetETag(etag string) {
	switch {
	case etag != "" && etag != hex.EncodeToString(r.Digest):
		r.etagKind, r.etag = etagGiven, []byte(etag)
	case len(r.Digest) > 0:
		r.etagKind, r.etag = etagChecksum, nil
	default:
		r.etagKind, r.etag = etagVersion, nil
	}
}

// String shows a record for offline tools.
func (r *Record) String() string {
	s := r.Version.String() + " " + strconv.FormatInt(r.Size, 10) + " bytes"
	for i := range r.Parts {
		switch c := &r.Parts[i]; c.Kind {
		case RefInline, RefKept:
			s += fmt.Sprintf(" inline(%d)", c.Length)
		case RefTable:
			s += fmt.Sprintf(" parts(%s %d)", c.Blob, c.Total)
		default:
			s += fmt.Sprintf(" blob(%s %d+%d)", c.Blob, c.Offset, c.Length)
		}
	}
	return s
}

// ContentTrailer follows inline content: the version it was written under, and the CRC32C of content and version.
const ContentTrailer = 16 + 4

// PutContent fills dst, whose length is len(data)+ContentTrailer. crc is data's.
func PutContent(dst, data []byte, v object.Version, crc uint32) {
	n := copy(dst, data)
	binary.LittleEndian.PutUint64(dst[n:], v.Epoch)
	binary.LittleEndian.PutUint64(dst[n+8:], v.Counter)
	binary.LittleEndian.PutUint32(dst[n+16:], cksum.BlockUpdate(crc, dst[n:n+16]))
}

// SplitContent is the inverse; ok is false when val is too short.
func SplitContent(val []byte) (data []byte, v object.Version, crc uint32, ok bool) {
	n := len(val) - ContentTrailer
	if n < 0 {
		return nil, v, 0, false
	}
	t := val[n:]
	return val[:n:n], object.Version{Epoch: binary.LittleEndian.Uint64(t), Counter: binary.LittleEndian.Uint64(t[8:])},
		binary.LittleEndian.Uint32(t[16:]), true
}
