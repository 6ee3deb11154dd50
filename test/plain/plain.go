// Package plain is a client of the native HTTP API made of net/http and the published API alone.
//
// It shares nothing with api/client: no routing, no cached map, no retries, so that a test sees what one
// request did. It tells apart what is known of a failed request (see OutcomeOf), which histories need.
//
// Start at New and (*Client).Put.
package plain

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Client speaks to one endpoint and follows its redirects. It may be used by many goroutines.
type Client struct {
	endpoint string
	http     *http.Client
}

// New returns a client of one node, such as "http://127.0.0.1:8080".
func New(endpoint string) *Client {
	tr := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true,
		ReadBufferSize:      64 << 10,
		WriteBufferSize:     64 << 10,

		ExpectContinueTimeout: 5 * time.Second, // longer than a server may take to answer 100 or 307
	}
	return &Client{endpoint: strings.TrimSuffix(endpoint, "/"), http: &http.Client{Transport: tr}}
}

// Endpoint returns the URL that requests go to first.
func (c *Client) Endpoint() string { return c.endpoint }

// Close drops the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// A Refusal is an answer that is not a success.
type Refusal struct {
	Status  int
	Kind    string // header ais-error-kind
	Message string
	Method  string
	URL     string
	Header  http.Header
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("%s %s: %d %s: %s", r.Method, r.URL, r.Status, r.Kind, r.Message)
}

// Status returns the status of a refusal, or 0 for no error and for errors that are no answer.
func Status(err error) int {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Status
	}
	return 0
}

// Outcome is what a client knows of a write after its request.
type Outcome int

// The outcomes.
const (
	Done    Outcome = iota // acknowledged
	NotDone                // refused before it could have had an effect
	Unknown                // no answer, or one that leaves it open
)

// OutcomeOf classifies the error of a write. Only a 4xx, the kinds that are documented to say so, and a connection never made, say
// that nothing happened: any other 5xx may be the second thoughts of a node whose write is on disk already.
func OutcomeOf(err error) Outcome {
	var dial *net.OpError
	var r *Refusal
	switch {
	case err == nil:
		return Done
	case errors.As(err, &r) && (r.Kind == "busy" || r.Kind == "stale-map"):
		return NotDone
	case Status(err) >= 400 && Status(err) < 500:
		return NotDone
	case errors.As(err, &dial) && dial.Op == "dial":
		return NotDone
	}
	return Unknown
}

// Meta is what a reply says of an object.
type Meta struct {
	ETag       string // without quotes
	Version    string // "EPOCH.COUNTER"
	Checksum   string // "type:value"
	Durability string
	Size       int64 // of the whole object; -1 in the reply to a PUT
	Header     http.Header
}

func metaOf(h http.Header) Meta {
	m := Meta{
		ETag:       strings.Trim(h.Get("ETag"), `"`),
		Version:    h.Get("ais-version"),
		Checksum:   h.Get("ais-checksum-type") + ":" + h.Get("ais-checksum-value"),
		Durability: h.Get("ais-durability"),
		Size:       -1,
		Header:     h,
	}
	if n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64); err == nil {
		m.Size = n
	}
	if _, total, ok := strings.Cut(h.Get("Content-Range"), "/"); ok {
		if n, err := strconv.ParseInt(total, 10, 64); err == nil {
			m.Size = n
		}
	}
	return m
}

// A Header is one more field of a request.
type Header struct{ Name, Value string }

// H is any field.
func H(name, val string) Header { return Header{name, val} }

// IfMatch makes a write or read depend on the object's ETag.
func IfMatch(etag string) Header { return Header{"If-Match", `"` + etag + `"`} }

// IfAbsent makes a write depend on the object not being there.
func IfAbsent() Header { return Header{"If-None-Match", "*"} }

// Range asks for n bytes from off.
func Range(off, n int64) Header {
	return Header{"Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1)}
}

// Escape percent-encodes all of an object's name but unreserved characters and slashes. Path segments of dots are
// encoded too, or clients on the way would resolve them.
func Escape(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		if strings.Trim(p, ".") == "" {
			parts[i] = strings.ReplaceAll(p, ".", "%2E")
			continue
		}
		parts[i] = strings.ReplaceAll(url.QueryEscape(p), "+", "%20")
	}
	return strings.Join(parts, "/")
}

