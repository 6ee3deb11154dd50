package edge_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // signature version 2
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"aistore/auth/sigv4"
	"aistore/cluster"
	"aistore/httpx"
	"aistore/list"
	"aistore/metrics"
	"aistore/node"
	"aistore/s3/edge"
	"aistore/s3/owner"
	"aistore/store"
	"aistore/target"
)

// plane is the control plane of a test: the real state machine, whose changes every node sees at once.
type plane struct {
	mu      sync.Mutex
	machine *cluster.Machine
	view    *cluster.View
	news    chan struct{}
	applied func(cluster.Command) // hears of changes
	before  func(cluster.Command) // hears of what nodes propose, before it is judged
	away    error                 // of the primary
	lease   error                 // of every node
}

func (p *plane) View() *cluster.View {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.view
}

func (p *plane) Ready() bool                                   { return true }
func (p *plane) Latest(context.Context) (*cluster.View, error) { return p.View(), p.primary() }

func (p *plane) primary() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.away
}

// setPrimary says whether there is a primary, and with it whether nodes have their lease.
func (p *plane) setPrimary(away, lease error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away, p.lease = away, lease
}

func (p *plane) Lease() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lease
}

func (p *plane) Watch(after uint64) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.view.Index > after {
		done := make(chan struct{})
		close(done)
		return done
	}
	return p.news
}

func (p *plane) Propose(_ context.Context, cmd cluster.Command) (cluster.Result, error) {
	if p.before != nil {
		p.before(cmd)
	}
	res, err := p.propose(cmd)
	if err == nil && p.applied != nil {
		p.applied(cmd)
	}
	return res, err
}

func (p *plane) propose(cmd cluster.Command) (cluster.Result, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	res, err := p.machine.Apply(p.machine.Index+1, cluster.Entry{Time: time.Now(), By: "t1", Command: cmd})
	if err != nil {
		return res, err
	}
	p.view = p.machine.View()
	close(p.news)
	p.news = make(chan struct{})
	return res, nil
}

// world is one gateway and targets with real stores and listeners, and two users.
type world struct {
	t     testing.TB
	plane *plane
	urls  []string // public: the gateway's first
	edges []*edge.Edge
	start []chan struct{}
}

// user signs requests.
type user struct{ name, access, secret string }

var (
	alice  = user{"alice", "alice-access", "alice-secret"}
	bob    = user{"bob", "bob-access", "bob-secret"}
	nobody = user{}
)

func newWorld(t testing.TB, targets int) *world {
	t.Helper()
	w := &world{t: t, plane: &plane{machine: cluster.NewMachine(), news: make(chan struct{})}}
	m := w.plane.machine
	m.Secret = []byte("secret")
	m.Map = &cluster.Map{Version: 1, Epoch: 1, UUID: "u", Nodes: map[cluster.NodeID]*cluster.Node{}}
	users := map[string]*cluster.User{}
	for _, u := range []user{alice, bob} {
		users[u.name] = &cluster.User{Name: u.name, ID: u.name + "-id", Role: cluster.Plain, Keys: []cluster.AccessKey{{Access: u.access, Secret: u.secret}}}
	}
	m.Users = &cluster.UserMap{Version: 1, Users: users}
	m.Index = 1
	w.run("g1", cluster.RoleProxy)
	for i := range targets {
		w.run(cluster.NodeID(fmt.Sprintf("t%d", i+1)), cluster.RoleTarget)
	}
	w.plane.view = m.View()
	for _, ready := range w.start {
		close(ready)
	}
	w.want(200, "", call{method: "PUT", path: "/data"})
	return w
}

