package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aistore/cksum"
	"aistore/errs"
	"aistore/fs"
	"aistore/object"
)

func createUpload(t testing.TB, s *Store, n object.Name) string {
	t.Helper()
	u, err := s.CreateUpload(t.Context(), n, UploadOptions{Custom: map[string]string{"k": "v"}})
	must(t, err)
	return u.ID
}

func putPart(t testing.TB, s *Store, n object.Name, id string, number int, data []byte) PartInfo {
	t.Helper()
	p, err := s.PutPart(t.Context(), n, id, number, bytes.NewReader(data), PartOptions{Size: int64(len(data))})
	must(t, err)
	return p
}

// TestUploadLife walks one upload from its begin to the object's removal.
func TestUploadLife(t *testing.T) {
	forEachStore(t, func(t *testing.T, s *Store) {
		n := b1("dir/multi")
		id := createUpload(t, s, n)
		datas := [][]byte{random(10_000), {}, random(1), random(300_000), random(4096)}
		var named []CompletePart
		var whole, sums []byte
		for i, data := range datas {
			number := 1 + 3*i
			putPart(t, s, n, id, number, random(50)) // sent again below: the last one wins
			p, err := s.PutPart(t.Context(), n, id, number, bytes.NewReader(data), PartOptions{
				Size: -1, Expect: []cksum.Value{cksum.Of(cksum.SHA1, data)}, Also: []cksum.Type{cksum.CRC64NVME},
			})
			must(t, err)
			if want := cksum.Of(cksum.MD5, data); p.ETag != want.Value || p.Size != int64(len(data)) || len(p.Sums) != 1 || p.Sums[0] != cksum.Of(cksum.CRC64NVME, data) {
				t.Fatalf("part %+v", p)
			}
			named = append(named, CompletePart{Number: number, ETag: p.ETag, Sums: p.Sums})
			whole = append(whole, data...)
			sums = append(sums, cksum.Of(cksum.MD5, data).Raw()...)
		}
		unused := putPart(t, s, n, id, 2, random(9999))
		if _, err := s.Stat(n); !errs.Is(err, errs.NotFound) {
			t.Fatalf("visible before it is complete: %v", err)
		}
		listed, more, err := s.ListParts(t.Context(), n, id, 0, 4)
		must(t, err)
		rest, last, err := s.ListParts(t.Context(), n, id, listed[3].Number, 4)
		must(t, err)
		numbers := []int{}
		for _, p := range append(listed, rest...) {
			numbers = append(numbers, p.Number)
		}
		if !more || last || !slices.Equal(numbers, []int{1, 2, 4, 7, 10, 13}) || listed[1].ETag != unused.ETag {
			t.Fatalf("parts %v, more %v then %v", numbers, more, last)
		}
		o := CompleteOptions{PutOptions: PutOptions{Checksum: cksum.CRC64NVME, Finish: func(f *Finish) error {
			if f.Size != int64(len(whole)) || len(f.Parts) != len(datas) || f.Custom["k"] != "v" {
				return fmt.Errorf("finish sees %+v", f)
			}
			f.System = map[string]string{"s3.x": "y"}
			return nil
		}}}
		info, err := s.CompleteUpload(t.Context(), n, id, named, o)
		must(t, err)
		want := fmt.Sprintf("%s-%d", cksum.Of(cksum.MD5, sums).Value, len(datas))
		if info.ETag != want || info.Custom["k"] != "v" || info.System["s3.x"] != "y" || info.Checksum != cksum.Of(cksum.CRC64NVME, whole) {
			t.Fatalf("completed as %+v, want ETag %s", info, want)
		}
		again, err := s.CompleteUpload(t.Context(), n, id, nil, CompleteOptions{})
		if err != nil || again.ETag != info.ETag || again.Version != info.Version {
			t.Errorf("completed once more: %+v %v", again, err)
		}
		for _, err := range []error{second(s.Upload(n, id)), s.AbortUpload(t.Context(), n, id, AbortOptions{}), second(s.PutPart(t.Context(), n, id, 1, strings.NewReader(""), PartOptions{}))} {
			if !errs.Is(err, errs.NotFound) {
				t.Errorf("after it is complete: %v", err)
			}
		}
		if got := get(t, s, n); !bytes.Equal(got, whole) {
			t.Fatal("wrong content")
		}
		checkSpans(t, s, n, whole)
		parts, err := s.Parts(n, "")
		must(t, err)
		for i, p := range parts {
			if p.Number != named[i].Number || p.ETag != named[i].ETag || p.Size != int64(len(datas[i])) || !slices.Equal(p.Sums, named[i].Sums) {
				t.Errorf("part %d of the object: %+v", i, p)
			}
		}
		if n := leftFiles(t, s); n != len(datas) {
			t.Errorf("%d files for %d parts", n, len(datas))
		}
		must(t, second(s.SweepUploads(t.Context(), time.Now().Add(time.Hour))))
		if _, err := s.CompleteUpload(t.Context(), n, id, named, o); !errs.Is(err, errs.NotFound) {
			t.Errorf("completed once more after it was forgotten: %v", err)
		}
		must(t, second(s.Delete(t.Context(), n, DeleteOptions{})))
		if n := leftFiles(t, s); n != 0 {
			t.Errorf("%d files left", n)
		}
	})
}

