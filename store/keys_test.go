package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"aistore/cksum"
	"aistore/errs"
	"aistore/fs"
	"aistore/object"
	"aistore/store/format"
)

// TestMarksComeWithChanges: each way to change a key writes the mark of its epoch, none when it is not asked for, and none goes back.
func TestMarksComeWithChanges(t *testing.T) {
	s := memStore(t, "n1", 3)
	ctx := t.Context()
	n := b1("k")
	var epoch uint64
	var upload string
	steps := []struct {
		name string
		do   func(epoch uint64, mark bool) error
	}{
		{"put", func(e uint64, m bool) error { return second(s.Put(ctx, n, []byte("x"), PutOptions{Epoch: e, Mark: m})) }},
		{"put of a blob", func(e uint64, m bool) error {
			return second(s.Put(ctx, n, random(9000), PutOptions{Epoch: e, Mark: m}))
		}},
		{"update", func(e uint64, m bool) error {
			return second(s.Update(ctx, n, UpdateOptions{Epoch: e, Mark: m, InPlace: true}, func(*object.Info) error { return nil }))
		}},
		{"copy", func(e uint64, m bool) error {
			return second(s.Copy(ctx, n, "", n, PutOptions{Epoch: e, Mark: m, Custom: map[string]string{}}))
		}},
		{"delete", func(e uint64, m bool) error { return second(s.Delete(ctx, n, DeleteOptions{Epoch: e, Mark: m})) }},
		{"append", func(e uint64, m bool) error {
			h, err := s.BeginAppend(ctx, n)
			if err != nil {
				return err
			}
			return second(s.FlushAppend(ctx, n, h, PutOptions{Epoch: e, Mark: m}))
		}},
		{"marker", func(e uint64, m bool) error {
			return second(s.Delete(ctx, n, DeleteOptions{Epoch: e, Mark: m, Versioning: Versioned}))
		}},
		{"delete of a version", func(e uint64, m bool) error {
			i, err := s.StatVersion(n, "")
			if err != nil {
				return err
			}
			return second(s.Delete(ctx, n, DeleteOptions{Epoch: e, Mark: m, VersionID: i.VersionID}))
		}},
		{"create", func(e uint64, m bool) error {
			u, err := s.CreateUpload(ctx, n, UploadOptions{Epoch: e, Mark: m})
			upload = u.ID
			return err
		}},
		{"part", func(e uint64, m bool) error {
			return second(s.PutPart(ctx, n, upload, 1, strings.NewReader("x"), PartOptions{Size: 1, Epoch: e, Mark: m}))
		}},
		{"complete", func(e uint64, m bool) error {
			return second(s.CompleteUpload(ctx, n, upload, []CompletePart{{Number: 1}}, CompleteOptions{PutOptions: PutOptions{Epoch: e, Mark: m}}))
		}},
		{"abort", func(e uint64, m bool) error {
			u, err := s.CreateUpload(ctx, n, UploadOptions{})
			if err != nil {
				return err
			}
			return s.AbortUpload(ctx, n, u.ID, AbortOptions{Epoch: e, Mark: m})
		}},
	}
	for _, mark := range []bool{false, true} {
		for _, st := range steps {
			before, err := s.KeyState(n)
			must(t, err)
			epoch++
			if err := st.do(epoch, mark); err != nil {
				t.Fatalf("%s: %v", st.name, err)
			}
			after, err := s.KeyState(n)
			must(t, err)
			want := before.Authority
			if mark {
				want = epoch
			}
			if after.Authority != want {
				t.Errorf("%s, mark %v: the mark is %d, should be %d", st.name, mark, after.Authority, want)
			}
		}
	}
	i, err := s.Put(ctx, n, []byte("late"), PutOptions{Epoch: 1, Mark: true})
	must(t, err)
	if k, err := s.KeyState(n); err != nil || k.Authority != epoch || i.Version.Epoch != epoch {
		t.Errorf("a write of epoch 1 under mark %d: version %v, state %+v, %v", epoch, i.Version, k, err)
	}
	must(t, second(s.Delete(ctx, n, DeleteOptions{})))
	if k, err := s.KeyState(n); err != nil || k.Exists && k.Authority != epoch {
		t.Errorf("after the delete: %+v %v", k, err)
	}
	checkWhole(t, s)
}

