package format

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"aistore/cksum"
	"aistore/errs"
	"aistore/object"
)

var update = flag.Bool("update", false, "write the golden files anew: only when a format's number changes")

// samples are records of every sort, by the name of their golden file.
func samples() map[string]struct {
	key string
	rec Record
} {
	id := BlobID{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	crcs := []byte{1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0}
	base := func(r Record) Record {
		r.Bucket, r.Version, r.Created = 7, object.Version{Epoch: 3, Counter: 1 << 40}, 1_700_000_000_123_456_789
		return r
	}
	sum := cksum.Of(cksum.XXHash, []byte("content"))
	inline := base(Record{Size: 7, SumType: sum.Type, Digest: sum.Raw(), Parts: []Content{
		{Kind: RefInline, Length: 7, Tag: object.Version{Epoch: 3, Counter: 9}, CRC: cksum.Block([]byte("content"))},
	}})
	inline.Custom = EncodeMap(map[string]string{"k": "v", "another": ""})
	inline.System = EncodeMap(map[string]string{"content-type": "text/plain"})
	inline.Tags = EncodeMap(map[string]string{"tag": "ünï"})
	blob := base(Record{Size: 300_000, Flags: FlagShared, SumType: cksum.SHA256, Digest: bytes.Repeat([]byte{0xab}, 32), Parts: []Content{
		{Kind: RefBlob, Length: 300_000, Total: 300_000, Blob: id, BlockSize: 128 << 10, CRCs: crcs},
	}})
	blob.SetETag("given-by-client")
	large := base(Record{Size: 1 << 40, Parts: []Content{{Kind: RefBlob, Length: 1 << 40, Total: 1 << 40, Blob: id, BlockSize: 128 << 10}}})
	large.SetETag("")
	multi := base(Record{Size: 5000, SumType: cksum.CRC32C, Digest: []byte{1, 2, 3, 4}, S3ID: []byte("3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY+MTRCxf3vjVBH40Nr8X8gdRQBpUMLUo"), Ext: []byte("later"), Parts: []Content{
		{Kind: RefBlob, Length: 2000, Offset: 1000, Total: 300_000, Blob: id, BlockSize: 128 << 10, CRCs: crcs},
		{Kind: RefBlob, Length: 3000, Total: 3000, Blob: BlobID{9}, BlockSize: 4096, CRCs: crcs[:4]},
		{Kind: RefBlob, Role: 2, Index: 1, Length: 3000, Total: 3000, Blob: BlobID{10}, BlockSize: 4096, CRCs: crcs[:4]},
	}})
	kept := base(Record{Size: 7, SumType: cksum.CRC64NVME, Digest: bytes.Repeat([]byte{0xcd}, 8), Parts: []Content{
		{Kind: RefKept, Length: 7, Tag: object.Version{Epoch: 3, Counter: 9}, CRC: cksum.Block([]byte("content"))},
	}})
	kept.SetVersionID(object.Version{Epoch: 3, Counter: 9})
	table := base(Record{Size: 5 << 30, Parts: []Content{{Kind: RefTable, Length: 5 << 30, Blob: id, Total: 640}}})
	table.SetETag("d41d8cd98f00b204e9800998ecf8427e-640")
	table.SetNull()
	marker := base(Record{})
	marker.SetTombstone()
	marker.SetVersionID(marker.Version)
	type sample = struct {
		key string
		rec Record
	}
	return map[string]sample{
		"inline":    {"dir/inline object", inline},
		"blob":      {"blob", blob},
		"large":     {"large", large},
		"multipart": {"multi/part", multi},
		"tombstone": {"gone", base(Record{Flags: flagTombstone})},
		"kept":      {"kept", kept},
		"table":     {"table", table},
		"marker":    {"marker", marker},
		"empty":     {"empty", base(Record{Parts: []Content{{Kind: RefInline, Tag: object.Version{Epoch: 3, Counter: 1 << 40}}}})},
	}
}

// golden compares b with a file of hex, or writes it with -update.
func golden(t *testing.T, name string, b []byte) {
	t.Helper()
	file := filepath.Join("testdata", name+".hex")
	got := hex.Dump(b)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: the format changed:\n%s", name, got)
	}
}