func checkSpans(t *testing.T, s *Store, n object.Name, want []byte) {
	t.Helper()
	o, err := s.Open(n)
	must(t, err)
	defer o.Close()
	size := int64(len(want))
	for _, sp := range []object.Span{{}, {Start: 9_999, Length: 2}, {Start: 10_000, Length: 2}, {Start: 10_001, Length: 300_000}, {Start: size - 1, Length: 1}, {Start: size / 2, Length: size - size/2}} {
		var b bytes.Buffer
		must(t, o.WriteSpan(&b, sp))
		got, err := io.ReadAll(o.RangeReader(sp))
		must(t, err)
		if part := want[sp.Start : sp.Start+sp.Length]; !bytes.Equal(b.Bytes(), part) || !bytes.Equal(got, part) {
			t.Errorf("span %v is wrong", sp)
		}
	}
}

// TestUploadFaults: what cannot be completed says why, changes nothing, and can still be completed.
func TestUploadFaults(t *testing.T) {
	s := testStore(t, Config{Mountpaths: []string{"/a", "/b"}})
	n := b1("k")
	id := createUpload(t, s, n)
	a, b := putPart(t, s, n, id, 1, random(100)), putPart(t, s, n, id, 2, random(50))
	pa, pb := CompletePart{Number: 1, ETag: a.ETag}, CompletePart{Number: 2, ETag: b.ETag}
	for _, c := range []struct {
		parts []CompletePart
		least int64
		why   PartFaultKind
		n     int
	}{
		{nil, 0, PartNone, 0},
		{[]CompletePart{pb, pa}, 0, PartOrder, 1},
		{[]CompletePart{pa, pa}, 0, PartOrder, 1},
		{[]CompletePart{{Number: 0}}, 0, PartOrder, 0},
		{[]CompletePart{pa, {Number: 3}}, 0, PartMissing, 3},
		{[]CompletePart{{Number: 1, ETag: b.ETag}}, 0, PartMissing, 1},
		{[]CompletePart{{Number: 1, Sums: []cksum.Value{{Type: cksum.CRC32, Value: "00000000"}}}}, 0, PartSum, 1},
		{[]CompletePart{pa, pb}, 101, PartSmall, 1},
	} {
		_, err := s.CompleteUpload(t.Context(), n, id, c.parts, CompleteOptions{MinPart: c.least})
		var f *PartFault
		if !errs.Is(err, errs.Invalid) || !errors.As(err, &f) || f.Why != c.why || f.Number != c.n || f.Error() == "" {
			t.Errorf("%+v: %v", c, err)
		}
	}
	cond := &object.Conditions{IfMatch: []string{"*"}, MissingIsNotFound: true}
	if _, err := s.CompleteUpload(t.Context(), n, id, []CompletePart{pa, pb}, CompleteOptions{PutOptions: PutOptions{Conditions: cond}}); !errs.Is(err, errs.NotFound) {
		t.Errorf("on a condition that does not hold: %v", err)
	}
	for _, number := range []int{0, -1, MaxParts + 1} {
		if _, err := s.PutPart(t.Context(), n, id, number, strings.NewReader(""), PartOptions{}); !errs.Is(err, errs.Invalid) {
			t.Errorf("part %d: %v", number, err)
		}
	}
	if _, err := s.PutPart(t.Context(), n, id, 1, strings.NewReader("abc"), PartOptions{Size: 3, Expect: []cksum.Value{cksum.Of(cksum.MD5, nil)}}); !errs.Is(err, errs.Checksum) {
		t.Errorf("another checksum: %v", err)
	}
	if _, err := s.PutPart(t.Context(), n, id, 1, strings.NewReader("abc"), PartOptions{Size: 4}); !errs.Is(err, errs.Checksum) {
		t.Errorf("another length: %v", err)
	}
	for _, bad := range []string{"", "x", strings.Repeat("0", 32)} {
		for _, err := range []error{second(s.Upload(n, bad)), s.AbortUpload(t.Context(), n, bad, AbortOptions{}), second(s.CompleteUpload(t.Context(), n, bad, nil, CompleteOptions{}))} {
			if !errs.Is(err, errs.NotFound) {
				t.Errorf("upload %q: %v", bad, err)
			}
		}
	}
	if _, err := s.Upload(b1("other"), id); !errs.Is(err, errs.NotFound) {
		t.Errorf("upload of another name: %v", err)
	}
	if _, err := s.CompleteUpload(t.Context(), n, id, []CompletePart{pa, pb}, CompleteOptions{MinPart: 100}); err != nil {
		t.Errorf("in the end: %v", err)
	}
}

