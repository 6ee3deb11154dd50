package fs

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"aistore/errs"
)

// Mountpath is one directory, on one disk, that belongs to this node. It is itself a Root that counts
// what passes through it and that fails for good at the first sync or write the disk refuses: the
// kernel may have dropped the pages, so a second try would lie.
type Mountpath struct {
	path string
	sys  FS
	log  *slog.Logger

	root   Root // nil when it could not be opened
	lock   io.Closer
	fsid   uint64
	marker Marker // ID and Weight also when the disk is not there, from the set's record
	fresh  bool   // made by this process: it came without any name

	recorded uint64 // version of the record that was found there

	found   []string // starts that it knew of when it was opened
	trusted bool     // it was out of service, and is as it was when it went
	copied  bool     // it was, and is not: a copy of an earlier time is in its place

	lockMu sync.Mutex
	locks  []io.Closer // given by Lock; they end with the mountpath

	bindMu sync.Mutex // guards ClusterUUID and Starts of the marker, which alone change once the mountpath serves

	failed  atomic.Pointer[failure]
	worse   atomic.Bool   // the operating system has told of an error since
	down    chan struct{} // closed by Fail
	opening atomic.Bool   // no call is waited for long
	onFail  func(error)   // called once, from any goroutine
	closed  atomic.Bool   // the directory has been let go of
	counts  counters
	spaceMu sync.Mutex
	space   Capacity
	health  health
	calls   calls
}

type failure struct {
	err  error
	hung bool // it did not answer, and nothing else is known of it
}

// State of a mountpath.
type State string

// The states.
const (
	Enabled  State = "enabled"
	Disabled State = "disabled"
)

// Info describes a mountpath for status reports.
type Info struct {
	ID       string   `json:"id"`
	Path     string   `json:"path"`
	FS       uint64   `json:"fs,omitempty"` // id of the file system: mountpaths that share one share its capacity
	State    State    `json:"state"`
	Reason   string   `json:"reason,omitempty"` // why it is disabled
	Weight   uint32   `json:"weight"`
	Capacity Capacity `json:"capacity"`
	Full     bool     `json:"full"`                // refuses writes, serves reads and deletes
	Standing Standing `json:"standing,omitempty"`  // why it gets no names; "" = in service
	Slow     string   `json:"slow,omitempty"`      // how, when its calls take much longer than they did and than those of other disks
	BadReads int      `json:"bad_reads,omitempty"` // files that could not be read
	IO       Counters `json:"io"`
}

// Counters of a mountpath since the process started. Nanos are sums of latencies.
type Counters struct {
	Reads      int64 `json:"reads"`
	ReadBytes  int64 `json:"read_bytes"`
	ReadNanos  int64 `json:"read_ns"`
	Writes     int64 `json:"writes"`
	WriteBytes int64 `json:"write_bytes"`
	WriteNanos int64 `json:"write_ns"`
	Syncs      int64 `json:"syncs"`
	SyncNanos  int64 `json:"sync_ns"`
	Errors     int64 `json:"errors"`
}

type counters struct {
	reads, readBytes, readNanos    atomic.Int64
	writes, writeBytes, writeNanos atomic.Int64
	syncs, syncNanos, errors       atomic.Int64
}

// ID identifies the mountpath wherever it is mounted.
func (m *Mountpath) ID() string { return m.marker.ID }

// Path is where it is mounted.
func (m *Mountpath) Path() string { return m.path }

// FileSystem is the id of the file system that m is on: its device, as in stat's st_dev.
func FileSystem(m *Mountpath) uint64 { return m.fsid }

// Fresh reports whether this process made it: it came without any name.
func (m *Mountpath) Fresh() bool { return m.fresh }

// Marker returns what the marker file says.
func (m *Mountpath) Marker() Marker {
	m.bindMu.Lock()
	defer m.bindMu.Unlock()
	return m.marker
}

// Err is nil while the mountpath may be used, else kind Mountpath with the reason.
func (m *Mountpath) Err() error {
	if f := m.failed.Load(); f != nil {
		return f.err
	}
	return nil
}