func TestRecordsAreGolden(t *testing.T) {
	for name, s := range samples() {
		b := AppendRecord(nil, &s.rec, s.key)
		golden(t, "record-"+name, b)
		var r Record
		if err := DecodeRecord(&r, b, []byte(s.key)); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if again := AppendRecord(nil, &r, s.key); !bytes.Equal(again, b) {
			t.Errorf("%s: encodes otherwise after decoding", name)
		}
		r.Parts, r.One = slices.Clone(r.Parts), [1]Content{}
		s.rec.One = [1]Content{}
		if fmt.Sprintf("%+v", r) != fmt.Sprintf("%+v", s.rec) {
			t.Errorf("%s: decodes to\n%+v, was\n%+v", name, r, s.rec)
		}
	}
}

func TestInfo(t *testing.T) {
	s := samples()
	var i object.Info
	rec := s["inline"].rec
	rec.Info(&i, "k")
	want := object.Info{
		Key: "k", Version: object.Version{Epoch: 3, Counter: 1 << 40}, Size: 7, Created: time.Unix(0, 1_700_000_000_123_456_789),
		Checksum: cksum.Of(cksum.XXHash, []byte("content")), ETag: cksum.Of(cksum.XXHash, []byte("content")).Value,
		Custom: map[string]string{"k": "v", "another": ""}, System: map[string]string{"content-type": "text/plain"}, Tags: map[string]string{"tag": "ünï"},
	}
	if !reflect.DeepEqual(i, want) {
		t.Errorf("%+v", i)
	}
	for name, etag := range map[string]string{"blob": "given-by-client", "large": "3.1099511627776"} {
		rec := s[name].rec
		if rec.Info(&i, "k"); i.ETag != etag {
			t.Errorf("%s: ETag %q", name, i.ETag)
		}
	}
}

