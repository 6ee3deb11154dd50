package format

import (
	"encoding/binary"
	"math"

	"aistore/cksum"
	"aistore/errs"
	"aistore/object"
)

// A frame is everything that a node has of one key, on its way to another node: a head, a description, the contents that are in the
// index, the blobs. docs/format/transfer.md draws it.
const (
	FrameHeadSize  = 32
	frameMagic     = "AISKEYF1"
	frameFormat    = 1
	maxDescription = 256 << 20
)

// FrameHead is what stands before a frame.
type FrameHead struct {
	Description int64 // bytes that follow, the checksum at their end included
	Length      int64 // of the whole frame, head included
}

// Frame describes a key and says what follows.
type Frame struct {
	Name    object.Name
	Mark    uint64
	Records []FrameRecord // the current one first, if there is any; then the older ones, the newest first
	Tables  []FrameTable
	Uploads []FrameUpload
	Blobs   []FrameBlob // in the order in which they follow
	Ext     []byte      // of later minor additions
}

// FrameRecord is a record as it stands in an index.
type FrameRecord struct {
	Mount uint64 // which its blobs are on
	Value []byte // as in FamRecord
}

// FrameTable is the parts of a content.
type FrameTable struct {
	ID    [16]byte
	Value []byte // as in FamTable
}

// FrameUpload is a multipart upload.
type FrameUpload struct {
	ID    [16]byte
	Value []byte   // as in FamUpload
	Parts [][]byte // as in FamPart
}

// FrameBlob is a blob: its checksums and bytes follow.
type FrameBlob struct {
	Mount     uint64
	ID        BlobID
	Length    int64
	BlockSize int64
}

// Size is the number of bytes that the blob takes in a frame: before each CrcsPerPage blocks their checksums and that of the checksums.
func (b *FrameBlob) Size() int64 { return b.Length + TableSize(BlocksOf(b.Length, b.BlockSize)) }

// AppendFrame encodes head and description; contents is the number of bytes that follow them.
func AppendFrame(b []byte, f *Frame, contents int64) []byte {
	start := len(b)
	b = append(b, make([]byte, FrameHeadSize)...)
	at := len(b)
	b = binary.LittleEndian.AppendUint64(b, f.Name.Bucket)
	b = appendBytes(b, []byte(f.Name.Key))
	b = binary.AppendUvarint(b, f.Mark)
	b = binary.AppendUvarint(b, uint64(len(f.Records)))
	for i := range f.Records {
		b = binary.LittleEndian.AppendUint64(b, f.Records[i].Mount)
		b = appendBytes(b, f.Records[i].Value)
	}
	b = binary.AppendUvarint(b, uint64(len(f.Tables)))
	for i := range f.Tables {
		b = append(b, f.Tables[i].ID[:]...)
		b = appendBytes(b, f.Tables[i].Value)
	}
	b = binary.AppendUvarint(b, uint64(len(f.Uploads)))
	for i := range f.Uploads {
		u := &f.Uploads[i]
		b = append(b, u.ID[:]...)
		b = appendBytes(b, u.Value)
		b = binary.AppendUvarint(b, uint64(len(u.Parts)))
		for _, p := range u.Parts {
			b = appendBytes(b, p)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(f.Blobs)))
	for i := range f.Blobs {
		x := &f.Blobs[i]
		b = binary.LittleEndian.AppendUint64(b, x.Mount)
		b = append(b, x.ID[:]...)
		b = binary.AppendUvarint(b, uint64(x.Length))
		b = binary.AppendUvarint(b, uint64(x.BlockSize))
	}
	b = appendBytes(b, f.Ext)
	b = binary.LittleEndian.AppendUint32(b, cksum.Block(b[at:]))
	h := b[start:at]
	copy(h, frameMagic)
	binary.LittleEndian.PutUint32(h[8:], frameFormat)
	binary.LittleEndian.PutUint64(h[12:], uint64(len(b)-at))
	binary.LittleEndian.PutUint64(h[20:], uint64(len(b)-start)+uint64(contents))
	binary.LittleEndian.PutUint32(h[28:], cksum.Block(h[:28]))
	return b
}