// TestMarksAreNoObjects: a mark alone is seen by nobody, and goes with its bucket.
func TestMarksAreNoObjects(t *testing.T) {
	s := memStore(t, "n1", 2)
	n := b1("k")
	r := s.MarkKeys(t.Context(), []object.Name{n, b1("l")}, ImportOptions{Mark: 7})
	if r[0].Err != nil || r[1].Err != nil || r[0].Outcome != Had || r[0].State != (KeyState{Authority: 7}) {
		t.Fatalf("%+v", r)
	}
	if names := list(t, s, ListQuery{Bucket: 1}); len(names) != 0 {
		t.Errorf("listed: %v", names)
	}
	must(t, s.ListVersions(t.Context(), VersionQuery{Bucket: 1}, func(i *object.Info) bool { t.Errorf("listed: %+v", i); return true }))
	if empty, err := s.Empty(1); !empty || err != nil {
		t.Errorf("the bucket is not empty: %v", err)
	}
	if ids, err := s.Buckets(); len(ids) != 0 || err != nil {
		t.Errorf("buckets %v %v", ids, err)
	}
	if ids, err := s.Leftovers(); !slices.Equal(ids, []uint64{1}) || err != nil {
		t.Errorf("what is left is of %v %v", ids, err)
	}
	if got := walked(t, s); !slices.Equal(got, []object.Name{n, b1("l")}) {
		t.Errorf("walked %v", got)
	}
	must(t, s.DestroyBucket(t.Context(), 1))
	if got := walked(t, s); len(got) != 0 {
		t.Errorf("left of a destroyed bucket: %v", got)
	}
	if _, err := s.KeyState(n); !errs.Is(err, errs.NoBucket) {
		t.Errorf("state in a destroyed bucket: %v", err)
	}
}

// walked is all names of all lanes, sorted.
func walked(t testing.TB, s *Store) (all []object.Name) {
	t.Helper()
	for lane := range s.Lanes() {
		var last object.Name
		must(t, s.WalkKeys(t.Context(), lane, object.Name{}, func(bucket uint64, key []byte) bool {
			n := object.Name{Bucket: bucket, Key: string(key)}
			if n.Bucket < last.Bucket || n.Bucket == last.Bucket && n.Key <= last.Key {
				t.Errorf("%v comes behind %v", n, last)
			}
			last = n
			all = append(all, n)
			return true
		}))
	}
	slices.SortFunc(all, func(a, b object.Name) int {
		return strings.Compare(fmt.Sprintf("%20d%s", a.Bucket, a.Key), fmt.Sprintf("%20d%s", b.Bucket, b.Key))
	})
	return slices.Compact(all)
}

// TestWalk: every name is yielded once, in order, whatever there is of it, from any cursor on.
func TestWalk(t *testing.T) {
	s := memStore(t, "n1", 1)
	var want []object.Name
	for i := range 2*walkAtOnce + 10 {
		n := object.Name{Bucket: uint64(i % 3), Key: fmt.Sprintf("%05d", i/3)}
		if i%50 == 7 {
			n.Key += "\x01x"
		}
		want = append(want, n)
		switch i % 4 {
		case 0:
			must(t, s.MarkKeys(t.Context(), []object.Name{n}, ImportOptions{Mark: 1})[0].Err)
		case 1:
			must(t, second(s.CreateUpload(t.Context(), n, UploadOptions{})))
			must(t, second(s.CreateUpload(t.Context(), n, UploadOptions{})))
		default:
			must(t, second(s.Put(t.Context(), n, nil, PutOptions{Epoch: 1, Mark: i%4 == 2})))
		}
	}
	slices.SortFunc(want, func(a, b object.Name) int {
		return strings.Compare(fmt.Sprintf("%20d%s", a.Bucket, a.Key), fmt.Sprintf("%20d%s", b.Bucket, b.Key))
	})
	if got := walked(t, s); !slices.Equal(got, want) {
		t.Fatalf("%d names, want %d", len(got), len(want))
	}
	for _, i := range []int{0, 1, walkAtOnce - 1, walkAtOnce, len(want) - 2, len(want) - 1} {
		var got []object.Name
		must(t, s.WalkKeys(t.Context(), 0, want[i], func(bucket uint64, key []byte) bool {
			got = append(got, object.Name{Bucket: bucket, Key: string(key)})
			return len(got) < 3
		}))
		if !slices.Equal(got, want[i+1:min(i+4, len(want))]) {
			t.Errorf("behind %v: %v", want[i], got)
		}
	}
	if err := s.WalkKeys(t.Context(), 1, object.Name{}, nil); !errs.Is(err, errs.Invalid) {
		t.Errorf("lane 1 of one: %v", err)
	}
}

