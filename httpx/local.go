package httpx

import (
	"context"
	"net"
	"time"
)

// Nodes of one machine are neighbours: what one relays to the other goes through a socket of the kernel's that knows nothing of packets
// (docs/design/read-path.md, "Sockets and the scheduler"). A server's neighbours find it by the address that it has for everybody.

// localFrom is the length of a request's body from which TCP serves better, between whose sockets bodies move without being copied.
const localFrom = spliceFrom

// dialLocal connects to a neighbour; nil when the one at addr is none, which is remembered for a while.
func (cl *Client) dialLocal(ctx context.Context, addr string) *clientConn {
	if cl.cfg.Dial != nil || !cl.idle.maybeLocal(addr) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, localDialTime)
	defer cancel()
	nc := connectLocal(ctx, addr)
	if nc == nil {
		cl.idle.notLocal(addr)
		return nil
	}
	return cl.connected(nc, place{addr, true})
}

// notLocalTime is how long who was no neighbour is not looked for next door again.
const notLocalTime = 10 * time.Second

// localDialTime bounds the wait for a neighbour that accepts nothing: its queue is full, and that of its TCP socket has room.
const localDialTime = 100 * time.Millisecond

// place is where a connection leads.
type place struct {
	addr  string
	local bool // a neighbour
}

// streamConn is what TCPConn and UnixConn have in common.
type streamConn interface {
	net.Conn
	CloseWrite() error
}

// streamOf returns c if nothing lies between it and the kernel's stream socket.
func streamOf(c net.Conn) streamConn {
	switch c := c.(type) {
	case *net.TCPConn:
		return c
	case *net.UnixConn:
		return c
	}
	return nil
}
