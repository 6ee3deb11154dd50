package fault

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"aistore/deploy/local"
	"aistore/test/plain"
	"aistore/test/procs"
	"aistore/test/value"
)

// TestGarbage throws at the public ports what no client should send. The nodes must go on as before, answer wrong
// requests with 4xx and not with 500, and keep nothing of it: no work file, goroutine or file descriptor.
func TestGarbage(t *testing.T) {
	ctx := context.Background()
	seed := procs.Seed(t)
	c := procs.Start(t, local.Options{Gateways: 1, Targets: 1, Mountpaths: 1})
	gw := c.Client("g1")
	readBack := fillBucket(t, gw, "kept", 10)
	g := &garbage{t: t, c: c, gw: c.Client("g1"), rnd: rand.New(rand.NewPCG(seed, 3))}
	for _, n := range c.Nodes() {
		g.ports = append(g.ports, net.JoinHostPort("127.0.0.1", strconv.Itoa(n.Port)))
	}
	readBack()
	before := g.resources()
	for _, act := range []struct {
		name string
		do   func()
	}{
		{"random bytes", g.randomBytes}, {"mutated requests", g.mutated}, {"wrong requests", g.wrong},
		{"huge headers", g.hugeHeaders}, {"aborted uploads", g.aborted}, {"slow clients", g.slow},
		{"aborted downloads", g.abortedDownloads},
	} {
		began := time.Now()
		act.do()
		readBack()
		t.Logf("%s: %v", act.name, time.Since(began).Round(time.Millisecond))
	}
	must(t, gw.DestroyBucket(ctx, "uploads"))
	for _, cl := range []*plain.Client{gw, g.gw} {
		cl.Close()
	}
	took := procs.Eventually(t, procs.Patience, func(context.Context) error {
		now := g.resources()
		for k, v := range now {
			slack := 12 // connections kept alive, one or two loops that come and go
			if strings.HasSuffix(k, "files on disk") {
				slack = 0
			}
			if v > before[k]+slack {
				return fmt.Errorf("%s: %d, was %d", k, v, before[k])
			}
		}
		return nil
	})
	t.Logf("back to rest after %v: before %v, after %v", took.Round(time.Millisecond), before, g.resources())
}

type garbage struct {
	t     *testing.T
	c     *procs.Cluster
	gw    *plain.Client
	rnd   *rand.Rand
	ports []string
}

// resources counts what could leak.
func (g *garbage) resources() map[string]int {
	m := map[string]int{}
	for _, n := range g.c.Nodes() {
		m[n.ID+" file descriptors"] = g.c.OpenFiles(n.ID)
		m[n.ID+" goroutines"] = g.goroutines(n)
		for _, mp := range n.Mountpaths {
			m[n.ID+" work files on disk"] += workFiles(g.t, mp)
			m[n.ID+" blob files on disk"] += countFiles(g.t, filepath.Join(mp, "blobs"))
		}
	}
	return m
}

func (g *garbage) goroutines(n local.Node) int {
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/debug/pprof/goroutine?debug=1", n.IntraPort))
	must(g.t, err)
	defer resp.Body.Close()
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	must(g.t, err)
	var count int
	_, err = fmt.Sscanf(line, "goroutine profile: total %d", &count)
	must(g.t, err)
	return count
}

// exchange sends raw bytes and returns what comes back until the connection ends or is silent for a while.
func (g *garbage) exchange(port string, msg []byte) []byte {
	conn, err := net.DialTimeout("tcp", port, 5*time.Second)
	if err != nil {
		g.t.Fatalf("the port is closed: %v", err)
	}
	defer conn.Close()
	must(g.t, conn.SetDeadline(time.Now().Add(300*time.Millisecond)))
	_, _ = conn.Write(msg)
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	reply, _ := io.ReadAll(io.LimitReader(conn, 1<<20))
	return reply
}

func (g *garbage) port() string { return g.ports[g.rnd.IntN(len(g.ports))] }

func (g *garbage) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.rnd.Uint32())
	}
	return b
}

func (g *garbage) randomBytes() {
	for range rounds(60, 2000) {
		msg := g.bytes(1 + g.rnd.IntN(4000))
		switch g.rnd.IntN(4) {
		case 0:
			msg[0] = 1 // what the intra-cluster listener takes for raft
		case 1:
			msg = append([]byte("GET "), msg...)
		case 2:
			msg = append([]byte("PUT /v1/objects/kept/o-1 HTTP/1.1\r\nHost: x\r\n"), msg...)
		}
		g.noFault(g.exchange(g.port(), msg), msg)
	}
	for _, n := range g.c.Nodes() { // the intra-cluster port too
		for range rounds(20, 500) {
			msg := g.bytes(1 + g.rnd.IntN(4000))
			if g.rnd.IntN(2) == 0 {
				msg[0] = 1
			}
			g.exchange(net.JoinHostPort("127.0.0.1", strconv.Itoa(n.IntraPort)), msg)
		}
	}
}

