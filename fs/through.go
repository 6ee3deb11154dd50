package fs

import (
	"errors"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Block is what memory, offset and length of a WriteThrough are multiples of: the page of a kernel's cache, and as much as any
// disk wants.
const Block = 4096

// Aligned returns n bytes of memory that WriteThrough takes.
func Aligned(n int) []byte {
	b := make([]byte, n+Block-1)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) % Block) //nolint:gosec // only the address is looked at
	return b[skip : skip+n : skip+n]
}

// WriteThrough writes past the page cache, with a descriptor of its own since O_DIRECT holds for all that is done with one.
// Compared with a write and an fdatasync it spares the copy and the page, and on a disk that can write through its own cache
// also the flush.
func (f *osFile) WriteThrough(p []byte, off int64) error {
	fd, err := f.directFd()
	write := pwriteDsync
	if s := f.root.slots.take(); s != nil {
		defer f.root.slots.put(s)
		write = s.pwrite
	}
	for first := true; err == nil && len(p) > 0; first = false {
		var n int
		n, err = write(fd, p, off)
		if first && errors.Is(err, syscall.EINVAL) { // the file system asks for more than Block
			err = errors.ErrUnsupported
		}
		if err == nil && n == 0 {
			err = syscall.EIO
		}
		p, off = p[max(n, 0):], off+int64(n)
	}
	if err != nil {
		return &os.PathError{Op: "write through", Path: f.Name(), Err: err}
	}
	return nil
}

// pwriteDsync is for a system whose kernel does not write in the background.
func pwriteDsync(fd int, p []byte, off int64) (n int, err error) {
	err = retry(func() (err error) {
		n, err = unix.Pwritev2(fd, [][]byte{p}, off, unix.RWF_DSYNC)
		return err
	})
	return n, err
}

// directFd opens the file once more. Its name may lead elsewhere by now.
func (f *osFile) directFd() (int, error) {
	if f.direct != nil {
		return int(f.direct.Fd()), nil //nolint:gosec // a descriptor
	}
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Openat(f.root.fd, f.Name(), unix.O_WRONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
		return err
	})
	if errors.Is(err, syscall.EINVAL) {
		return 0, errors.ErrUnsupported
	}
	if err != nil {
		return 0, err
	}
	var own, other unix.Stat_t
	err = errors.Join(unix.Fstat(f.fd, &own), unix.Fstat(fd, &other))
	if err == nil && (own.Dev != other.Dev || own.Ino != other.Ino) {
		err = syscall.ESTALE
	}
	if err != nil {
		return 0, errors.Join(err, unix.Close(fd))
	}
	f.direct = os.NewFile(uintptr(fd), f.Name())
	return fd, nil
}

func (f *osFile) Close() error {
	err := f.File.Close()
	if f.direct != nil {
		err = errors.Join(err, f.direct.Close())
	}
	return err
}

// WriteThrough is a write and a sync in one: between the two a crash may find any part of it.
func (f *memFile) WriteThrough(p []byte, off int64) error {
	if uintptr(unsafe.Pointer(unsafe.SliceData(p)))%Block != 0 || len(p)%Block != 0 || off%Block != 0 { //nolint:gosec // only the address is looked at
		return &os.PathError{Op: "write", Path: f.name, Err: errors.ErrUnsupported}
	}
	if _, err := f.WriteAt(p, off); err != nil {
		return err
	}
	return f.Sync()
}

func (f *faultyFile) WriteThrough(p []byte, off int64) error {
	if err := f.f.check(OpWrite, f.name); err != nil {
		return err
	}
	if err := f.f.check(OpSync, f.name); err != nil {
		return err
	}
	return f.File.WriteThrough(p, off)
}

// WriteThrough counts as a write and a sync. What finds no room has changed nothing, and may be tried again: unlike a sync of the
// page cache it hands over all its bytes anew.
func (f *mpFile) WriteThrough(p []byte, off int64) error {
	if err := f.mp.Err(); err != nil {
		return err
	}
	start := clock()
	err := awaitErr(f.mp, func() error { return f.File.WriteThrough(p, off) })
	if errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	c := &f.mp.counts
	c.writes.Add(1)
	c.writeBytes.Add(int64(len(p)))
	c.syncs.Add(1)
	c.syncNanos.Add(int64(clock().Sub(start)))
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return f.mp.fault(OpWrite, err)
	}
	return f.mp.fault(OpSync, err)
}
