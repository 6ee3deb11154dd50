package format

import (
	"encoding/binary"

	"aistore/object"
)

// Families of index keys: the first byte of every key. docs/format/record.md lists them.
const (
	FamMeta    = 'm' // facts about the mountpath itself
	FamRecord  = 'o' // bucket, key -> record of the current version
	FamContent = 'd' // bucket, key -> inline content of the current version
	FamRef     = 'r' // blob id, bucket, key -> empty: this record refers to this blob
	FamAppend  = 'a' // session id -> append session
	FamVersion = 'v' // kept for the versions of S3: bucket, key, 0, inverted version -> record
)

// ObjectKey appends the key of a name in one of the families of objects. Object keys order as their bytes do, since
// nothing follows them.
func ObjectKey(dst []byte, family byte, bucket uint64, key string) []byte {
	dst = append(dst, family)
	dst = binary.BigEndian.AppendUint64(dst, bucket)
	return append(dst, key...)
}

// ObjectPrefix is the length of what stands before an object's key: family and bucket.
const ObjectPrefix = 1 + 8

// BucketEnd is the first key after every key of the bucket.
func BucketEnd(dst []byte, family byte, bucket uint64) []byte {
	if bucket == ^uint64(0) {
		return append(dst, family+1)
	}
	return ObjectKey(dst, family, bucket+1, "")
}

// SplitObjectKey is the inverse of ObjectKey; key aliases k.
func SplitObjectKey(k []byte) (bucket uint64, key []byte, ok bool) {
	if len(k) < ObjectPrefix {
		return 0, nil, false
	}
	return binary.BigEndian.Uint64(k[1:]), k[ObjectPrefix:], true
}

// PrefixEnd returns the first byte string after all that begin with p, or nil when there is none.
func PrefixEnd(p []byte) []byte {
	end := append([]byte(nil), p...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// RefKey appends the key that says that the record of a name refers to a blob.
func RefKey(dst []byte, id BlobID, bucket uint64, key string) []byte {
	dst = append(dst, FamRef)
	dst = append(dst, id[:]...)
	dst = binary.BigEndian.AppendUint64(dst, bucket)
	return append(dst, key...)
}

// SplitRefKey is the inverse of RefKey.
func SplitRefKey(k []byte) (id BlobID, n object.Name, ok bool) {
	const head = 1 + len(id)
	if len(k) < head+8 {
		return id, n, false
	}
	copy(id[:], k[1:])
	return id, object.Name{Bucket: binary.BigEndian.Uint64(k[head:]), Key: string(k[head+8:])}, true
}

// Keys of the meta family.
const (
	MetaFormat  = "mformat"  // 4 bytes: the index format
	MetaCounter = "mcounter" // 8 bytes: no version has a counter above it
	MetaDestroy = "mdestroy" // + bucket: the bucket is being removed
)

// DestroyKey is the key that says that a bucket is being removed.
func DestroyKey(bucket uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(MetaDestroy), bucket)
}
