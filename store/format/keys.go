package format

import (
	"bytes"
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
	FamVersion = 'v' // bucket, key, 0, inverted version -> record of an older version
	FamKept    = 'w' // bucket, key, 0, inverted version -> inline content of a version
	FamNull    = 'n' // bucket, key -> inverted version under which the null version is in FamVersion
	FamUpload  = 'u' // bucket, key, 0, upload id -> a multipart upload, under way or ended
	FamPart    = 'p' // bucket, key, 0, upload id, number -> a part of an upload
	FamTable   = 't' // bucket, key, 0, content id -> the parts of a completed object
	FamGone    = 'g' // bucket, key, 0, content id -> parts whose references are to be removed
	FamMark    = 'k' // bucket, key -> epoch in which this node, as owner, took the key over
)

// Families lists every family of an index.
func Families() []byte {
	return []byte{FamMeta, FamRecord, FamContent, FamRef, FamAppend, FamVersion, FamKept, FamNull, FamUpload, FamPart, FamTable, FamGone, FamMark}
}

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

// RefKey appends the key that says that a record of a name refers to a blob.
func RefKey(dst []byte, id BlobID, bucket uint64, key string, by Owner) []byte {
	dst = append(dst, FamRef)
	dst = append(dst, id[:]...)
	dst = binary.BigEndian.AppendUint64(dst, bucket)
	dst = append(dst, key...)
	if by.Kind == 0 {
		return dst
	}
	dst = append(dst, 0, by.Kind)
	return append(dst, by.ID[:]...)
}

// Owner tells the records of one name apart that may refer to blobs. The zero value is the null version, of which there is one.
type Owner struct {
	Kind byte     // 0, OwnerVersion or OwnerUpload
	ID   [16]byte // inverted version, or content id
}

// Kinds of owners.
const (
	OwnerVersion = 'v' // a version with an S3 version id
	OwnerUpload  = 'u' // an upload, and then the content that was completed of it
)

// SplitRefKey is the inverse of RefKey.
func SplitRefKey(k []byte) (id BlobID, n object.Name, by Owner, ok bool) {
	const head = 1 + len(id)
	if len(k) < head+8 {
		return id, n, by, false
	}
	copy(id[:], k[1:])
	n.Bucket = binary.BigEndian.Uint64(k[head:])
	key := k[head+8:]
	if i := bytes.IndexByte(key, 0); i >= 0 {
		if len(key)-i != 2+len(by.ID) {
			return id, n, by, false
		}
		by.Kind = key[i+1]
		copy(by.ID[:], key[i+2:])
		key = key[:i]
		if by.Kind != OwnerVersion && by.Kind != OwnerUpload {
			return id, n, by, false
		}
	}
	n.Key = string(key)
	return id, n, by, true
}

// Invert returns the 16 bytes that sort the greatest version first.
func Invert(v object.Version) (b [16]byte) {
	binary.BigEndian.PutUint64(b[:], ^v.Epoch)
	binary.BigEndian.PutUint64(b[8:], ^v.Counter)
	return b
}

// Uninvert is the inverse of Invert.
func Uninvert(b []byte) (v object.Version, ok bool) {
	if len(b) != 16 {
		return v, false
	}
	return object.Version{Epoch: ^binary.BigEndian.Uint64(b), Counter: ^binary.BigEndian.Uint64(b[8:])}, true
}

// IDKey appends the key of what belongs to a name and has an id of 16 bytes: an inverted version, an upload, a content.
func IDKey(dst []byte, family byte, bucket uint64, key string, id [16]byte) []byte {
	dst = append(ObjectKey(dst, family, bucket, key), 0)
	return append(dst, id[:]...)
}

// SplitIDKey is the inverse of IDKey and of PartKey; key aliases k, more is what follows the id.
func SplitIDKey(k []byte) (bucket uint64, key []byte, id [16]byte, more []byte, ok bool) {
	bucket, rest, ok := SplitObjectKey(k)
	i := bytes.IndexByte(rest, 0)
	if !ok || i < 0 || len(rest) < i+1+len(id) {
		return 0, nil, id, nil, false
	}
	copy(id[:], rest[i+1:])
	return bucket, rest[:i], id, rest[i+1+len(id):], true
}

// PartKey appends the key of a part of an upload.
func PartKey(dst []byte, bucket uint64, key string, id [16]byte, number int) []byte {
	return binary.BigEndian.AppendUint16(IDKey(dst, FamPart, bucket, key, id), uint16(number))
}

// Keys of the meta family.
const (
	MetaFormat  = "mformat"  // 4 bytes: the index format
	MetaCounter = "mcounter" // 8 bytes: no version has a counter above it
	MetaEpoch   = "mepoch"   // 8 bytes: no version has an epoch above it
	MetaDestroy = "mdestroy" // + bucket: the bucket is being removed
	MetaRebuilt = "mrebuilt" // empty: references from other mountpaths may be missing
	MetaEra     = "mera"     // 8 bytes: the node's membership in its cluster to which this mountpath's content belongs
)

// DestroyKey is the key that says that a bucket is being removed.
func DestroyKey(bucket uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(MetaDestroy), bucket)
}