func TestRecordRefuses(t *testing.T) {
	s := samples()["blob"]
	good := AppendRecord(nil, &s.rec, s.key)
	for i := range good {
		b := slices.Clone(good)
		b[i] ^= 1 << (i % 8)
		var r Record
		if err := DecodeRecord(&r, b, []byte(s.key)); !errs.Is(err, errs.Corrupt, errs.Unsupported) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
		if err := DecodeRecord(&r, good[:i], []byte(s.key)); !errs.Is(err, errs.Corrupt) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	var r Record
	if err := DecodeRecord(&r, good, []byte("another")); !errs.Is(err, errs.Corrupt) {
		t.Errorf("under another name: %v", err)
	}
	newer := slices.Clone(good)
	newer[0] = RecordVersion + 1
	if err := DecodeRecord(&r, newer, []byte(s.key)); !errs.Is(err, errs.Unsupported) || !strings.Contains(err.Error(), "newer") {
		t.Errorf("newer format: %v", err)
	}
	bad := s.rec
	bad.Size++
	if err := DecodeRecord(&r, AppendRecord(nil, &bad, s.key), []byte(s.key)); !errs.Is(err, errs.Corrupt) {
		t.Errorf("parts that do not add up: %v", err)
	}
}

// FuzzDecodeRecord feeds the decoder bodies that pass the checksum, so that the parser itself is reached.
func FuzzDecodeRecord(f *testing.F) {
	for _, s := range samples() {
		b := AppendRecord(nil, &s.rec, s.key)
		f.Add(b[:len(b)-4], s.key)
	}
	f.Fuzz(func(t *testing.T, body []byte, key string) {
		b := appendCRC(slices.Clone(body), key)
		var r Record
		err := DecodeRecord(&r, b, []byte(key))
		if err != nil {
			if !errs.Is(err, errs.Corrupt, errs.Unsupported) {
				t.Fatal(err)
			}
			return
		}
		var i object.Info
		r.Info(&i, key)
		again := AppendRecord(nil, &r, key)
		var r2 Record
		if err := DecodeRecord(&r2, again, []byte(key)); err != nil {
			t.Fatalf("does not decode after encoding: %v", err)
		}
	})
}

func appendCRC(body []byte, key string) []byte {
	c := recordCRC(body, key)
	return append(body, byte(c), byte(c>>8), byte(c>>16), byte(c>>24))
}

func TestKeysKeepOrder(t *testing.T) {
	names := []object.Name{{Bucket: 1, Key: "a"}, {Bucket: 1, Key: "a\x01"}, {Bucket: 1, Key: "a/b"}, {Bucket: 1, Key: "ab"}, {Bucket: 1, Key: "\xff\xff"}, {Bucket: 2, Key: "a"}, {Bucket: ^uint64(0), Key: "\xff"}}
	var last []byte
	for _, n := range names {
		k := ObjectKey(nil, FamRecord, n.Bucket, n.Key)
		if bytes.Compare(last, k) >= 0 {
			t.Errorf("%v does not sort behind the one before", n)
		}
		last = k
		if b, key, ok := SplitObjectKey(k); !ok || b != n.Bucket || string(key) != n.Key {
			t.Errorf("%v splits into %d %q", n, b, key)
		}
		if end := BucketEnd(nil, FamRecord, n.Bucket); bytes.Compare(k, end) >= 0 {
			t.Errorf("%v lies behind its bucket's end", n)
		}
		for _, by := range []Owner{{}, {OwnerVersion, Invert(object.Version{Epoch: 1, Counter: 2})}, {OwnerUpload, [16]byte{3}}} {
			if id, back, who, ok := SplitRefKey(RefKey(nil, BlobID{1, 2}, n.Bucket, n.Key, by)); !ok || id != (BlobID{1, 2}) || back != n || who != by {
				t.Errorf("reference of %v by %v splits into %v %v %v", n, by, id, back, who)
			}
		}
		if b, key, id, more, ok := SplitIDKey(PartKey(nil, n.Bucket, n.Key, [16]byte{5, 0, 7}, 300)); !ok || b != n.Bucket || string(key) != n.Key || id != [16]byte{5, 0, 7} || string(more) != "\x01\x2c" {
			t.Errorf("key of a part of %v splits into %d %q %x %x", n, b, key, id, more)
		}
	}
	for p, want := range map[string]string{"a": "b", "a\xff": "b", "\xff\xff": "", "": ""} {
		if got := PrefixEnd([]byte(p)); string(got) != want {
			t.Errorf("PrefixEnd(%q) = %q", p, got)
		}
	}
}

func TestContentIsGolden(t *testing.T) {
	data := []byte("hello")
	b := make([]byte, len(data)+ContentTrailer)
	PutContent(b, data, object.Version{Epoch: 1, Counter: 2}, cksum.Block(data))
	golden(t, "content", b)
	got, v, crc, ok := SplitContent(b)
	if !ok || string(got) != "hello" || v != (object.Version{Epoch: 1, Counter: 2}) || crc != cksum.Block(b[:len(b)-4]) {
		t.Errorf("%q %v %x %v", got, v, crc, ok)
	}
	if _, _, _, ok := SplitContent(b[:ContentTrailer-1]); ok {
		t.Error("too short content accepted")
	}
}

// blobFile is a blob in memory.
type blobFile struct{ *bytes.Reader }

func (b blobFile) Stat() (os.FileInfo, error) { return fileSize(b.Size()), nil }

type fileSize int64

func (s fileSize) Size() int64      { return int64(s) }
func (fileSize) Name() string       { return "" }
func (fileSize) IsDir() bool        { return false }
func (fileSize) ModTime() time.Time { return time.Time{} }
func (fileSize) Mode() os.FileMode  { return 0 }
func (fileSize) Sys() any           { return nil }

func sampleBlob() (b []byte, f Foot) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 600) // 9,600 bytes: three blocks
	f = Foot{ID: BlobID{0, 0, 0, 0, 0, 0, 0x2a, 1, 0xff}, Length: int64(len(content)), BlockSize: 4096, Key: "a blob"}
	var crcs []byte
	for rest := content; len(rest) > 0; {
		n := min(len(rest), 4096)
		c := cksum.Block(rest[:n])
		crcs = append(crcs, byte(c), byte(c>>8), byte(c>>16), byte(c>>24))
		rest = rest[n:]
	}
	rec := Record{Bucket: 7, Size: f.Length, Parts: []Content{{Kind: RefBlob, Length: f.Length, Total: f.Length, Blob: f.ID, BlockSize: 4096, CRCs: crcs}}}
	f.Record = AppendRecord(nil, &rec, f.Key)
	b = AppendBlobHeader(nil, f.ID, f.BlockSize)
	b = append(b, content...)
	return AppendFooter(b, &f, crcs), f
}

