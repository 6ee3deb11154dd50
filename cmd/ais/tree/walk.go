// Package tree moves between directories on disk and names in a bucket: it walks a directory for an upload, and
// gives every name of a download its place below a directory and nowhere else.
//
// It knows files, not clusters: what is done with a file is the caller's function.
//
// Start at Walk and at (*Dir).Create.
package tree

import (
	"context"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"
	"unicode/utf8"

	"aistore/errs"
)

// File is one regular file found by Walk, or what could not be read in its place.
type File struct {
	Path string // as the system opens it
	Rel  string // relative to the root, with '/'; valid UTF-8 if Err is nil
	Size int64  // bytes
	Err  error  // why it cannot be uploaded; the walk goes on
}

// Options of Walk.
type Options struct {
	Recursive bool // enter directories below the root
}

// Summary counts what a walk has seen.
type Summary struct {
	Files   int64 // yielded without an error
	Bytes   int64
	Failed  int64 // yielded with one
	Skipped int64 // directories not entered
}

// Walk yields every regular file below root in the order of its names, directory by directory. Symbolic links are
// followed; one that leads back to a directory it lies in is yielded as an error, as are dangling links, sockets
// and other specials, unreadable directories and names that are not UTF-8. It ends early when yield returns false
// or ctx ends.
func Walk(ctx context.Context, root string, o Options, yield func(File) bool) (Summary, error) {
	st, err := os.Stat(root)
	if err != nil {
		return Summary{}, errs.E("tree.Walk", root, err)
	}
	if !st.IsDir() {
		return Summary{}, errs.E("tree.Walk", root, errs.Invalid, "is not a directory")
	}
	w := &walker{ctx: ctx, opts: o, yield: yield}
	w.dir(root, "", []fs.FileInfo{st})
	return w.sum, ctx.Err()
}

type walker struct {
	ctx   context.Context //nolint:containedctx // of this one walk
	opts  Options
	yield func(File) bool
	sum   Summary
}

// dir walks one directory; above are the directories on the way to it, itself included. It returns false to stop.
func (w *walker) dir(dir, rel string, above []fs.FileInfo) bool {
	entries, err := os.ReadDir(dir)
	if err != nil && !w.fail(dir, rel, err) {
		return false
	}
	for _, e := range entries {
		if w.ctx.Err() != nil {
			return false
		}
		if !w.entry(filepath.Join(dir, e.Name()), path.Join(rel, e.Name()), e, above) {
			return false
		}
	}
	return true
}

func (w *walker) entry(p, rel string, e fs.DirEntry, above []fs.FileInfo) bool {
	const op = "tree.Walk"
	var st fs.FileInfo
	var err error
	if e.Type()&fs.ModeSymlink != 0 {
		st, err = os.Stat(p)
	} else {
		st, err = e.Info()
	}
	if err != nil {
		return w.fail(p, rel, err)
	}
	if st.IsDir() {
		if !w.opts.Recursive {
			w.sum.Skipped++
			return true
		}
		for _, a := range above {
			if os.SameFile(a, st) {
				return w.fail(p, rel, errs.E(op, nil, errs.Invalid, "is a symbolic link to a directory it lies in: not followed"))
			}
		}
		return w.dir(p, rel, append(above[:len(above):len(above)], st))
	}
	switch {
	case !st.Mode().IsRegular():
		return w.fail(p, rel, errs.F(op, nil, errs.Invalid, "is no regular file (%s)", st.Mode().Type()))
	case !utf8.ValidString(rel):
		return w.fail(p, rel, errs.E(op, nil, errs.Invalid, "the name is not UTF-8, which object names are: rename the file"))
	}
	w.sum.Files++
	w.sum.Bytes += st.Size()
	return w.yield(File{Path: p, Rel: rel, Size: st.Size()})
}

func (w *walker) fail(p, rel string, err error) bool {
	w.sum.Failed++
	return w.yield(File{Path: p, Rel: rel, Err: err})
}

// Open opens f for reading and refuses what has become no regular file since, without waiting for the writer of a FIFO.
func (f File) Open() (*os.File, int64, error) {
	h, err := os.OpenFile(f.Path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	st, err := h.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = errs.E("tree.Open", f.Path, errs.Invalid, "is no regular file")
	}
	if err != nil {
		_ = h.Close()
		return nil, 0, err
	}
	return h, st.Size(), nil
}