// TestDropMarks: marks up to the epoch go, others stay, and with them all objects.
func TestDropMarks(t *testing.T) {
	s := memStore(t, "n1", 2)
	var names []object.Name
	for i := range 3 * marksAtOnce {
		names = append(names, b1(fmt.Sprint(i)))
	}
	must(t, second(s.Put(t.Context(), names[0], []byte("x"), PutOptions{Epoch: 3, Mark: true})))
	for i, r := range s.MarkKeys(t.Context(), names, ImportOptions{Mark: 4}) {
		if r.Err != nil || r.State.Authority != 4 {
			t.Fatalf("%d: %+v", i, r)
		}
	}
	for i, r := range s.MarkKeys(t.Context(), names[:10], ImportOptions{Mark: 5}) {
		if r.Err != nil || r.State.Authority != 5 {
			t.Fatalf("%d: %+v", i, r)
		}
	}
	if n, err := s.DropMarks(t.Context(), 4); n != int64(len(names)-10) || err != nil {
		t.Fatal(n, err)
	}
	if got := walked(t, s); len(got) != 10 {
		t.Fatalf("%d left", len(got))
	}
	if n, err := s.DropMarks(t.Context(), 5); n != 10 || err != nil {
		t.Fatal(n, err)
	}
	if got := walked(t, s); !slices.Equal(got, names[:1]) {
		t.Fatalf("left: %v", got)
	}
}

