// Package procstat reads from /proc what processes of this machine have used: CPU time and resident memory. On a
// machine that client and servers share, the servers' CPU per operation is the figure to compare, because
// operations per second also count the client's work.
//
// CPU time has the resolution of the kernel's clock tick (10 ms): measure for seconds. Linux only.
// Start at Read and Self.
package procstat

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// tick is USER_HZ, which Linux fixes at 100 for /proc on every architecture that Go runs on.
const tick = 10 * time.Millisecond

// Usage of one process.
type Usage struct {
	PID     int           `json:"pid"`
	Name    string        `json:"name"`
	CPU     time.Duration `json:"cpu_ns"` // user and system, all threads, also those that have ended
	RSS     int64         `json:"rss_bytes"`
	PeakRSS int64         `json:"peak_rss_bytes"`
}

// Read returns the usage of each process.
func Read(pids []int) ([]Usage, error) {
	us := make([]Usage, 0, len(pids))
	for _, pid := range pids {
		u, err := read(pid)
		if err != nil {
			return nil, err
		}
		us = append(us, u)
	}
	return us, nil
}

func read(pid int) (Usage, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return Usage{}, fmt.Errorf("process %d: %w", pid, err)
	}
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return Usage{}, fmt.Errorf("process %d: %w", pid, err)
	}
	u, err := parse(stat, status)
	if err != nil {
		return u, fmt.Errorf("process %d: %w", pid, err)
	}
	u.PID = pid
	return u, nil
}

// parse reads the two files described in proc_pid_stat(5) and proc_pid_status(5).
func parse(stat, status []byte) (Usage, error) {
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')') // the name may hold anything
	if open < 0 || end < open {
		return Usage{}, fmt.Errorf("stat has no name in parentheses: %q", stat)
	}
	u := Usage{Name: string(stat[open+1 : end])}
	fields := bytes.Fields(stat[end+1:]) // from field 3, the state, on
	if len(fields) < 13 {
		return u, fmt.Errorf("stat has only %d fields after the name", len(fields))
	}
	for _, f := range fields[11:13] { // 14 utime, 15 stime
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return u, fmt.Errorf("stat: CPU time: %w", err)
		}
		u.CPU += time.Duration(n) * tick
	}
	u.RSS, u.PeakRSS = kilobytes(status, "VmRSS:"), kilobytes(status, "VmHWM:")
	return u, nil
}

func kilobytes(status []byte, field string) int64 {
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte(field)); ok {
			if f := bytes.Fields(rest); len(f) > 0 {
				n, _ := strconv.ParseInt(string(f[0]), 10, 64) // a kernel thread has none: 0
				return n << 10
			}
		}
	}
	return 0
}

// Self returns the CPU time of this process, to the microsecond.
func Self() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
