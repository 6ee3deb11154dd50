//go:build !linux || race

package httpx

import "net"

// socket stands in for that of socket_raw.go, which there is not.
type socket struct{ net.Conn }

const maxRaw = 0

func newSocket(net.Conn) *socket { return nil }

func (s *socket) ended() bool { return gone(s.Conn) }

// pipePool is that of pages.go.
type pipePool struct{}

func (*pipePool) close() {}
