package fault

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aistore/cksum"
	"aistore/errs"
	"aistore/object"
	"aistore/store"
	"aistore/test/procs"
	"aistore/test/value"
)

// TestBitFlipsInStore does to the store alone what TestBitFlips does to a node, many more times: one bit of one file is
// flipped, in a copy of the mountpaths as a crash would leave them (taken while the store is open) and in one closed in order.
func TestBitFlipsInStore(t *testing.T) {
	seed := procs.Seed(t)
	for _, end := range []string{"closed", "crashed"} {
		t.Run(end, func(t *testing.T) { storeFlips(t, seed, end == "crashed") })
	}
}

// image is a directory of mountpaths and what must be read from it.
type image struct {
	dir     string
	objects map[object.Name]value.Value
	deleted []object.Name
}

func paths(dir string) []string {
	return []string{filepath.Join(dir, "mp1"), filepath.Join(dir, "mp2")}
}

// unproved is how many small writes follow those that are checked: that a write is in the log is proved by a later one,
// so damage to the last before a crash cannot be told from a crash in their midst. So many fall on every mountpath.
const unproved = 24

// paint fills a store below live, copies its mountpaths and removes them.
func paint(t *testing.T, rnd *rand.Rand, live string, crash bool) *image {
	t.Helper()
	ctx := context.Background()
	im := &image{dir: procs.Dir(t), objects: map[object.Name]value.Value{}}
	for _, p := range paths(live) {
		must(t, os.MkdirAll(p, 0o755))
	}
	s, err := store.Open(ctx, store.Config{Mountpaths: paths(live), NodeID: "n", CacheSize: 4 << 20})
	must(t, err)
	put := func(i int) {
		n := object.Name{Bucket: 7, Key: fmt.Sprintf("obj-%d", i)}
		v := value.Value{ID: rnd.Uint64(), Size: []int64{100, 4000, 40_000, 130_000, 200_000, 600_000}[rnd.IntN(6)]}
		_, err := s.Put(ctx, n, v.Bytes(), store.PutOptions{Epoch: 1, Checksum: cksum.XXHash, Size: v.Size})
		must(t, err)
		im.objects[n] = v
	}
	for i := range 80 {
		put(i)
	}
	if !crash { // so that some of it lies in tables, and some is overwritten there
		must(t, s.Close())
		s, err = store.Open(ctx, store.Config{Mountpaths: paths(live), NodeID: "n", CacheSize: 4 << 20})
		must(t, err)
	}
	for range 40 {
		put(rnd.IntN(80))
	}
	for i := 80; i < 90; i++ {
		put(i)
		n := object.Name{Bucket: 7, Key: fmt.Sprintf("obj-%d", i)}
		_, err := s.Delete(ctx, n, store.DeleteOptions{Epoch: 1})
		must(t, err)
		delete(im.objects, n)
		im.deleted = append(im.deleted, n)
	}
	for i := range unproved {
		n := object.Name{Bucket: 8, Key: fmt.Sprint(i)}
		_, err := s.Put(ctx, n, []byte("x"), store.PutOptions{Epoch: 1})
		must(t, err)
	}
	if !crash {
		must(t, s.Close())
	}
	for i, p := range paths(live) {
		must(t, os.CopyFS(paths(im.dir)[i], os.DirFS(p)))
	}
	if crash {
		must(t, s.Close())
	}
	must(t, os.RemoveAll(live))
	return im
}

func storeFlips(t *testing.T, seed uint64, crash bool) {
	rnd := rand.New(rand.NewPCG(seed, 4))
	work := filepath.Join(procs.Dir(t), "work") // always the same path: it is part of a mountpath's identity
	im := paint(t, rnd, work, crash)
	count := map[string]int{}
	bad := 0
	for round := range rounds(40, 800) {
		for i, p := range paths(work) {
			must(t, os.CopyFS(p, os.DirFS(paths(im.dir)[i])))
		}
		where := ""
		if round > 0 { // the first round shows that the undamaged copy is whole
			where = flip(t, rnd, paths(work))
			count["flips in "+kindOf(where)]++
		}
		if wrong := im.read(t, rnd, work, where, count); len(wrong) > 0 {
			if bad++; bad <= 8 {
				t.Errorf("round %d, flip in %s:\n\t%s", round, strings.TrimPrefix(where, work), strings.Join(wrong[:min(3, len(wrong))], "\n\t"))
			}
		}
		must(t, os.RemoveAll(work))
	}
	t.Logf("%v", count)
	if bad > 0 {
		t.Errorf("%d rounds gave wrong answers", bad)
	}
}

// read opens a damaged copy and reads everything; it returns what was wrong.
func (im *image) read(t *testing.T, rnd *rand.Rand, dir, where string, count map[string]int) (wrong []string) {
	t.Helper()
	s, err := store.Open(context.Background(), store.Config{Mountpaths: paths(dir), NodeID: "n", Existing: true, CacheSize: 4 << 20})
	if err != nil {
		if where == "" {
			t.Fatal(err)
		}
		count["refused to open"]++
		t.Logf("refused: flip in %s: %v", where, err)
		return nil
	}
	defer s.Close() //nolint:errcheck // a damaged index may fail to close
	for n, v := range im.objects {
		off := rnd.Int64N(v.Size)
		for _, sp := range []object.Span{{Start: 0, Length: v.Size}, {Start: off, Length: 1 + rnd.Int64N(v.Size-off)}} {
			b, err := readSpan(s, n, sp)
			switch {
			case err == nil && int64(len(b)) == sp.Length && v.Check(b, sp.Start) == nil:
				count["right"]++
			case err == nil:
				other, perr := value.Parse(b)
				wrong = append(wrong, fmt.Sprintf("WRONG BYTES of %v %+v: %d bytes, %v; whole value of another write: %v", n, sp, len(b), v.Check(b, sp.Start), perr == nil && other != v))
			case errs.Is(err, errs.Corrupt, errs.Mountpath):
				count["error "+errs.KindOf(err).String()]++
			default:
				wrong = append(wrong, fmt.Sprintf("%v: kind %v: %v", n, errs.KindOf(err), err))
			}
		}
	}
	for _, n := range im.deleted {
		if b, err := readSpan(s, n, object.Span{Start: 0, Length: 1}); err == nil {
			wrong = append(wrong, fmt.Sprintf("DELETED OBJECT BACK: %v, %d bytes", n, len(b)))
		}
	}
	listed := 0
	err = s.List(context.Background(), store.ListQuery{Bucket: 7, Limit: 1000}, func(*object.Info) bool { listed++; return true })
	if err == nil && listed != len(im.objects) {
		wrong = append(wrong, fmt.Sprintf("LIST of %d objects without an error, there are %d", listed, len(im.objects)))
	}
	return wrong
}

func readSpan(s *store.Store, n object.Name, sp object.Span) ([]byte, error) {
	o, err := s.Open(n)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	if in := o.Info().Size; sp.Start+sp.Length > in {
		return nil, nil // a shorter object: told apart by its bytes, of which there are none
	}
	var b bytes.Buffer
	err = o.WriteSpan(&b, sp)
	return b.Bytes(), err
}