// TestOpenPartsStayWhole: an object in parts that is removed, overwritten or whose bucket goes while it is read.
func TestOpenPartsStayWhole(t *testing.T) {
	for what, remove := range map[string]func(*testing.T, *Store, object.Name){
		"delete": func(t *testing.T, s *Store, n object.Name) {
			must(t, second(s.Delete(t.Context(), n, DeleteOptions{})))
		},
		"overwrite": func(t *testing.T, s *Store, n object.Name) { must(t, second(s.Put(t.Context(), n, nil, PutOptions{}))) },
		"destroy":   func(t *testing.T, s *Store, n object.Name) { must(t, s.DestroyBucket(t.Context(), n.Bucket)) },
	} {
		t.Run(what, func(t *testing.T) {
			s := testStore(t, Config{Mountpaths: []string{"/a", "/b", "/c"}})
			n := b1("k")
			id := createUpload(t, s, n)
			var named []CompletePart
			var whole []byte
			for i := range 7 {
				data := random(1000 * i)
				whole = append(whole, data...)
				named = append(named, CompletePart{Number: i + 1, ETag: putPart(t, s, n, id, i+1, data).ETag})
			}
			must(t, second(s.CompleteUpload(t.Context(), n, id, named, CompleteOptions{})))
			o, err := s.Open(n)
			must(t, err)
			o2, err := s.Open(n)
			must(t, err)
			remove(t, s, n)
			for _, v := range s.volumes() {
				must(t, second(v.sweepBlobs(t.Context())))
			}
			got, err := io.ReadAll(o.Reader())
			if err != nil || !bytes.Equal(got, whole) {
				t.Errorf("%d bytes of %d, %v", len(got), len(whole), err)
			}
			o.Close()
			got, err = io.ReadAll(o2.Reader())
			if err != nil || !bytes.Equal(got, whole) {
				t.Errorf("second reader: %d bytes of %d, %v", len(got), len(whole), err)
			}
			o2.Close()
			if n := leftFiles(t, s); n != 0 {
				t.Errorf("%d files left when nobody reads any more", n)
			}
		})
	}
}

// TestPartsUseAllMountpaths: parts sent at once go to all disks, and a full one is left out.
func TestPartsUseAllMountpaths(t *testing.T) {
	s := testStore(t, Config{Mountpaths: []string{"/a", "/b", "/c"}})
	n := b1("k")
	id := createUpload(t, s, n)
	var wg sync.WaitGroup
	named := make([]CompletePart, 64)
	for i := range named {
		wg.Go(func() {
			p, err := s.PutPart(t.Context(), n, id, i+1, bytes.NewReader(random(100)), PartOptions{Size: 100})
			if err != nil {
				t.Error(err)
			}
			named[i] = CompletePart{Number: i + 1, ETag: p.ETag}
		})
	}
	wg.Wait()
	must(t, second(s.CompleteUpload(t.Context(), n, id, named, CompleteOptions{})))
	for _, v := range s.volumes() {
		if files := len(blobFiles(t, v.mp)); files < 20 || files > 23 {
			t.Errorf("%d of 64 parts on %s", files, v.mp.Path())
		}
	}
	o, err := s.Open(n)
	must(t, err)
	defer o.Close()
	s.volumes()[1].mp.Fail(errors.New("gone"))
	if err := o.WriteSpan(io.Discard, object.Span{Length: o.Info().Size}); err == nil {
		t.Error("read although a third of it is on a failed mountpath")
	}
}

