// Package indexfs lets pebble, the store's index, work on a mountpath through the seam of package fs, and knows of its files what the
// store must know: when its log is damaged and not merely unfinished, and how to read around damage.
//
// It decides nothing about objects. What pebble would answer with the end of the process, a failing disk or a damaged value
// file, is turned here into a mountpath that fails by itself.
//
// Start at FS and CheckLog.
package indexfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"aistore/errs"
	"aistore/fs"
)

// FS lets pebble work on a mountpath through the seam.
//
// Pebble takes the process down when it cannot write its log or manifest. That must not happen for one
// disk among several, so a log or manifest that cannot be written fails the mountpath, and once it has failed this
// adapter freezes the index on disk: what pebble writes to log and manifest, and every change of names, is swallowed
// and reported as done; new tables, and reads by compactions that fail, wait until the index is closed, since pebble
// tries both again at once and for ever; a value file that cannot be finished counts as finished (tablefile.go). Nothing is acknowledged in that state, since every operation of the store looks
// at the mountpath's state after its commit.
type FS struct {
	mp     *fs.Mountpath
	log    *slog.Logger
	owner  Owner
	closed chan struct{} // lets waiting table writers go
	once   sync.Once
	synced atomic.Uint64 // mark of what is known to be durable of the log
	noRoom atomic.Bool   // a table did not fit on the disk, though the reserve was given; none did since

	// Opening says that pebble is opening the database: logs are examined, and it may be told of faults by a panic.
	Opening atomic.Bool
	tables  openTables
	Parked  atomic.Int32 // goroutines of pebble's that never return
	Stuck   atomic.Int32 // those of them that were compacting
	Damaged atomic.Int64 // blocks of value files that did not match their checksum

	Note   Note             // of how much of the log is durable
	Proved map[uint64]int64 // since opening: how much of logs was durable, as the note and later logs know

	OnLog    func(number uint64) // offline: hears of every log that is opened
	HideLogs bool                // offline: the index is opened without its logs
}

// Owner is what the adapter asks of whose index it is.
type Owner interface {
	// Waiting counts the commits under way: those that are promised durability, and all others.
	Waiting() (durable, volatile int64)
	// Synced tells how long a sync of the log took for so many of the former.
	Synced(waiting int64, took time.Duration)
	// Given says how often the disk's reserve was given back.
	Given() uint64
	// GiveReserve gives it back, unless that happened since Given said seen. It reports whether a second try is worth while.
	GiveReserve(seen uint64) bool
}

// New returns an adapter for the index on mp.
func New(mp *fs.Mountpath, log *slog.Logger, owner Owner) *FS {
	return &FS{mp: mp, log: log, owner: owner, closed: make(chan struct{}), Note: Note{mp: mp}}
}

// Release lets go what waits in a frozen index, before the database is closed.
func (x *FS) Release() {
	x.Note.end()
	x.once.Do(func() { close(x.closed) })
}

// released reports whether Release was called.
func (x *FS) released() bool {
	select {
	case <-x.closed:
		return true
	default:
		return false
	}
}

// Park holds the calling goroutine, one of pebble's, until Release, and then ends it.
func (x *FS) Park() {
	x.Parked.Add(1)
	<-x.closed
	runtime.Goexit()
}

// onlyVolatile reports whether a sync of the log would serve none but writers of class volatile. A durable writer
// counts itself before it hands its batch over, so its sync is never left out.
func (x *FS) onlyVolatile() bool {
	durable, volatile := x.owner.Waiting()
	return volatile > 0 && durable == 0
}

// retryRoom is how long a table waits before it is begun after one that did not fit.
const retryRoom = 200 * time.Millisecond

// awaitRoom keeps pebble, which begins a table that failed again at once, from doing so in a tight loop.
func (x *FS) awaitRoom() {
	if !x.noRoom.Load() {
		return
	}
	t := time.NewTimer(retryRoom)
	defer t.Stop()
	select {
	case <-t.C:
	case <-x.mp.Down():
	case <-x.closed:
	}
}

// outgrew notes the outcome of a write of a table.
func (x *FS) outgrew(err error) {
	if full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT); full != x.noRoom.Load() && (full || err == nil) {
		x.noRoom.Store(full)
	}
}

var _ vfs.FS = (*FS)(nil)

func (x *FS) frozen() bool { return x.mp.Err() != nil }

// journal reports whether pebble depends on the file to go on at all.
func journal(name string) bool {
	base := path.Base(name)
	return strings.HasSuffix(base, ".log") || strings.HasPrefix(base, "MANIFEST") || strings.HasPrefix(base, "marker") ||
		strings.HasPrefix(base, "OPTIONS")
}