// ObjectURL is where an object is at this client's endpoint.
func (c *Client) ObjectURL(bucket, name string) string {
	return c.endpoint + "/v1/objects/" + bucket + "/" + Escape(name)
}

// Do sends one request and returns a reply of status below 400, whose body the caller closes.
func (c *Client) Do(ctx context.Context, method, rawURL string, body io.Reader, hs ...Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, rawURL, body)
	if err != nil {
		return nil, err
	}
	for _, h := range hs {
		if h.Name == "Content-Length" {
			req.ContentLength, _ = strconv.ParseInt(h.Value, 10, 64)
			continue
		}
		req.Header.Add(h.Name, h.Value)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	r := &Refusal{
		Status: resp.StatusCode, Kind: resp.Header.Get("ais-error-kind"), Message: string(text),
		Method: method, URL: resp.Request.URL.String(), Header: resp.Header,
	}
	var e struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(text, &e) == nil && e.Message != "" {
		r.Message = e.Message
	}
	return nil, r
}

// drain sends a request and returns the headers and the whole body of its reply.
func (c *Client) drain(ctx context.Context, method, rawURL string, body io.Reader, hs ...Header) (http.Header, []byte, error) {
	resp, err := c.Do(ctx, method, rawURL, body, hs...)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body) // an error if it is shorter than Content-Length says
	return resp.Header, b, err
}

// Put writes an object.
func (c *Client) Put(ctx context.Context, bucket, name string, data []byte, hs ...Header) (Meta, error) {
	h, _, err := c.drain(ctx, http.MethodPut, c.ObjectURL(bucket, name), bytes.NewReader(data), hs...)
	return metaOf(h), err
}