// TestUploadsSurviveAndExpire: uploads are there after a restart, and go when they are old, with all they left.
func TestUploadsSurviveAndExpire(t *testing.T) {
	mem := fs.NewMem()
	cfg := crashConfig(mem, []string{"/a", "/b"})
	s, err := Open(t.Context(), cfg)
	must(t, err)
	n := b1("k")
	id := createUpload(t, s, n)
	p := putPart(t, s, n, id, 1, random(5000))
	must(t, s.Close())
	s = testStore(t, cfg)
	parts, _, err := s.ListParts(t.Context(), n, id, 0, 0)
	if err != nil || len(parts) != 1 || parts[0].ETag != p.ETag {
		t.Fatalf("after a restart: %+v %v", parts, err)
	}
	if n, err := s.SweepUploads(t.Context(), time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("%d swept that are young, %v", n, err)
	}
	if n, err := s.SweepUploads(t.Context(), time.Now().Add(time.Second)); n != 1 || err != nil {
		t.Errorf("%d swept, %v", n, err)
	}
	nothingLeft(t, s, 1)
}

// TestSweepSparesUploadsInProgress: old is an upload that nobody went on with, however long ago it began.
func TestSweepSparesUploadsInProgress(t *testing.T) {
	forEachStore(t, func(t *testing.T, s *Store) {
		n := b1("k")
		idle := createUpload(t, s, b1("idle"))
		putPart(t, s, b1("idle"), idle, 1, random(10))
		id := createUpload(t, s, n)
		putPart(t, s, n, id, 1, random(10))
		old := time.Now()
		putPart(t, s, n, id, 2, random(10))
		if swept, err := s.SweepUploads(t.Context(), old); swept != 1 || err != nil {
			t.Errorf("%d swept, %v", swept, err)
		}
		if parts, _, err := s.ListParts(t.Context(), n, id, 0, 0); err != nil || len(parts) != 2 {
			t.Errorf("of the upload in progress: %+v %v", parts, err)
		}
		if swept, err := s.SweepUploads(t.Context(), time.Now().Add(time.Second)); swept != 1 || err != nil {
			t.Errorf("%d swept in the end, %v", swept, err)
		}
	})
}

