package store

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

// recordFormat is the newest record format this program writes and the last it reads.
const recordFormat = 1

// Flags of a record.
const (
	flagTombstone = 1 << 0 // the name was deleted at this version
	flagShared    = 1 << 1 // other records may refer to the same blobs
	flagsKnown    = flagTombstone | flagShared
)

// Kinds of content references.
const (
	refInline = 1 // the bytes are in the index, family famContent
	refBlob   = 2 // the bytes are a part of a blob file
)

// Kinds of ETags.
const (
	etagChecksum = 0 // the checksum's digest in hex
	etagVersion  = 1 // EPOCH.COUNTER
	etagGiven    = 2 // stored as it is
)

// maxCRCs is the greatest number of block checksums kept in the record itself; a blob with more
// blocks keeps them in its footer, so that records stay small enough to list fast.
const maxCRCs = 128

// content says where a part of an object's bytes is. Parts follow each other.
type content struct {
	kind   byte
	role   byte // 0: the object's bytes; others are for copies and slices
	index  uint64
	length int64

	tag object.Version // refInline: the version under which the bytes were written
	crc uint32         // refInline: of all bytes

	blob      blobID // refBlob
	offset    int64  // refBlob: of the first byte within the blob's content
	total     int64  // refBlob: length of the blob's content
	blockSize int64  // refBlob
	crcs      []byte // refBlob: little-endian CRC32C of each block of the blob; empty = in the footer
}

// record is a decoded index record. Byte slices alias the encoded form.
type record struct {
	flags    byte
	bucket   uint64
	version  object.Version
	size     int64
	created  int64 // Unix nanoseconds
	sumType  cksum.Type
	digest   []byte
	etagKind byte
	etag     []byte
	custom   []byte // encoded map
	system   []byte
	tags     []byte
	s3id     []byte // S3 version id
	parts    []content
	ext      []byte // of later minor additions; kept when the record is rewritten

	one [1]content // backs parts in the common case
}

func (r *record) tombstone() bool { return r.flags&flagTombstone != 0 }
func (r *record) shared() bool    { return r.flags&flagShared != 0 }

// inBlobs reports whether any content lies in blobs.
func (r *record) inBlobs() bool { return len(r.parts) > 0 && r.parts[len(r.parts)-1].kind == refBlob }

// sum returns the checksum of the whole.
func (r *record) sum() cksum.Value {
	v := cksum.Value{Type: r.sumType}
	if len(r.digest) > 0 {
		v.Value = hex.EncodeToString(r.digest)
	}
	return v
}

// appendRecord encodes r; key takes part in the checksum, so a record is only good under its own name.
func appendRecord(b []byte, r *record, key string) []byte {
	start := len(b)
	b = append(b, recordFormat, r.flags, byte(r.sumType), r.etagKind)
	b = binary.LittleEndian.AppendUint64(b, r.bucket)
	b = binary.LittleEndian.AppendUint64(b, r.version.Epoch)
	b = binary.LittleEndian.AppendUint64(b, r.version.Counter)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.size))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.created))
	b = append(b, r.digest...)
	if r.etagKind == etagGiven {
		b = appendBytes(b, r.etag)
	}
	b = appendMapBytes(b, r.custom)
	b = appendMapBytes(b, r.system)
	b = appendMapBytes(b, r.tags)
	b = appendBytes(b, r.s3id)
	b = binary.AppendUvarint(b, uint64(len(r.parts)))
	for i := range r.parts {
		b = appendContent(b, &r.parts[i])
	}
	b = appendBytes(b, r.ext)
	return binary.LittleEndian.AppendUint32(b, recordCRC(b[start:], key))
}

func recordCRC(b []byte, key string) uint32 {
	return cksum.BlockUpdate(cksum.Block(b), []byte(key))
}

