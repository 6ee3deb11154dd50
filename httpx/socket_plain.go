//go:build !linux || race

package httpx

import "net"

// socket stands in for that of socket_raw.go, which there is not.
type socket struct{ net.Conn }

const maxRaw = 0

func newSocket(net.Conn) *socket { return nil }

// pipePool is that of pages.go.
type pipePool struct{}

func (*pipePool) close() {}