// PutStream writes an object of size bytes that make returns anew for each hop of a redirect.
func (c *Client) PutStream(ctx context.Context, bucket, name string, size int64, open func() io.Reader, hs ...Header) (Meta, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, c.ObjectURL(bucket, name), open())
	if err != nil {
		return Meta{}, err
	}
	req.ContentLength = size
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(open()), nil }
	req.Header.Set("Expect", "100-continue")
	for _, h := range hs {
		req.Header.Add(h.Name, h.Value)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return Meta{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if resp.StatusCode >= 300 {
		return Meta{}, &Refusal{
			Status: resp.StatusCode, Kind: resp.Header.Get("ais-error-kind"), Message: string(text),
			Method: http.MethodPut, URL: resp.Request.URL.String(), Header: resp.Header,
		}
	}
	return metaOf(resp.Header), err
}

// Get reads an object, or part of it with a Range header.
func (c *Client) Get(ctx context.Context, bucket, name string, hs ...Header) ([]byte, Meta, error) {
	h, b, err := c.drain(ctx, http.MethodGet, c.ObjectURL(bucket, name), nil, hs...)
	return b, metaOf(h), err
}

// Open streams an object; the caller closes the body.
func (c *Client) Open(ctx context.Context, bucket, name string, hs ...Header) (io.ReadCloser, Meta, error) {
	resp, err := c.Do(ctx, http.MethodGet, c.ObjectURL(bucket, name), nil, hs...)
	if err != nil {
		return nil, Meta{}, err
	}
	return resp.Body, metaOf(resp.Header), nil
}

// Head returns what is known of an object.
func (c *Client) Head(ctx context.Context, bucket, name string, hs ...Header) (Meta, error) {
	h, _, err := c.drain(ctx, http.MethodHead, c.ObjectURL(bucket, name), nil, hs...)
	return metaOf(h), err
}

// Delete removes an object.
func (c *Client) Delete(ctx context.Context, bucket, name string, hs ...Header) error {
	_, _, err := c.drain(ctx, http.MethodDelete, c.ObjectURL(bucket, name), nil, hs...)
	return err
}

// Action sends the JSON message of a control request and returns the body of the reply.
func (c *Client) Action(ctx context.Context, method, path, action string, val any, hs ...Header) ([]byte, error) {
	m := map[string]any{"action": action}
	if val != nil {
		m["value"] = val
	}
	b, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	_, body, err := c.drain(ctx, method, c.endpoint+path, bytes.NewReader(b), append(hs, Header{"Content-Type", "application/json"})...)
	return body, err
}

// Rename gives an object of the bucket another name.
func (c *Client) Rename(ctx context.Context, bucket, from, to string) error {
	b, err := json.Marshal(map[string]string{"action": "rename", "name": to})
	if err != nil {
		return err
	}
	_, _, err = c.drain(ctx, http.MethodPost, c.ObjectURL(bucket, from), bytes.NewReader(b), Header{"Content-Type", "application/json"})
	return err
}

// CreateBucket makes an empty bucket.
func (c *Client) CreateBucket(ctx context.Context, bucket string) error {
	_, err := c.Action(ctx, http.MethodPost, "/v1/buckets/"+bucket, "create-bck", nil)
	return err
}

// DestroyBucket removes a bucket and all that is in it.
func (c *Client) DestroyBucket(ctx context.Context, bucket string) error {
	_, err := c.Action(ctx, http.MethodDelete, "/v1/buckets/"+bucket, "destroy-bck", nil)
	return err
}

// Buckets lists the names of all buckets.
func (c *Client) Buckets(ctx context.Context) ([]string, error) {
	body, err := c.Action(ctx, http.MethodGet, "/v1/buckets", "list", nil)
	if err != nil {
		return nil, err
	}
	var bs []struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(body, &bs); err != nil {
		return nil, fmt.Errorf("list of buckets: %w: %.200s", err, body)
	}
	names := make([]string, len(bs))
	for i, b := range bs {
		names[i] = b.Name
	}
	return names, nil
}

// Entry is one object in a listing.
type Entry struct {
	Name    string `json:"name"`
	Size    int64  `json:"size,string"`
	Version string `json:"version"`
	Flags   uint16 `json:"flags"`
}

// ListQuery is what a listing may be told. Zero fields are left to the server.
type ListQuery struct {
	Prefix     string
	StartAfter string
	PageSize   int
	Flags      uint64
	Props      string
}

// Page returns one page and the token of the next, "" after the last.
func (c *Client) Page(ctx context.Context, bucket string, q ListQuery, token string) ([]Entry, string, error) {
	val := map[string]any{
		"prefix": q.Prefix, "start_after": q.StartAfter, "pagesize": q.PageSize, "props": q.Props,
		"flags": strconv.FormatUint(q.Flags, 10), "continuation_token": token,
	}
	body, err := c.Action(ctx, http.MethodGet, "/v1/buckets/"+bucket, "list", val, Header{"Accept", "application/json"})
	if err != nil {
		return nil, "", err
	}
	var p struct {
		Continuation string  `json:"continuation_token"`
		Entries      []Entry `json:"entries"`
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, "", fmt.Errorf("list page: %w: %.200s", err, body)
	}
	return p.Entries, p.Continuation, nil
}

// List returns the whole listing, page after page. Names must come in byte order, none twice.
func (c *Client) List(ctx context.Context, bucket string, q ListQuery) ([]Entry, error) {
	var all []Entry
	token, pages := "", 0
	for {
		es, next, err := c.Page(ctx, bucket, q, token)
		if err != nil {
			return nil, fmt.Errorf("page %d: %w", pages, err)
		}
		for _, e := range es {
			if len(all) > 0 && e.Name <= all[len(all)-1].Name {
				return nil, fmt.Errorf("page %d of %s: %q comes after %q", pages, bucket, e.Name, all[len(all)-1].Name)
			}
			all = append(all, e)
		}
		if next == "" {
			return all, nil
		}
		if next == token {
			return nil, fmt.Errorf("page %d of %s: the token does not move on", pages, bucket)
		}
		token, pages = next, pages+1
	}
}

// Smap returns the cluster map of the endpoint: the URLs of gateways and targets by id, and the primary's id.
func (c *Client) Smap(ctx context.Context) (Smap, error) {
	_, body, err := c.drain(ctx, http.MethodGet, c.endpoint+"/v1/daemon?what=smap", nil)
	if err != nil {
		return Smap{}, err
	}
	var m Smap
	if err := json.Unmarshal(body, &m); err != nil {
		return Smap{}, fmt.Errorf("cluster map: %w: %.200s", err, body)
	}
	return m, nil
}

// Smap is the part of a cluster map that tests look at.
type Smap struct {
	UUID     string            `json:"uuid"`
	Version  string            `json:"version"`
	Gateways map[string]Member `json:"pmap"`
	Targets  map[string]Member `json:"tmap"`
	Primary  *Member           `json:"proxy_si"`
}

// Voters counts the nodes that vote on control changes.
func (m *Smap) Voters() int {
	ids := map[string]bool{}
	for _, part := range []map[string]Member{m.Gateways, m.Targets} {
		for id, n := range part {
			if n.Flags&1 == 0 {
				ids[id] = true
			}
		}
	}
	return len(ids)
}

// Member is one node of a Smap.
type Member struct {
	ID    string `json:"daemon_id"`
	Alive bool   `json:"alive"`
	State string `json:"state"`
	Flags uint64 `json:"flags"` // bit 0: does not vote
	Net   struct {
		URL string `json:"direct_url"`
	} `json:"public_net"`
}

// Owner returns the base URL of the node that the endpoint redirects to for an object, or the endpoint itself if
// it answers.
func (c *Client) Owner(ctx context.Context, bucket, name string) (string, error) {
	resp, err := c.Once(ctx, http.MethodHead, c.ObjectURL(bucket, name), nil)
	if err != nil {
		return "", err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusTemporaryRedirect {
		return c.endpoint, nil
	}
	u, err := resp.Location()
	if err != nil {
		return "", err
	}
	return u.Scheme + "://" + u.Host, nil
}

// Once sends one request and returns whatever is answered, a redirect too. The caller closes the body.
func (c *Client) Once(ctx context.Context, method, rawURL string, body io.Reader, hs ...Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, rawURL, body)
	if err != nil {
		return nil, err
	}
	for _, h := range hs {
		req.Header.Add(h.Name, h.Value)
	}
	once := *c.http
	once.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return once.Do(req)
}

// Append adds data to the object under construction that handle names, "" for a new one, and returns its handle.
func (c *Client) Append(ctx context.Context, bucket, name, handle string, data []byte) (string, error) {
	u := c.ObjectURL(bucket, name) + "?append_type=append&append_handle=" + url.QueryEscape(handle)
	h, _, err := c.drain(ctx, http.MethodPut, u, bytes.NewReader(data))
	return h.Get("Ais-Append-Handle"), err
}

// Flush makes what was appended the object.
func (c *Client) Flush(ctx context.Context, bucket, name, handle string) (Meta, error) {
	u := c.ObjectURL(bucket, name) + "?append_type=flush&append_handle=" + url.QueryEscape(handle)
	h, _, err := c.drain(ctx, http.MethodPut, u, nil)
	return metaOf(h), err
}

// Configure sets one key of the cluster's configuration.
func (c *Client) Configure(ctx context.Context, key, val string) error {
	_, _, err := c.drain(ctx, http.MethodPut, c.endpoint+"/v1/cluster/set-config?"+url.QueryEscape(key)+"="+url.QueryEscape(val), nil)
	return err
}

// Metric returns the value of the first sample of a metric of the endpoint.
func (c *Client) Metric(ctx context.Context, name string) (float64, error) {
	_, body, err := c.drain(ctx, http.MethodGet, c.endpoint+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	for line := range strings.SplitSeq(string(body), "\n") {
		if rest, ok := strings.CutPrefix(line, name); ok && rest != "" && (rest[0] == '{' || rest[0] == ' ') {
			return strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		}
	}
	return 0, fmt.Errorf("%s has no metric %s", c.endpoint, name)
}