func TestListUploads(t *testing.T) {
	forEachStore(t, func(t *testing.T, s *Store) {
		var want []string
		for _, key := range []string{"a", "a", "a/b", "a/c", "b--x", "b--y--z", "c"} {
			want = append(want, key+" "+createUpload(t, s, b1(key)))
		}
		aborted := createUpload(t, s, b1("a"))
		must(t, s.AbortUpload(t.Context(), b1("a"), aborted, AbortOptions{}))
		for limit := range 4 {
			var got []string
			q := UploadQuery{Bucket: 1, Limit: limit}
			for {
				n := len(got)
				must(t, s.ListUploads(t.Context(), q, func(u *Upload) bool {
					got = append(got, u.Key+" "+u.ID)
					q.After, q.AfterID = u.Key, u.ID
					return true
				}))
				if limit == 0 || len(got)-n < limit {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("in pages of %d: %q, want %q", limit, got, want)
			}
		}
		for _, c := range []struct {
			q    UploadQuery
			want []string
		}{
			{UploadQuery{Prefix: "a/"}, []string{"a/b", "a/c"}},
			{UploadQuery{Delimiter: "/"}, []string{"a", "a", "a/", "b--x", "b--y--z", "c"}},
			{UploadQuery{Delimiter: "--"}, []string{"a", "a", "a/b", "a/c", "b--", "c"}},
			{UploadQuery{Delimiter: "--", After: "b--"}, []string{"c"}},
			{UploadQuery{Prefix: "b--", Delimiter: "--"}, []string{"b--x", "b--y--"}},
			{UploadQuery{After: "a"}, []string{"a/b", "a/c", "b--x", "b--y--z", "c"}},
			{UploadQuery{Prefix: "z"}, nil},
		} {
			c.q.Bucket = 1
			var got []string
			must(t, s.ListUploads(t.Context(), c.q, func(u *Upload) bool { got = append(got, u.Key); return true }))
			if !slices.Equal(got, c.want) {
				t.Errorf("%+v: %q, want %q", c.q, got, c.want)
			}
		}
	})
}

func TestListVersionsFolds(t *testing.T) {
	s := testStore(t, Config{Mountpaths: []string{"/a", "/b"}})
	for _, key := range []string{"a/1", "a/2", "b", "b", "c--d"} {
		must(t, second(s.Put(t.Context(), b1(key), nil, PutOptions{Versioning: Versioned})))
	}
	must(t, second(s.Delete(t.Context(), b1("a/1"), DeleteOptions{Versioning: Versioned})))
	for _, c := range []struct {
		q    VersionQuery
		want []string
	}{
		{VersionQuery{Delimiter: "/"}, []string{"a/", "b", "b", "c--d"}},
		{VersionQuery{Delimiter: "/", Limit: 2}, []string{"a/", "b"}},
		{VersionQuery{Delimiter: "/", After: "a/"}, []string{"b", "b", "c--d"}},
		{VersionQuery{Delimiter: "--"}, []string{"a/1", "a/1", "a/2", "b", "b", "c--"}},
		{VersionQuery{Prefix: "a/", Delimiter: "/"}, []string{"a/1", "a/1", "a/2"}},
		{VersionQuery{After: "a/1"}, []string{"a/2", "b", "b", "c--d"}},
		{VersionQuery{Prefix: "b", After: "a"}, []string{"b", "b"}},
		{VersionQuery{Prefix: "b", After: "c"}, nil},
	} {
		c.q.Bucket = 1
		var got []string
		must(t, s.ListVersions(t.Context(), c.q, func(i *object.Info) bool { got = append(got, i.Key); return true }))
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.q, got, c.want)
		}
	}
}

// TestDestroyWithVersions: a bucket goes with its versions, uploads, parts and what was completed of them.
func TestDestroyWithVersions(t *testing.T) {
	forEachStore(t, func(t *testing.T, s *Store) {
		for i := range 3 {
			must(t, second(s.Put(t.Context(), b1("k"), random(3000*i), PutOptions{Versioning: Versioned})))
		}
		must(t, second(s.Delete(t.Context(), b1("k"), DeleteOptions{Versioning: Versioned})))
		for i := range 4 {
			n := b1("m" + fmt.Sprint(i))
			id := createUpload(t, s, n)
			p := putPart(t, s, n, id, 1, random(10))
			putPart(t, s, n, id, 2, random(10))
			if i > 0 {
				must(t, second(s.CompleteUpload(t.Context(), n, id, []CompletePart{{Number: 1, ETag: p.ETag}}, CompleteOptions{})))
				must(t, second(s.Copy(t.Context(), n, "", object.Name{Bucket: 2, Key: "copy"}, PutOptions{})))
			}
		}
		want := get(t, s, object.Name{Bucket: 2, Key: "copy"})
		must(t, s.DestroyBucket(t.Context(), 1))
		if got := get(t, s, object.Name{Bucket: 2, Key: "copy"}); !bytes.Equal(got, want) {
			t.Error("the copy in another bucket changed")
		}
		must(t, s.DestroyBucket(t.Context(), 2))
		must(t, s.DestroyBucket(t.Context(), 99))
		nothingLeft(t, s, 1)
	})
}

