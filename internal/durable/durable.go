// Package durable writes small files so that a crash at any instant leaves the old or the new, and knows the space there is for files. Start at WriteFile.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"aistore/errs"
)

// WriteFile replaces path, readable by its owner only, and syncs file and directory, which it makes if it is missing. There may be one writer of
// a path at a time.
func WriteFile(path string, b []byte) error {
	const op = "durable.WriteFile"
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return errs.E(op, path, err)
	}
	f, err := os.OpenFile(path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return errs.E(op, path, err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(path+".tmp", path)
	}
	if err == nil {
		err = SyncDir(dir)
	}
	if err != nil {
		return errs.E(op, path, err)
	}
	return nil
}

// SyncDir makes durable which names a directory has.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// Exists reports whether there is something called path; an error that leaves that open is returned.
func Exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, errs.E("durable.Exists", path, err)
	}
	return true, nil
}

// Same reports whether an open file is still found where it was opened; not being able to tell counts as yes.
func Same(f *os.File) bool {
	now, err := os.Stat(f.Name())
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	held, herr := f.Stat()
	return err != nil || herr != nil || os.SameFile(now, held)
}
