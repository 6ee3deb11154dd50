//go:build !linux

package httpx

import "net"

func boundUnsent(net.Conn) {}
