// Package spare tells what of the machine nobody uses: processors that are idle, and how much of the time disks had nothing to do. Work in
// the background that gives way to clients takes from it.
//
// It reads Linux's /proc/stat and /proc/diskstats, and what this process itself used: in a container with less than the machine, that is what
// counts. Where they cannot be read, nothing is spare.
//
// Start at Meter.
package spare

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Reading is what was spare between two calls of Look.
type Reading struct {
	Known bool    // there is one: it was not the first look, nor too soon or too long after the last
	Cores float64 // processors that this process may use
	Idle  float64 // of them, had nothing to do
	Disk  float64 // share of the time, 0 to 1, in which the busiest of the disks had something to do; 1 where that is not told
}

// Looks closer together than this are too coarse, as the kernel counts in hundredths of a second; what lies further apart is no news.
const (
	atLeast = 100 * time.Millisecond
	atMost  = 5 * time.Second

	tick = 10 * time.Millisecond // unit of /proc/stat: USER_HZ is 100 on all of Linux's platforms that Go runs on
)

// Meter compares a look with the last one. It is not safe for concurrent use.
type Meter struct {
	read func(name string) []byte // of a file in /proc; nil = the real one
	now  func() time.Time         // nil = time.Now
	used func() time.Duration     // processor time of this process; nil = the real one

	last sample
}

// sample is what was counted up to an instant.
type sample struct {
	at    time.Time
	idle  time.Duration // of all processors
	own   time.Duration
	disks map[uint64]time.Duration // time at work, by device
}

// Look tells what was spare since the last call. devices are those that matter, as in stat's st_dev.
func (m *Meter) Look(devices []uint64) Reading {
	s := m.sample(devices)
	last := m.last
	m.last = s
	took := s.at.Sub(last.at)
	r := Reading{Cores: float64(min(runtime.GOMAXPROCS(0), runtime.NumCPU()))}
	if last.at.IsZero() || took < atLeast || took > atMost || s.idle == 0 {
		return r
	}
	r.Known = true
	r.Idle = max(0, min((s.idle-last.idle).Seconds()/took.Seconds(), r.Cores-(s.own-last.own).Seconds()/took.Seconds()))
	for _, dev := range devices {
		busy, ok := s.disks[dev]
		before, was := last.disks[dev]
		if !ok || !was { // no device of its own, as with btrfs, ZFS, overlayfs or NFS: it may be as busy as can be
			r.Disk = 1
			break
		}
		r.Disk = max(r.Disk, min(1, (busy-before).Seconds()/took.Seconds()))
	}
	return r
}

func (m *Meter) sample(devices []uint64) sample {
	read, now, used := m.read, m.now, m.used
	if read == nil {
		read = func(name string) []byte { b, _ := os.ReadFile("/proc/" + name); return b } // absent outside Linux
	}
	if now == nil {
		now = time.Now
	}
	if used == nil {
		used = processorTime
	}
	return sample{at: now(), idle: idleTime(read("stat")), own: used(), disks: diskTimes(read("diskstats"), devices)}
}

func processorTime() time.Duration {
	var ru syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &ru) != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// idleTime reads the first line of /proc/stat: "cpu user nice system idle iowait ...". Who waits for a disk leaves the processor to others.
func idleTime(b []byte) time.Duration {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	f := bytes.Fields(line)
	if len(f) < 6 || string(f[0]) != "cpu" {
		return 0
	}
	return time.Duration(number(f[4])+number(f[5])) * tick
}

// diskTimes reads lines "major minor name ..." of /proc/diskstats, of which the thirteenth field is how many milliseconds something was on its way.
func diskTimes(b []byte, devices []uint64) map[uint64]time.Duration {
	if len(devices) == 0 {
		return nil
	}
	times := make(map[uint64]time.Duration, len(devices))
	for line := range bytes.Lines(b) {
		f := bytes.Fields(line)
		if len(f) < 13 {
			continue
		}
		for _, dev := range devices {
			if number(f[0]) == uint64(unix.Major(dev)) && number(f[1]) == uint64(unix.Minor(dev)) {
				times[dev] = time.Duration(number(f[12])) * time.Millisecond
			}
		}
	}
	return times
}

func number(b []byte) uint64 {
	n, _ := strconv.ParseUint(string(b), 10, 64) // the kernel writes nothing else
	return n
}
