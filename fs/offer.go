package fs

import (
	"errors"
	"strings"
	"syscall"

	"aistore/errs"
)

// Offered looks at what is offered as a new mountpath, before anything is written there: an empty directory. One that is not there may be
// mistyped, or the mount point of a disk that is not mounted; files that are there are somebody's. A directory with a marker is another's
// to judge. What cannot be looked at is told by who opens it.
func Offered(sys FS, path string) error {
	const op = "fs.Offered"
	r, err := sys.OpenRoot(path)
	switch {
	case errs.Is(err, errs.NotFound):
		return errs.E(op, path, errs.Invalid, "does not exist: mount the disk there, or make the directory first")
	case errors.Is(err, syscall.ENOTDIR):
		return errs.E(op, path, errs.Invalid, "is not a directory: a mountpath is a directory, best the mount point of a disk of its own")
	case err != nil:
		return nil
	}
	names, err := r.ReadDir(".")
	if err = errors.Join(err, r.Close()); err != nil {
		return nil //nolint:nilerr // as above
	}
	foreign := ""
	for _, name := range names {
		switch {
		case name == MarkerName:
			return nil
		case name == "index", name == "blobs":
			return errs.F(op, path, errs.Invalid, "has %q but no marker %s: restore the marker, or empty the directory to start anew", name, MarkerName)
		case name != "lost+found" && !strings.HasPrefix(name, ownPrefix):
			foreign = name
		}
	}
	if foreign != "" {
		return errs.F(op, path, errs.Invalid, "is not empty (%q is there) and no mountpath: use an empty directory, or one beside what it holds", foreign)
	}
	return nil
}

// ownPrefix begins the name of every file at the top of a mountpath that may be there without a marker, after a crash in the middle of
// making one.
const ownPrefix = ".ais."
