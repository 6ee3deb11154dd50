package httpx

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxUnsent bounds what the kernel holds of a reply that it cannot send yet. Left alone it takes megabytes for
// each client that asks and does not read; a few hundred of those bring the whole machine's TCP under memory
// pressure, and every other connection, heartbeats too, waits with them. What is sent and not yet
// acknowledged does not count, so throughput does not suffer.
const maxUnsent = 512 << 10

// boundUnsent sets TCP_NOTSENT_LOWAT (tcp(7)); a kernel without it serves as before.
func boundUnsent(nc net.Conn) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return
	}
	if raw, err := sc.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent)
		})
	}
}