// valueFile reports whether pebble keeps values in the file, outside of its tables.
func valueFile(name string) bool { return strings.HasSuffix(name, ".blob") }

// room runs f, and when the disk is full gives back the reserve and runs it once more.
func (x *FS) room(f func() error) error {
	seen := x.owner.Given()
	err := f()
	if full(err) {
		if x.owner.GiveReserve(seen) {
			err = f()
		}
	}
	return err
}

func full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// change runs a change of names; on a frozen index it does nothing.
func (x *FS) change(f func() error) error {
	if x.frozen() {
		return nil
	}
	err := x.room(f)
	if err != nil && x.frozen() {
		return nil
	}
	return err
}

func (x *FS) open(name string, flag int) (vfs.File, error) {
	if flag&os.O_CREATE != 0 && x.frozen() {
		return x.openFrozen(name)
	}
	var f fs.File
	err := x.room(func() (err error) {
		f, err = x.mp.OpenFile(name, flag)
		return err
	})
	if err != nil {
		if flag&os.O_CREATE != 0 {
			return x.refused(name, err)
		}
		return nil, err
	}
	file := &indexFile{x: x, f: f, name: name}
	if n, ok := LogNumber(name); ok && flag&os.O_CREATE != 0 {
		return x.newLogFile(file, n), nil
	}
	if flag&os.O_EXCL != 0 && (strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".blob")) {
		return x.newTable(file), nil
	}
	return file, nil
}

// refused is the answer to the creation of a file that failed. Pebble cannot go on without a log or manifest, also when the
// disk is merely full.
func (x *FS) refused(name string, err error) (vfs.File, error) {
	if journal(name) {
		x.mp.Fail(err)
	} else if awaited(x) {
		failOpening(x, err)
	}
	if x.frozen() {
		return x.openFrozen(name)
	}
	x.outgrew(err)
	return nil, err
}

// hold keeps a flush or compaction of a frozen index until Release. One that opening waits for may fail.
func (x *FS) hold() {
	if !x.Opening.Load() {
		<-x.closed
	}
}

// awaited reports whether the caller is the flush that opening waits for, which pebble repeats until it succeeds. It must not fail: what
// it cannot write fails the mountpath, and the rest is swallowed.
func awaited(x *FS) bool { return x.Opening.Load() && CalledBy("pebble/v2.(*DB).flush1") }

// failOpening fails the mountpath for what the awaited flush could not write.
func failOpening(x *FS, err error) {
	if full(err) {
		err = fmt.Errorf("%w: the disk is full, and its reserve used up: make room for the index, then enable the mountpath or start again", err)
	}
	x.mp.Fail(err)
}

func (x *FS) openFrozen(name string) (vfs.File, error) {
	if journal(name) || awaited(x) {
		return &indexFile{x: x, f: nullFile{}, name: name}, nil
	}
	x.hold() // a flush or compaction: it would only fail and be tried again without end
	return nil, x.mp.Err()
}

func (x *FS) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	if !journal(name) {
		x.awaitRoom()
	}
	if !x.frozen() {
		if err := x.mp.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return x.refused(name, err)
		}
		if err := orderMarker(x.mp, name); err != nil {
			return x.refused(name, err)
		}
	}
	return x.open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

// orderMarker makes the names in name's directory durable if name is one of the empty files by which pebble says, in their names,
// which manifest counts. Pebble syncs the directory once, after it has made the manifest and its marker and removed the former marker,
// and a power loss before that may keep any of the three: a marker without its manifest, or no marker at all.
func orderMarker(r fs.Root, name string) error {
	if !strings.HasPrefix(path.Base(name), "marker.") {
		return nil
	}
	return r.SyncDir(path.Dir(name))
}

func (x *FS) Link(from, to string) error {
	return x.change(func() error { return x.mp.Link(from, to) })
}

func (x *FS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := x.open(name, os.O_RDONLY)
	if err == nil || errors.Is(err, os.ErrNotExist) {
		err = x.examine(name, f, err)
	}
	return withOptions(f, err, opts)
}

func (x *FS) OpenReadWrite(name string, _ vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := x.open(name, os.O_RDWR|os.O_CREATE)
	return withOptions(f, err, opts)
}

func withOptions(f vfs.File, err error, opts []vfs.OpenOption) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	for _, o := range opts {
		o.Apply(f)
	}
	return f, nil
}

func (x *FS) OpenDir(name string) (vfs.File, error) {
	return &indexDir{x: x, name: name}, nil
}

func (x *FS) Remove(name string) error {
	return x.change(func() error {
		if err := orderMarker(x.mp, name); err != nil {
			return err
		}
		return x.mp.Remove(name)
	})
}

