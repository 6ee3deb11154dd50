package fs

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"aistore/errs"
)

// TestNamed: a file that was removed is noticed, and the look does not make the kernel give an exact time to the file's next write.
// That changes the inode, and costs a sync one more write to the disk, where a coarse clock would not have moved.
func TestNamed(t *testing.T) {
	dir := t.TempDir()
	root := open(t, OS{}, dir)
	f, err := root.OpenFile("f", os.O_CREATE|os.O_RDWR)
	must(t, err)
	t.Cleanup(func() { must(t, f.Close()) })
	coarse := func() time.Time {
		var now unix.Timespec
		must(t, unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &now))
		return time.Unix(now.Unix())
	}
	write := func() {
		_, err := f.WriteAt([]byte("x"), 0)
		must(t, err)
	}

	const trials = 100
	ticks := 0
	for range trials {
		for now := coarse(); coarse().Equal(now); {
			runtime.Gosched()
		}
		write()
		must(t, Named(f, "f"))
		write()
		fi, err := f.Stat()
		must(t, err)
		if !fi.ModTime().After(coarse()) {
			ticks++
		}
	}
	if ticks < trials/10 { // not all: an exact time of any file moves the clock of all
		t.Errorf("%d of %d writes got the time of a tick", ticks, trials)
	}

	must(t, os.Remove(filepath.Join(dir, "f")))
	if err := Named(f, "f"); !errs.Is(err, errs.Mountpath) {
		t.Errorf("removed: %v", err)
	}
}