// Down is closed once Err is not nil, for those that wait for something of this disk.
func (m *Mountpath) Down() <-chan struct{} { return m.down }

func newMountpath(path string, sys FS, log *slog.Logger) *Mountpath {
	return &Mountpath{path: path, sys: sys, log: log, down: make(chan struct{})}
}

// Fail disables the mountpath for the life of the process. Only the first reason is kept.
func (m *Mountpath) Fail(err error) { fail(m, &failure{err: err}) }

func fail(m *Mountpath, f *failure) {
	err := f.err
	e := errs.E("fs.Mountpath", m.path, errs.Mountpath, err)
	if !m.failed.CompareAndSwap(nil, &failure{e, f.hung}) {
		late(m, err)
		return
	}
	close(m.down)
	m.log.Error("mountpath disabled", "mountpath", m.path, "id", m.marker.ID, "err", err)
	if m.onFail != nil {
		m.onFail(e)
	}
}

// OnFail sets what Fail calls besides. Set it before the mountpath is used.
func (m *Mountpath) OnFail(f func(error)) { m.onFail = f }

// Check looks whether the mountpath is still the directory that was opened, and fails it if not.
func (m *Mountpath) Check() error {
	if err := m.Err(); err != nil {
		return err
	}
	if err := m.check(); err != nil && !starved(err) {
		m.Fail(err)
	}
	return m.Err()
}

func (m *Mountpath) check() error {
	same, err := m.root.Same()
	if err != nil {
		return err
	}
	if !same {
		return errors.New("another directory is now at this path: was the disk unmounted?")
	}
	id, err := m.root.FSID()
	if err != nil {
		return err
	}
	if id != m.fsid {
		return errors.New("the file system changed")
	}
	c, err := m.root.Statfs()
	if err != nil {
		return err
	}
	if c.ReadOnly {
		return errors.New("the file system is mounted read-only")
	}
	mk, err := readMarker(m.root)
	if err != nil {
		return err
	}
	if mk.ID != m.marker.ID {
		return errors.New("the marker names another mountpath")
	}
	return nil
}

// Info reports state and counters.
func (m *Mountpath) Info() Info {
	i := Info{ID: m.marker.ID, Path: m.path, FS: m.fsid, State: Enabled, Weight: m.marker.Weight, IO: m.counted()}
	i.Slow, i.BadReads = m.health.report()
	if err := m.Err(); err != nil {
		i.State, i.Reason = Disabled, errors.Unwrap(err).Error()
		m.spaceMu.Lock()
		i.Capacity = m.space
		m.spaceMu.Unlock()
		return i
	}
	i.Capacity, _ = m.Statfs() // a failure shows as zero capacity
	return i
}

func (m *Mountpath) counted() Counters {
	c := &m.counts
	return Counters{
		Reads: c.reads.Load(), ReadBytes: c.readBytes.Load(), ReadNanos: c.readNanos.Load(),
		Writes: c.writes.Load(), WriteBytes: c.writeBytes.Load(), WriteNanos: c.writeNanos.Load(),
		Syncs: c.syncs.Load(), SyncNanos: c.syncNanos.Load(), Errors: c.errors.Load(),
	}
}

// bind writes the cluster's id into the marker.
func (m *Mountpath) bind(uuid string) error {
	m.bindMu.Lock()
	defer m.bindMu.Unlock()
	mk := m.marker
	mk.ClusterUUID = uuid
	if err := putDoc(m, MarkerName, mk); err != nil {
		return err
	}
	m.marker.ClusterUUID = uuid
	return nil
}