// noFault fails the test if garbage is answered as if the server were at fault.
func (g *garbage) noFault(reply, msg []byte) {
	g.t.Helper()
	if bytes.HasPrefix(reply, []byte("HTTP/1.1 500")) || bytes.HasPrefix(reply, []byte("HTTP/1.1 502")) {
		g.t.Errorf("%.300q was answered %.500s", msg, reply)
	}
}

// mutated flips, cuts, doubles and swaps parts of good requests.
func (g *garbage) mutated() {
	good := []string{
		"GET /v1/objects/kept/o-1 HTTP/1.1\r\nHost: x\r\nRange: bytes=1-5\r\n\r\n",
		"PUT /v1/objects/kept/fuzz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nais-checksum-type: md5\r\nais-checksum-value: 00\r\n\r\nhello",
		"PUT /v1/objects/kept/fuzz?append_type=append&append_handle= HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"GET /v1/buckets/kept HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 81\r\n\r\n" +
			`{"action":"list","value":{"prefix":"","pagesize":10,"continuation_token":"AAAA"}}`,
		"POST /v1/buckets/fuzz HTTP/1.1\r\nHost: x\r\nContent-Length: 23\r\n\r\n" + `{"action":"create-bck"}`,
		"HEAD /v1/buckets/kept?bsumm_remote=1 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /v1/daemon?what=smap HTTP/1.1\r\nHost: x\r\n\r\n",
		"PATCH /v1/objects/kept/o-1 HTTP/1.1\r\nHost: x\r\nContent-Length: 27\r\n\r\n" + `{"action":"","value":{"a":1}}`,
		"GET /ais/kept/o-2 HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"x\"\r\n\r\n",
		"GET /v1/cluster?what=stats HTTP/1.1\r\nHost: x\r\n\r\n",
	}
	for range rounds(400, 20_000) {
		msg := []byte(good[g.rnd.IntN(len(good))])
		if bytes.HasPrefix(msg, []byte("PUT /v1/objects/kept/o-")) {
			continue
		}
		for range 1 + g.rnd.IntN(4) {
			i := g.rnd.IntN(len(msg))
			j := i + g.rnd.IntN(min(len(msg)-i, 40)+1)
			switch g.rnd.IntN(5) {
			case 0:
				msg[i] ^= 1 << g.rnd.IntN(8)
			case 1:
				msg = append(msg[:i:i], msg[j:]...)
			case 2:
				msg = append(msg[:j:j], msg[i:]...)
			case 3:
				msg = append(msg[:i:i], append(g.bytes(g.rnd.IntN(20)), msg[i:]...)...)
			case 4:
				msg = append(msg[:i:i], append([]byte([]string{"../", "%00", "%2F", "-1", "18446744073709551616", "\r\n\r\n", "{", "\"", ",", "*"}[g.rnd.IntN(10)]), msg[i:]...)...)
			}
			if len(msg) == 0 {
				break
			}
		}
		if dangerous(msg) {
			continue
		}
		g.noFault(g.exchange(g.port(), msg), msg)
	}
}

// dangerous reports whether a mutated request could lawfully change what the test reads back.
func dangerous(msg []byte) bool {
	s := string(msg)
	return strings.Contains(s, "DELETE") || strings.HasPrefix(s, "PUT") && strings.Contains(s, "/kept/o-")
}

