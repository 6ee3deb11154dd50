// Package fs is the operating system as the store sees it: the few calls the store makes on a disk,
// and mountpaths, the directories (one per disk) that belong to this node.
//
// A Root is a directory held open; every name below it is resolved from that descriptor, so a disk
// that is unmounted beneath a running node is never replaced by the empty directory it was mounted on.
// There are three systems: OS, the real one; Mem, which forgets at a crash whatever was not synced;
// and Faulty, which fails calls on demand around any other. fs knows nothing of objects, indexes or
// other nodes.
//
// Start at FS, Mountpath and Set.
package fs

import (
	"io"
	"os"
	"time"
)

// FS opens directories. All else happens inside a Root.
type FS interface {
	// OpenRoot holds the directory at path open. It fails when path does not exist.
	OpenRoot(path string) (Root, error)
	// MkdirAll makes path and its parents, durably.
	MkdirAll(path string) error
}

// Root is a directory held open. Names are relative to it, separated by slashes, never with "..".
// Nothing but SyncDir makes a name durable, and nothing but File.Sync the bytes behind it.
//
//nolint:interfacebloat // one seam on purpose: what the store and its index ask of an operating system
type Root interface {
	// OpenFile opens name with the flags of package os (O_RDONLY, O_RDWR, O_CREATE, O_EXCL, O_TRUNC).
	OpenFile(name string, flag int) (File, error)
	Rename(from, to string) error
	Link(from, to string) error
	Remove(name string) error // a file or an empty directory
	Mkdir(name string) error  // kind Exists when it is there
	ReadDir(name string) ([]string, error)
	Stat(name string) (os.FileInfo, error)
	// SyncDir makes the names in directory name durable; "." is the root itself.
	SyncDir(name string) error
	Statfs() (Capacity, error)
	// Lock takes an exclusive lock on name, made when missing; it ends with the process. A lock that
	// another process or another Root holds is kind Conflict.
	Lock(name string) (io.Closer, error)
	// Same reports whether the path given to OpenRoot still leads to this directory.
	Same() (bool, error)
	// FSID identifies the file system that holds the directory.
	FSID() (uint64, error)
	Close() error
}

// File is an open file.
type File interface {
	io.ReadWriteCloser
	io.ReaderAt
	io.WriterAt
	// Sync makes the bytes durable, and of the metadata what is needed to read them (fdatasync).
	Sync() error
	// WriteThrough writes p at off past the kernel's cache and makes it durable, for much less than WriteAt and Sync cost.
	// Address, offset and length are multiples of Block; see Aligned. errors.ErrUnsupported says that the file system
	// cannot, and that nothing was written.
	WriteThrough(p []byte, off int64) error
	Truncate(size int64) error
	Stat() (os.FileInfo, error)
	// Allocate reserves space for length bytes from off without changing the size. It may do nothing.
	Allocate(off, length int64) error
	// WriteOut begins to write length bytes from off to the disk, so that Sync finds less to do. It is advice: what fails is
	// Sync's to tell, and it makes nothing durable.
	WriteOut(off, length int64)
	// Fd is the descriptor for advice to the kernel, or ^uintptr(0) where there is none.
	Fd() uintptr
}

// Piper is a File that can move its bytes into a pipe without copying them.
type Piper interface {
	// PipeTo moves n bytes from off into the pipe, which must have room for them: a short count is an error. Kind
	// Unsupported where it cannot be done.
	PipeTo(pipe uintptr, off int64, n int) error
}

// Capacity of a file system, in bytes. Free is what an unprivileged writer may still take.
type Capacity struct {
	Total int64 `json:"total"`
	Free  int64 `json:"free"`

	Inodes, FreeInodes int64 `json:"-"` // files that it can hold, and could hold besides those that it has; 0 and 0 where it does not count them

	ReadOnly bool `json:"-"` // nothing can be written at all
}

// NoFd is what File.Fd returns when no descriptor stands behind the file.
const NoFd = ^uintptr(0)

// clock is time.Now, apart so that nothing but this line reads the clock.
func clock() time.Time { return time.Now() }