func (w *world) run(id cluster.NodeID, role cluster.Role) {
	t := w.t
	logs, err := node.NewLogs(io.Discard, "error", "text")
	if err != nil {
		t.Fatal(err)
	}
	client := httpx.NewClient(httpx.ClientConfig{})
	nd := node.New(node.Config{ID: id, Role: role, Control: w.plane, Client: client, Metrics: metrics.New(nil), Logs: logs})
	ec := edge.Config{Node: nd, Control: w.plane, Verifier: sigv4.New(), Domains: []string{"s3.test", "eu.s3.test", "store"}, Host: string(id) + ".S3.test"}
	routes := nd.Routes()
	parts := []node.Part{}
	end := func() {}
	if role.Target() {
		st, err := store.Open(t.Context(), store.Config{Mountpaths: []string{t.TempDir() + "/mp"}, NodeID: string(id)})
		if err != nil {
			t.Fatal(err)
		}
		tg := target.New(nd, st)
		ow := owner.New(nd, tg, ec.Verifier)
		lists := list.NewLocal(tg.Objects().Names, w.plane)
		lists.Describe(edge.Describe)
		edge.AddRows(lists, st)
		ec.Owner, ec.Lists = ow, lists
		tg.AddRoutes(ow.Routes()...)
		tg.AddRoutes(lists.Routes()...)
		routes = append(routes, tg.Routes()...)
		parts = append(parts, node.Part{Name: "target", Run: tg.Run})
		end = func() {
			if err := st.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	ed := edge.New(ec)
	w.edges = append(w.edges, ed)
	routes = append(routes, ed.Routes()...)
	var ls node.Listeners
	for _, ln := range []*net.Listener{&ls.Public, &ls.Intra} {
		if *ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	w.urls = append(w.urls, "http://"+ls.Public.Addr().String())
	w.plane.machine.Map.Nodes[id] = &cluster.Node{
		ID: id, Role: role, State: cluster.Online, Alive: true, Weight: 100, Digest: cluster.NodeDigest(string(id)),
		PublicURL: w.urls[len(w.urls)-1], IntraAddr: ls.Intra.Addr().String(),
	}
	ctx, cancel := context.WithCancel(context.Background())
	done, ready := make(chan error, 1), make(chan struct{})
	go func() {
		<-ready
		done <- nd.Run(ctx, ls, routes, parts...)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%s: %v", id, err)
		}
		client.Close()
		end()
	})
	w.start = append(w.start, ready)
}

// call is one request of a test: alice's to the gateway unless it says otherwise.
type call struct {
	method, path string // with the query
	body         []byte
	header       []string // key, value, key, value ...
	who          *user
	via          int    // index of world.urls
	host         string // in place of that of the URL
}

type answer struct {
	*http.Response
	body []byte
}

// code returns the code of an error document.
func (a *answer) code() string {
	_, rest, _ := strings.Cut(string(a.body), "<Code>")
	code, _, _ := strings.Cut(rest, "</Code>")
	return code
}

var client = &http.Client{
	Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (w *world) do(c call) *answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), c.method, w.urls[c.via]+c.path, bytes.NewReader(c.body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Host = c.host
	for i := 0; i+1 < len(c.header); i += 2 {
		req.Header.Add(c.header[i], c.header[i+1])
	}
	who := alice
	if c.who != nil {
		who = *c.who
	}
	if who != nobody {
		sum := sha256.Sum256(c.body)
		digest := hex.EncodeToString(sum[:])
		req.Header.Set("X-Amz-Content-Sha256", digest)
		creds := aws.Credentials{AccessKeyID: who.access, SecretAccessKey: who.secret}
		signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
		if err := signer.SignHTTP(context.Background(), creds, req, digest, "s3", "us-east-1", time.Now()); err != nil {
			w.t.Fatal(err)
		}
	}
	resp, err := client.Do(req)
	if err != nil {
		w.t.Fatalf("%s %s: %v", c.method, c.path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatalf("%s %s: body: %v", c.method, c.path, err)
	}
	return &answer{resp, b}
}

// want is do with a status and, for errors, a code.
func (w *world) want(status int, code string, c call) *answer {
	w.t.Helper()
	a := w.do(c)
	if a.StatusCode != status || status >= 400 && c.method != "HEAD" && a.code() != code {
		w.t.Fatalf("%s %s %q: status %d %s, want %d %s: %.400q", c.method, c.path, c.header, a.StatusCode, a.code(), status, code, a.body)
	}
	return a
}

// presigned returns a path and query that alice signed, V4, some time ago.
func (w *world) presigned(method, path string, ago time.Duration, via int) string {
	w.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, w.urls[via]+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	q := req.URL.Query()
	q.Set("X-Amz-Expires", "3600")
	req.URL.RawQuery = q.Encode()
	creds := aws.Credentials{AccessKeyID: alice.access, SecretAccessKey: alice.secret}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	signed, _, err := signer.PresignHTTP(context.Background(), creds, req, "UNSIGNED-PAYLOAD", "s3", "us-east-1", time.Now().Add(-ago))
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.TrimPrefix(signed, w.urls[via])
}

// presignedV2 is presigned in the second version; sub is what of the query is signed.
func presignedV2(method, path, sub string) string {
	expires := time.Now().Add(time.Hour).Unix()
	mac := hmac.New(sha1.New, []byte(alice.secret))
	fmt.Fprintf(mac, "%s\n\n\n%d\n%s%s", method, expires, path, sub)
	q := url.Values{"AWSAccessKeyId": {alice.access}, "Expires": {fmt.Sprint(expires)}, "Signature": {base64.StdEncoding.EncodeToString(mac.Sum(nil))}}
	if sub == "" {
		return path + "?" + q.Encode()
	}
	return path + sub + "&" + q.Encode()
}