func (x *FS) RemoveAll(name string) error {
	return x.change(func() error { return RemoveAll(x.mp, name) })
}

// RemoveAll removes a file, or a directory with all it contains.
func RemoveAll(r fs.Root, name string) error {
	fi, err := r.Stat(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil && fi.IsDir() {
		names, err := r.ReadDir(name)
		if err != nil {
			return err
		}
		for _, n := range names {
			if err := RemoveAll(r, path.Join(name, n)); err != nil {
				return err
			}
		}
	}
	return r.Remove(name)
}

func (x *FS) Rename(from, to string) error {
	return x.change(func() error { return x.mp.Rename(from, to) })
}

func (x *FS) ReuseForWrite(from, to string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	if err := x.Rename(from, to); err != nil {
		return x.refused(to, err)
	}
	return x.open(to, os.O_RDWR|os.O_CREATE)
}

func (x *FS) MkdirAll(dir string, _ os.FileMode) error {
	if dir == "." || dir == "" || x.frozen() {
		return nil
	}
	if fi, err := x.mp.Stat(dir); err == nil && fi.IsDir() {
		return nil
	}
	if err := x.MkdirAll(path.Dir(dir), 0); err != nil {
		return err
	}
	err := x.change(func() error { return x.mp.Mkdir(dir) })
	if err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return x.change(func() error { return x.mp.SyncDir(path.Dir(dir)) })
}

func (x *FS) Lock(name string) (io.Closer, error) { return x.mp.Lock(name) }

func (x *FS) List(dir string) ([]string, error) {
	names, err := x.mp.ReadDir(dir)
	if x.HideLogs {
		names = slices.DeleteFunc(names, func(n string) bool { return strings.HasSuffix(n, ".log") })
	}
	return names, err
}

func (x *FS) Stat(name string) (vfs.FileInfo, error) {
	fi, err := x.mp.Stat(name)
	if err != nil {
		return nil, err
	}
	return indexInfo{fi}, nil
}

func (x *FS) PathBase(p string) string       { return path.Base(p) }
func (x *FS) PathJoin(elem ...string) string { return path.Join(elem...) }
func (x *FS) PathDir(p string) string        { return path.Dir(p) }
func (x *FS) Unwrap() vfs.FS                 { return nil }

func (x *FS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	c, err := x.mp.Statfs()
	if err != nil {
		return vfs.DiskUsage{}, err
	}
	return vfs.DiskUsage{AvailBytes: uint64(c.Free), TotalBytes: uint64(c.Total), UsedBytes: uint64(c.Total - c.Free)}, nil
}

type indexInfo struct{ os.FileInfo }

func (indexInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }

// indexFile is one of pebble's files.
type indexFile struct {
	x    *FS
	f    fs.File
	name string
}

// swallow hides an error of a journal, and fails the mountpath for it.
func (f *indexFile) swallow(err error) error {
	if err == nil || !journal(f.name) {
		return err
	}
	f.x.mp.Fail(err)
	return nil
}

func (f *indexFile) Read(p []byte) (int, error)               { return f.f.Read(p) }
func (f *indexFile) Prefetch(int64, int64) error              { return nil }
func (f *indexFile) SyncTo(int64) (fullSync bool, err error)  { return false, nil }
func (f *indexFile) Sync() error                              { return f.SyncData() }
func (f *indexFile) Fd() uintptr                              { return f.f.Fd() }
func (f *indexFile) WriteAt(p []byte, off int64) (int, error) { return f.write(p, off) }

// ReadAt checks a block of a value file before pebble does, because pebble 2.1 takes the process down when a read
// fails while it rewrites such a file to reclaim space (cockroachdb/pebble#5127), at every start anew. The goroutine
// that rewrites never returns from here then. A block is read whole: its bytes, one of kind, the masked CRC32C of
// both; what is read to the end of the file is the footer.
func (f *indexFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.f.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) && f.x.frozen() && CalledBy("pebble/v2.(*DB).runCompaction") {
		f.x.hold()
	}
	if !valueFile(f.name) {
		return n, err
	}
	if err == nil && (n < 5 || maskedCRC(p[:n-4]) == binary.LittleEndian.Uint32(p[n-4:])) {
		return n, nil
	}
	if err == nil {
		if fi, serr := f.f.Stat(); serr == nil && off+int64(n) >= fi.Size() {
			return n, nil
		}
		f.x.Damaged.Add(1)
		err = errs.F("indexfs.ReadAt", f.name, errs.Corrupt, "a block of %d bytes at %d does not match its checksum", n, off)
	}
	if CalledBy("pebble/v2.(*blobFileRewriter)") {
		f.x.log.Error("index: space of deleted objects is no longer reclaimed: a value file cannot be read", "mountpath", f.x.mp.Path(), "err", err)
		f.x.Parked.Add(1)
		f.x.Stuck.Add(1)
		select {} // returning would panic in a goroutine that is not ours
	}
	return n, err
}

