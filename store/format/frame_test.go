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

// sampleFrame has something of everything. Its contents are 1234 bytes.
func sampleFrame() *Frame {
	n := object.Name{Bucket: 7, Key: "dir/key"}
	s := samples()
	parts := sampleParts()
	upload := sampleUploads()["open"]
	f := &Frame{Name: n, Mark: 300}
	for _, name := range []string{"multipart", "marker"} {
		rec := s[name].rec
		f.Records = append(f.Records, FrameRecord{Mount: 1, Value: AppendRecord(nil, &rec, n.Key)})
	}
	f.Tables = []FrameTable{{ID: [16]byte{9}, Value: AppendTable(nil, parts, IDKey(nil, FamTable, n.Bucket, n.Key, [16]byte{9}))}}
	u := FrameUpload{ID: sampleID, Value: AppendUpload(nil, &upload, IDKey(nil, FamUpload, n.Bucket, n.Key, sampleID))}
	for i := range parts {
		u.Parts = append(u.Parts, AppendPart(nil, &parts[i], PartKey(nil, n.Bucket, n.Key, sampleID, parts[i].Number)))
	}
	f.Uploads = []FrameUpload{u, {ID: [16]byte{4}, Value: []byte("x"), Parts: [][]byte{}}}
	f.Blobs = []FrameBlob{{Mount: 1, ID: BlobID{3}, Length: 300_000, BlockSize: 128 << 10}, {Mount: 2, ID: BlobID{4}, BlockSize: 4096}}
	f.Ext = []byte("later")
	return f
}

func TestFramesAreGolden(t *testing.T) {
	f := sampleFrame()
	b := AppendFrame([]byte("before"), f, 1234)[6:]
	golden(t, "frame", b)
	h, err := DecodeFrameHead(b[:FrameHeadSize])
	if err != nil || h.Description != int64(len(b)-FrameHeadSize) || h.Length != int64(len(b)+1234) {
		t.Fatalf("%+v %v", h, err)
	}
	var back Frame
	if err := DecodeFrame(&back, b[FrameHeadSize:]); err != nil || !reflect.DeepEqual(&back, f) {
		t.Fatalf("%+v\nwas\n%+v\n%v", back, f, err)
	}
	for i, p := range sampleParts() {
		var got Part
		if err := DecodePartOf(&got, f.Uploads[0].Parts[i], f.Name, sampleID); err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("%+v %v, want %+v", got, err, p)
		}
		if err := DecodePartOf(&got, f.Uploads[0].Parts[i], f.Name, UploadID{1}); !errs.Is(err, errs.Corrupt) {
			t.Errorf("under another upload: %v", err)
		}
	}
	if got := f.Blobs[0].Size(); got != 300_000+3*4+4 {
		t.Errorf("a blob takes %d bytes", got)
	}
	many := FrameBlob{Length: 1024 * 4096, BlockSize: 4096}
	if got := many.Size(); got != many.Length+1024*4+2*4 {
		t.Errorf("a blob of 1024 blocks takes %d bytes", got)
	}
}

func TestFrameRefuses(t *testing.T) {
	good := AppendFrame(nil, sampleFrame(), 1234)
	head, desc := good[:FrameHeadSize], good[FrameHeadSize:]
	for i := range head {
		b := slices.Clone(head)
		b[i] ^= 1 << (i % 8)
		if _, err := DecodeFrameHead(b); !errs.Is(err, errs.Corrupt) {
			t.Errorf("head, byte %d flipped: %v", i, err)
		}
		if _, err := DecodeFrameHead(head[:i]); !errs.Is(err, errs.Corrupt) {
			t.Errorf("head cut at %d: %v", i, err)
		}
	}
	for i := range desc {
		b := slices.Clone(desc)
		b[i] ^= 1 << (i % 8)
		var f Frame
		if err := DecodeFrame(&f, b); !errs.Is(err, errs.Corrupt) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
		if err := DecodeFrame(&f, desc[:i]); !errs.Is(err, errs.Corrupt) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	// A head from the future, and one that claims too much.
	for _, c := range []struct {
		at   int
		what byte
		kind errs.Kind
	}{{8, 2, errs.Unsupported}, {17, 1, errs.Corrupt}, {27, 0x80, errs.Corrupt}, {20, 0, errs.Corrupt}} {
		b := slices.Clone(head)
		b[c.at] = c.what
		if c.at == 20 {
			clear(b[20:28])
		}
		b = resealHead(b)
		if _, err := DecodeFrameHead(b); !errs.Is(err, c.kind) {
			t.Errorf("byte %d as %d: %v", c.at, c.what, err)
		}
	}
}

func resealHead(b []byte) []byte {
	c := cksum.Block(b[:28])
	return append(slices.Clone(b[:28]), byte(c), byte(c>>8), byte(c>>16), byte(c>>24))
}

func TestMarks(t *testing.T) {
	key := ObjectKey(nil, FamMark, 7, "k")
	b := AppendMark([]byte("x"), 1<<40, key)[1:]
	golden(t, "mark", b)
	if epoch, err := DecodeMark(b, key); epoch != 1<<40 || err != nil {
		t.Fatal(epoch, err)
	}
	for i := range b {
		bad := slices.Clone(b)
		bad[i] ^= 4
		if _, err := DecodeMark(bad, key); !errs.Is(err, errs.Corrupt) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
		if _, err := DecodeMark(b[:i], key); !errs.Is(err, errs.Corrupt) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	if _, err := DecodeMark(b, ObjectKey(nil, FamMark, 8, "k")); !errs.Is(err, errs.Corrupt) {
		t.Errorf("of another bucket: %v", err)
	}
}

// FuzzDecodeFrame feeds the decoder descriptions that pass their checksum, so that the parser itself is reached.
func FuzzDecodeFrame(f *testing.F) {
	good := AppendFrame(nil, sampleFrame(), 1234)
	f.Add(good[FrameHeadSize : len(good)-4])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		var fr, back Frame
		c := cksum.Block(body)
		if DecodeFrame(&fr, append(slices.Clone(body), byte(c), byte(c>>8), byte(c>>16), byte(c>>24))) != nil {
			return
		}
		again := AppendFrame(nil, &fr, 0)
		if err := DecodeFrame(&back, again[FrameHeadSize:]); err != nil || !reflect.DeepEqual(fr, back) {
			t.Fatalf("%+v became %+v %v", fr, back, err)
		}
	})
}

// FuzzFrameHead feeds heads that pass their checksum.
func FuzzFrameHead(f *testing.F) {
	f.Add(AppendFrame(nil, sampleFrame(), 1234)[:28])
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) != 28 {
			return
		}
		b = append(append([]byte(frameMagic), b[8:]...), 0, 0, 0, 0)
		h, err := DecodeFrameHead(resealHead(b))
		if err == nil && (h.Description < 4 || h.Length < FrameHeadSize+h.Description || !bytes.HasPrefix(b, []byte(frameMagic))) {
			t.Fatalf("%+v", h)
		}
	})
}
