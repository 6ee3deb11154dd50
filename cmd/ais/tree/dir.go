package tree

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"aistore/errs"
)

// Dir is the directory of a download. Nothing is ever written outside of it, whatever the objects are called and
// whatever symbolic links lie in it. Its methods may be called at the same time.
type Dir struct {
	root *os.Root
	path string
}

// OpenDir makes dir if it does not exist.
func OpenDir(dir string) (*Dir, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, noDirectory(err, "tree.OpenDir", nil) // the caller names it
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Dir{root, dir}, nil
}

// Close gives up the directory.
func (d *Dir) Close() error { return d.root.Close() }

// Path tells where rel is written.
func (d *Dir) Path(rel string) string { return filepath.Join(d.path, filepath.FromSlash(rel)) }

// CheckRel refuses names that are no path strictly below a directory: "../x", "/x", "a//b", "a/./b", "a/".
func CheckRel(rel string) error {
	const op = "tree.CheckRel"
	for _, part := range strings.Split(rel, "/") {
		switch part {
		case "":
			return errs.E(op, nil, errs.Invalid, "has an empty part before, after or between slashes and is no path below a directory: get it by itself and name the file")
		case ".", "..":
			return errs.F(op, nil, errs.Invalid, "has the part %q and is no path below a directory: get it by itself and name the file", part)
		}
	}
	if strings.IndexByte(rel, 0) >= 0 || filepath.Separator != '/' && strings.IndexByte(rel, filepath.Separator) >= 0 {
		return errs.E(op, nil, errs.Invalid, "has a character that no file name can have: get it by itself and name the file")
	}
	return nil
}

// Create begins the file rel ('/' separates). Its content goes to a file beside it; only Commit gives it the name.
func (d *Dir) Create(rel string) (*Pending, error) {
	if err := CheckRel(rel); err != nil {
		return nil, err
	}
	if at, err := d.place(rel); err != nil {
		return nil, clash(err, at)
	}
	temp := path.Join(path.Dir(rel), ".ais-"+rand.Text()+".part")
	f, err := d.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	return &Pending{File: f, commit: func() error { return d.rename(temp, rel) }, drop: func() { _ = d.root.Remove(temp) }}, nil
}

// Mkdir makes the directory rel and those above it.
func (d *Dir) Mkdir(rel string) error {
	if err := CheckRel(rel); err != nil {
		return err
	}
	if st, err := d.root.Stat(rel); err == nil && !st.IsDir() {
		return clash(syscall.ENOTDIR, rel)
	}
	return d.root.MkdirAll(rel, 0o777)
}

// place makes the directories above rel; the string is the part that failed.
func (d *Dir) place(rel string) (string, error) {
	dir := path.Dir(rel)
	if dir == "." {
		return "", nil
	}
	if err := d.root.MkdirAll(dir, 0o777); err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			return pe.Path, err
		}
		return dir, err
	}
	return "", nil
}

func (d *Dir) rename(temp, rel string) error {
	if st, err := d.root.Stat(rel); err == nil && st.IsDir() {
		return clash(syscall.EISDIR, rel)
	}
	err := d.root.Rename(temp, rel)
	return clash(err, rel)
}

// clash explains that a file system, unlike a bucket, cannot hold both "a" and "a/b".
func clash(err error, at string) error {
	if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.EEXIST) {
		return errs.F("tree.Create", nil, errs.Conflict, "needs %q as a directory and there is a file of that name: a file system cannot hold both", at)
	}
	if errors.Is(err, syscall.EISDIR) {
		return errs.F("tree.Create", nil, errs.Conflict, "is a directory here already, for the objects below %q: a file system cannot hold both", at+"/")
	}
	return err
}

// CreateFile begins the file at a path that the user named himself; anything goes. A path that exists and is no
// regular file, such as /dev/null or /dev/stdout, is written directly. A symbolic link stays: the file behind it is replaced.
func CreateFile(name string) (*Pending, error) {
	if real, err := filepath.EvalSymlinks(name); err == nil && !device(name) {
		name = real
	}
	if st, err := os.Stat(name); err == nil && (!st.Mode().IsRegular() || device(name)) {
		if st.IsDir() {
			return nil, errs.E("tree.CreateFile", name, errs.Invalid, "is a directory: name a file in it")
		}
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		return &Pending{File: f, commit: func() error { return nil }, drop: func() {}}, nil
	}
	temp := filepath.Join(filepath.Dir(name), ".ais-"+rand.Text()+".part")
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, noDirectory(err, "tree.CreateFile", filepath.Dir(name))
	}
	return &Pending{File: f, commit: func() error { return os.Rename(temp, name) }, drop: func() { _ = os.Remove(temp) }}, nil
}

// noDirectory says of a directory that the user named and that is a file, or below one, what it is.
func noDirectory(err error, op string, dir any) error {
	if errors.Is(err, syscall.ENOTDIR) {
		return errs.E(op, dir, errs.Conflict, "is a file, or below one, and a directory is wanted: name another")
	}
	return err
}

// device reports whether a path names a device, or a file by the number under which it is open, as /dev/stdout does: nothing is ever put in the
// place of one, whatever it leads to.
func device(name string) bool {
	at, err := filepath.Abs(name)
	return err == nil && (filepath.Dir(at) == "/dev" || filepath.Dir(at) == "/dev/fd" || strings.HasPrefix(at, "/proc/"))
}

// Pending is a file that does not have its name yet. End it with Commit or with Drop.
type Pending struct {
	*os.File
	commit func() error
	drop   func()
}

// Commit closes the file and gives it its name, in place of what had it.
func (p *Pending) Commit() error {
	err := p.Close()
	if err == nil {
		err = p.commit()
	}
	if err != nil {
		p.drop()
	}
	return err
}

// Drop closes the file and removes it.
func (p *Pending) Drop() {
	_ = p.Close()
	p.drop()
}
