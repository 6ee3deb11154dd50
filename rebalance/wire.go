package rebalance

import (
	"encoding/binary"
	"hash/crc32"

	"aistore/cksum"
	"aistore/errs"
	"aistore/object"
	"aistore/store"
	"aistore/store/format"
)

// The messages between a source and an owner, all on the intra-cluster listener, the epoch and the source's id in the path:
//
//	POST PATH/EPOCH/ID         frames, one after the other (docs/format/transfer.md); reply: answers in their order
//	POST PATH/EPOCH/ID/stream  one frame of any length; reply: one answer
//	POST PATH/EPOCH/ID/offer   an offer; reply: answers in its order
//	POST PATH/EPOCH/ID/append  an append session as (*store.Leaving).Send writes it; no reply
//
//	offer:   format(1 byte) count, entries, CRC32C of all before (4 bytes, little-endian)
//	entry:   bucket key state
//	answers: format(1 byte) count, answers, CRC32C
//	answer:  outcome(1 byte), then kind and text of the failure, or the state that the owner has now
//	state:   mark epoch counter flags(1 byte: 1 exists, 2 deleted) size checksum(type 1 byte, value)
//
// Numbers are unsigned varints, strings a varint length and bytes.
const (
	wireVersion = 1

	flagExists  = 1
	flagDeleted = 2
)

// Outcomes on the wire. wanted answers an offer alone.
const (
	outFailed  = 0
	outApplied = 1
	outHad     = 2
	outLower   = 3
	outWanted  = 4
)

// Limits of messages.
const (
	maxOffered   = 4096 // entries
	maxOffer     = maxOffered * (object.MaxKeyLen + 128)
	maxAnswers   = 8 << 20
	maxFaultText = 300
)

// offered is a key as its source tells of it.
type offered struct {
	name  object.Name
	state store.KeyState
}

// answer is what the owner says of one key.
type answer struct {
	outcome uint8
	state   store.KeyState
	err     error // of outFailed
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendState(b []byte, k *store.KeyState) []byte {
	b = binary.AppendUvarint(b, k.Authority)
	b = binary.AppendUvarint(b, k.Version.Epoch)
	b = binary.AppendUvarint(b, k.Version.Counter)
	var flags byte
	if k.Exists {
		flags |= flagExists
	}
	if k.Deleted {
		flags |= flagDeleted
	}
	b = append(b, flags)
	b = binary.AppendUvarint(b, uint64(k.Size)) //nolint:gosec // sizes are not negative
	b = append(b, byte(k.Checksum.Type))
	return appendString(b, k.Checksum.Value)
}

// seal ends a message with its checksum.
func seal(b []byte) []byte { return binary.LittleEndian.AppendUint32(b, cksum.Block(b)) }

func appendOffer(b []byte, keys []offered) []byte {
	b = binary.AppendUvarint(append(b, wireVersion), uint64(len(keys)))
	for i := range keys {
		b = binary.AppendUvarint(b, keys[i].name.Bucket)
		b = appendString(b, keys[i].name.Key)
		b = appendState(b, &keys[i].state)
	}
	return seal(b)
}

func appendAnswers(b []byte, as []answer) []byte {
	b = binary.AppendUvarint(append(b, wireVersion), uint64(len(as)))
	for i := range as {
		a := &as[i]
		b = append(b, a.outcome)
		if a.outcome != outFailed {
			b = appendState(b, &a.state)
			continue
		}
		text := a.err.Error()
		b = appendString(b, errs.KindOf(a.err).String())
		b = appendString(b, text[:min(len(text), maxFaultText)])
	}
	return seal(b)
}

// decoder reads a message; what is missing or damaged makes it bad.
type decoder struct {
	b   []byte
	bad bool
}

// open checks format and checksum and returns how many entries of at least so many bytes follow.
func open(msg []byte, least, most int) (*decoder, int, error) {
	const op = "rebalance.decode"
	if len(msg) < 2+crc32.Size || cksum.Block(msg[:len(msg)-crc32.Size]) != binary.LittleEndian.Uint32(msg[len(msg)-crc32.Size:]) {
		return nil, 0, errs.F(op, "message", errs.Corrupt, "of %d bytes is damaged", len(msg))
	}
	if msg[0] != wireVersion {
		return nil, 0, errs.F(op, "message", errs.Unsupported, "is of format %d, this node knows %d", msg[0], wireVersion)
	}
	d := &decoder{b: msg[1 : len(msg)-crc32.Size]}
	n := d.uvarint()
	if d.bad || n > uint64(len(d.b)/least) || n > uint64(most) {
		return nil, 0, errs.F(op, "message", errs.Invalid, "claims %d entries in %d bytes", n, len(msg))
	}
	return d, int(n), nil
}

func (d *decoder) end() error {
	if d.bad || len(d.b) > 0 {
		return errs.E("rebalance.decode", "message", errs.Invalid, "is cut short or too long")
	}
	return nil
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.bad = true
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) string() string {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}

func (d *decoder) state() (k store.KeyState) {
	k.Authority = d.uvarint()
	k.Version.Epoch, k.Version.Counter = d.uvarint(), d.uvarint()
	flags := d.byte()
	k.Exists, k.Deleted = flags&flagExists != 0, flags&flagDeleted != 0
	k.Size = int64(d.uvarint() &^ (1 << 63)) //nolint:gosec // without its highest bit it fits
	k.Checksum.Type = cksum.Type(d.byte())
	if k.Checksum.Value = d.string(); !k.Checksum.Type.Valid() {
		d.bad = true
	}
	return k
}

func decodeOffer(msg []byte) ([]offered, error) {
	d, n, err := open(msg, 10, maxOffered)
	if err != nil {
		return nil, err
	}
	keys := make([]offered, n)
	for i := range keys {
		keys[i].name.Bucket, keys[i].name.Key = d.uvarint(), d.string()
		keys[i].state = d.state()
		if object.CheckKey(keys[i].name.Key) != nil {
			d.bad = true
		}
	}
	return keys, d.end()
}

func decodeAnswers(msg []byte, want int) ([]answer, error) {
	d, n, err := open(msg, 3, want)
	if err != nil {
		return nil, err
	}
	if n != want {
		return nil, errs.F("rebalance.decode", "message", errs.Invalid, "has %d answers, wanted are %d", n, want)
	}
	as := make([]answer, n)
	for i := range as {
		switch as[i].outcome = d.byte(); as[i].outcome {
		case outApplied, outHad, outLower, outWanted:
			as[i].state = d.state()
		case outFailed:
			kind, text := d.string(), d.string()
			as[i].err = errs.E("", nil, errs.ParseKind(kind), text)
		default:
			d.bad = true
		}
	}
	return as, d.end()
}

// splitFrames cuts a body into its frames.
func splitFrames(body []byte) ([][]byte, error) {
	const op = "rebalance.splitFrames"
	var frames [][]byte
	for len(body) > 0 {
		if len(body) < format.FrameHeadSize {
			return nil, errs.E(op, "body", errs.Invalid, "ends in the middle of a frame")
		}
		h, err := format.DecodeFrameHead(body[:format.FrameHeadSize])
		if err != nil {
			return nil, err
		}
		if h.Length > int64(len(body)) {
			return nil, errs.E(op, "body", errs.Invalid, "ends in the middle of a frame")
		}
		if len(frames) == maxOffered {
			return nil, errs.F(op, "body", errs.Invalid, "has more than %d frames", maxOffered)
		}
		frames = append(frames, body[:h.Length:h.Length])
		body = body[h.Length:]
	}
	return frames, nil
}
