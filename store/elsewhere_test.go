package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aistore/errs"
	"aistore/fs"
)

// paths are those of the mountpaths that can be used.
func usablePaths(s *Store) (all []string) {
	for _, m := range s.Mountpaths() {
		if m.State == fs.Enabled && m.Standing == "" {
			all = append(all, filepath.Base(m.Path))
		}
	}
	return all
}

// TestAttachElsewhere: a disk that is out of service is taken back where it is mounted now, with all it had; the mount point that it left is not
// taken for a new disk, though it is configured.
func TestAttachElsewhere(t *testing.T) {
	for what, out := range map[string]func(t *testing.T, s *Store, path string, move func()){
		"disabled": func(t *testing.T, s *Store, path string, move func()) {
			must(t, s.Disable(path))
			move()
		},
		"unmounted": func(_ *testing.T, s *Store, _ string, move func()) {
			move()
			s.checkDisks()
			s.replaceFailed()
		},
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			a, b, c := dir+"/a", dir+"/b", dir+"/c"
			cfg := Config{Mountpaths: []string{a, b}, NodeID: "n", InlineMax: 100, Boot: "first"}
			s, err := Open(t.Context(), cfg)
			must(t, err)
			must(t, s.AcceptStart())
			want := map[string][]byte{}
			for i := range 40 {
				key := fmt.Sprint(i)
				want[key] = random(10 * i)
				put(t, s, key, want[key])
			}
			out(t, s, b, func() { must(t, os.Rename(b, c)); must(t, os.Mkdir(b, 0o755)) })
			must(t, second(s.Attach(t.Context(), c)))
			check := func() {
				t.Helper()
				for key, data := range want {
					if string(get(t, s, b1(key))) != string(data) {
						t.Errorf("%s is wrong", key)
					}
				}
				if got := strings.Join(usablePaths(s), " "); got != "a c" && got != "c a" {
					t.Errorf("in use: %s", got)
				}
			}
			check()
			must(t, s.Close())
			cfg.Existing, cfg.Boot = true, "second"
			s, err = Open(t.Context(), cfg)
			must(t, err)
			defer func() { must(t, s.Close()) }()
			check()
			if names, err := os.ReadDir(b); err != nil || len(names) > 0 {
				t.Errorf("the mount point that was left has %v: %v", names, err)
			}
		})
	}
}

// TestAttachCopy: a copy of a mountpath in use does not take its place.
func TestAttachCopy(t *testing.T) {
	dir := t.TempDir()
	a, b, c := dir+"/a", dir+"/b", dir+"/c"
	s, err := Open(t.Context(), Config{Mountpaths: []string{a, b}, NodeID: "n", InlineMax: 100, Boot: "first"})
	must(t, err)
	defer func() { must(t, s.Close()) }()
	must(t, s.AcceptStart())
	for i := range 40 {
		put(t, s, fmt.Sprint(i), []byte("old"))
	}
	must(t, s.Sync())
	must(t, os.CopyFS(c, os.DirFS(b)))
	for i := range 40 {
		put(t, s, fmt.Sprint(i), []byte("new"))
	}
	if _, err := s.Attach(t.Context(), c); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), b) {
		t.Errorf("attach: %v", err)
	}
	for i := range 40 {
		if got := string(get(t, s, b1(fmt.Sprint(i)))); got != "new" {
			t.Errorf("%d is %s", i, got)
		}
	}
	if got := usablePaths(s); len(got) != 2 {
		t.Errorf("in use: %v", got)
	}
}

// TestAttachSwapped: two disks that come back each at the other's path are taken for what they are, and nothing is given up.
func TestAttachSwapped(t *testing.T) {
	dir := t.TempDir()
	a, b, c := dir+"/a", dir+"/b", dir+"/c"
	gaveUp := 0
	s, err := Open(t.Context(), Config{
		Mountpaths: []string{a, b, c}, NodeID: "n", InlineMax: 100, Boot: "first", GivingUp: func(context.Context) error { gaveUp++; return nil },
	})
	must(t, err)
	defer func() { must(t, s.Close()) }()
	must(t, s.AcceptStart())
	for i := range 60 {
		put(t, s, fmt.Sprint(i), []byte(fmt.Sprint("content ", i)))
	}
	must(t, errors.Join(os.Rename(a, dir+"/x"), os.Rename(b, a), os.Rename(dir+"/x", b)))
	s.checkDisks()
	s.replaceFailed()
	if got := usablePaths(s); len(got) != 1 {
		t.Fatalf("in use: %v", got)
	}
	must(t, second(s.Attach(t.Context(), a)))
	must(t, second(s.Attach(t.Context(), b)))
	for i := range 60 {
		if got := string(get(t, s, b1(fmt.Sprint(i)))); got != fmt.Sprint("content ", i) {
			t.Errorf("%d is %q", i, got)
		}
	}
	if got := usablePaths(s); len(got) != 3 || gaveUp > 0 {
		t.Errorf("in use: %v; something was given up %d times", got, gaveUp)
	}
}