// TestDeleteConditions: S3's conditions of deletes are judged by the version that would go.
func TestDeleteConditions(t *testing.T) {
	s := testStore(t, Config{})
	size := func(n int64) *int64 { return &n }
	first, err := s.Put(t.Context(), b1("k"), []byte("abc"), PutOptions{Versioning: Versioned, Checksum: cksum.MD5})
	must(t, err)
	for _, c := range []struct {
		cond object.Conditions
		want errs.Kind
	}{
		{object.Conditions{IfMatch: []string{"bad"}}, errs.Precondition},
		{object.Conditions{IfSize: size(4)}, errs.Precondition},
		{object.Conditions{IfModifiedAt: first.Created.Add(-time.Hour)}, errs.Precondition},
		{object.Conditions{IfMatch: []string{first.ETag}, IfSize: size(3), IfModifiedAt: first.Created}, 0},
		{object.Conditions{IfMatch: []string{"bad"}}, errs.Precondition}, // now a delete marker
		{object.Conditions{IfMatch: []string{"*"}}, 0},
	} {
		c.cond.MissingIsNotFound = true
		if _, err := s.Delete(t.Context(), b1("k"), DeleteOptions{Versioning: Versioned, Conditions: &c.cond}); errs.KindOf(err) != c.want {
			t.Errorf("%+v: %v", c.cond, err)
		}
		if _, err := s.Delete(t.Context(), b1("none"), DeleteOptions{Versioning: Versioned, Conditions: &c.cond}); !errs.Is(err, errs.NotFound) {
			t.Errorf("%+v of nothing: %v", c.cond, err)
		}
	}
	cond := &object.Conditions{IfNoneMatch: []string{"*"}}
	must(t, second(s.Put(t.Context(), b1("k"), nil, PutOptions{Versioning: Versioned, Conditions: cond}))) // a delete marker is nothing
	if _, err := s.Put(t.Context(), b1("k"), nil, PutOptions{Versioning: Versioned, Conditions: cond}); !errs.Is(err, errs.Precondition) {
		t.Errorf("created twice: %v", err)
	}
}

// TestFinish: a write sees what came before it is sealed, may add to it, and may be ended.
func TestFinish(t *testing.T) {
	forEachStore(t, func(t *testing.T, s *Store) {
		for _, size := range []int{0, 500, 50_000} {
			data := random(size)
			o := PutOptions{Checksum: cksum.XXHash, Also: []cksum.Type{cksum.MD5, cksum.CRC32}, Expect: []cksum.Value{cksum.Of(cksum.SHA256, data)}, Size: -1}
			o.Finish = func(f *Finish) error {
				for _, typ := range []cksum.Type{cksum.XXHash, cksum.MD5, cksum.CRC32, cksum.SHA256} {
					if v, ok := f.Sum(typ); !ok || v != cksum.Of(typ, data) {
						t.Errorf("%d bytes: %v is %v", size, typ, v)
					}
				}
				md5, _ := f.Sum(cksum.MD5)
				f.ETag, f.Tags = md5.Value, map[string]string{"a": "b"}
				return nil
			}
			info, err := s.PutStream(t.Context(), b1("k"), bytes.NewReader(data), o)
			must(t, err)
			st, err := s.Stat(b1("k"))
			if want := cksum.Of(cksum.MD5, data).Value; err != nil || info.ETag != want || st.ETag != want || st.Tags["a"] != "b" {
				t.Errorf("%d bytes: %+v, %+v %v", size, info, st, err)
			}
			o.Finish = func(*Finish) error { return errs.E("test", "it", errs.Forbidden) }
			if _, err := s.PutStream(t.Context(), b1("no"), bytes.NewReader(data), o); !errs.Is(err, errs.Forbidden) {
				t.Errorf("ended: %v", err)
			}
			if _, err := s.Stat(b1("no")); !errs.Is(err, errs.NotFound) {
				t.Errorf("ended, but there: %v", err)
			}
		}
	})
}

// TestCopyOntoItself: a name may become a copy of itself, as S3 does to change metadata; its blobs stay.
func TestCopyOntoItself(t *testing.T) {
	forEachStore(t, func(t *testing.T, s *Store) {
		for _, size := range []int{10, 50_000} {
			for _, state := range []Versioning{Unversioned, Suspended, Versioned} {
				n := b1(fmt.Sprint("k", size, state))
				data := random(size)
				must(t, second(s.Put(t.Context(), n, data, PutOptions{Size: -1, Versioning: state})))
				for range 2 {
					info, err := s.Copy(t.Context(), n, "", n, PutOptions{Versioning: state, Custom: map[string]string{"x": "y"}})
					must(t, err)
					if got := get(t, s, n); !bytes.Equal(got, data) || info.Custom["x"] != "y" {
						t.Fatalf("%d bytes, state %d: %d bytes, %+v", size, state, len(got), info)
					}
				}
			}
		}
	})
}
