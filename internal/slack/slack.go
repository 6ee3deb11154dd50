// Package slack lets the timers of a whole process be late by up to a millisecond, so that it wakes less often.
//
// Go's monitor thread sleeps for 20 us at a time while anything happens, and the kernel wakes it at once, however busy the machine
// is. Of a server whose requests take 50 us each of those wakes costs a switch of threads and, in a virtual machine, a timer that
// the host has to set. The monitor is older than main and cannot be reached from it; only what a process brings along when it is
// executed holds for all of its threads. docs/design/read-path.md has figures, and what waits longer.
//
// Start at Coarse.
package slack

import (
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Late is how late a timer may be.
const Late = time.Millisecond

// Coarse executes the program anew, with the same pid, arguments, environment and standard files, unless its timers are coarse
// already. Call it first in main, before anything is open. When the kernel or a filter of system calls refuses, it returns: all that
// is lost is some CPU time.
func Coarse() {
	runtime.LockOSThread() // what is set is the thread's, until it has become the whole process
	defer runtime.UnlockOSThread()
	before, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil || before >= int(Late) {
		return
	}
	self, err := os.Executable()
	if err != nil || unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(Late), 0, 0, 0) != nil {
		return
	}
	// Real-time threads have no slack, and are told that all went well: they would come here for ever.
	if now, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0); err == nil && now >= int(Late) {
		_ = syscall.Exec(self, os.Args, os.Environ()) // it returns only when it failed
	}
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(before), 0, 0, 0) // as it was; it could be set before
}
