package indexfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"sync"
	"time"

	"aistore/cksum"
	"aistore/errs"
	"aistore/fs"
)

// A log that was cut off, emptied or removed ends as properly as one that nobody has written more to, and the marks in it go with what
// they speak of. So a file beside it notes how much of the newest log is durable. The note is written after the sync, and is not synced
// itself: whatever of it is on the disk was true. A process that is killed leaves it as of the last moments, a power loss as of the last
// minute.

const (
	syncedName   = "SYNCED"
	syncedMagic  = "AISs"
	syncedLength = len(syncedMagic) + 8 + 8 + 4
	noteEvery    = 5 * time.Millisecond // at most; after a pause at once
)

// Note is the note of how much of the newest log is durable.
type Note struct {
	mp *fs.Mountpath

	mu      sync.Mutex
	log     string // its name
	number  uint64
	length  int64
	written time.Time
	pending bool // someone is about to write
	closed  bool

	io   sync.Mutex // held while the file is used
	file fs.File
}

// set notes that a log is durable up to length. It does not wait until that is written.
func (n *Note) set(log string, number uint64, length int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.log, n.number, n.length = log, number, length
	if n.pending || n.closed {
		return
	}
	n.pending = true
	if rest := noteEvery - time.Since(n.written); rest > 0 {
		time.AfterFunc(rest, n.write)
	} else {
		go n.write()
	}
}

// write writes the note. It may be missing or old: an error is no fault of the index, and what it says of the disk is heard by the
// mountpath.
func (n *Note) write() {
	n.io.Lock()
	defer n.io.Unlock()
	n.mu.Lock()
	log, number, length, closed := n.log, n.number, n.length, n.closed
	n.pending, n.written = false, time.Now()
	n.mu.Unlock()
	if closed || n.mp.Err() != nil {
		return
	}
	if n.file == nil {
		f, err := n.mp.OpenFile(path.Join(path.Dir(log), syncedName), os.O_RDWR|os.O_CREATE)
		if err != nil {
			return
		}
		n.file = f
	}
	if _, err := n.file.WriteAt(packSynced(number, length), 0); err != nil {
		n.drop()
	}
}

// drop closes the file; io is held.
func (n *Note) drop() {
	if n.file != nil {
		_ = n.file.Close() // nothing of it has to be durable
		n.file = nil
	}
}

// end lets nothing more be written.
func (n *Note) end() {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
}

// Close waits for what is being written, and closes the file.
func (n *Note) Close() {
	n.end()
	n.io.Lock()
	n.drop()
	n.io.Unlock()
}

func packSynced(number uint64, length int64) []byte {
	b := append(make([]byte, 0, syncedLength), syncedMagic...)
	b = binary.LittleEndian.AppendUint64(b, number)
	b = binary.LittleEndian.AppendUint64(b, uint64(length))
	return binary.LittleEndian.AppendUint32(b, cksum.Block(b))
}

// unpackSynced returns what a note says; ok is false for one that power loss left unwritten, or torn.
func unpackSynced(b []byte) (number uint64, length int64, ok bool) {
	if len(b) < syncedLength || string(b[:len(syncedMagic)]) != syncedMagic {
		return 0, 0, false
	}
	b, sum := b[:syncedLength-4], b[syncedLength-4:]
	if cksum.Block(b) != binary.LittleEndian.Uint32(sum) {
		return 0, 0, false
	}
	b = b[len(syncedMagic):]
	return binary.LittleEndian.Uint64(b), int64(binary.LittleEndian.Uint64(b[8:])), true
}

// readNote returns what the note in dir says; ok is false if there is none that can be read: it may be missing, and is no reason to keep
// an index shut.
func readNote(mp *fs.Mountpath, dir string) (number uint64, length int64, ok bool) {
	data, err := readFile(mp, path.Join(dir, syncedName))
	if err != nil {
		return 0, 0, false
	}
	return unpackSynced(data)
}

func readFile(mp *fs.Mountpath, name string) ([]byte, error) {
	f, err := mp.OpenFile(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(f)
	return data, errors.Join(err, f.Close())
}

// provedLogs returns of logs from needed on how much of them was durable: what the note says, and the marks in each of the one before it.
func provedLogs(mp *fs.Mountpath, dir string, needed uint64, logs []uint64) (map[uint64]int64, error) {
	proved := make(map[uint64]int64)
	if number, length, ok := readNote(mp, dir); ok && number >= needed {
		proved[number] = length
	}
	for _, log := range logs {
		data, err := readFile(mp, logName(dir, log))
		if err != nil {
			return nil, err
		}
		_, _, err = EachBatch(data, 0, log, func(repr []byte) error {
			eachMark(repr, func(low uint64, length int64) {
				// Marks have a number's low bits. What they speak of is not newer than the log they are in.
				if of := log - (log-low)&markNumbers; of >= needed && of < log {
					proved[of] = max(proved[of], length)
				}
			})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return proved, nil
}

// checkLogs reports a log that is needed and gone, and keeps what is known of the others for when they are opened.
func (x *FS) checkLogs(manifest string, needed uint64) error {
	dir := path.Dir(manifest)
	names, err := x.mp.ReadDir(dir)
	if err != nil {
		return err
	}
	var logs []uint64
	for _, name := range names {
		if log, ok := LogNumber(name); ok && log >= needed {
			logs = append(logs, log)
		}
	}
	if x.Proved, err = provedLogs(x.mp, dir, needed, logs); err != nil {
		return err
	}
	for _, log := range slices.Sorted(maps.Keys(x.Proved)) {
		if slices.Contains(logs, log) {
			continue
		}
		if len(logs) > 0 && log < slices.Max(logs) {
			return errs.F("indexfs.checkLogs", manifest, errs.Corrupt, "it says that log %d is still needed, which is gone, as a later one knows: its last edit is lost", log)
		}
		if x.HideLogs {
			continue
		}
		if x.OnLog != nil {
			x.OnLog(needed)
		}
		return errs.F("indexfs.checkLogs", logName(dir, log), errs.Corrupt, "it is gone, but %d bytes of it were durable", x.Proved[log])
	}
	return nil
}

func logName(dir string, number uint64) string {
	return path.Join(dir, fmt.Sprintf("%06d.log", number))
}
