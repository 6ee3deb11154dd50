package edge_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// dial opens a connection to the gateway and sends text.
func (w *world) dial(text string) (net.Conn, *bufio.Reader) {
	w.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(w.urls[0], "http://"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Write([]byte(text)); err != nil {
		w.t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

// TestIdleDocumentsHoldNothing: documents that were announced and do not come keep nobody from sending his.
func TestIdleDocumentsHoldNothing(t *testing.T) {
	w := newWorld(t, 1)
	for range 16 {
		_, br := w.dial(fmt.Sprintf("POST /data?delete HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", 4<<20))
		if line, err := br.ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 100") { // it is about to be read
			t.Fatalf("%q %v", line, err)
		}
	}
	w.want(200, "", call{method: "POST", path: "/data?delete", body: []byte("<Delete><Object><Key>k</Key></Object></Delete>")})
}

// TestStrangersFormIsNotRead: who may not put the file is told so before it comes.
func TestStrangersFormIsNotRead(t *testing.T) {
	w := newWorld(t, 1)
	for name, f := range map[string]*form{
		"nobody's":     newForm("up/x", text(100)).without("policy").without("signature").without("AWSAccessKeyId"),
		"a stranger's": newForm("up/x", text(100)).sign(`{"expiration":"2999-01-01T00:00:00Z","conditions":[{"bucket":"data"},["starts-with","$key",""],["starts-with","$x-amz-meta-note",""],["starts-with","$success_action_status",""],["starts-with","$success_action_redirect",""]]}`, bob),
	} {
		c := f.call()
		start := c.body[:strings.Index(string(c.body), "0123456789")+50]
		_, br := w.dial(fmt.Sprintf("POST /data HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: 100000\r\n\r\n%s", c.header[1], start))
		resp, err := http.ReadResponse(br, nil)
		if err != nil || resp.StatusCode != 403 {
			t.Fatalf("%s: %+v %v", name, resp, err)
		}
		_ = resp.Body.Close()
	}
}
