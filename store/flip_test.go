package store

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"aistore/cksum"
	"aistore/errs"
	"aistore/fs"
	"aistore/object"
)

// TestBitFlips flips one bit at a time anywhere on the mountpath and reads everything. Every object must come
// back right or as an error; never with other bytes, never as an older version, never as missing.
func TestBitFlips(t *testing.T) {
	perFile := 8
	if v, err := strconv.Atoi(os.Getenv("STORE_FLIPS")); err == nil {
		perFile = v
	}
	for _, clean := range []bool{true, false} {
		t.Run(map[bool]string{true: "after a clean stop", false: "after a crash"}[clean], func(t *testing.T) {
			mem, want := flippable(t, clean)
			root, err := mem.OpenRoot("/mp1")
			must(t, err)
			rng := rand.New(rand.NewPCG(1, 2))
			outcomes := map[string]int{}
			for _, name := range allFiles(t, root, ".") {
				fi, err := root.Stat(name)
				must(t, err)
				if fi.Size() == 0 || !strings.Contains(name, os.Getenv("STORE_FLIP_FILES")) {
					continue
				}
				kind := path.Dir(name) + "/*" + path.Ext(name)
				if strings.Contains(name, "MANIFEST") {
					kind = "MANIFEST"
				}
				for range perFile {
					at, bit := rng.Int64N(fi.Size()), byte(1)<<rng.IntN(8)
					outcomes[kind+": "+flipAndRead(t, mem, name, at, bit, want)]++
				}
			}
			for _, k := range sortedKeys(outcomes) {
				t.Logf("%5d %s", outcomes[k], k)
			}
		})
	}
}

func sortedKeys(m map[string]int) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func allFiles(t *testing.T, r fs.Root, dir string) (names []string) {
	t.Helper()
	ns, err := r.ReadDir(dir)
	must(t, err)
	for _, n := range ns {
		n = path.Join(dir, n)
		fi, err := r.Stat(n)
		must(t, err)
		if fi.IsDir() {
			names = append(names, allFiles(t, r, n)...)
		} else {
			names = append(names, n)
		}
	}
	return names
}

// flippable is a mountpath with inline objects in tables, value files and the log, and blobs.
func flippable(t *testing.T, clean bool) (*fs.Mem, map[string][]byte) {
	mem := fs.NewMem()
	s, err := Open(t.Context(), crashConfig(mem, []string{"/mp1"}))
	must(t, err)
	want := map[string][]byte{}
	for round := range 3 { // each name has older versions
		for i := range 40 {
			key := fmt.Sprintf("k%02d", i)
			size := []int{10, 700, 3000, 15000}[i%4] + round
			want[key] = random(size)
			_, err := s.Put(t.Context(), b1(key), want[key], PutOptions{Checksum: cksum.XXHash, Size: -1, Custom: map[string]string{"round": strconv.Itoa(round)}})
			must(t, err)
		}
		if round < 2 {
			must(t, s.volumes()[0].db.Flush())
		}
	}
	for i := range 12 { // versions stay, by "key@version"
		key := fmt.Sprintf("v%d", i%4)
		data := random([]int{10, 3000, 15000, 0}[i%4] + i)
		info, err := s.Put(t.Context(), b1(key), data, PutOptions{Checksum: cksum.XXHash, Size: -1, Versioning: Versioned})
		must(t, err)
		want[key], want[key+"@"+info.VersionID] = data, data
		key = fmt.Sprintf("m%d", i%4)
		want[key] = uploadWhole(t, s, b1(key), 3)
	}
	if clean {
		must(t, s.Close())
		return mem.Crash(nil), want
	}
	must(t, s.volumes()[0].seal()) // as Run does when writing pauses; without it the very last batch would be unproved
	crashed := mem.Crash(nil)
	must(t, s.Close())
	return crashed, want
}

// uploadWhole makes n an object of so many parts and returns its content.
func uploadWhole(t *testing.T, s *Store, n object.Name, parts int) (whole []byte) {
	t.Helper()
	id := createUpload(t, s, n)
	var named []CompletePart
	for i := range parts {
		data := random(5000 + i)
		whole = append(whole, data...)
		named = append(named, CompletePart{Number: i + 1, ETag: putPart(t, s, n, id, i+1, data).ETag})
	}
	must(t, second(s.CompleteUpload(t.Context(), n, id, named, CompleteOptions{})))
	return whole
}

// flipAndRead reads everything with one bit flipped and says what came of it.
func flipAndRead(t *testing.T, mem *fs.Mem, name string, at int64, bit byte, want map[string][]byte) string {
	t.Helper()
	c := mem.Crash(nil)
	root, err := c.OpenRoot("/mp1")
	must(t, err)
	f, err := root.OpenFile(name, os.O_RDWR)
	must(t, err)
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at)
	must(t, err)
	b[0] ^= bit
	_, err = f.WriteAt(b, at)
	must(t, err)
	must(t, f.Sync())
	s, err := Open(t.Context(), crashConfig(c, []string{"/mp1"}))
	if err != nil {
		return "refused"
	}
	defer func() { _ = s.Close() }()
	result := "right"
	for key, data := range want {
		name, version, _ := strings.Cut(key, "@")
		o, err := s.OpenVersion(b1(name), version)
		if err == nil {
			var got bytes.Buffer
			err = o.WriteSpan(&got, object.Span{Length: o.Info().Size})
			if err == nil && !bytes.Equal(got.Bytes(), data) {
				t.Errorf("bit %#x of byte %d of %s flipped: %s has other bytes than it should", bit, at, name, key)
				result = "WRONG"
			}
			if err == nil {
				must(t, o.WriteSpan(io.Discard, object.Span{Length: o.Info().Size}))
			}
			o.Close()
		}
		switch {
		case err == nil:
		case errs.Is(err, errs.Corrupt, errs.Mountpath, errs.Unsupported):
			if result == "right" {
				result = "error"
			}
		default:
			t.Errorf("bit %#x of byte %d of %s flipped: %s: %v", bit, at, name, key, err)
			result = "LOST"
		}
	}
	if db := s.volumes()[0].db; db != nil && s.volumes()[0].err() == nil { // nor may the background be brought down
		_ = db.Flush() // what follows in the background may fail as well, and does not matter here
	}
	return result
}