func appendContent(b []byte, c *content) []byte {
	b = append(b, c.kind, c.role)
	b = binary.AppendUvarint(b, c.index)
	b = binary.AppendUvarint(b, uint64(c.length))
	if c.kind == refInline {
		b = binary.AppendUvarint(b, c.tag.Epoch)
		b = binary.AppendUvarint(b, c.tag.Counter)
		return binary.LittleEndian.AppendUint32(b, c.crc)
	}
	b = append(b, c.blob[:]...)
	b = binary.AppendUvarint(b, uint64(c.offset))
	b = binary.AppendUvarint(b, uint64(c.total))
	b = binary.AppendUvarint(b, uint64(c.blockSize))
	return appendBytes(b, c.crcs)
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

// encodeMap writes the number of pairs and then each key and value with its length, sorted by key.
func encodeMap(m map[string]string) []byte {
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

// decodeRecord parses b, the record of key. A format from the future is kind Unsupported, anything
// damaged kind Corrupt.
func decodeRecord(r *record, b []byte, key []byte) error {
	const op = "store.decodeRecord"
	if len(b) > 0 && b[0] > recordFormat {
		return errs.F(op, string(key), errs.Unsupported, "record format %d is newer than the %d this program knows: use a newer release", b[0], recordFormat)
	}
	if len(b) < 4+4 || b[0] == 0 {
		return errs.E(op, string(key), errs.Corrupt, errRecord)
	}
	body := b[:len(b)-4]
	if cksum.BlockUpdate(cksum.Block(body), key) != binary.LittleEndian.Uint32(b[len(b)-4:]) {
		return errs.F(op, string(key), errs.Corrupt, "%w: its checksum does not match", errRecord)
	}
	d := decoder{b: body[1:]}
	r.flags = d.u8()
	r.sumType = cksum.Type(d.u8())
	r.etagKind = d.u8()
	r.bucket = d.u64()
	r.version = object.Version{Epoch: d.u64(), Counter: d.u64()}
	size := d.u64()
	r.size = int64(size)
	r.created = int64(d.u64())
	if !r.sumType.Valid() || r.etagKind > etagGiven || r.flags&^flagsKnown != 0 || size > math.MaxInt64 {
		return errs.F(op, string(key), errs.Corrupt, "%w: a field is out of range", errRecord)
	}
	r.digest = d.take(uint64(r.sumType.Size()))
	r.etag = nil
	if r.etagKind == etagGiven {
		r.etag = d.bytes()
	}
	r.custom, r.system, r.tags = d.mapBytes(), d.mapBytes(), d.mapBytes()
	r.s3id = d.bytes()
	d.parts(r)
	r.ext = d.bytes()
	if d.bad || len(d.b) != 0 || !r.consistent() {
		return errs.E(op, string(key), errs.Corrupt, errRecord)
	}
	return nil
}

func (d *decoder) parts(r *record) {
	n := d.uvarint()
	if n > uint64(len(d.b)) { // each takes several bytes
		d.bad = true
		return
	}
	r.parts = r.one[:0]
	for i := uint64(0); i < n && !d.bad; i++ {
		r.parts = append(r.parts, d.content())
	}
}

func (d *decoder) content() (c content) {
	c.kind, c.role = d.u8(), d.u8()
	c.index = d.uvarint()
	c.length = d.length()
	switch c.kind {
	case refInline:
		c.tag = object.Version{Epoch: d.uvarint(), Counter: d.uvarint()}
		c.crc = d.u32()
	case refBlob:
		copy(c.blob[:], d.take(uint64(len(c.blob))))
		c.offset, c.total, c.blockSize = d.length(), d.length(), d.length()
		c.crcs = d.bytes()
		if !c.fits() {
			d.bad = true
		}
	default:
		d.bad = true
	}
	return c
}

// fits checks that the part lies inside its blob and that the checksums, if they are here, are all here.
func (c *content) fits() bool {
	if c.blockSize < minBlockSize || c.blockSize > maxBlockSize || c.total > math.MaxInt64/2 || c.offset > c.total-c.length {
		return false
	}
	return len(c.crcs) == 0 || int64(len(c.crcs)) == 4*blocksOf(c.total, c.blockSize)
}

// consistent checks that the parts add up to the object.
func (r *record) consistent() bool {
	var sum int64
	for i := range r.parts {
		c := &r.parts[i]
		if c.role != 0 {
			continue
		}
		if sum += c.length; sum < 0 {
			return false
		}
	}
	return r.tombstone() || sum == r.size
}

func decodeMap(b []byte) map[string]string {
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

// info fills i from r. Nothing in i aliases r.
func (r *record) info(i *object.Info, key string) {
	i.Key = key
	i.Version = r.version
	i.Size = r.size
	i.Created = time.Unix(0, r.created)
	i.Checksum = r.sum()
	switch r.etagKind {
	case etagChecksum:
		i.ETag = i.Checksum.Value
	case etagVersion:
		i.ETag = r.version.String()
	default:
		i.ETag = string(r.etag)
	}
	i.Custom, i.System, i.Tags = decodeMap(r.custom), decodeMap(r.system), decodeMap(r.tags)
}

// setETag stores etag in its shortest form; "" derives it.
func (r *record) setETag(etag string) {
	switch {
	case etag != "" && etag != hex.EncodeToString(r.digest):
		r.etagKind, r.etag = etagGiven, []byte(etag)
	case len(r.digest) > 0:
		r.etagKind, r.etag = etagChecksum, nil
	default:
		r.etagKind, r.etag = etagVersion, nil
	}
}

// String shows a record for offline tools.
func (r *record) String() string {
	s := r.version.String() + " " + strconv.FormatInt(r.size, 10) + " bytes"
	for i := range r.parts {
		if c := &r.parts[i]; c.kind == refInline {
			s += fmt.Sprintf(" inline(%d)", c.length)
		} else {
			s += fmt.Sprintf(" blob(%s %d+%d)", c.blob, c.offset, c.length)
		}
	}
	return s
}
