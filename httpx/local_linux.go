package httpx

import (
	"context"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ListenLocal listens to neighbours of the node whose intra-cluster address is addr, "host:port": processes in the same network namespace, of the
// same user or root; others are not let in. Its name is in the kernel alone, and goes with the process.
func ListenLocal(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", localName(addr))
	if err != nil {
		return nil, err
	}
	return localListener{ln.(*net.UnixListener)}, nil //nolint:forcetypeassert // what a unix network has
}

func localName(addr string) string { return "@aistore/" + addr }

type localListener struct{ *net.UnixListener }

// Accept implements net.Listener.
func (l localListener) Accept() (net.Conn, error) {
	for {
		c, err := l.UnixListener.Accept()
		if err != nil || trusted(c) {
			return c, err
		}
		_ = c.Close() // it has TCP, as everybody has
	}
}

// connectLocal returns nil when nobody listens, or it is not known who.
func connectLocal(ctx context.Context, addr string) net.Conn {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", localName(addr))
	if err != nil {
		return nil
	}
	if !trusted(c) { // anybody may take a name that is free
		_ = c.Close()
		return nil
	}
	return c
}

// trusted reports whether the process at the other end had this one's user, or root, when it connected or listened.
func trusted(c net.Conn) bool {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	var peer *unix.Ucred
	cerr := raw.Control(func(fd uintptr) { peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	return cerr == nil && err == nil && (peer.Uid == 0 || int(peer.Uid) == os.Geteuid())
}
