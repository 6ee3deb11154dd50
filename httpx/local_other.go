//go:build !linux

package httpx

import (
	"context"
	"net"

	"aistore/errs"
)

// ListenLocal is of Linux alone.
func ListenLocal(context.Context, string) (net.Listener, error) {
	return nil, errs.E("httpx.ListenLocal", "local sockets", errs.Unsupported, "need Linux")
}

func connectLocal(context.Context, string) net.Conn { return nil }
