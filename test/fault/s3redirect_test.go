package fault

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aistore/deploy/local"
	"aistore/test/procs"
	"aistore/test/value"
)

// TestS3Redirects lets SDK and presigned URLs meet the 307 that gateways answer with s3.redirect, and changes what they were sent to: the
// owner takes the URL it gets for what the gateway has let pass, and nothing else.
func TestS3Redirects(t *testing.T) {
	ctx := context.Background()
	c := procs.Start(t, local.Options{Gateways: 1, Targets: 2, Mountpaths: 1})
	gw := c.Client("g1")
	must(t, gw.Configure(ctx, "s3.redirect", "true"))
	trips := &trips{}
	o := newS3(gw.Endpoint()).Options()
	o.HTTPClient = &http.Client{Transport: trips}
	sdk := s3.New(o)
	bucket := plainBucket
	_, err := sdk.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &bucket})
	must(t, err)
	owners := map[string]int{}
	for i := range 8 {
		r := &redirected{t: t, sdk: sdk, bucket: bucket, key: fmt.Sprintf("dir/ö %d+&?", i)}
		data := value.Value{ID: uint64(i + 1), Size: []int64{small, large}[i%2]}.Bytes()
		_, err := sdk.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &r.key, Body: bytes.NewReader(data)})
		must(t, err)
		owner, err := gw.Owner(ctx, bucket, r.key)
		must(t, err)
		owners[owner]++
		trips.forget()
		out, err := sdk.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &r.key})
		must(t, err)
		got, err := io.ReadAll(out.Body)
		must(t, err)
		if !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes through a redirect", r.key, len(got))
		}
		if want := []string{gw.Endpoint(), owner}; fmt.Sprint(trips.hosts) != fmt.Sprint(want) {
			t.Errorf("%s: requests to %v, want %v", r.key, trips.hosts, want)
		}
		to := r.sentTo(ctx, http.MethodGet)
		if got := to.Scheme + "://" + to.Host; got != owner {
			t.Errorf("%s was sent to %s; its owner is %s", r.key, got, owner)
		}
		if status, b := r.send(ctx, http.MethodGet, to.String(), nil); status != http.StatusOK || !bytes.Equal(b, data) {
			t.Errorf("GET %s where it was sent: %d, %d bytes", r.key, status, len(b))
		}
		wrong := *to
		for _, n := range c.Nodes() {
			if n.Role == local.RoleTarget && n.URL() != owner {
				wrong.Host = strings.TrimPrefix(n.URL(), "http://")
			}
		}
		trips.forget()
		if status, b := r.sendBy(ctx, &http.Client{Transport: trips}, http.MethodGet, wrong.String(), nil); status != http.StatusOK || !bytes.Equal(b, data) || len(trips.hosts) != 1 {
			t.Errorf("GET %s sent to %s, as by an older map: %d, %d bytes of %v", r.key, wrong.Host, status, len(b), trips.hosts)
		}
		r.tamper(ctx, to)
		if status, b := r.send(ctx, http.MethodGet, to.String(), nil); status != http.StatusOK || !bytes.Equal(b, data) {
			t.Errorf("GET %s afterwards: %d, %d bytes", r.key, status, len(b))
		}
		if status, _ := r.send(ctx, http.MethodDelete, r.sentTo(ctx, http.MethodDelete).String(), nil); status != http.StatusNoContent {
			t.Errorf("DELETE %s: %d", r.key, status)
		}
		if _, err := sdk.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &r.key}); statusOf(err) != http.StatusNotFound {
			t.Errorf("GET %s after its DELETE: %v", r.key, err)
		}
	}
	if len(owners) < 2 {
		t.Errorf("all keys were sent to %v", owners)
	}
}

// trips notes where requests go.
type trips struct {
	mu    sync.Mutex
	hosts []string
}

func (tr *trips) forget() { tr.mu.Lock(); defer tr.mu.Unlock(); tr.hosts = nil }

// RoundTrip is http.RoundTripper.
func (tr *trips) RoundTrip(r *http.Request) (*http.Response, error) {
	tr.mu.Lock()
	tr.hosts = append(tr.hosts, r.URL.Scheme+"://"+r.URL.Host)
	tr.mu.Unlock()
	return http.DefaultTransport.RoundTrip(r)
}

