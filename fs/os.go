package fs

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"aistore/errs"
	"aistore/internal/flock"
)

// OS is the operating system (Linux).
type OS struct{}

// OpenRoot holds the directory at path open.
func (OS) OpenRoot(path string) (Root, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return &osRoot{path: path, dir: os.NewFile(uintptr(fd), path), fd: fd}, nil
}

// MkdirAll makes path and its parents and syncs every directory that got a new entry.
func (s OS) MkdirAll(path string) error {
	path = filepath.Clean(path)
	if fi, err := os.Stat(path); err == nil {
		if !fi.IsDir() {
			return &os.PathError{Op: "mkdir", Path: path, Err: syscall.ENOTDIR}
		}
		return nil
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := s.MkdirAll(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	d, err := os.Open(parent)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

type osRoot struct {
	path string
	dir  *os.File // keeps fd open
	fd   int

	slots slots // of WriteThrough
}

func (r *osRoot) fail(op, name string, err error) error {
	return &os.PathError{Op: op, Path: filepath.Join(r.path, name), Err: err}
}

func retry(f func() error) error {
	for {
		if err := f(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func (r *osRoot) OpenFile(name string, flag int) (File, error) {
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Openat(r.fd, name, flag|unix.O_CLOEXEC, 0o644)
		return err
	})
	if err != nil {
		return nil, r.fail("open", name, err)
	}
	f := &osFile{File: os.NewFile(uintptr(fd), name), fd: fd, root: r}
	if f.conn, err = f.SyscallConn(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (r *osRoot) Rename(from, to string) error {
	if err := retry(func() error { return unix.Renameat(r.fd, from, r.fd, to) }); err != nil {
		return r.fail("rename", from, err)
	}
	return nil
}

func (r *osRoot) Link(from, to string) error {
	if err := retry(func() error { return unix.Linkat(r.fd, from, r.fd, to, 0) }); err != nil {
		return r.fail("link", from, err)
	}
	return nil
}

func (r *osRoot) Remove(name string) error {
	err := retry(func() error { return unix.Unlinkat(r.fd, name, 0) })
	if errors.Is(err, syscall.EISDIR) {
		err = retry(func() error { return unix.Unlinkat(r.fd, name, unix.AT_REMOVEDIR) })
	}
	if err != nil {
		return r.fail("remove", name, err)
	}
	return nil
}

func (r *osRoot) Mkdir(name string) error {
	if err := retry(func() error { return unix.Mkdirat(r.fd, name, 0o755) }); err != nil {
		return r.fail("mkdir", name, err)
	}
	return nil
}

func (r *osRoot) openDir(name string) (*os.File, error) {
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Openat(r.fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, r.fail("open", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

func (r *osRoot) ReadDir(name string) ([]string, error) {
	d, err := r.openDir(name)
	if err != nil {
		return nil, err
	}
	names, err := d.Readdirnames(-1)
	return names, errors.Join(err, d.Close())
}

func (r *osRoot) Stat(name string) (os.FileInfo, error) {
	f, err := r.OpenFile(name, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	return fi, errors.Join(err, f.Close())
}

func (r *osRoot) SyncDir(name string) error {
	if name == "." || name == "" {
		return r.dir.Sync()
	}
	d, err := r.openDir(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (r *osRoot) Statfs() (Capacity, error) {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(r.fd, &st) }); err != nil {
		return Capacity{}, r.fail("statfs", "", err)
	}
	return Capacity{
		Total: int64(st.Blocks) * st.Bsize, Free: int64(st.Bavail) * st.Bsize, Inodes: int64(st.Files), FreeInodes: int64(st.Ffree), //nolint:gosec // of a disk
		ReadOnly: st.Flags&unix.ST_RDONLY != 0,
	}, nil
}

func (r *osRoot) Lock(name string) (io.Closer, error) {
	f, err := r.OpenFile(name, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	if err := flock.Lock(f.Fd()); err != nil {
		_ = f.Close() // nothing was written
		if errs.Is(err, errs.Conflict) {
			return nil, errs.E("fs.Lock", filepath.Join(r.path, name), err)
		}
		return nil, r.fail("flock", name, err)
	}
	return f, nil
}

// Same compares device and inode: after an unmount the path leads to the directory beneath.
func (r *osRoot) Same() (bool, error) {
	var held, now unix.Stat_t
	if err := unix.Fstat(r.fd, &held); err != nil {
		return false, r.fail("fstat", "", err)
	}
	err := unix.Stat(r.path, &now)
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR) {
		return false, nil
	}
	if err != nil {
		return false, r.fail("stat", "", err)
	}
	return held.Dev == now.Dev && held.Ino == now.Ino, nil
}

func (r *osRoot) FSID() (uint64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(r.fd, &st); err != nil {
		return 0, r.fail("fstat", "", err)
	}
	return st.Dev, nil
}

// Close lets go of the directory and its file system. The descriptor's number stays taken until nobody can use r any more: a call
// that comes late must not meet another file under it.
func (r *osRoot) Close() error {
	r.slots.close()
	null, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return r.fail("close", "", err)
	}
	return errors.Join(retry(func() error { return unix.Dup3(null, r.fd, unix.O_CLOEXEC) }), unix.Close(null))
}

type osFile struct {
	*os.File
	fd     int
	conn   syscall.RawConn // of File
	root   *osRoot
	direct *os.File // of WriteThrough; nil before the first
}

func (f *osFile) Sync() error {
	if err := retry(func() error { return unix.Fdatasync(f.fd) }); err != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}

func (f *osFile) Allocate(off, length int64) error {
	err := retry(func() error { return unix.Fallocate(f.fd, unix.FALLOC_FL_KEEP_SIZE, off, length) })
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return nil // only a hint
	}
	if err != nil {
		return &os.PathError{Op: "fallocate", Path: f.Name(), Err: err}
	}
	return nil
}

func (f *osFile) WriteOut(off, length int64) {
	_ = unix.SyncFileRange(f.fd, off, length, unix.SYNC_FILE_RANGE_WRITE) // an error stays the file's until it is synced
}

// Fd does not set the file to blocking mode, as (*os.File).Fd does: regular files always block.
func (f *osFile) Fd() uintptr { return uintptr(f.fd) }

// PipeTo implements Piper.
func (f *osFile) PipeTo(pipe uintptr, off int64, n int) error {
	for n > 0 {
		var moved int64
		err := retry(func() (err error) {
			moved, err = unix.Splice(f.fd, &off, int(pipe), nil, n, unix.SPLICE_F_NONBLOCK) //nolint:gosec // a descriptor
			return err
		})
		if err == nil && moved == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return &os.PathError{Op: "splice", Path: f.Name(), Err: err}
		}
		n -= int(moved)
	}
	return nil
}

// clean makes a name fit for a Root: slashes only, no leading or trailing one, "" is ".".
func clean(name string) string {
	name = strings.Trim(filepath.ToSlash(filepath.Clean(name)), "/")
	if name == "" {
		return "."
	}
	return name
}

// Named returns an error if f, the file of that name, has no name any more: somebody has removed the mountpath's files, and what was
// synced to it is gone as soon as this process is. Nothing of it may be acknowledged.
//
// It asks for the number of names alone (statx): a file whose times somebody has looked at gets exact ones at its next write, and with
// them a changed inode that the sync must write, too; times that are good to milliseconds seldom change.
func Named(f File, name string) error {
	fd := int(f.Fd()) //nolint:gosec // a descriptor
	if f.Fd() == NoFd {
		return nil
	}
	var st unix.Statx_t
	err := retry(func() error { return unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_NLINK, &st) })
	if err != nil || st.Mask&unix.STATX_NLINK == 0 { // an old kernel, or a sandbox that does not know the call
		var old unix.Stat_t
		if err := retry(func() error { return unix.Fstat(fd, &old) }); err != nil {
			return &os.PathError{Op: "fstat", Path: name, Err: err}
		}
		st.Nlink = uint32(old.Nlink) //nolint:gosec // whether it is zero
	}
	if st.Nlink == 0 {
		return errs.E("fs.Named", name, errs.Mountpath, "was removed while in use")
	}
	return nil
}
