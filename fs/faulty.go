package fs

import (
	"os"
)

// Op names a call that Faulty may fail.
type Op string

// The calls.
const (
	OpOpen   Op = "open"
	OpCreate Op = "create" // open with O_CREATE
	OpRead   Op = "read"
	OpWrite  Op = "write"
	OpSync   Op = "sync"
	OpDir    Op = "syncdir"
	OpRename Op = "rename" // also link
	OpRemove Op = "remove"
)

// Faulty asks Check before each call to the system below and returns its error instead, if any. Check
// is called from many goroutines.
type Faulty struct {
	FS
	Check func(op Op, name string) error
}

// OpenRoot wraps the Root.
func (f *Faulty) OpenRoot(path string) (Root, error) {
	r, err := f.FS.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &faultyRoot{r, f}, nil
}

func (f *Faulty) check(op Op, name string) error {
	if err := f.Check(op, name); err != nil {
		return &os.PathError{Op: string(op), Path: name, Err: err}
	}
	return nil
}

type faultyRoot struct {
	Root
	f *Faulty
}

func (r *faultyRoot) OpenFile(name string, flag int) (File, error) {
	op := OpOpen
	if flag&os.O_CREATE != 0 {
		op = OpCreate
	}
	if err := r.f.check(op, name); err != nil {
		return nil, err
	}
	file, err := r.Root.OpenFile(name, flag)
	if err != nil {
		return nil, err
	}
	return &faultyFile{file, r.f, name}, nil
}

func (r *faultyRoot) Rename(from, to string) error {
	if err := r.f.check(OpRename, to); err != nil {
		return err
	}
	return r.Root.Rename(from, to)
}

func (r *faultyRoot) Link(from, to string) error {
	if err := r.f.check(OpRename, to); err != nil {
		return err
	}
	return r.Root.Link(from, to)
}

func (r *faultyRoot) Remove(name string) error {
	if err := r.f.check(OpRemove, name); err != nil {
		return err
	}
	return r.Root.Remove(name)
}

func (r *faultyRoot) SyncDir(name string) error {
	if err := r.f.check(OpDir, name); err != nil {
		return err
	}
	return r.Root.SyncDir(name)
}

type faultyFile struct {
	File
	f    *Faulty
	name string
}

func (f *faultyFile) Read(p []byte) (int, error) {
	if err := f.f.check(OpRead, f.name); err != nil {
		return 0, err
	}
	return f.File.Read(p)
}

func (f *faultyFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.f.check(OpRead, f.name); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *faultyFile) Write(p []byte) (int, error) {
	if err := f.f.check(OpWrite, f.name); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.f.check(OpWrite, f.name); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f *faultyFile) Sync() error {
	if err := f.f.check(OpSync, f.name); err != nil {
		return err
	}
	return f.File.Sync()
}
