package format

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"time"

	"aistore/cksum"
	"aistore/errs"
	"aistore/object"
)

// UploadID names a multipart upload, and then the content that was completed of it. The first eight bytes are when it began, so
// that uploads of a name sort by time.
type UploadID [16]byte

// String returns the id in hex.
func (id UploadID) String() string { return hex.EncodeToString(id[:]) }

// ParseUploadID is the inverse of String.
func ParseUploadID(s string) (id UploadID, ok bool) {
	b, ok := ParseBlobID(s)
	return UploadID(b), ok
}

// States of an upload.
const (
	UploadOpen      = 1
	UploadCompleted = 2
	UploadAborted   = 3
)

// Flags of an upload. Releases that do not know of uploadUnsynced take an upload that has it for one that is not clean.
const (
	uploadClean    = 1 << 0
	uploadUnsynced = 1 << 1
)

// Upload is what the index knows of a multipart upload.
type Upload struct {
	State     byte
	Clean     bool   // nothing of its parts is left to remove
	Unsynced  bool   // there are, or were, parts whose blobs may not be durable: they came under class volatile
	Initiated int64  // Unix nanoseconds
	Ended     int64  // Unix nanoseconds, when it was completed or aborted
	Custom    []byte // encoded maps
	System    []byte
	Tags      []byte
	Used      []Run  // completed: numbers of the parts that became the object
	Result    []byte // completed: the encoded record it became
}

// Run is some consecutive numbers of parts.
type Run struct{ First, Count int }

// Uses reports whether the part with this number became the object's.
func (u *Upload) Uses(number int) bool {
	for _, r := range u.Used {
		if number >= r.First && number < r.First+r.Count {
			return true
		}
	}
	return false
}

// Use adds a number, which must be greater than those there.
func (u *Upload) Use(number int) {
	if n := len(u.Used); n > 0 && u.Used[n-1].First+u.Used[n-1].Count == number {
		u.Used[n-1].Count++
		return
	}
	u.Used = append(u.Used, Run{number, 1})
}

// Part is one part of an upload or of a completed object: a whole blob.
type Part struct {
	Number    int
	Size      int64
	Created   int64 // Unix nanoseconds
	Version   object.Version
	MD5       [16]byte
	Sums      []cksum.Value
	Mount     uint64 // id of the mountpath that has the blob
	Blob      BlobID
	BlockSize int64
}

// Content describes the part's bytes. The checksums of its blocks are in the blob's footer.
func (p *Part) Content() Content {
	return Content{Kind: RefBlob, Length: p.Size, Total: p.Size, Blob: p.Blob, BlockSize: p.BlockSize}
}

// ETag is the part's MD5 in hex.
func (p *Part) ETag() string { return hex.EncodeToString(p.MD5[:]) }

// Modified is when the part was written.
func (p *Part) Modified() time.Time { return time.Unix(0, p.Created) }

const uploadFormat = 1

var errUpload = errors.New("entry of a multipart upload is damaged")

// seal ends an encoded entry. What follows the family in its key takes part in the checksum, so that an entry is good under its own
// name and id alone.
func seal(b []byte, start int, key []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, cksum.BlockUpdate(cksum.Block(b[start:]), key[1:]))
}

// unseal checks what seal and the format byte say and returns what is between.
func unseal(op string, b, key []byte) (d decoder, err error) {
	if len(b) > 0 && b[0] > uploadFormat {
		return d, errs.F(op, "", errs.Unsupported, "format %d of an upload's entry is newer than the %d this program knows: use a newer release", b[0], uploadFormat)
	}
	if len(b) < 5 || len(key) < 1 || b[0] == 0 || cksum.BlockUpdate(cksum.Block(b[:len(b)-4]), key[1:]) != binary.LittleEndian.Uint32(b[len(b)-4:]) {
		return d, errs.E(op, "", errs.Corrupt, errUpload)
	}
	return decoder{b: b[1 : len(b)-4]}, nil
}

func (d *decoder) end(op string) error {
	if d.bad || len(d.b) != 0 {
		return errs.E(op, "", errs.Corrupt, errUpload)
	}
	return nil
}

// AppendUpload encodes u, whose index key is key.
func AppendUpload(b []byte, u *Upload, key []byte) []byte {
	start := len(b)
	flags := byte(0)
	if u.Clean {
		flags |= uploadClean
	}
	if u.Unsynced {
		flags |= uploadUnsynced
	}
	b = append(b, uploadFormat, u.State, flags)
	b = binary.LittleEndian.AppendUint64(b, uint64(u.Initiated))
	b = binary.LittleEndian.AppendUint64(b, uint64(u.Ended))
	b = appendMapBytes(b, u.Custom)
	b = appendMapBytes(b, u.System)
	b = appendMapBytes(b, u.Tags)
	b = binary.AppendUvarint(b, uint64(len(u.Used)))
	for _, r := range u.Used {
		b = binary.AppendUvarint(b, uint64(r.First))
		b = binary.AppendUvarint(b, uint64(r.Count))
	}
	b = appendBytes(b, u.Result)
	return seal(b, start, key)
}