// fault looks at the error of a call that changes the disk. A full disk is not a failed one, unless it shows in a sync:
// whatever its errno, nobody knows afterwards which pages of the cache will ever reach the disk.
func (m *Mountpath) fault(op Op, err error) error {
	switch {
	case err == nil:
		return nil
	case m.closed.Load():
		return gone(m, err)
	case op == OpDir && starved(err): // the directory could not be opened: nothing of the disk was asked
	case op == OpSync || op == OpDir:
		m.Fail(err)
	case (op == OpCreate || op == OpRename) && errors.Is(err, iofs.ErrNotExist): // a new name needs nothing but its directory, and what is renamed is there
		m.Fail(fmt.Errorf("a directory was removed while in use: %w", err))
		err = m.Err()
	case errors.Is(err, iofs.ErrExist), errors.Is(err, iofs.ErrNotExist):
		return err // an answer about names, not a fault
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
	case errors.Is(err, syscall.EIO), errors.Is(err, syscall.EROFS):
		m.Fail(err)
	}
	m.counts.errors.Add(1)
	return err
}

// gone is err, unless the directory has been let go of: then what the operating system says of a name means nothing.
func gone(m *Mountpath, err error) error {
	if err == nil || !m.closed.Load() {
		return err
	}
	if err := m.Err(); err != nil {
		return err
	}
	return errs.E("fs.Mountpath", m.path, errs.Unavailable, "was closed")
}

// OpenFile opens name; see Root.
func (m *Mountpath) OpenFile(name string, flag int) (File, error) {
	writes := flag&(os.O_CREATE|os.O_TRUNC) != 0
	if err := m.Err(); err != nil && writes {
		return nil, err
	}
	if m.root == nil {
		return nil, m.Err()
	}
	f, err := openFile(m, name, flag)
	if err != nil {
		m.badRead(name, err)
		if writes {
			return nil, m.fault(OpCreate, err)
		}
		return nil, gone(m, err)
	}
	return &mpFile{File: f, mp: m, name: name}, nil
}

// change runs a call that changes the directory tree.
func (m *Mountpath) change(op Op, f func() error) error {
	if err := m.Err(); err != nil {
		return err
	}
	return m.fault(op, awaitErr(m, f))
}

// Rename renames.
func (m *Mountpath) Rename(from, to string) error {
	return m.change(OpRename, func() error { return m.root.Rename(from, to) })
}

// Link makes a hard link of a file that is there.
func (m *Mountpath) Link(from, to string) error {
	return m.change(OpCreate, func() error { return m.root.Link(from, to) })
}

// Remove removes a file or an empty directory.
func (m *Mountpath) Remove(name string) error {
	return m.change(OpRemove, func() error { return m.root.Remove(name) })
}

// Mkdir makes a directory.
func (m *Mountpath) Mkdir(name string) error {
	return m.change(OpCreate, func() error { return m.root.Mkdir(name) })
}

// ReadDir lists the names in a directory.
func (m *Mountpath) ReadDir(name string) ([]string, error) {
	if m.root == nil {
		return nil, m.Err()
	}
	names, err := m.root.ReadDir(name)
	return names, gone(m, err)
}

// Stat describes a file.
func (m *Mountpath) Stat(name string) (os.FileInfo, error) {
	if m.root == nil {
		return nil, m.Err()
	}
	fi, err := m.root.Stat(name)
	return fi, gone(m, err)
}

// SyncDir makes the names in a directory durable.
func (m *Mountpath) SyncDir(name string) error {
	return m.change(OpDir, func() error {
		start := clock()
		err := m.root.SyncDir(name)
		m.counts.syncs.Add(1)
		m.counts.syncNanos.Add(int64(clock().Sub(start)))
		return err
	})
}

// Statfs returns the capacity now.
func (m *Mountpath) Statfs() (Capacity, error) {
	if m.root == nil {
		return Capacity{}, m.Err()
	}
	c, err := m.root.Statfs()
	if err == nil {
		m.spaceMu.Lock()
		m.space = c
		m.spaceMu.Unlock()
	}
	return c, err
}

// Lock locks a file in the mountpath.
func (m *Mountpath) Lock(name string) (io.Closer, error) {
	if err := m.Err(); err != nil {
		return nil, err
	}
	l, err := m.root.Lock(name)
	if err != nil {
		return nil, err
	}
	m.lockMu.Lock()
	defer m.lockMu.Unlock()
	l = &onceCloser{Closer: l}
	m.locks = append(m.locks, l)
	return l, nil
}

