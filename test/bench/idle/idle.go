// Package idle tells how busy processes are, and waits until they are not: a benchmark charges nobody with what came before.
package idle

import (
	"context"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// CPU is the user and system time of the processes, in steps of 10 ms. One that has ended counts as nothing.
func CPU(pids []int) (sum time.Duration) {
	for _, pid := range pids {
		raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil {
			continue
		}
		f := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
		for _, t := range f[11:13] {
			ticks, _ := strconv.ParseInt(t, 10, 64) // the kernel writes a number
			sum += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return sum
}

// Await waits, at most half a minute, until the processes use less than 5% of a core, and then until dirty pages are on the disk.
func Await(ctx context.Context, pids []int) error {
	const look = 200 * time.Millisecond
	last := CPU(pids)
	for range 150 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(look):
		}
		now := CPU(pids)
		if now-last <= look/20 {
			break
		}
		last = now
	}
	syscall.Sync()
	return nil
}

// Memory takes n bytes from the machine and gives them back, so that what follows within a second or two finds memory that has been in use. A
// virtual machine's host hands out other pages one by one, each when it is touched first, which may take longer than filling it with bytes;
// and free ones go back to it soon.
func Memory(n int) error {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return os.NewSyscallError("mmap", err)
	}
	for i := 0; i < n; i += os.Getpagesize() {
		b[i] = 1
	}
	return os.NewSyscallError("munmap", unix.Munmap(b))
}
