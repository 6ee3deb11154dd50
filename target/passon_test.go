package target_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
)

// passOn listens, and passes connections on to addr until the test ends. For each, watch returns who sees what is asked, and who decides
// what becomes of what was read of the answer.
func passOn(t *testing.T, addr string, watch func(ctx context.Context) (asked func(p []byte), answered func(n int, err error) (int, error))) (at string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); ln.Close(); wg.Wait() })
	pass := func(in net.Conn) {
		defer in.Close()
		out, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		defer out.Close()
		defer context.AfterFunc(ctx, func() { in.Close(); out.Close() })()
		asked, answered := watch(ctx)
		wg.Go(func() {
			_, _ = io.Copy(out, readerFunc(func(p []byte) (int, error) {
				n, err := in.Read(p)
				asked(p[:n])
				return n, err
			}))
			out.Close()
		})
		_, _ = io.Copy(in, readerFunc(func(p []byte) (int, error) { return answered(out.Read(p)) }))
	}
	wg.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { pass(in) })
		}
	})
	return ln.Addr().String()
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
