package owner_test

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"

	"aistore/s3"
)

// BenchmarkRequests measures whole requests over a loopback connection whose client allocates nothing, so
// allocs/op are the server's. The headers are those of a common client.
func BenchmarkRequests(b *testing.B) {
	for _, c := range []struct {
		name, method string
		size         int
	}{{"GET-4KiB", "GET", 4 << 10}, {"GET-1MiB", "GET", 1 << 20}, {"HEAD-4KiB", "HEAD", 4 << 10}, {"PUT-4KiB", "PUT", 4 << 10}, {"PUT-64KiB", "PUT", 64 << 10}, {"PUT-1MiB", "PUT", 1 << 20}} {
		b.Run(c.name, func(b *testing.B) {
			w := newWorld(b, 1)
			body := random(c.size)
			w.want(200, "", call{method: "PUT", bucket: "plain", key: "o", body: body})
			conn, err := net.Dial("tcp", strings.TrimPrefix(w.targets[0].intra, "http://"))
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			who := alice
			request := fmt.Appendf(nil, "%s %s/1/o HTTP/1.1\r\nHost: x\r\nUser-Agent: Boto3/1.43\r\nX-Amz-Date: 20260101T000000Z\r\nX-Amz-Content-SHA256: UNSIGNED-PAYLOAD\r\nAuthorization: AWS4-HMAC-SHA256 x\r\n", c.method, s3.PathOwner)
			want := 0
			switch c.method {
			case "PUT":
				who.Body.Decoded = int64(c.size)
				request = fmt.Appendf(request, "Content-Type: text/plain\r\nContent-Length: %d\r\n", c.size)
			case "GET":
				want = c.size
			}
			request = fmt.Appendf(request, "%s: %s\r\n\r\n", s3.HeaderCaller, who.Append(nil))
			if c.method == "PUT" {
				request = append(request, body...)
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