// wrong sends well-formed requests that make no sense: each gets its 4xx (or 501) with a body that says why.
func (g *garbage) wrong() {
	long := strings.Repeat("n", 2000)
	for _, r := range []struct {
		method, path, body string
		hs                 []plain.Header
		want               int // 0: any 4xx
	}{
		{"BREW", "/v1/objects/kept/o-1", "", nil, 0},
		{"POST", "/v1/objects/kept/o-1", "", nil, 400},
		{"PUT", "/v1/objects/kept", "x", nil, 0},
		{"PUT", "/v1/objects/kept/", "x", nil, 0},
		{"PUT", "/v1/objects//x", "x", nil, 0},
		{"PUT", "/v1/objects/kept/" + long, "x", nil, 400},
		{"PUT", "/v1/objects/kept/%ff%fe", "x", nil, 400},
		{"PUT", "/v1/objects/kept/a%00b", "x", nil, 400},
		{"PUT", "/v1/objects/no-such-bucket/x", "x", nil, 404},
		{"GET", "/v1/objects/no-such-bucket/x", "", nil, 404},
		{"GET", "/v1/objects/kept/no-such-object", "", nil, 404},
		{"GET", "/v1/objects/kept/o-1?provider=moon", "", nil, 400},
		{"GET", "/v1/objects/kept/o-1", "", []plain.Header{plain.H("Range", "bytes=999999999-")}, 416},
		{"PUT", "/v1/objects/kept/sum", "x", []plain.Header{plain.H("ais-checksum-type", "xxhash"), plain.H("ais-checksum-value", "0000000000000000")}, 400},
		{"PUT", "/v1/objects/kept/sum", "x", []plain.Header{plain.H("ais-checksum-type", "nonsense"), plain.H("ais-checksum-value", "00")}, 400},
		{"PUT", "/v1/objects/kept/sum", "x", []plain.Header{plain.H("Content-MD5", "nonsense")}, 400},
		{"PUT", "/v1/objects/kept/sum?append_type=sideways", "x", nil, 400},
		{"PUT", "/v1/objects/kept/sum?append_type=flush&append_handle=nonsense", "", nil, 0},
		{"POST", "/v1/buckets/B!", `{"action":"create-bck"}`, nil, 400},
		{"POST", "/v1/buckets/kept", `{"action":"create-bck"}`, nil, 409},
		{"POST", "/v1/buckets/kept", `{"action":"dance"}`, nil, 400},
		{"POST", "/v1/buckets/kept", `{"action":`, nil, 400},
		{"POST", "/v1/buckets/kept", `[1,2,3]`, nil, 400},
		{"DELETE", "/v1/buckets/no-such-bucket", `{"action":"destroy-bck"}`, nil, 404},
		{"GET", "/v1/buckets/kept", `{"action":"list","value":{"continuation_token":"nonsense"}}`, nil, 400},
		{"GET", "/v1/buckets/kept", `{"action":"list","value":{"pagesize":-5}}`, nil, 400},
		{"GET", "/v1/buckets/kept", `{"action":"list","value":{"pagesize":"many"}}`, nil, 400},
		{"GET", "/v1/buckets/no-such-bucket", `{"action":"list"}`, nil, 404},
		{"GET", "/v1/daemon?what=nonsense", "", nil, 400},
		{"PUT", "/v1/cluster/set-config?no.such.key=1", "", nil, 400},
		{"PUT", "/v1/cluster/set-config?timeout.lease=never", "", nil, 400},
		{"GET", "/intra/view?after=0", "", nil, 0},
		{"POST", "/intra/list", "x", nil, 0},
		{"GET", "/debug/pprof/", "", nil, 0},
	} {
		if strings.HasPrefix(r.path, "/v1/objects//") {
			continue // an empty bucket name: said by clients in many ways
		}
		cl := plain.New("http://" + g.ports[0])
		resp, err := cl.Do(context.Background(), r.method, cl.Endpoint()+r.path, strings.NewReader(r.body), r.hs...)
		if err == nil {
			_ = resp.Body.Close()
			g.t.Errorf("%s %.80s was taken: %s", r.method, r.path, resp.Status)
			continue
		}
		var why *plain.Refusal
		status := plain.Status(err)
		switch {
		case !errors.As(err, &why):
			g.t.Errorf("%s %.80s: no answer: %v", r.method, r.path, err)
		case r.want != 0 && status != r.want:
			g.t.Errorf("%s %.80s %.80s: %.400v, want %d", r.method, r.path, r.body, err, r.want)
		case r.want == 0 && (status < 400 || status >= 500) && status != http.StatusNotImplemented:
			g.t.Errorf("%s %.80s: %.400v, want a 4xx", r.method, r.path, err)
		case why.Message == "" && r.method != http.MethodHead:
			g.t.Errorf("%s %.80s: %d says nothing", r.method, r.path, status)
		}
		cl.Close()
	}
}

func (g *garbage) hugeHeaders() {
	for _, size := range []int{10 << 10, 100 << 10, 4 << 20} {
		for _, msg := range []string{
			"GET /v1/objects/kept/" + strings.Repeat("a", size) + " HTTP/1.1\r\nHost: x\r\n\r\n",
			"GET /v1/objects/kept/o-1 HTTP/1.1\r\nHost: x\r\nX-Big: " + strings.Repeat("a", size) + "\r\n\r\n",
			"GET /v1/objects/kept/o-1 HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-Many: a\r\n", size/10) + "\r\n",
			"GET /v1/objects/kept/o-1?" + strings.Repeat("a=b&", size/4) + " HTTP/1.1\r\nHost: x\r\n\r\n",
			"PUT /v1/objects/kept/md HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nais-custom-md: k=" + strings.Repeat("v", size) + "\r\n\r\nx",
		} {
			g.noFault(g.exchange(g.port(), []byte(msg)), []byte(msg[:60]))
		}
	}
	for _, n := range g.c.Nodes() {
		if rss := g.c.RSS(n.ID); rss > 500<<20 {
			g.t.Errorf("%s grew to %d MiB", n.ID, rss>>20)
		}
	}
}

