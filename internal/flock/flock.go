// Package flock keeps other processes off a file, and tells which one has it.
//
// The lock is flock(2)'s, of the whole file: it goes with the descriptor, and so with the process. Who holds it stands in Linux's
// /proc/locks; elsewhere, of processes that cannot be seen from here, and on file systems that are not listed by their device, it is not known.
//
// Start at Lock.
package flock

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"aistore/errs"
)

// Lock takes the lock of an open file without waiting for it. Kind Conflict: another process has it.
func Lock(fd uintptr) error {
	err := unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB)
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return err
	}
	who := ""
	if pid := holder(fd); pid > 0 {
		who = fmt.Sprintf(" (pid %d)", pid)
	}
	return errs.F("flock.Lock", nil, errs.Conflict, "is locked by another process%s: stop that one, or use another directory", who)
}

// Holder returns the process that has the lock of the file at path, 0 if there is none or it is not known.
func Holder(path string) int {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	return holder(f.Fd())
}

// holder returns the process that has the lock of the file, 0 if it is not known.
func holder(fd uintptr) int {
	var st unix.Stat_t
	if err := unix.Fstat(int(fd), &st); err != nil {
		return 0
	}
	table, err := os.ReadFile("/proc/locks")
	if err != nil {
		return 0
	}
	dev := uint64(st.Dev) //nolint:unconvert // not of this type everywhere
	return find(string(table), fmt.Sprintf("%02x:%02x:%d", unix.Major(dev), unix.Minor(dev), st.Ino))
}

// find looks up the holder in the form of proc_locks(5): "1: FLOCK ADVISORY WRITE 708 00:12:8890 0 EOF". Lines of those who wait have "->".
func find(table, file string) int {
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != "FLOCK" || f[5] != file {
			continue
		}
		if pid, err := strconv.Atoi(f[4]); err == nil && pid > 0 {
			return pid
		}
	}
	return 0
}
