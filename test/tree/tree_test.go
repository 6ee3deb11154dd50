package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aistore/deploy/local"
	"aistore/test/plain"
	"aistore/test/procs"
	"aistore/test/value"
)

func TestMain(m *testing.M) { procs.Main(m) }

const (
	bucket  = "tree"
	prefix  = "in/go/" // where the tree goes
	workers = 16
)

func long() bool { return os.Getenv("AIS_LONG") != "" }

// TestTree puts the tree into a cluster of several processes and into one process.
func TestTree(t *testing.T) {
	in := input(t)
	procs.CLI(t) // built before anything is timed
	for _, c := range []struct {
		name string
		o    local.Options
	}{
		{"1 gateway, 3 targets, 2 mountpaths each", local.Options{Gateways: 1, Targets: 3, Mountpaths: 2}},
		{"one process", local.Options{All: true}},
	} {
		t.Run(c.name, func(t *testing.T) { there(t, in, procs.Start(t, c.o)) })
	}
}

// source is a directory of real files.
type source struct {
	dir   string
	files map[string]int64 // size by name relative to dir, with slashes
	bytes int64
}

// input copies Go's source tree, or a part of it, to a directory and adds a large file.
func input(t *testing.T) *source {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	must(t, err)
	from, size := filepath.Join(strings.TrimSpace(string(out)), "src"), int64(1<<30)
	if !long() {
		from, size = filepath.Join(from, "net"), 64<<20
	}
	s := &source{dir: filepath.Join(procs.Dir(t), "src"), files: map[string]int64{}}
	must(t, os.CopyFS(s.dir, os.DirFS(from)))
	f, err := os.Create(filepath.Join(s.dir, "large.bin"))
	must(t, err)
	_, err = io.Copy(f, value.Value{ID: 1, Size: size}.Reader())
	must(t, errors.Join(err, f.Close()))
	must(t, filepath.WalkDir(s.dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		i, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(s.dir, p)
		s.files[filepath.ToSlash(rel)] = i.Size()
		s.bytes += i.Size()
		return err
	}))
	if long() && len(s.files) < 10_000 {
		t.Fatalf("only %d files in %s", len(s.files), from)
	}
	t.Logf("%d files, %d MiB, of %s", len(s.files), s.bytes>>20, from)
	return s
}

func there(t *testing.T, in *source, c *procs.Cluster) {
	gw := plain.New(c.Endpoint())
	defer gw.Close()
	must(t, gw.CreateBucket(context.Background(), bucket))
	step := func(what string, f func()) {
		began := time.Now()
		f()
		took := time.Since(began)
		t.Logf("%-28s %8v  %6.0f files/s %6.0f MiB/s", what, took.Round(time.Millisecond),
			float64(len(in.files))/took.Seconds(), float64(in.bytes)/(1<<20)/took.Seconds())
	}
	step("ais put", func() {
		ais(t, c, "put", in.dir, "ais://"+bucket+"/"+prefix, "--recursive", "-y")
	})
	step("list", func() { in.checkList(t, gw) })
	step("read through the gateway", func() {
		in.each(t, func(name string) error {
			body, _, err := gw.Open(context.Background(), bucket, prefix+name)
			if err != nil {
				return err
			}
			defer body.Close()
			return in.compare(name, body)
		})
	})
	step("read through the SDK", func() { in.readSDK(t, c.Endpoint()) })
	step("ais get", func() {
		out := procs.Dir(t)
		ais(t, c, "get", "ais://"+bucket, out, "--prefix", prefix, "-y")
		in.checkDir(t, out)
	})
}

// ais runs the command against c.
func ais(t *testing.T, c *procs.Cluster, args ...string) {
	t.Helper()
	cmd := exec.Command(procs.CLI(t), args...)
	cmd.Env = append(os.Environ(), "AIS_ENDPOINT="+c.Endpoint())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ais %v: %v\n%.4000s", args, err, out)
	}
}

// each runs f for every file, several at a time.
func (s *source) each(t *testing.T, f func(name string) error) {
	t.Helper()
	names := make(chan string)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for n := range names {
				if err := f(n); err != nil {
					t.Errorf("%s: %v", n, err)
				}
			}
		})
	}
	for n := range s.files {
		names <- n
	}
	close(names)
	wg.Wait()
}

// compare reads r to its end and holds it against the file.
func (s *source) compare(name string, r io.Reader) error {
	f, err := os.Open(filepath.Join(s.dir, filepath.FromSlash(name)))
	if err != nil {
		return err
	}
	defer f.Close()
	a, b := make([]byte, 256<<10), make([]byte, 256<<10)
	for off := int64(0); ; {
		n, err := io.ReadFull(f, a)
		m, rerr := io.ReadFull(r, b)
		if rerr != nil && !errors.Is(rerr, io.EOF) && !errors.Is(rerr, io.ErrUnexpectedEOF) {
			return rerr
		}
		if n != m || !bytes.Equal(a[:n], b[:m]) {
			return fmt.Errorf("differs from the file within %d bytes from byte %d on", max(n, m), off)
		}
		if err != nil {
			return nil
		}
		off += int64(n)
	}
}

// checkList holds the listing against the files: the same names below prefix, and their sizes.
func (s *source) checkList(t *testing.T, c *plain.Client) {
	t.Helper()
	es, err := c.List(context.Background(), bucket, plain.ListQuery{})
	must(t, err)
	if len(es) != len(s.files) {
		t.Errorf("%d objects are listed of %d files", len(es), len(s.files))
	}
	for _, e := range es {
		rel, ok := strings.CutPrefix(e.Name, prefix)
		if size, known := s.files[rel]; !ok || !known || size != e.Size {
			t.Errorf("listed: %q of %d bytes, the file has %d (known: %v)", e.Name, e.Size, size, known)
		}
	}
}

// checkDir holds a directory against the files.
func (s *source) checkDir(t *testing.T, dir string) {
	t.Helper()
	n := 0
	must(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	}))
	if n != len(s.files) {
		t.Errorf("%d files were got of %d", n, len(s.files))
	}
	s.each(t, func(name string) error {
		f, err := os.Open(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		defer f.Close()
		return s.compare(name, f)
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