// DecodeUpload parses b, the value of key. Byte slices in u alias b.
func DecodeUpload(u *Upload, b, key []byte) error {
	const op = "format.DecodeUpload"
	d, err := unseal(op, b, key)
	if err != nil {
		return err
	}
	u.State = d.u8()
	flags := d.u8()
	u.Clean, u.Unsynced = flags&uploadClean != 0, flags&uploadUnsynced != 0
	u.Initiated, u.Ended = int64(d.u64()), int64(d.u64())
	u.Custom, u.System, u.Tags = d.mapBytes(), d.mapBytes(), d.mapBytes()
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.bad = true
	}
	u.Used = nil
	for i := uint64(0); i < n && !d.bad; i++ {
		r := Run{int(d.number()), int(d.number())}
		u.Used = append(u.Used, r)
	}
	u.Result = d.bytes()
	if u.State < UploadOpen || u.State > UploadAborted {
		d.bad = true
	}
	return d.end(op)
}

// number reads a small number.
func (d *decoder) number() int64 {
	v := d.uvarint()
	if v > math.MaxUint16 {
		d.bad = true
		return 0
	}
	return int64(v)
}

func appendPart(b []byte, p *Part) []byte {
	b = binary.AppendUvarint(b, uint64(p.Number))
	b = binary.AppendUvarint(b, uint64(p.Size))
	b = binary.LittleEndian.AppendUint64(b, uint64(p.Created))
	b = binary.AppendUvarint(b, p.Version.Epoch)
	b = binary.AppendUvarint(b, p.Version.Counter)
	b = append(b, p.MD5[:]...)
	b = binary.AppendUvarint(b, uint64(len(p.Sums)))
	for _, s := range p.Sums {
		b = append(b, byte(s.Type))
		b = append(b, s.Raw()...)
	}
	b = binary.LittleEndian.AppendUint64(b, p.Mount)
	b = append(b, p.Blob[:]...)
	return binary.AppendUvarint(b, uint64(p.BlockSize))
}

// minPart is the least number of bytes that a part takes.
const minPart = 1 + 1 + 8 + 1 + 1 + 16 + 1 + 8 + 16 + 2

func (d *decoder) part() (p Part) {
	p.Number, p.Size, p.Created = int(d.number()), d.length(), int64(d.u64())
	p.Version = object.Version{Epoch: d.uvarint(), Counter: d.uvarint()}
	copy(p.MD5[:], d.take(16))
	n := d.number()
	for i := int64(0); i < n && !d.bad; i++ {
		t := cksum.Type(d.u8())
		if !t.Valid() || t == cksum.None {
			d.bad = true
			return p
		}
		if raw := d.take(uint64(t.Size())); raw != nil {
			p.Sums = append(p.Sums, cksum.FromRaw(t, raw))
		}
	}
	p.Mount = d.u64()
	copy(p.Blob[:], d.take(uint64(len(p.Blob))))
	p.BlockSize = d.length()
	if c := p.Content(); !c.fits() {
		d.bad = true
	}
	return p
}

// AppendPart encodes the entry of a part under way, whose index key is key.
func AppendPart(b []byte, p *Part, key []byte) []byte {
	start := len(b)
	return seal(appendPart(append(b, uploadFormat), p), start, key)
}

// DecodePart parses b, the value of key. Nothing in p aliases b.
func DecodePart(p *Part, b, key []byte) error {
	const op = "format.DecodePart"
	d, err := unseal(op, b, key)
	if err != nil {
		return err
	}
	*p = d.part()
	return d.end(op)
}

// DecodePartOf parses the entry of a part of an upload whose number is not known beforehand. Nothing in p aliases b.
func DecodePartOf(p *Part, b []byte, n object.Name, id UploadID) error {
	const op = "format.DecodePartOf"
	d := decoder{b: b}
	d.u8()
	number := d.number()
	if d.bad {
		return errs.E(op, n, errs.Corrupt, errUpload)
	}
	return DecodePart(p, b, PartKey(nil, n.Bucket, n.Key, id, int(number)))
}

// AppendTable encodes the parts of a content, whose index key is key.
func AppendTable(b []byte, parts []Part, key []byte) []byte {
	start := len(b)
	b = binary.AppendUvarint(append(b, uploadFormat), uint64(len(parts)))
	for i := range parts {
		b = appendPart(b, &parts[i])
	}
	return seal(b, start, key)
}

// DecodeTable parses b, the value of key. Nothing in the parts aliases b.
func DecodeTable(b, key []byte) ([]Part, error) {
	const op = "format.DecodeTable"
	d, err := unseal(op, b, key)
	if err != nil {
		return nil, err
	}
	n := d.uvarint()
	if n > uint64(len(d.b)/minPart)+1 {
		return nil, errs.E(op, "", errs.Corrupt, errUpload)
	}
	parts := make([]Part, 0, n)
	for i := uint64(0); i < n && !d.bad; i++ {
		parts = append(parts, d.part())
	}
	if err := d.end(op); err != nil {
		return nil, err
	}
	return parts, nil
}

// partFoot is the first byte of what a part's blob has in its footer in a record's place. No record begins with it.
const partFoot = 0

// AppendPartFoot encodes what the footer of a part's blob says of it.
func AppendPartFoot(b []byte, bucket uint64, id UploadID, p *Part) []byte {
	b = append(b, partFoot)
	b = binary.LittleEndian.AppendUint64(b, bucket)
	return appendPart(append(b, id[:]...), p)
}

// DecodePartFoot is the inverse of AppendPartFoot; the footer's own checksum was good.
func DecodePartFoot(b []byte) (bucket uint64, id UploadID, p Part, ok bool) {
	if len(b) == 0 || b[0] != partFoot {
		return 0, id, p, false
	}
	d := decoder{b: b[1:]}
	bucket = d.u64()
	copy(id[:], d.take(uint64(len(id))))
	p = d.part()
	return bucket, id, p, d.end("") == nil
}
