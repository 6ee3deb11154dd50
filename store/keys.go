package store

import (
	"encoding/binary"

	"aistore/errs"
	"aistore/object"
)

// Families of index keys: the first byte of every key. docs/format/record.md lists them.
const (
	famMeta    = 'm' // facts about the mountpath itself
	famRecord  = 'o' // bucket, key -> record of the current version
	famContent = 'd' // bucket, key -> inline content of the current version
	famRef     = 'r' // blob id, bucket, key -> empty: this record refers to this blob
	famAppend  = 'a' // session id -> append session
	famVersion = 'v' // kept for the versions of S3: bucket, key, 0, inverted version -> record
)

// objectKey appends the key of a name in one of the families of objects. Object keys order as their bytes do, since
// nothing follows them.
func objectKey(dst []byte, family byte, bucket uint64, key string) []byte {
	dst = append(dst, family)
	dst = binary.BigEndian.AppendUint64(dst, bucket)
	return append(dst, key...)
}

const objectPrefix = 1 + 8 // family and bucket

// bucketEnd is the first key after every key of the bucket.
func bucketEnd(dst []byte, family byte, bucket uint64) []byte {
	if bucket == ^uint64(0) {
		return append(dst, family+1)
	}
	return objectKey(dst, family, bucket+1, "")
}

// splitObjectKey is the inverse of objectKey; key aliases k.
func splitObjectKey(k []byte) (bucket uint64, key []byte, ok bool) {
	if len(k) < objectPrefix {
		return 0, nil, false
	}
	return binary.BigEndian.Uint64(k[1:]), k[objectPrefix:], true
}

// prefixEnd returns the first byte string after all that begin with p, or nil when there is none.
func prefixEnd(p []byte) []byte {
	end := append([]byte(nil), p...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

func refKey(dst []byte, id blobID, bucket uint64, key string) []byte {
	dst = append(dst, famRef)
	dst = append(dst, id[:]...)
	dst = binary.BigEndian.AppendUint64(dst, bucket)
	return append(dst, key...)
}

// splitRefKey is the inverse of refKey.
func splitRefKey(k []byte) (id blobID, n object.Name, ok bool) {
	const head = 1 + len(id)
	if len(k) < head+8 {
		return id, n, false
	}
	copy(id[:], k[1:])
	return id, object.Name{Bucket: binary.BigEndian.Uint64(k[head:]), Key: string(k[head+8:])}, true
}

func appendKey(id sessionID) []byte { return append([]byte{famAppend}, id[:]...) }

// Keys of the meta family.
const (
	metaFormat  = "mformat"  // 4 bytes: indexFormat
	metaCounter = "mcounter" // 8 bytes: no version has a counter above it
	metaDestroy = "mdestroy" // + bucket: the bucket is being removed
)

func destroyKey(bucket uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(metaDestroy), bucket)
}

// checkName refuses what the index cannot hold. Stricter rules are object.CheckKey's.
func checkName(op string, n object.Name) error {
	if n.Key == "" || len(n.Key) > object.MaxKeyLen {
		return errs.F(op, n, errs.Invalid, "the key has %d bytes: use 1 to %d", len(n.Key), object.MaxKeyLen)
	}
	return nil
}
