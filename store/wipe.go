package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"aistore/errs"
	afs "aistore/fs"
)

// Wipe removes everything that a stopped node has on its mountpaths, directory by directory: no object is looked at. The marker goes last,
// so that a path is known as a mountpath until it is empty; one without a marker is left alone. Files of others stay.
func Wipe(paths []string) error {
	const op = "store.Wipe"
	var all []error
	for _, path := range paths {
		if _, err := os.Lstat(filepath.Join(path, afs.MarkerName)); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		for _, name := range []string{indexDirName, newIndexDir, madeIndexDir, "blobs", "work", AsideDir, afs.ReserveName, afs.ProbeName, afs.LockName, afs.SetName, afs.MarkerName} {
			if err := os.RemoveAll(filepath.Join(path, name)); err != nil {
				all = append(all, errs.E(op, path, err))
			}
		}
	}
	return errors.Join(all...)
}
