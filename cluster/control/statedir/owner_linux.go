package statedir

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"aistore/errs"
)

// giveTo makes what is in tree, and tree itself, that of the user who has dir: root recovers directories of nodes that run as others, and they must be able
// to open what it made.
func giveTo(dir, tree string) error {
	const op = "statedir.giveTo"
	info, err := os.Stat(dir)
	if err != nil {
		return errs.E(op, dir, err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) == os.Geteuid() {
		return nil
	}
	return filepath.WalkDir(tree, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = os.Lchown(path, int(st.Uid), int(st.Gid))
		}
		if err != nil {
			return errs.E(op, path, err)
		}
		return nil
	})
}