// redirected is an object that is reached by presigned URLs.
type redirected struct {
	t           *testing.T
	sdk         *s3.Client
	bucket, key string
}

// sentTo makes a presigned request and returns where it is redirected.
func (r *redirected) sentTo(ctx context.Context, method string) *url.URL {
	r.t.Helper()
	p := s3.NewPresignClient(r.sdk)
	var link string
	if method == http.MethodGet {
		u, err := p.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &r.bucket, Key: &r.key})
		must(r.t, err)
		link = u.URL
	} else {
		u, err := p.PresignDeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &r.bucket, Key: &r.key})
		must(r.t, err)
		link = u.URL
	}
	var to *url.URL
	once := &http.Client{CheckRedirect: func(next *http.Request, _ []*http.Request) error {
		to = next.URL
		return http.ErrUseLastResponse
	}}
	req, err := http.NewRequestWithContext(ctx, method, link, http.NoBody)
	must(r.t, err)
	resp, err := once.Do(req)
	must(r.t, err)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusTemporaryRedirect || to == nil {
		r.t.Fatalf("%s %s: %s and not a redirect", method, r.key, resp.Status)
	}
	return to
}

func (r *redirected) send(ctx context.Context, method, link string, header http.Header) (status int, reply []byte) {
	r.t.Helper()
	return r.sendBy(ctx, http.DefaultClient, method, link, header)
}

func (r *redirected) sendBy(ctx context.Context, c *http.Client, method, link string, header http.Header) (status int, reply []byte) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, link, http.NoBody)
	must(r.t, err)
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := c.Do(req)
	must(r.t, err)
	defer resp.Body.Close()
	reply, err = io.ReadAll(resp.Body)
	must(r.t, err)
	return resp.StatusCode, reply
}

// tamper asks for something else with the URL of a GET.
func (r *redirected) tamper(ctx context.Context, to *url.URL) {
	r.t.Helper()
	whole := to.String()
	before, pass, ok := strings.Cut(whole, "ais-redirect=")
	if !ok {
		r.t.Fatalf("no pass in %s", whole)
	}
	f := strings.SplitN(pass, ".", 4)
	later := "9" + f[0][1:]
	for what, c := range map[string]struct {
		method, link string
		header       http.Header
	}{
		"another method":       {http.MethodDelete, whole, nil},
		"another query":        {http.MethodGet, strings.Replace(whole, "?", "?acl&", 1), nil},
		"another key":          {http.MethodGet, strings.Replace(whole, "dir/", "dir/x", 1), nil},
		"without its query":    {http.MethodGet, before[:strings.IndexByte(before, '?')] + "?ais-redirect=" + pass, nil},
		"another header":       {http.MethodGet, whole, http.Header{"X-Amz-Expected-Bucket-Owner": {"aisadmin"}}},
		"a later end":          {http.MethodGet, before + "ais-redirect=" + strings.Join([]string{later, f[1], f[2], f[3]}, "."), nil},
		"another bucket id":    {http.MethodGet, before + "ais-redirect=" + strings.Join([]string{f[0], f[1] + "1", f[2], f[3]}, "."), nil},
		"another caller":       {http.MethodGet, before + "ais-redirect=" + strings.Join([]string{f[0], f[1], f[2], f[3][:len(f[3])-4]}, "."), nil},
		"no signature":         {http.MethodGet, before + "ais-redirect=" + strings.Join([]string{f[0], f[1], "", f[3]}, "."), nil},
		"half a pass":          {http.MethodGet, before + "ais-redirect=" + f[0], nil},
		"a pass in the middle": {http.MethodGet, whole + "&x=y", nil},
		"the client's own":     {http.MethodGet, strings.TrimSuffix(before, "&"), nil}, // signed for the gateway
	} {
		if status, b := r.send(ctx, c.method, c.link, c.header); status != http.StatusForbidden {
			r.t.Errorf("%s, %s: %d %.200s", r.key, what, status, b)
		}
	}
}