// CalledBy reports whether a function of that name is among the callers. It is only asked when something has failed: what pebble
// did it for, nothing else says.
func CalledBy(function string) bool {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		f, more := frames.Next()
		if strings.Contains(f.Function, function) {
			return true
		}
		if !more {
			return false
		}
	}
}

func (f *indexFile) Stat() (vfs.FileInfo, error) {
	fi, err := f.f.Stat()
	if err != nil {
		return nil, err
	}
	return indexInfo{fi}, nil
}

// Preallocate is advice: the write that finds no room decides.
func (f *indexFile) Preallocate(off, length int64) error {
	return f.x.room(func() error { return f.f.Allocate(off, length) })
}

func (f *indexFile) Write(p []byte) (int, error) { return f.write(p, -1) }

// write writes at off, or at the file's position when off is negative. What was written before the
// disk was found full is not written again.
func (f *indexFile) write(p []byte, off int64) (int, error) {
	done := 0
	if journal(f.name) { // a disk that hung may take it when pebble has long used its buffer again
		p = bytes.Clone(p)
	}
	err := f.x.room(func() (err error) {
		var n int
		if off < 0 {
			n, err = f.f.Write(p[done:])
		} else {
			n, err = f.f.WriteAt(p[done:], off+int64(done))
		}
		done += n
		return err
	})
	if !journal(f.name) {
		f.x.outgrew(err)
		if err == nil || !awaited(f.x) {
			return done, err
		}
		failOpening(f.x, err)
		return len(p), nil
	}
	if err != nil { // pebble cannot go on after this, also when the disk is merely full
		f.x.mp.Fail(err)
	}
	return len(p), nil
}

func (f *indexFile) SyncData() error { return f.swallow(f.f.Sync()) }
func (f *indexFile) Close() error    { return f.swallow(f.f.Close()) }

// indexDir is a directory opened to be synced.
type indexDir struct {
	x    *FS
	name string
}

func (d *indexDir) Sync() error                       { return d.x.change(func() error { return d.x.mp.SyncDir(d.name) }) }
func (d *indexDir) SyncData() error                   { return d.Sync() }
func (d *indexDir) SyncTo(int64) (bool, error)        { return false, nil }
func (d *indexDir) Close() error                      { return nil }
func (d *indexDir) Read([]byte) (int, error)          { return 0, syscall.EISDIR }
func (d *indexDir) ReadAt([]byte, int64) (int, error) { return 0, syscall.EISDIR }
func (d *indexDir) Write([]byte) (int, error)         { return 0, syscall.EISDIR }
func (d *indexDir) WriteAt([]byte, int64) (int, error) {
	return 0, syscall.EISDIR
}
func (d *indexDir) Preallocate(int64, int64) error { return nil }
func (d *indexDir) Prefetch(int64, int64) error    { return nil }
func (d *indexDir) Fd() uintptr                    { return vfs.InvalidFd }
func (d *indexDir) Stat() (vfs.FileInfo, error)    { return d.x.Stat(d.name) }

// nullFile takes what a frozen index writes.
type nullFile struct{}

func (nullFile) Read([]byte) (int, error)               { return 0, io.EOF }
func (nullFile) ReadAt([]byte, int64) (int, error)      { return 0, io.EOF }
func (nullFile) Write(p []byte) (int, error)            { return len(p), nil }
func (nullFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (nullFile) Close() error                           { return nil }
func (nullFile) Sync() error                            { return nil }
func (nullFile) WriteThrough([]byte, int64) error       { return nil }
func (nullFile) Truncate(int64) error                   { return nil }
func (nullFile) Allocate(int64, int64) error            { return nil }
func (nullFile) WriteOut(int64, int64)                  {}
func (nullFile) Fd() uintptr                            { return fs.NoFd }
func (nullFile) Stat() (os.FileInfo, error)             { return nullInfo{}, nil }

// nullInfo describes it: pebble asks a log that it uses again for its size, and panics when there is no answer.
type nullInfo struct{}

func (nullInfo) Name() string       { return "null" }
func (nullInfo) Size() int64        { return 0 }
func (nullInfo) Mode() os.FileMode  { return 0 }
func (nullInfo) ModTime() time.Time { return time.Time{} }
func (nullInfo) IsDir() bool        { return false }
func (nullInfo) Sys() any           { return nil }
