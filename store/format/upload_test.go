package format

import (
	"bytes"
	"reflect"
	"slices"
	"testing"

	"aistore/cksum"
	"aistore/errs"
	"aistore/object"
)

func sampleParts() []Part {
	return []Part{
		{Number: 1, Size: 8 << 20, Created: 1_700_000_000_000_000_001, Version: object.Version{Counter: 7}, MD5: [16]byte{1, 2}, Mount: 0xfedcba9876543210, Blob: BlobID{3}, BlockSize: 128 << 10},
		{Number: 10_000, Size: 1, Created: 1, Version: object.Version{Epoch: 2, Counter: 1 << 40}, Mount: 1, Blob: BlobID{4}, BlockSize: 4096,
			Sums: []cksum.Value{cksum.Of(cksum.CRC32, nil), cksum.Of(cksum.SHA256, nil)}},
	}
}

func sampleUploads() map[string]Upload {
	u := Upload{State: UploadOpen, Initiated: 1_700_000_000_000_000_000, Custom: EncodeMap(map[string]string{"k": "v"}), Tags: EncodeMap(map[string]string{"t": ""})}
	done := Upload{State: UploadCompleted, Clean: true, Initiated: 1, Ended: 2, Used: []Run{{1, 3}, {7, 1}}, Result: []byte("a record")}
	return map[string]Upload{"open": u, "completed": done, "aborted": {State: UploadAborted, Ended: 3}}
}

var sampleID = [16]byte{0x17, 0x8b, 0xcf, 0xe5, 0x68, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8}

func TestUploadsAreGolden(t *testing.T) {
	key := IDKey(nil, FamUpload, 7, "dir/key", sampleID)
	for name, u := range sampleUploads() {
		b := AppendUpload(nil, &u, key)
		golden(t, "upload-"+name, b)
		var got Upload
		err := DecodeUpload(&got, b, key)
		if got.Custom, got.System = slices.Clone(got.Custom), slices.Clone(got.System); err != nil || string(AppendUpload(nil, &got, key)) != string(b) || !slices.Equal(got.Used, u.Used) {
			t.Errorf("%s: %+v %v", name, got, err)
		}
		refuses(t, name, b, key, func(b, key []byte) error { return DecodeUpload(new(Upload), b, key) })
	}
}

func TestPartsAreGolden(t *testing.T) {
	for _, p := range sampleParts() {
		key := PartKey(nil, 7, "dir/key", sampleID, p.Number)
		b := AppendPart(nil, &p, key)
		if p.Number > 1 {
			golden(t, "part", b)
		}
		var got Part
		if err := DecodePart(&got, b, key); err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("%+v %v, want %+v", got, err, p)
		}
		refuses(t, "part", b, key, func(b, key []byte) error { return DecodePart(new(Part), b, key) })
		bucket, id, back, ok := DecodePartFoot(AppendPartFoot(nil, 7, sampleID, &p))
		if !ok || bucket != 7 || id != UploadID(sampleID) || !reflect.DeepEqual(back, p) {
			t.Errorf("footer: %d %v %+v %v", bucket, id, back, ok)
		}
	}
	key := IDKey(nil, FamTable, 7, "dir/key", sampleID)
	b := AppendTable(nil, sampleParts(), key)
	golden(t, "table", b)
	if got, err := DecodeTable(b, key); err != nil || !reflect.DeepEqual(got, sampleParts()) {
		t.Errorf("%+v %v", got, err)
	}
	refuses(t, "table", b, key, func(b, key []byte) error { return second(DecodeTable(b, key)) })
	if _, err := DecodeTable(b, IDKey(nil, FamGone, 7, "dir/key", sampleID)); err != nil {
		t.Errorf("a table is also what is to be removed: %v", err)
	}
	p := sampleParts()[0]
	golden(t, "part-foot", AppendPartFoot(nil, 7, sampleID, &p))
}

func second[T any](_ T, err error) error { return err }

// refuses checks that a value with any bit flipped, cut, under another key, or from the future is refused.
func refuses(t *testing.T, name string, good, key []byte, decode func(b, key []byte) error) {
	t.Helper()
	for i := range good {
		b := slices.Clone(good)
		b[i] ^= 1 << (i % 8)
		if err := decode(b, key); !errs.Is(err, errs.Corrupt, errs.Unsupported) {
			t.Errorf("%s: byte %d flipped: %v", name, i, err)
		}
		if err := decode(good[:i], key); !errs.Is(err, errs.Corrupt) {
			t.Errorf("%s: cut at %d: %v", name, i, err)
		}
	}
	other := slices.Clone(key)
	other[len(other)-1] ^= 1
	if err := decode(good, other); !errs.Is(err, errs.Corrupt) {
		t.Errorf("%s: under another key: %v", name, err)
	}
	newer := slices.Clone(good)
	newer[0] = uploadFormat + 1
	if err := decode(newer, key); !errs.Is(err, errs.Unsupported) {
		t.Errorf("%s: from the future: %v", name, err)
	}
}

