package target_test

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
)

// BenchmarkRequests measures whole requests over a loopback connection whose client allocates nothing, so
// allocs/op are the server's.
func BenchmarkRequests(b *testing.B) {
	for _, c := range []struct {
		name, method string
		size         int
	}{{"GET-4KiB", "GET", 4 << 10}, {"GET-1MiB", "GET", 1 << 20}, {"HEAD-4KiB", "HEAD", 4 << 10}, {"PUT-4KiB", "PUT", 4 << 10}, {"PUT-64KiB", "PUT", 64 << 10}} {
		b.Run(c.name, func(b *testing.B) {
			w := newWorld(b, 1)
			o := w.targets[0]
			body := random(c.size)
			o.want(b, 200, call{method: "PUT", path: objects + "bk/o", body: body})
			conn, err := net.Dial("tcp", strings.TrimPrefix(o.url, "http://"))
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			request := []byte(c.method + " /v1/objects/bk/o HTTP/1.1\r\nHost: x\r\n\r\n")
			want := 0
			switch c.method {
			case "PUT":
				request = append(fmt.Appendf(nil, "PUT /v1/objects/bk/o HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", c.size), body...)
			case "GET":
				want = c.size
			}
			buf := make([]byte, 64<<10)
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if _, err := conn.Write(request); err != nil {
					b.Fatal(err)
				}
				left := -1 // of the body
				for have := 0; left != 0; {
					n, err := conn.Read(buf[have:])
					if err != nil {
						b.Fatal(err)
					}
					if left > 0 {
						left -= n
						continue
					}
					have += n
					if i := bytes.Index(buf[:have], []byte("\r\n\r\n")); i >= 0 {
						left = want - (have - i - 4)
						have = 0
					}
				}
			}
		})
	}
}