// DecodeFrameHead parses the FrameHeadSize bytes of a head. A format from the future is kind Unsupported, damage kind Corrupt.
func DecodeFrameHead(b []byte) (h FrameHead, err error) {
	const op = "format.DecodeFrameHead"
	if len(b) != FrameHeadSize || string(b[:8]) != frameMagic || cksum.Block(b[:28]) != binary.LittleEndian.Uint32(b[28:]) {
		return h, errs.E(op, "", errs.Corrupt, "the head of a frame is damaged")
	}
	if f := binary.LittleEndian.Uint32(b[8:]); f != frameFormat {
		return h, errs.F(op, "", errs.Unsupported, "frame format %d is not the %d this program knows", f, frameFormat)
	}
	desc, length := binary.LittleEndian.Uint64(b[12:]), binary.LittleEndian.Uint64(b[20:])
	if desc < 4 || desc > maxDescription || length > math.MaxInt64/2 || length < FrameHeadSize+desc {
		return h, errs.E(op, "", errs.Corrupt, "the head of a frame contradicts itself")
	}
	return FrameHead{Description: int64(desc), Length: int64(length)}, nil
}

// DecodeFrame parses a description. Byte slices in f alias b. What the entries of the index say is not yet looked at.
func DecodeFrame(f *Frame, b []byte) error {
	const op = "format.DecodeFrame"
	if len(b) < 4 || cksum.Block(b[:len(b)-4]) != binary.LittleEndian.Uint32(b[len(b)-4:]) {
		return errs.E(op, "", errs.Corrupt, "the description of a frame is damaged")
	}
	d := decoder{b: b[:len(b)-4]}
	f.Name.Bucket = d.u64()
	f.Name.Key = string(d.bytes())
	f.Mark = d.uvarint()
	f.Records = make([]FrameRecord, 0, d.count(9))
	for range cap(f.Records) {
		f.Records = append(f.Records, FrameRecord{Mount: d.u64(), Value: d.bytes()})
	}
	f.Tables = make([]FrameTable, 0, d.count(17))
	for range cap(f.Tables) {
		f.Tables = append(f.Tables, FrameTable{ID: d.id(), Value: d.bytes()})
	}
	f.Uploads = make([]FrameUpload, 0, d.count(18))
	for range cap(f.Uploads) {
		u := FrameUpload{ID: d.id(), Value: d.bytes()}
		u.Parts = make([][]byte, 0, d.count(1))
		for range cap(u.Parts) {
			u.Parts = append(u.Parts, d.bytes())
		}
		f.Uploads = append(f.Uploads, u)
	}
	f.Blobs = make([]FrameBlob, 0, d.count(26))
	for range cap(f.Blobs) {
		x := FrameBlob{Mount: d.u64(), ID: d.id(), Length: d.length(), BlockSize: d.length()}
		if x.BlockSize < MinBlockSize || x.BlockSize > MaxBlockSize || x.BlockSize&(x.BlockSize-1) != 0 || x.Length > math.MaxInt64/4 {
			d.bad = true
		}
		f.Blobs = append(f.Blobs, x)
	}
	f.Ext = d.bytes()
	if d.bad || len(d.b) != 0 || f.Name.Key == "" || len(f.Name.Key) > object.MaxKeyLen {
		return errs.E(op, "", errs.Corrupt, "the description of a frame is malformed")
	}
	return nil
}

// count reads how many entries of at least so many bytes follow; 0 when there cannot be so many.
func (d *decoder) count(least int) int {
	n := d.uvarint()
	if d.bad || n > uint64(len(d.b)/least) {
		d.bad = true
		return 0
	}
	return int(n)
}

func (d *decoder) id() (id [16]byte) {
	copy(id[:], d.take(16))
	return id
}