// onceCloser may be closed by its owner and by who ends the mountpath.
type onceCloser struct {
	io.Closer
	once sync.Once
	err  error
}

// Close closes once.
func (c *onceCloser) Close() error {
	c.once.Do(func() { c.err = c.Closer.Close() })
	return c.err
}

// Same reports whether the path still leads here.
func (m *Mountpath) Same() (bool, error) { return m.root.Same() }

// FSID identifies the file system.
func (m *Mountpath) FSID() (uint64, error) { return m.root.FSID() }

// Close releases the locks and the directory, also for those who still hold what they opened here: a failed mountpath's index may
// never let go, and another takes its place. Who comes late is kind Unavailable.
func (m *Mountpath) Close() error {
	m.closed.Store(true)
	var err error
	m.lockMu.Lock()
	for _, l := range m.locks {
		err = errors.Join(err, l.Close())
	}
	m.locks = nil
	m.lockMu.Unlock()
	m.health.close()
	if m.lock != nil {
		err = m.lock.Close()
	}
	if m.root != nil {
		err = errors.Join(err, m.root.Close())
	}
	return err
}

// mpFile counts and watches one file of a mountpath.
type mpFile struct {
	File
	mp   *Mountpath
	name string
}

func (f *mpFile) read(n int, start time.Time, err error) (int, error) {
	c := &f.mp.counts
	c.reads.Add(1)
	c.readBytes.Add(int64(n))
	c.readNanos.Add(int64(clock().Sub(start)))
	if err != nil && !errors.Is(err, io.EOF) {
		c.errors.Add(1)
		f.mp.badRead(f.name, err)
	}
	return n, err
}

func (f *mpFile) wrote(n int, start time.Time, err error) (int, error) {
	c := &f.mp.counts
	c.writes.Add(1)
	c.writeBytes.Add(int64(n))
	c.writeNanos.Add(int64(clock().Sub(start)))
	return n, f.mp.fault(OpWrite, err)
}

func (f *mpFile) Read(p []byte) (int, error) {
	start := clock()
	n, err := f.File.Read(p)
	return f.read(n, start, err)
}

func (f *mpFile) ReadAt(p []byte, off int64) (int, error) {
	start := clock()
	n, err := f.readAt(p, off)
	return f.read(n, start, err)
}

// PipeTo implements Piper where the file below does.
func (f *mpFile) PipeTo(pipe uintptr, off int64, n int) error {
	p, ok := f.File.(Piper)
	if !ok {
		return errs.E("fs.PipeTo", f.mp.path, errs.Unsupported)
	}
	start := clock()
	if err := p.PipeTo(pipe, off, n); err != nil {
		return err // not counted: whoever cannot pipe reads, and finds the same
	}
	_, err := f.read(n, start, nil)
	return err
}

func (f *mpFile) Write(p []byte) (int, error) {
	if err := f.mp.Err(); err != nil {
		return 0, err
	}
	start := clock()
	o := f.write(func() (o outcome) { o.n, o.err = f.File.Write(p); return o })
	return f.wrote(o.n, start, o.err)
}

func (f *mpFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.mp.Err(); err != nil {
		return 0, err
	}
	start := clock()
	o := f.write(func() (o outcome) { o.n, o.err = f.File.WriteAt(p, off); return o })
	return f.wrote(o.n, start, o.err)
}

func (f *mpFile) Truncate(size int64) error {
	return f.mp.change(OpWrite, func() error { return f.File.Truncate(size) })
}

func (f *mpFile) Allocate(off, length int64) error {
	return f.mp.change(OpWrite, func() error { return f.File.Allocate(off, length) })
}

func (f *mpFile) WriteOut(off, length int64) {
	if f.mp.Err() == nil {
		await(f.mp, func() outcome { f.File.WriteOut(off, length); return outcome{} })
	}
}

func (f *mpFile) Sync() error {
	return f.mp.change(OpSync, func() error {
		start := clock()
		err := f.File.Sync()
		f.mp.counts.syncs.Add(1)
		f.mp.counts.syncNanos.Add(int64(clock().Sub(start)))
		return err
	})
}
