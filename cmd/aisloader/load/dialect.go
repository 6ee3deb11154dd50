package load

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"aistore/api"
	"aistore/cluster"
	"aistore/cmd/aisloader/sigv4"
)

// dialect writes request heads; one per worker, so it may keep scratch.
type dialect interface {
	// object appends the head of a request for key, without the empty line at its end, and returns the address to send it to.
	object(head []byte, op Op, key string, size int64, now time.Time) ([]byte, string)
	// page is object for a list request; body may be nil. last is what next returned for the page before, nil at first.
	page(head []byte, last []byte, now time.Time) (h []byte, addr string, body []byte)
	// next finds the number of names in a page and the token of the next, nil at the end.
	next(page []byte) (names int, token []byte, err error)
}

func methodOf(op Op) string {
	return [opCount]string{http.MethodPut, http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodGet}[op]
}

// hosts spreads workers over the endpoints.
type hosts []string

func hostsOf(endpoints []string) hosts {
	var hs hosts
	for _, e := range endpoints {
		hs = append(hs, strings.TrimPrefix(e, "http://"))
	}
	return hs
}

// appendPath adds a percent-encoded key; the keys that we make need none of that, but prefixes are the user's.
func appendPath(b []byte, key string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(key) {
		c := key[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~' || c == '/' {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return b
}

func appendStart(b []byte, op Op, host string) []byte {
	b = append(append(b, " HTTP/1.1\r\nHost: "...), host...)
	return append(b, "\r\n"...)
}

func appendLength(b []byte, op Op, size int64) []byte {
	if op != Put {
		return b
	}
	b = strconv.AppendInt(append(b, "Content-Length: "...), size, 10)
	return append(b, "\r\n"...)
}

// plain is the HTTP dialect.
type plain struct {
	cfg   *Config
	hosts hosts
	turn  int
}

func (d *plain) host() string {
	d.turn++
	return d.hosts[d.turn%len(d.hosts)]
}

func (d *plain) object(head []byte, op Op, key string, size int64, _ time.Time) ([]byte, string) {
	host := d.host()
	head = append(append(head, methodOf(op)...), " /"...)
	if d.cfg.Bucket != "" {
		head = append(appendPath(head, d.cfg.Bucket), '/')
	}
	head = appendStart(appendPath(head, key), op, host)
	return appendLength(head, op, size), host
}

func (*plain) page([]byte, []byte, time.Time) ([]byte, string, []byte) { return nil, "", nil }
func (*plain) next([]byte) (int, []byte, error) {
	return 0, nil, fmt.Errorf("plain HTTP has no listing")
}

// native is the dialect of the native API, v1.
type native struct {
	plain
	routes *routes // nil: through the endpoints
}

func (d *native) object(head []byte, op Op, key string, size int64, _ time.Time) ([]byte, string) {
	var host string
	var version string
	if d.routes != nil {
		host, version = d.routes.owner(key)
	}
	if host == "" {
		host = d.host()
	}
	head = append(append(head, methodOf(op)...), " "+api.PathObjects+"/"...)
	head = append(appendPath(head, d.cfg.Bucket), '/')
	head = appendStart(appendPath(head, key), op, host)
	if version != "" {
		head = append(append(append(head, api.HeaderMapVersion+": "...), version...), "\r\n"...)
	}
	return appendLength(head, op, size), host
}

func (d *native) page(head, last []byte, _ time.Time) (h []byte, addr string, body []byte) {
	host := d.host()
	msg, err := api.NewAction(api.ActList, "", api.ListObjectsMsg{
		Prefix: d.cfg.Prefix, PageSize: int64(d.cfg.PageSize), Continuation: string(last), Props: "name,size",
	})
	if err == nil {
		body, err = json.Marshal(msg)
	}
	if err != nil {
		panic("BUG: a list message has no JSON form: " + err.Error())
	}
	head = appendPath(append(head, "GET "+api.PathBuckets+"/"...), d.cfg.Bucket)
	head = appendStart(head, List, host)
	head = append(head, "Accept: "+api.TypeMsgpack+"\r\nContent-Type: "+api.TypeJSON+"\r\nContent-Length: "...)
	head = strconv.AppendInt(head, int64(len(body)), 10)
	return append(head, "\r\n"...), host, body
}

func (*native) next(page []byte) (int, []byte, error) {
	var p api.ListPage
	if err := p.DecodeMsg(page); err != nil {
		return 0, nil, err
	}
	if p.Continuation == "" {
		return len(p.Entries), nil, nil
	}
	return len(p.Entries), []byte(p.Continuation), nil
}

// s3 is the S3 dialect, path style.
type s3 struct {
	plain
	sign *sigv4.Signer
	path []byte
}

func (d *s3) object(head []byte, op Op, key string, size int64, now time.Time) ([]byte, string) {
	host := d.host()
	d.path = append(appendPath(append(d.path[:0], '/'), d.cfg.Bucket), '/')
	d.path = appendPath(d.path, key)
	return d.finish(head, op, host, string(d.path), "", size, now), host
}

func (d *s3) finish(head []byte, op Op, host, path, query string, size int64, now time.Time) []byte {
	head = append(append(append(head, methodOf(op)...), ' '), path...)
	if query != "" {
		head = append(append(head, '?'), query...)
	}
	head = appendLength(appendStart(head, op, host), op, size)
	return d.sign.Append(head, sigv4.Request{Method: methodOf(op), Host: host, Path: path, Query: query}, now)
}

func (d *s3) page(head, last []byte, now time.Time) (h []byte, addr string, body []byte) {
	host := d.host()
	q := url.Values{"list-type": {"2"}, "max-keys": {strconv.Itoa(d.cfg.PageSize)}, "prefix": {d.cfg.Prefix}}
	if last != nil {
		q.Set("continuation-token", string(last))
	}
	query := strings.ReplaceAll(q.Encode(), "+", "%20") // as the signature wants a space
	return d.finish(head, List, host, "/"+d.cfg.Bucket, query, 0, now), host, nil
}

// next scans for the two elements that matter; a whole XML decoder would cost more than the server.
func (*s3) next(page []byte) (int, []byte, error) {
	text := string(page)
	if !strings.Contains(text, "ListBucketResult") {
		return 0, nil, fmt.Errorf("not a ListBucketResult: %.100q", text)
	}
	_, rest, ok := strings.Cut(text, "<NextContinuationToken>")
	if !ok {
		return strings.Count(text, "<Key>"), nil, nil
	}
	token, _, _ := strings.Cut(rest, "<")
	token = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&#34;", `"`, "&quot;", `"`, "&#39;", "'", "&apos;", "'", "&amp;", "&").Replace(token)
	return strings.Count(text, "<Key>"), []byte(token), nil
}

// routes is the cached cluster map of a direct run, shared by all workers.
type routes struct {
	cfg     *Config
	view    atomic.Pointer[routed]
	mu      sync.Mutex
	renewed atomic.Int64
}

// routed is a view and what is looked up in it for each request.
type routed struct {
	view    *cluster.View
	bucket  *cluster.Bucket
	version string
}

// owner returns the address of the key's owner and the map version to announce; "" when the map does not tell.
func (r *routes) owner(key string) (addr, version string) {
	v := r.view.Load()
	n := v.view.Owner(v.bucket, key)
	if n == nil {
		return "", v.version
	}
	return strings.TrimPrefix(n.PublicURL, "http://"), v.version
}

// refresh fetches the map again, unless another worker has since old was read.
func (r *routes) refresh(ctx context.Context, old *routed) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.view.Load() != old {
		return nil
	}
	var last error
	for _, e := range r.cfg.Endpoints {
		v, err := fetchView(ctx, e, r.cfg)
		if err == nil {
			r.view.Store(v)
			r.renewed.Add(1)
			return nil
		}
		last = err
	}
	return last
}

func fetchView(ctx context.Context, endpoint string, cfg *Config) (*routed, error) {
	var v cluster.View
	if err := getJSON(ctx, cfg, endpoint+api.PathDaemon+"?"+api.QueryWhat+"="+api.WhatView, &v); err != nil {
		return nil, err
	}
	if v.Map == nil || v.Buckets == nil {
		return nil, fmt.Errorf("%s answers without a cluster map", endpoint)
	}
	b := v.Buckets.Get("", cfg.Bucket)
	if b == nil {
		return nil, fmt.Errorf("bucket %s does not exist (see --create-bucket)", cluster.BucketURI("", cfg.Bucket))
	}
	return &routed{v.Freeze(), b, strconv.FormatUint(v.Map.Version, 10)}, nil
}
