package format

import (
	"encoding/binary"

	"aistore/cksum"
	"aistore/errs"
)

// MarkSize is the length of a mark.
const MarkSize = 8 + 4

// AppendMark encodes the mark that stands under an index key.
func AppendMark(b []byte, epoch uint64, key []byte) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint64(b, epoch)
	return binary.LittleEndian.AppendUint32(b, cksum.BlockUpdate(cksum.Block(b[start:]), key[1:]))
}

// DecodeMark is the inverse of AppendMark.
func DecodeMark(b, key []byte) (epoch uint64, err error) {
	if len(b) != MarkSize || len(key) == 0 || cksum.BlockUpdate(cksum.Block(b[:8]), key[1:]) != binary.LittleEndian.Uint32(b[8:]) {
		return 0, errs.E("format.DecodeMark", "", errs.Corrupt, "the mark of a key is damaged")
	}
	return binary.LittleEndian.Uint64(b), nil
}
