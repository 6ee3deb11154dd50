//go:build linux

package httpx_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"aistore/errs"
	"aistore/httpx"
)

// who answers with the network that a request came by.
func who() []httpx.Route {
	return []httpx.Route{{Method: "*", Path: "/who", Op: "who", Policy: dataPolicy, Handler: func(c *httpx.Ctx) error {
		if _, err := c.ReadAll(64 << 20); err != nil {
			return err
		}
		by := "tcp"
		if !strings.Contains(c.RemoteAddr(), ":") {
			by = "local"
		}
		_, err := c.Write([]byte(by))
		return err
	}}}
}

// TestNeighbours: what is short goes between neighbours by the local socket, and by TCP what TCP moves better, and everything when there is no
// such socket, also when it has gone meanwhile.
func TestNeighbours(t *testing.T) {
	up, stop := start(t, who())
	r := dial(t, front(t, up, httpx.ClientConfig{}))
	ask := func(n int) string {
		r.send(fmt.Sprintf("PUT /who HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", n, strings.Repeat("x", n)))
		resp, by := r.reply("PUT")
		return fmt.Sprint(resp.StatusCode, " ", by)
	}
	for range 2 { // the second finds connections of both kinds in the pool
		for n, want := range map[int]string{0: "200 local", 4096: "200 local", 127 << 10: "200 local", 128 << 10: "200 tcp", 5 << 20: "200 tcp"} {
			if by := ask(n); by != want {
				t.Errorf("a body of %d bytes: %s", n, by)
			}
		}
	}
	stop()
	r.send("GET /who HTTP/1.1\r\nHost: x\r\n\r\n")
	if resp, _ := r.reply("GET"); resp.StatusCode != 503 {
		t.Errorf("after its end: %d", resp.StatusCode)
	}
	ln, err := net.Listen("tcp", strings.TrimPrefix(up, "http://"))
	if err != nil {
		t.Skip(err) // another process has taken the port
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4096))
			_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\ntcp"))
			_ = c.Close()
		}
	}()
	r.send("GET /who HTTP/1.1\r\nHost: x\r\n\r\n")
	if resp, by := r.reply("GET"); resp.StatusCode != 200 || by != "tcp" {
		t.Errorf("there is only TCP: %d %s", resp.StatusCode, by)
	}
}

// TestStrangerNextDoor: the name of a local socket is anybody's who comes first. A process of another user gets nothing to see, and is not let in.
func TestStrangerNextDoor(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be another user for a moment")
	}
	up, _ := start(t, who())
	addr := strings.TrimPrefix(up, "http://")
	asStranger(t, func() {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer unix.Close(fd) //nolint:errcheck // a handle
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: "@aistore/" + addr}); err != nil {
			t.Error(err)
			return
		}
		_, _ = unix.Write(fd, []byte("GET /who HTTP/1.1\r\nHost: x\r\n\r\n"))
		b := make([]byte, 100)
		if n, err := unix.Read(fd, b); n > 0 {
			t.Errorf("a stranger was answered: %q, %v", b[:n], err)
		}
	})

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var local net.Listener
	asStranger(t, func() { local, err = net.Listen("unix", "@aistore/"+ln.Addr().String()) })
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	if _, err := httpx.ListenLocal(context.Background(), ln.Addr().String()); !errs.Is(err, errs.Other) {
		t.Errorf("a name that is taken: %v", err)
	}
	asked := make(chan string, 2)
	answer := func(ln net.Listener, as string) {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			if n, _ := c.Read(make([]byte, 4096)); n > 0 {
				asked <- as
				_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"))
			}
			_ = c.Close()
		}
	}
	go answer(local, "stranger")
	go answer(ln, "node")
	r := dial(t, front(t, "http://"+ln.Addr().String(), httpx.ClientConfig{}))
	r.send("GET /who HTTP/1.1\r\nHost: x\r\n\r\n")
	if resp, _ := r.reply("GET"); resp.StatusCode != 200 {
		t.Errorf("status %d", resp.StatusCode)
	}
	if who := <-asked; who != "node" {
		t.Errorf("the request went to the %s", who)
	}
}

// asStranger runs f as another user.
func asStranger(t *testing.T, f func()) {
	t.Helper()
	runtime.LockOSThread() // system calls made raw concern this thread alone
	defer runtime.UnlockOSThread()
	const nobody = 65534
	if _, _, e := syscall.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), nobody, ^uintptr(0)); e != 0 {
		t.Fatal(e)
	}
	defer func() {
		if _, _, e := syscall.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), 0, ^uintptr(0)); e != 0 {
			panic(e)
		}
	}()
	f()
}
