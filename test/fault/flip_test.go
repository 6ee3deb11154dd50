package fault

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"aistore/deploy/local"
	"aistore/test/plain"
	"aistore/test/procs"
	"aistore/test/value"
)

// TestBitFlips damages one bit of the files of a stopped node, each time another, starts it and reads everything
// back, whole and in ranges: the bytes are right, or there is an error; they are never wrong, and an object is never
// said not to exist.
func TestBitFlips(t *testing.T) {
	seed := procs.Seed(t)
	for _, end := range []string{"after a clean stop", "after a kill"} {
		t.Run(end, func(t *testing.T) { flips(t, seed, end == "after a kill") })
	}
}

func flips(t *testing.T, seed uint64, kill bool) {
	ctx := context.Background()
	rnd := rand.New(rand.NewPCG(seed, 2))
	c := procs.Start(t, local.Options{All: true, Mountpaths: 2})
	cl := c.Client("a1")
	must(t, cl.CreateBucket(ctx, "bits"))
	objects := map[string]value.Value{}
	for i := range 120 { // overwritten ones leave former content behind, which may not come back
		name := fmt.Sprintf("obj-%d", i%90)
		v := value.Value{ID: uint64(i + 1), Size: []int64{100, 4000, 40_000, 130_000, 200_000, 600_000}[rnd.IntN(6)]}
		_, err := cl.Put(ctx, "bits", name, v.Bytes())
		must(t, err)
		objects[name] = v
	}
	for i := range unproved {
		must(t, check(cl.Put(ctx, "bits", fmt.Sprintf("last-%d", i), []byte("x"))))
	}
	n := c.Nodes()[0]
	if kill {
		must(t, c.Kill(ctx, n.ID))
	} else {
		must(t, c.Stop(ctx, n.ID))
	}
	kept := filepath.Join(c.Dir(), "kept")
	dirs := append(slices.Clone(n.Mountpaths), filepath.Join(c.Dir(), n.ID, "state")) // disks alone, put back, are a copy of an earlier time
	for i, mp := range dirs {
		must(t, os.CopyFS(filepath.Join(kept, fmt.Sprint(i)), os.DirFS(mp)))
	}
	count := map[string]int{}
	for round := range rounds(12, 150) {
		where := flip(t, rnd, n.Mountpaths)
		count["flips in "+kindOf(where)]++
		must(t, c.Launch(n.ID))
		if err := readyOrGone(t, c, n); err != nil {
			count["refused to start"]++
			t.Logf("round %d: flip in %s: %v", round, where, err)
		} else {
			readAll(t, rnd, cl, objects, where, count)
		}
		must(t, c.Kill(ctx, n.ID))
		for i, mp := range dirs {
			must(t, os.RemoveAll(mp))
			must(t, os.CopyFS(mp, os.DirFS(filepath.Join(kept, fmt.Sprint(i)))))
		}
		if t.Failed() {
			break
		}
	}
	t.Logf("%v", count)
	must(t, c.Start(ctx, n.ID)) // what was not damaged is whole
	for name, v := range objects {
		b, _, err := cl.Get(ctx, "bits", name)
		must(t, err)
		if got, err := value.Parse(b); err != nil || got != v {
			t.Errorf("%s of the undamaged copy: %v %v", name, got, err)
		}
	}
}

// kindOf tells what sort of file a path on a mountpath is, at the beginning of where.
func kindOf(where string) string {
	file, _, _ := strings.Cut(where, " ")
	switch dir := filepath.Base(filepath.Dir(file)); {
	case dir == "index" && filepath.Ext(file) != "":
		return "index *" + filepath.Ext(file)
	case dir == "index":
		return "index " + strings.TrimRight(filepath.Base(file), "0123456789")
	case strings.Contains(file, "/blobs/"):
		return "blobs"
	}
	return filepath.Base(file)
}

// flip changes one random bit of one random file, of a random kind of file, and returns a description of where.
func flip(t *testing.T, rnd *rand.Rand, dirs []string) string {
	t.Helper()
	byKind := map[string][]string{}
	for _, d := range dirs {
		must(t, filepath.WalkDir(d, func(p string, e fs.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() {
				if st, err := e.Info(); err == nil && st.Size() > 0 {
					byKind[kindOf(p)] = append(byKind[kindOf(p)], p)
				}
			}
			return err
		}))
	}
	kinds := slices.Sorted(maps.Keys(byKind))
	files := byKind[kinds[rnd.IntN(len(kinds))]]
	slices.Sort(files)
	f, err := os.OpenFile(files[rnd.IntN(len(files))], os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	st, err := f.Stat()
	must(t, err)
	off, bit := rnd.Int64N(st.Size()), byte(1)<<rnd.IntN(8)
	var b [1]byte
	_, err = f.ReadAt(b[:], off)
	must(t, err)
	b[0] ^= bit
	_, err = f.WriteAt(b[:], off)
	must(t, err)
	return fmt.Sprintf("%s at byte %d of %d, bit %#02x", f.Name(), off, st.Size(), bit)
}

// readyOrGone waits until the node is ready, or returns why it ended.
func readyOrGone(t *testing.T, c *procs.Cluster, n local.Node) error {
	t.Helper()
	cl := plain.New(n.URL())
	defer cl.Close()
	ended := false
	procs.Eventually(t, procs.Patience, func(ctx context.Context) error {
		for _, s := range c.Status() {
			if s.ID == n.ID && s.State == local.Stopped {
				ended = true
				return nil
			}
		}
		resp, err := cl.Do(ctx, http.MethodGet, n.URL()+"/v1/health?readiness=true", nil)
		if err == nil {
			_ = resp.Body.Close()
		}
		return err
	})
	if ended {
		path, _ := c.Logs(n.ID)
		b, _ := os.ReadFile(path)
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		return fmt.Errorf("the node ended: %s", lines[len(lines)-1])
	}
	return nil
}

// readAll reads every object whole, and a range of each.
func readAll(t *testing.T, rnd *rand.Rand, c *plain.Client, objects map[string]value.Value, where string, count map[string]int) {
	t.Helper()
	for name, v := range objects {
		ctx, cancel := context.WithTimeout(context.Background(), procs.Patience)
		defer cancel()
		b, _, err := c.Get(ctx, "bits", name)
		verdict(t, fmt.Sprintf("%s, flip in %s", name, where), v, b, 0, v.Size, err, count)
		off := rnd.Int64N(v.Size)
		n := 1 + rnd.Int64N(v.Size-off)
		b, _, err = c.Get(ctx, "bits", name, plain.Range(off, n))
		verdict(t, fmt.Sprintf("%s from %d for %d, flip in %s", name, off, n, where), v, b, off, n, err, count)
	}
	if _, err := c.List(context.Background(), "bits", plain.ListQuery{}); err != nil {
		count["lists failed"]++
	}
}

func verdict(t *testing.T, what string, v value.Value, got []byte, off, n int64, err error, count map[string]int) {
	t.Helper()
	switch status := plain.Status(err); {
	case err == nil && int64(len(got)) == n && v.Check(got, off) == nil:
		count["right"]++
	case err == nil:
		other, perr := value.Parse(got)
		t.Errorf("WRONG BYTES: %s: %d bytes, %v (value %v %v)", what, len(got), v.Check(got, off), other, perr)
	case status == http.StatusNotFound:
		t.Errorf("SILENTLY LOST: %s: %v", what, err)
	case status > 0 && status < 500:
		t.Errorf("%s: %v, want an error of the server", what, err)
	case status > 0:
		count[fmt.Sprintf("error %d", status)]++
	default:
		count["cut"]++
	}
}