func TestBlobIsGolden(t *testing.T) {
	b, want := sampleBlob()
	golden(t, "blob-header", b[:48])
	golden(t, "blob-footer", b[BlobHeaderSize+want.Length:])
	got, err := ReadFoot(blobFile{bytes.NewReader(b)})
	if err != nil || !reflect.DeepEqual(*got, want) {
		t.Errorf("%+v %v, want %+v", got, err, want)
	}
	if p := want.ID.Path(); p != "blobs/2a/000000000000"+"2a01ff00000000000000" {
		t.Errorf("path %q", p)
	}
	if id, ok := ParseBlobID(want.ID.String()); !ok || id != want.ID {
		t.Error("id does not parse back")
	}
	for _, bad := range []string{"", "00", want.ID.String() + "0", "x" + want.ID.String()[1:]} {
		if _, ok := ParseBlobID(bad); ok {
			t.Errorf("id %q accepted", bad)
		}
	}
}

func TestFooterRefuses(t *testing.T) {
	good, f := sampleBlob()
	from := int(BlobHeaderSize+f.Length) + int(TableSize(3))
	for i := from; i < len(good); i++ {
		b := slices.Clone(good)
		b[i] ^= 1
		if _, err := ReadFoot(blobFile{bytes.NewReader(b)}); !errs.Is(err, errs.Corrupt) {
			t.Errorf("byte %d flipped: %v", i-from, err)
		}
	}
	for _, n := range []int{0, 100, BlobHeaderSize, len(good) - 1} {
		if _, err := ReadFoot(blobFile{bytes.NewReader(good[:n])}); !errs.Is(err, errs.Corrupt) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
}

func FuzzReadFoot(f *testing.F) {
	b, foot := sampleBlob()
	f.Add(b[BlobHeaderSize+foot.Length:])
	f.Fuzz(func(t *testing.T, tail []byte) {
		whole := append(slices.Clone(b[:BlobHeaderSize+foot.Length]), tail...)
		if n := len(tail); n >= blobTrailerSize { // let the trailer pass its own checksum
			c := cksum.Block(tail[n-blobTrailerSize : n-4])
			copy(whole[len(whole)-4:], []byte{byte(c), byte(c >> 8), byte(c >> 16), byte(c >> 24)})
		}
		ft, err := ReadFoot(blobFile{bytes.NewReader(whole)})
		if err == nil && (ft.Length < 0 || ft.BlockSize < MinBlockSize) {
			t.Fatalf("%+v", ft)
		}
	})
}

func TestReadFull(t *testing.T) {
	b := make([]byte, 4)
	if err := ReadFull(bytes.NewReader([]byte("abcdef")), b, 2); err != nil || string(b) != "cdef" {
		t.Errorf("%q %v", b, err)
	}
	if err := ReadFull(bytes.NewReader([]byte("abcdef")), b, 3); !errs.Is(err, errs.Corrupt) {
		t.Errorf("short file: %v", err)
	}
	if err := ReadFull(failing{}, b, 0); errs.Is(err, errs.Corrupt) || err == nil {
		t.Errorf("failing file: %v", err)
	}
}

type failing struct{}

func (failing) ReadAt([]byte, int64) (int, error) { return 0, io.ErrClosedPipe }