// aborted cuts uploads off at random offsets. None of them may be seen.
func (g *garbage) aborted() {
	ctx := context.Background()
	gw := g.gw
	must(g.t, gw.CreateBucket(ctx, "uploads"))
	t1, err := g.c.Node("t1")
	must(g.t, err)
	port := net.JoinHostPort("127.0.0.1", strconv.Itoa(t1.Port))
	var wg sync.WaitGroup
	for i := range rounds(40, 600) {
		v := value.Value{ID: uint64(i + 1), Size: []int64{1000, 100_000, 400_000, 5 << 20}[g.rnd.IntN(4)]}
		cut := g.rnd.Int64N(v.Size)
		chunked, reset := g.rnd.IntN(2) == 0, g.rnd.IntN(2) == 0
		wg.Go(func() {
			conn, err := net.Dial("tcp", port)
			if err != nil {
				g.t.Error(err)
				return
			}
			defer conn.Close()
			head, body := fmt.Sprintf("Content-Length: %d\r\n\r\n", v.Size), v.Range(0, cut)
			if chunked {
				head = "Transfer-Encoding: chunked\r\n\r\n" + strconv.FormatInt(v.Size, 16) + "\r\n"
			}
			_, _ = fmt.Fprintf(conn, "PUT /v1/objects/uploads/u-%d HTTP/1.1\r\nHost: x\r\n%s", i, head)
			_, _ = conn.Write(body)
			if tcp, ok := conn.(*net.TCPConn); ok && reset {
				_ = tcp.SetLinger(0)
			}
		})
	}
	wg.Wait()
	procs.Eventually(g.t, procs.Patience, func(ctx context.Context) error {
		if n := g.resources()["t1 work files on disk"]; n != 0 {
			return fmt.Errorf("%d work files are left of aborted uploads", n)
		}
		return nil
	})
	es, err := gw.List(ctx, "uploads", plain.ListQuery{})
	if err != nil || len(es) != 0 {
		g.t.Errorf("aborted uploads are listed: %v (%v)", es, err)
	}
}

// slow opens many connections that say little: others are served meanwhile.
func (g *garbage) slow() {
	must(g.t, g.gw.Configure(context.Background(), "timeout.request", "2s"))
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
		must(g.t, g.gw.Configure(context.Background(), "timeout.request", "1m0s"))
	}()
	for i := range rounds(100, 400) {
		conn, err := net.Dial("tcp", g.ports[i%len(g.ports)])
		must(g.t, err)
		conns = append(conns, conn)
		_, err = io.WriteString(conn, []string{
			"G", "GET /v1/objects/kept/o-1 HTTP/1.1\r\nHost: x\r\nX-Slow:",
			"PUT /v1/objects/uploads/slow HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc", "",
		}[i%4])
		must(g.t, err)
	}
	for i := range 50 { // while they hang
		for _, c := range conns {
			if i < 3 {
				_, _ = c.Write([]byte("a"))
			}
		}
		b, _, err := g.gw.Get(context.Background(), "kept", "o-3")
		if err != nil {
			g.t.Fatalf("among slow clients: %v", err)
		}
		if _, err := value.Parse(b); err != nil {
			g.t.Fatal(err)
		}
	}
	if long() { // nodes give up on them, after 10 s for a header and the request timeout for a body
		g.givenUp(conns)
	}
}

// givenUp waits until the nodes have closed every connection on which a request has begun.
func (g *garbage) givenUp(conns []net.Conn) {
	deadline := time.Now().Add(90 * time.Second)
	for i, c := range conns {
		if i%4 == 3 {
			continue // nothing was sent: idle connections may stay longer
		}
		must(g.t, c.SetReadDeadline(deadline))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			g.t.Fatalf("slow connection %d is still open", i)
		}
	}
}

func (g *garbage) abortedDownloads() {
	ctx := context.Background()
	gw := g.gw
	must(g.t, check(gw.Put(ctx, "uploads", "big", value.Value{ID: 1, Size: 20 << 20}.Bytes())))
	for range rounds(20, 300) {
		cut, cancel := context.WithCancel(ctx)
		body, _, err := gw.Open(cut, "uploads", "big")
		must(g.t, err)
		_, err = io.CopyN(io.Discard, body, g.rnd.Int64N(20<<20))
		must(g.t, err)
		cancel()
		_ = body.Close()
	}
	must(g.t, gw.Delete(ctx, "uploads", "big"))
}
