package node

import (
	"bufio"
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"aistore/api"
	"aistore/fs"
	"aistore/metrics"
)

// MemTotal is the machine's memory in bytes, 0 if it cannot be known.
func MemTotal() uint64 { return fieldOf("/proc/meminfo", "MemTotal:") }

// sysInfo reads what /proc tells of the machine and of this process; what cannot be read is zero.
func sysInfo() api.SysInfo {
	s := api.SysInfo{NumCPU: runtime.NumCPU(), Goroutines: runtime.NumGoroutine()}
	if f := strings.Fields(readFile("/proc/loadavg")); len(f) >= 3 {
		for _, x := range f[:3] {
			v, _ := strconv.ParseFloat(x, 64)
			s.LoadAvg = append(s.LoadAvg, v)
		}
	}
	s.MemTotal = MemTotal()
	s.MemAvail = fieldOf("/proc/meminfo", "MemAvailable:")
	s.RSS = fieldOf("/proc/self/status", "VmRSS:")
	var ru syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &ru) == nil {
		s.CPUNS = uint64(ru.Utime.Nano() + ru.Stime.Nano()) //nolint:gosec // not negative
	}
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		s.OpenFiles = len(fds)
	}
	return s
}

func readFile(name string) string {
	b, _ := os.ReadFile(name) // absent outside Linux
	return string(b)
}

// fieldOf returns a "Name:  123 kB" value in bytes.
func fieldOf(file, name string) uint64 {
	sc := bufio.NewScanner(bytes.NewReader([]byte(readFile(file))))
	for sc.Scan() {
		if rest, ok := strings.CutPrefix(sc.Text(), name); ok {
			kb, _ := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kb << 10
		}
	}
	return 0
}

func (n *Node) diskMetrics() []metrics.Disk {
	var ds []metrics.Disk
	for _, m := range n.cfg.Disks() {
		io := &m.IO
		ds = append(ds, metrics.Disk{
			Mountpath: m.Path, Enabled: m.State == fs.Enabled, Full: m.Full, Slow: m.Slow != "", Out: m.Standing != "", BadReads: count(int64(m.BadReads)),
			Total: count(m.Capacity.Total), Used: count(m.Capacity.Total - m.Capacity.Free), Avail: count(m.Capacity.Free),
			Reads: count(io.Reads), ReadBytes: count(io.ReadBytes), ReadTime: time.Duration(io.ReadNanos),
			Writes: count(io.Writes), WriteBytes: count(io.WriteBytes), WriteTime: time.Duration(io.WriteNanos),
			Syncs: count(io.Syncs), SyncTime: time.Duration(io.SyncNanos), Errors: count(io.Errors),
		})
	}
	return ds
}

// mountpaths renders the disks; nil on a gateway.
func (n *Node) mountpaths() *api.Mountpaths {
	if n.cfg.Disks == nil {
		return nil
	}
	ms := &api.Mountpaths{Available: []string{}, Disabled: []string{}}
	if n.cfg.Resilver != nil {
		ms.Resilver = n.cfg.Resilver()
	}
	for _, m := range n.cfg.Disks() {
		if m.State == fs.Enabled {
			ms.Available = append(ms.Available, m.Path)
		} else {
			ms.Disabled = append(ms.Disabled, m.Path)
		}
		io := &m.IO
		ms.Details = append(ms.Details, api.Mountpath{
			Path: m.Path, ID: m.ID, State: stateOf(&m), Reason: m.Reason, Standing: string(m.Standing), Weight: m.Weight,
			Full: m.Full, Slow: m.Slow, BadReads: m.BadReads,
			Total: count(m.Capacity.Total), Used: count(m.Capacity.Total - m.Capacity.Free), Avail: count(m.Capacity.Free),
			ReadOps: count(io.Reads), ReadB: count(io.ReadBytes), WriteOps: count(io.Writes), WriteB: count(io.WriteBytes),
			Syncs: count(io.Syncs), Errors: count(io.Errors), BusyNS: count(io.ReadNanos + io.WriteNanos + io.SyncNanos),
		})
	}
	return ms
}

func stateOf(m *fs.Info) string {
	if m.State == fs.Enabled && m.Standing == fs.Leaving {
		return api.StateDetaching
	}
	return string(m.State)
}

func count(n int64) uint64 { return uint64(max(n, 0)) } //nolint:gosec // not negative