// TestGuards: a guard's refusal is the key's own, and changes nothing.
func TestGuards(t *testing.T) {
	from, to := memStore(t, "n1", 1), memStore(t, "n2", 2)
	var frames [][]byte
	var names []object.Name
	for i := range 9 {
		n := b1(fmt.Sprint(i))
		must(t, second(from.Put(t.Context(), n, random(i*1000), PutOptions{})))
		frames, names = append(frames, frameOf(t, from, n)), append(names, n)
	}
	no := errors.New("no longer the owner")
	guard := func(n object.Name) error {
		if n.Key == "2" || n.Key == "7" {
			return no
		}
		return nil
	}
	for i, r := range to.Import(t.Context(), frames, ImportOptions{Guard: func(n object.Name, _ KeyState) error { return guard(n) }}) {
		if refused := i == 2 || i == 7; refused != errors.Is(r.Err, no) || refused != (r.Outcome == Failed) || refused != (r.State == KeyState{}) || r.Name != names[i] {
			t.Errorf("%d: %+v", i, r)
		}
	}
	if got := list(t, to, ListQuery{Bucket: 1}); len(got) != 7 {
		t.Errorf("%v", got)
	}
	for i, err := range to.RemoveKeys(t.Context(), names, guard) {
		if refused := i == 2 || i == 7; refused != errors.Is(err, no) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if got := list(t, to, ListQuery{Bucket: 1}); len(got) != 0 {
		t.Errorf("%v", got)
	}
	if got := list(t, from, ListQuery{Bucket: 1}); len(got) != 9 {
		t.Errorf("%v", got)
	}
	for i, err := range from.RemoveKeys(t.Context(), names, guard) {
		if refused := i == 2 || i == 7; refused != errors.Is(err, no) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if got := list(t, from, ListQuery{Bucket: 1}); len(got) != 2 {
		t.Errorf("%v", got)
	}
	checkWhole(t, from)
	checkWhole(t, to)
}

// TestFirstTouch: the mark is noted whichever state holds, and only then.
func TestFirstTouch(t *testing.T) {
	from, to := memStore(t, "n1", 1), memStore(t, "n2", 1)
	n := b1("k")
	must(t, second(from.Put(t.Context(), n, []byte("old"), PutOptions{Epoch: 3})))
	old := frameOf(t, from, n)
	r := to.Import(t.Context(), [][]byte{old}, ImportOptions{Mark: 9})[0]
	if r.Err != nil || r.Outcome != Applied || r.State.Authority != 9 {
		t.Fatalf("%+v", r)
	}
	must(t, second(from.Put(t.Context(), n, []byte("newer"), PutOptions{Epoch: 4})))
	if r := move(t, from, to, n); r.Outcome != Lower || r.State.Authority != 9 || r.State.Version.Epoch != 3 {
		t.Fatalf("a later version without authority: %+v", r)
	}
	if r := to.Import(t.Context(), [][]byte{frameOf(t, from, n)}, ImportOptions{Settled: 9})[0]; r.Err != nil || r.Outcome != Applied {
		t.Fatalf("a later version when the mark is settled: %+v", r)
	}
	if string(get(t, to, n)) != "newer" {
		t.Error("not applied")
	}
	if r := to.Import(t.Context(), [][]byte{old}, ImportOptions{Mark: 12})[0]; r.Err != nil || r.Outcome != Lower || r.State.Authority != 12 || string(get(t, to, n)) != "newer" {
		t.Fatalf("first touch with less: %+v", r)
	}
	if k, err := to.KeyState(n); k.Authority != 12 || err != nil {
		t.Errorf("%+v %v", k, err)
	}
}

// TestStream: a frame of any size is taken from a stream, no byte more; blobs that are of no use are not read.
func TestStream(t *testing.T) {
	from, to := memStore(t, "n1", 2), memStore(t, "n2", 2)
	n := b1("big")
	data := random(2100*4096 + 17) // three pages of checksums
	must(t, second(from.Put(t.Context(), n, data, PutOptions{Checksum: cksum.XXHash})))
	frame := frameOf(t, from, n)
	r := strings.NewReader(string(frame) + "more")
	res, err := to.ImportStream(t.Context(), r, ImportOptions{})
	if err != nil || res.Outcome != Applied || r.Len() != 4 || !bytes.Equal(get(t, to, n), data) {
		t.Fatalf("%+v %v, %d left", res, err, r.Len())
	}
	r = strings.NewReader(string(frame))
	res, err = to.ImportStream(t.Context(), r, ImportOptions{})
	if err != nil || res.Outcome != Had || r.Len() < len(data) {
		t.Fatalf("%+v %v, %d left", res, err, r.Len())
	}
	must(t, second(to.Delete(t.Context(), n, DeleteOptions{})))
	for _, cut := range []int{0, 10, 40, 200, 5000, len(frame) / 2, len(frame) - 1} {
		if _, err := to.ImportStream(t.Context(), io.LimitReader(strings.NewReader(string(frame)), int64(cut)), ImportOptions{}); !errs.Is(err, errs.Canceled) {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := to.ImportStream(ctx, bytes.NewReader(frame), ImportOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if k, err := to.KeyState(n); k.Exists || err != nil {
		t.Errorf("something is left: %+v %v", k, err)
	}
	checkWhole(t, to)
}

// TestDamageStaysBehind: a flipped bit anywhere is found by who receives, and one on the disk by who sends.
func TestDamageStaysBehind(t *testing.T) {
	from, to := memStore(t, "n1", 1), memStore(t, "n2", 1)
	n := b1("k")
	must(t, second(from.Put(t.Context(), n, []byte("inline"), PutOptions{Versioning: Versioned})))
	must(t, second(from.Put(t.Context(), n, random(9000), PutOptions{Versioning: Versioned})))
	frame := frameOf(t, from, n)
	for i := range frame {
		b := slices.Clone(frame)
		b[i] ^= 1 << (i % 8)
		if r := to.Import(t.Context(), [][]byte{b}, ImportOptions{})[0]; !errs.Is(r.Err, errs.Corrupt, errs.Unsupported) {
			t.Fatalf("byte %d flipped: %+v", i, r)
		}
	}
	if r := to.Import(t.Context(), [][]byte{append(slices.Clone(frame), 1)}, ImportOptions{})[0]; !errs.Is(r.Err, errs.Corrupt) {
		t.Errorf("with a byte behind it: %+v", r)
	}
	if k, err := to.KeyState(n); k.Exists || err != nil {
		t.Errorf("something is left: %+v %v", k, err)
	}
	good := b1("good")
	must(t, second(from.Put(t.Context(), good, random(9000), PutOptions{})))
	whole := from.cfg.FS
	root, err := whole.OpenRoot("/mp1")
	must(t, err)
	var f found
	_, err = from.volumes()[0].read(&f, n)
	must(t, err)
	file, err := root.OpenFile(f.Parts[0].Blob.Path(), os.O_RDWR)
	f.close()
	must(t, err)
	was := make([]byte, 1)
	must(t, second(file.ReadAt(was, format.BlobHeaderSize+5000)))
	must(t, second(file.WriteAt([]byte{^was[0]}, format.BlobHeaderSize+5000)))
	e, err := from.ExportKey(n)
	must(t, err)
	if _, err := e.AppendTo(nil); !errs.Is(err, errs.Corrupt) {
		t.Errorf("a damaged blob was sent: %v", err)
	}
	e.Close()
	if r := move(t, from, to, good); r.Outcome != Applied {
		t.Errorf("%+v", r)
	}
	checkWhole(t, to)
}

// TestExportStays: what is exported stays as it was while the key is overwritten and removed; then its blobs go.
func TestExportStays(t *testing.T) {
	for _, inline := range []int{10, 800_000} { // the latter: kept in the index for later
		s := testStore(t, Config{InlineMax: 200 << 10, BlockSize: 4096})
		n := b1("k")
		for i := range 4 {
			must(t, second(s.Put(t.Context(), n, random(inline/4), PutOptions{Versioning: Versioned, Checksum: cksum.XXHash})))
			must(t, second(s.Put(t.Context(), n, random(300_000+i), PutOptions{Versioning: Versioned})))
			must(t, second(s.Put(t.Context(), n, random(inline/4), PutOptions{Versioning: Versioned, Checksum: cksum.XXHash})))
		}
		want := pictureOf(t, s, n)
		e, err := s.ExportKey(n)
		must(t, err)
		if e.Small() {
			t.Error("a frame with blobs is called small")
		}
		must(t, second(s.Put(t.Context(), n, nil, PutOptions{})))
		must(t, s.RemoveKeys(t.Context(), []object.Name{n}, nil)[0])
		frame, err := e.AppendTo(nil)
		must(t, err)
		e.Close()
		to := memStore(t, "n2", 1)
		must(t, to.Import(t.Context(), [][]byte{frame}, ImportOptions{})[0].Err)
		if got := pictureOf(t, to, n); !slices.Equal(got.Data, want.Data) {
			t.Error("other content")
		}
		if s.pins.n.Load() != 0 || len(s.pins.held) != 0 {
			t.Errorf("%d pins are left", s.pins.n.Load())
		}
		checkWhole(t, s)
		checkWhole(t, to)
	}
}

// TestFormerHomesMove: a key on a former mountpath moves, is replaced and is removed like any other.
func TestFormerHomesMove(t *testing.T) {
	s, other := unsettled(t, Config{}), memStore(t, "n2", 2)
	var names []object.Name
	for i := range 60 {
		n := object.Name{Bucket: 99, Key: fmt.Sprintf("old%d", i)}
		names = append(names, n)
		if r := move(t, s, other, n); r.Outcome != Applied || string(get(t, other, n)) != "old" {
			t.Fatalf("%v: %+v", n, r)
		}
		switch i % 3 {
		case 0: // a greater version comes back
			must(t, second(other.Put(t.Context(), n, []byte("new"), PutOptions{Epoch: 1 << 40})))
		case 1: // greater authority, but a smaller version
			must(t, other.RemoveKeys(t.Context(), []object.Name{n}, nil)[0])
			must(t, second(other.Put(t.Context(), n, []byte("new"), PutOptions{Mark: true, Epoch: 0})))
			must(t, other.MarkKeys(t.Context(), []object.Name{n}, ImportOptions{Mark: 3})[0].Err)
		case 2: // it was deleted
			must(t, second(other.Delete(t.Context(), n, DeleteOptions{Epoch: 3, Mark: true})))
			must(t, other.MarkKeys(t.Context(), []object.Name{n}, ImportOptions{Mark: 3})[0].Err)
		}
		if r := move(t, other, s, n); r.Outcome != Applied {
			t.Fatalf("%v: %+v", n, r)
		}
		if i%3 == 2 {
			if _, err := s.Stat(n); !errs.Is(err, errs.NotFound) {
				t.Errorf("%v came back: %v", n, err)
			}
		} else if string(get(t, s, n)) != "new" {
			t.Errorf("%v is as it was", n)
		}
	}
	for i, err := range s.RemoveKeys(t.Context(), names, nil) {
		if err != nil {
			t.Fatal(i, err)
		}
	}
	for _, n := range walked(t, s) {
		if slices.Contains(names, n) {
			t.Errorf("%v is left", n)
		}
	}
}

// TestFailedCommit: a mountpath that fails in the middle fails its keys, and no others.
func TestFailedCommit(t *testing.T) {
	from := memStore(t, "n1", 1)
	mem := fs.NewMem()
	var armed atomic.Bool
	faulty := &fs.Faulty{FS: mem, Check: func(op fs.Op, name string) error {
		if armed.Load() && op == fs.OpSync && strings.HasPrefix(name, "index/") {
			return syscall.EIO
		}
		return nil
	}}
	to, err := Open(t.Context(), Config{FS: eachDisk{mem, map[string]fs.FS{"/mp2": faulty}}, Mountpaths: []string{"/mp1", "/mp2"}, NodeID: "n2", InlineMax: 1000, BlockSize: 4096})
	must(t, err)
	defer func() { _ = to.Close() }() // one of its disks failed
	bad := 0
	for to.volumes()[bad].mp.Path() != "/mp2" {
		bad++
	}
	var frames [][]byte
	var names []object.Name
	for i := range 40 {
		n := b1(fmt.Sprint(i))
		must(t, second(from.Put(t.Context(), n, random(i*50), PutOptions{})))
		frames, names = append(frames, frameOf(t, from, n)), append(names, n)
	}
	armed.Store(true)
	for i, r := range to.Import(t.Context(), frames, ImportOptions{}) {
		lane, _ := to.Lane(names[i])
		if (lane == bad) != (r.Err != nil) || (lane == bad) != (r.Outcome == Failed) {
			t.Errorf("%v on mountpath %d: %+v", names[i], lane, r)
		}
		if lane != bad && len(get(t, to, names[i])) != i*50 {
			t.Errorf("%v is not there", names[i])
		}
	}
}

// TestWritersAgainstImports runs writers, readers and movers of few names at once: in the end each name has what some of them left
// last, whole.
func TestWritersAgainstImports(t *testing.T) {
	from, to := memStore(t, "n1", 2), memStore(t, "n2", 2)
	names := []object.Name{b1("a"), b1("b"), b1("c"), b1("d")}
	var frames [][]byte
	for i := range 40 {
		n := names[i%len(names)]
		data := random(100 + 300*(i%10))
		binary.LittleEndian.PutUint64(data, cksum.Digest64(data[8:], 0))
		must(t, second(from.Put(t.Context(), n, data, PutOptions{Epoch: uint64(i), Mark: i%3 > 0})))
		frames = append(frames, frameOf(t, from, n))
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 60 {
				n := names[(i+w)%len(names)]
				switch (i + w) % 5 {
				case 0:
					data := random(100 + 300*(i%10))
					binary.LittleEndian.PutUint64(data, cksum.Digest64(data[8:], 0))
					if _, err := to.Put(t.Context(), n, data, PutOptions{Epoch: uint64(i), Mark: true}); err != nil {
						t.Error(err)
					}
				case 1:
					if _, err := to.Delete(t.Context(), n, DeleteOptions{Epoch: uint64(i), Mark: i%2 == 0}); err != nil && !errs.Is(err, errs.NotFound) {
						t.Error(err)
					}
				case 2:
					batch := [][]byte{frames[(4*i)%40], frames[(4*i+1)%40], frames[(4*i+2)%40], frames[(4*i+3)%40]}
					for _, r := range to.Import(t.Context(), batch, ImportOptions{}) {
						if r.Err != nil {
							t.Error(r.Err)
						}
					}
				case 3:
					for _, err := range to.RemoveKeys(t.Context(), names[:2], nil) {
						if err != nil {
							t.Error(err)
						}
					}
				case 4:
					o, err := to.Open(n)
					if errs.Is(err, errs.NotFound) {
						break
					}
					if err != nil {
						t.Error(err)
						break
					}
					var b bytes.Buffer
					err = o.WriteSpan(&b, object.Span{Length: o.Info().Size})
					o.Close()
					if data := b.Bytes(); err != nil || binary.LittleEndian.Uint64(data) != cksum.Digest64(data[8:], 0) {
						t.Errorf("%v: half of something: %v", n, err)
					}
				}
			}
		})
	}
	wg.Wait()
	checkWhole(t, to)
}

// TestSetAside: what a former membership left is put aside whole, also when that is interrupted, and the node starts empty.
func TestSetAside(t *testing.T) {
	for stop := range 12 {
		mem := fs.NewMem()
		cfg := Config{FS: mem, Mountpaths: []string{"/mp1", "/mp2"}, NodeID: "n", InlineMax: 100, BlockSize: 4096}
		s, err := Open(t.Context(), cfg)
		must(t, err)
		must(t, s.SetEra(5))
		if era, err := s.Era(); era != 5 || err != nil {
			t.Fatal(era, err)
		}
		for i := range 20 {
			must(t, second(s.Put(t.Context(), b1(fmt.Sprint(i)), random(i*20), PutOptions{})))
		}
		must(t, s.Close())
		count := 0
		var mended atomic.Bool
		faulty := &fs.Faulty{FS: mem, Check: func(op fs.Op, _ string) error {
			if op != fs.OpRename || mended.Load() {
				return nil
			}
			if count++; count > stop {
				return errors.New("stopped here")
			}
			return nil
		}}
		paths := cfg.Mountpaths
		for again := 0; ; again++ {
			if err := SetAside(faulty, paths, "5", fs.Own, nil); err == nil {
				break
			} else if again > 0 {
				t.Fatal(err)
			}
			mended.Store(true)
			s, err := Open(t.Context(), cfg) // as a node that starts again does
			must(t, err)
			paths, err = s.OtherEras(9)
			must(t, err)
			must(t, s.Close())
		}
		s, err = Open(t.Context(), cfg)
		must(t, err)
		if paths, err := s.OtherEras(9); len(paths) != 0 || err != nil {
			t.Errorf("stopped after %d: of another era: %v %v", stop, paths, err)
		}
		if got := walked(t, s); len(got) != 0 {
			t.Errorf("stopped after %d: left: %v", stop, got)
		}
		must(t, s.SetEra(9))
		must(t, second(s.Put(t.Context(), b1("0"), random(500), PutOptions{})))
		must(t, s.Close())
		blobs := 0
		for _, p := range cfg.Mountpaths {
			blobs += countBlobs(t, mem, p+"/set-aside/5")
		}
		if blobs != 14 { // 120 to 380 bytes
			t.Errorf("stopped after %d: %d blobs were put aside, should be 14", stop, blobs)
		}
	}
}

// countBlobs counts files below all directories of dir whose name begins with blobs.
func countBlobs(t *testing.T, sys fs.FS, dir string) (n int) {
	t.Helper()
	root, err := sys.OpenRoot(dir)
	must(t, err)
	top, err := root.ReadDir(".")
	must(t, err)
	for _, d := range top {
		if !strings.HasPrefix(d, "blobs") {
			continue
		}
		subs, err := root.ReadDir(d)
		must(t, err)
		for _, sub := range subs {
			files, err := root.ReadDir(d + "/" + sub)
			must(t, err)
			n += len(files)
		}
	}
	return n
}

// TestReplacedBlobsGo: what an import replaces and what is removed frees its space at once, on every mountpath.
func TestReplacedBlobsGo(t *testing.T) {
	from, to := memStore(t, "n1", 3), memStore(t, "n2", 3)
	n := b1("k")
	blobs := func() (sum int) {
		for _, m := range to.Mountpaths() {
			sum += countBlobs(t, to.cfg.FS, m.Path)
		}
		return sum
	}
	upload := func(s *Store, parts int) Upload {
		u, err := s.CreateUpload(t.Context(), n, UploadOptions{})
		must(t, err)
		for i := range parts {
			must(t, second(s.PutPart(t.Context(), n, u.ID, i+1, bytes.NewReader(random(5000)), PartOptions{Size: -1})))
		}
		return u
	}
	must(t, second(to.Put(t.Context(), n, random(5000), PutOptions{Versioning: Versioned})))
	done := upload(to, 5)
	must(t, second(to.CompleteUpload(t.Context(), n, done.ID, []CompletePart{{Number: 1}, {Number: 2}, {Number: 4}, {Number: 5}}, CompleteOptions{PutOptions: PutOptions{Versioning: Versioned}})))
	upload(to, 6)
	if got := blobs(); got != 1+4+6 {
		t.Fatalf("%d blobs", got)
	}
	must(t, second(from.Put(t.Context(), n, random(5000), PutOptions{Epoch: 9})))
	upload(from, 2)
	if r := move(t, from, to, n); r.Outcome != Applied {
		t.Fatalf("%+v", r)
	}
	if got := blobs(); got != 1+2 {
		t.Errorf("%d blobs after the import", got)
	}
	must(t, to.RemoveKeys(t.Context(), []object.Name{n}, nil)[0])
	if got := blobs(); got != 0 {
		t.Errorf("%d blobs after the removal", got)
	}
	for _, v := range to.volumes() {
		for _, fam := range format.Families() {
			c, err := v.newCursor([]byte{fam}, []byte{fam + 1})
			must(t, err)
			if fam != format.FamMeta && c.it.First() {
				t.Errorf("left in the index: %q", c.it.Key())
			}
			must(t, c.close())
		}
	}
}

// TestTwiceInABatch: the second frame of a key in a batch is refused, the first holds.
func TestTwiceInABatch(t *testing.T) {
	from, to := memStore(t, "n1", 1), memStore(t, "n2", 1)
	n := b1("k")
	must(t, second(from.Put(t.Context(), n, random(5000), PutOptions{})))
	f := frameOf(t, from, n)
	r := to.Import(t.Context(), [][]byte{f, f}, ImportOptions{})
	if r[0].Outcome != Applied || !errs.Is(r[1].Err, errs.Invalid) {
		t.Fatalf("%+v", r)
	}
	checkWhole(t, to)
}

// TestExportByPages: blobs go out as pages where the writer takes them, and the frame is the same.
func TestExportByPages(t *testing.T) {
	from := testStore(t, Config{FS: fs.OS{}, Mountpaths: []string{t.TempDir()}, BlockSize: 32 << 10})
	n := b1("k")
	must(t, second(from.Put(t.Context(), n, random(500_000), PutOptions{})))
	plain := frameOf(t, from, n)
	e, err := from.ExportKey(n)
	must(t, err)
	defer e.Close()
	w := &pageWriter{t: t}
	if sent, err := e.WriteTo(w); err != nil || sent != e.Len() {
		t.Fatal(sent, err)
	}
	if w.paged < 480_000 || !bytes.Equal(w.Bytes(), plain) {
		t.Errorf("%d bytes came as pages; same %v", w.paged, bytes.Equal(w.Bytes(), plain))
	}
}

// TestKeyStateWaits: who asks is told what a commit under way makes of the key.
func TestKeyStateWaits(t *testing.T) {
	s := memStore(t, "n1", 1)
	n := b1("k")
	inside, on := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		_, err := s.Put(t.Context(), n, []byte("x"), PutOptions{Epoch: 4, Mark: true, Guard: func() error {
			close(inside)
			<-on
			return nil
		}})
		done <- err
	}()
	<-inside
	if k, err := s.PeekKey(n); k.Exists || err != nil {
		t.Errorf("before the commit: %+v %v", k, err)
	}
	asked := make(chan KeyState, 1)
	go func() {
		k, err := s.KeyState(n)
		if err != nil {
			t.Error(err)
		}
		asked <- k
	}()
	barrier := make(chan struct{})
	go func() { s.Barrier(); close(barrier) }()
	select {
	case k := <-asked:
		t.Errorf("answered before the commit ended: %+v", k)
	case <-barrier:
		t.Error("the barrier did not wait")
	default:
	}
	close(on)
	must(t, <-done)
	if k := <-asked; !k.Exists || k.Authority != 4 {
		t.Errorf("%+v", k)
	}
	<-barrier
}
