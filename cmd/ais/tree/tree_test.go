package tree

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"

	"aistore/errs"
)

func write(t *testing.T, dir, rel, content string) {
	t.Helper()
	p := filepath.Join(dir, rel)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, dir, to, name string) {
	t.Helper()
	if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func walk(t *testing.T, dir string, o Options) (found []string, failed []string, s Summary) {
	t.Helper()
	s, err := Walk(t.Context(), dir, o, func(f File) bool {
		if f.Err != nil {
			failed = append(failed, fmt.Sprintf("%q: %v", f.Rel, f.Err))
		} else {
			found = append(found, fmt.Sprintf("%s=%d", f.Rel, f.Size))
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return found, failed, s
}

func TestWalk(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a", "1")
	write(t, dir, "b/empty", "")
	write(t, dir, "b/c/ün ï", "123")
	write(t, dir, "-y", "12")
	found, failed, s := walk(t, dir, Options{Recursive: true})
	if got := strings.Join(found, " "); got != "-y=2 a=1 b/c/ün ï=3 b/empty=0" || failed != nil || s != (Summary{Files: 4, Bytes: 6}) {
		t.Errorf("found %s, failed %v, %+v", got, failed, s)
	}
	found, failed, s = walk(t, dir, Options{})
	if got := strings.Join(found, " "); got != "-y=2 a=1" || failed != nil || s != (Summary{Files: 2, Bytes: 3, Skipped: 1}) {
		t.Errorf("not recursive: found %s, failed %v, %+v", got, failed, s)
	}
}

func TestWalkOddities(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "d/x", "1")
	write(t, dir, "bad\xff", "1")
	link(t, dir, "x", "d/linked")
	link(t, dir, "d", "d2")
	link(t, dir, "..", "d/up")
	link(t, dir, "nowhere", "dangling")
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	found, failed, s := walk(t, dir, Options{Recursive: true})
	if got := strings.Join(found, " "); got != "d/linked=1 d/x=1 d2/linked=1 d2/x=1" {
		t.Errorf("found %s", got)
	}
	want := []string{`"bad\xff": the name is not UTF-8`, `"d/up": is a symbolic link to a directory it lies in`, `"d2/up": is a symbolic link`,
		`"dangling": `, `"fifo": is no regular file`, `"socket": is no regular file`}
	sort.Strings(failed)
	if len(failed) != len(want) || s.Failed != int64(len(want)) {
		t.Fatalf("failed: %q %+v", failed, s)
	}
	for i, w := range want {
		if !strings.HasPrefix(failed[i], w) {
			t.Errorf("failed: %s, want %s", failed[i], w)
		}
	}
	if _, _, err := (File{Path: filepath.Join(dir, "fifo")}).Open(); !errs.Is(err, errs.Invalid) {
		t.Errorf("open of a FIFO: %v", err)
	}
}

func TestWalkEnds(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a/b", "")
	write(t, dir, "c", "")
	n := 0
	if _, err := Walk(t.Context(), dir, Options{Recursive: true}, func(File) bool { n++; return false }); err != nil || n != 1 {
		t.Errorf("%d calls after the end, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Walk(ctx, dir, Options{}, func(File) bool { t.Error("called"); return true }); !errs.Is(err, errs.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := Walk(t.Context(), filepath.Join(dir, "c"), Options{}, nil); !errs.Is(err, errs.Invalid) {
		t.Errorf("walk of a file: %v", err)
	}
}

func put(d *Dir, rel, content string) error {
	p, err := d.Create(rel)
	if err != nil {
		return err
	}
	if _, err := p.WriteString(content); err != nil {
		return err
	}
	return p.Commit()
}

// all lists what lies below dir, to see that nothing was left or went elsewhere.
func all(t *testing.T, dir string) string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			rel, _ := filepath.Rel(dir, p)
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}

func TestDirStaysInside(t *testing.T) {
	base := t.TempDir()
	outside := filepath.Join(base, "outside")
	write(t, outside, "secret", "old")
	target := filepath.Join(base, "in")
	d, err := OpenDir(target)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	link(t, target, "../outside", "sneaky")
	link(t, target, outside, "absolute")
	link(t, target, "../outside/secret", "file")
	for _, rel := range []string{"", "..", "../x", "/x", "/", "a/../../x", "a/..", "./x", "a//x", "a/", "sneaky/x", "absolute/x", "sneaky/secret", "x\x00y"} {
		if err := put(d, rel, "new"); err == nil {
			t.Errorf("%q was written", rel)
		}
	}
	if err := put(d, "file", "new"); err != nil { // replaces the link, not what it points to
		t.Error(err)
	}
	if b, _ := os.ReadFile(filepath.Join(outside, "secret")); string(b) != "old" {
		t.Errorf("the file outside is %q", b)
	}
	if got := all(t, base); got != "in/absolute in/file in/sneaky outside/secret" {
		t.Errorf("there is %s", got)
	}
}

func TestDirClashes(t *testing.T) {
	d, err := OpenDir(filepath.Join(t.TempDir(), "new", "dir"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, rel := range []string{"a", "b/c", "deep/er/and/deeper", "..x", "ü n"} {
		if err := put(d, rel, rel); err != nil {
			t.Fatal(err)
		}
	}
	for rel, want := range map[string]string{"a/b": `"a" as a directory`, "a/b/c": `"a" as a directory`, "b": `below "b/"`} {
		if err := put(d, rel, ""); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v does not say %s", rel, err, want)
		}
	}
	if err := put(d, "a", "again"); err != nil {
		t.Error(err)
	}
	p, err := d.Create("dropped")
	if err != nil {
		t.Fatal(err)
	}
	p.Drop()
	if got := all(t, d.path); got != "..x a b/c deep/er/and/deeper ü n" {
		t.Errorf("there is %s", got)
	}
	if b, _ := os.ReadFile(d.Path("a")); string(b) != "again" {
		t.Errorf("a is %q", b)
	}
}

func TestCreateFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "x")
	for _, content := range []string{"one", "two"} {
		p, err := CreateFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.WriteString(content); err != nil {
			t.Fatal(err)
		}
		if b, _ := os.ReadFile(name); string(b) == content {
			t.Error("the name shows content that is not complete")
		}
		if err := p.Commit(); err != nil {
			t.Fatal(err)
		}
		if b, _ := os.ReadFile(name); string(b) != content {
			t.Errorf("content is %q", b)
		}
	}
	p, err := CreateFile(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Commit(); err != nil {
		t.Error(err)
	}
	if _, err := CreateFile(dir); !errs.Is(err, errs.Invalid) {
		t.Errorf("a directory: %v", err)
	}
	if _, err := CreateFile(filepath.Join(name, "y")); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), name+": is a file") {
		t.Errorf("below a file: %v", err)
	}
	for _, below := range []string{name, filepath.Join(name, "y")} {
		if _, err := OpenDir(below); !errs.Is(err, errs.Conflict) {
			t.Errorf("%s as a directory: %v", below, err)
		}
	}
	if got := all(t, dir); got != "x" {
		t.Errorf("there is %s", got)
	}
}

// TestCreateFileThroughLinks: a link stays what it is, the file behind it gets the content; an open file that is named by its number is written,
// and what names it is not replaced.
func TestCreateFileThroughLinks(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		p, err := CreateFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.WriteString(content); err != nil {
			t.Fatal(err)
		}
		if err := p.Commit(); err != nil {
			t.Error(err)
		}
	}
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := os.WriteFile(real, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", link); err != nil {
		t.Fatal(err)
	}
	write(link, "new")
	if to, err := os.Readlink(link); err != nil || to != "real" {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	if b, _ := os.ReadFile(real); string(b) != "new" {
		t.Errorf("the file behind it is %q", b)
	}

	open, err := os.OpenFile(filepath.Join(dir, "open"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	write(fmt.Sprintf("/proc/self/fd/%d", open.Fd()), "through the number")
	if b, err := io.ReadAll(open); err != nil || string(b) != "through the number" {
		t.Errorf("the open file reads %q, %v", b, err)
	}
	if got := all(t, dir); got != "link open real" {
		t.Errorf("there is %s", got)
	}
}