func TestUses(t *testing.T) {
	var u Upload
	for _, n := range []int{1, 2, 3, 7, 9, 10_000} {
		u.Use(n)
	}
	for n := range 10_002 {
		if want := slices.Contains([]int{1, 2, 3, 7, 9, 10_000}, n); u.Uses(n) != want {
			t.Errorf("part %d: %v", n, u.Uses(n))
		}
	}
	if len(u.Used) != 4 {
		t.Errorf("%v", u.Used)
	}
}

func TestVersionIDs(t *testing.T) {
	var r Record
	v := object.Version{Epoch: 5, Counter: 9}
	r.Version = v
	for _, c := range []struct {
		set  func()
		text string
		null bool
	}{{func() {}, "", true}, {r.SetNull, object.NullVersion, true}, {func() { r.SetVersionID(v) }, "5.9", false}} {
		c.set()
		var i object.Info
		if r.Info(&i, "k"); i.VersionID != c.text || r.Null() != c.null || r.Born() != v || (r.Owner() == Owner{}) != c.null {
			t.Errorf("%q: %+v", c.text, r)
		}
	}
	r.Version.Counter = 100 // a change of metadata
	if r.Born() != v {
		t.Errorf("born as %v", r.Born())
	}
	var last [16]byte
	for i, v := range []object.Version{{Epoch: 9, Counter: 1}, {Epoch: 3, Counter: 9}, {Epoch: 3, Counter: 8}, {}} {
		inv := Invert(v)
		back, ok := Uninvert(inv[:])
		if !ok || back != v || i > 0 && bytes.Compare(last[:], inv[:]) >= 0 {
			t.Errorf("%v sorts as %x", v, inv)
		}
		last = inv
	}
}

// reseal lets a fuzzed value pass its checksum, so that the parser itself is reached.
func reseal(body, key []byte) []byte { return seal(slices.Clone(body), 0, key) }

func FuzzDecodeUpload(f *testing.F) {
	key := IDKey(nil, FamUpload, 7, "k", sampleID)
	for _, u := range sampleUploads() {
		b := AppendUpload(nil, &u, key)
		f.Add(b[:len(b)-4])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var u, back Upload
		if DecodeUpload(&u, reseal(body, key), key) != nil {
			return
		}
		if err := DecodeUpload(&back, AppendUpload(nil, &u, key), key); err != nil {
			t.Fatalf("does not decode after encoding: %v", err)
		}
	})
}

func FuzzDecodePart(f *testing.F) {
	key := PartKey(nil, 7, "k", sampleID, 1)
	for _, p := range sampleParts() {
		b := AppendPart(nil, &p, key)
		f.Add(b[:len(b)-4])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var p, back Part
		if DecodePart(&p, reseal(body, key), key) == nil {
			if err := DecodePart(&back, AppendPart(nil, &p, key), key); err != nil || !reflect.DeepEqual(p, back) {
				t.Fatalf("%+v became %+v %v", p, back, err)
			}
		}
		DecodePartFoot(body)
	})
}

func FuzzDecodeTable(f *testing.F) {
	key := IDKey(nil, FamTable, 7, "k", sampleID)
	b := AppendTable(nil, sampleParts(), key)
	f.Add(b[:len(b)-4])
	f.Fuzz(func(t *testing.T, body []byte) {
		parts, err := DecodeTable(reseal(body, key), key)
		if err != nil {
			return
		}
		if back, err := DecodeTable(AppendTable(nil, parts, key), key); err != nil || !reflect.DeepEqual(parts, back) {
			t.Fatalf("%+v became %+v %v", parts, back, err)
		}
	})
}

func FuzzSplitKeys(f *testing.F) {
	f.Add(RefKey(nil, BlobID{1}, 7, "k", Owner{OwnerUpload, sampleID}))
	f.Add(PartKey(nil, 7, "k", sampleID, 1))
	f.Fuzz(func(t *testing.T, k []byte) {
		if id, n, by, ok := SplitRefKey(k); ok && !bytes.Equal(RefKey(nil, id, n.Bucket, n.Key, by)[1:], k[1:]) {
			t.Fatalf("%x splits into %v %v %v", k, id, n, by)
		}
		if bucket, key, id, more, ok := SplitIDKey(k); ok && !bytes.Equal(append(IDKey(nil, k[0], bucket, string(key), id), more...), k) {
			t.Fatalf("%x splits into %d %x %x %x", k, bucket, key, id, more)
		}
	})
}
