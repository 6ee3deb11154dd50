// Package client is the Go SDK of an aistore cluster: buckets, objects, listings, jobs and cluster queries over the
// native HTTP API.
//
// A Client keeps the newest cluster map it has seen and sends object requests straight to the owner of
// the name; everything else goes to a gateway. It survives map changes, lost nodes and cut connections: requests are
// repeated with backoff when that is safe (see Retry), elsewhere when a node is gone, and a read that is cut goes on
// where it stopped. Every full read is compared with the object's checksum. Errors carry errs kinds:
// decide with errs.Is(err, errs.NotFound), never by text.
//
// The package holds no global state, logs nothing unless given a logger, and does not compute placement: that is
// package cluster's.
//
//	c, err := client.New(client.Options{Endpoints: []string{"http://127.0.0.1:8080"}})
//	b := c.Bucket("train")
//	info, err := b.Put(ctx, "a/b.jpg", client.Bytes(data), client.PutOptions{})
//	r, err := b.Get(ctx, "a/b.jpg", client.GetOptions{})
//	for e, err := range b.List(ctx, client.ListOptions{Prefix: "a/"}) { ... }
//
// Start at New, (*Client).Bucket, (*Bucket).Put, (*Bucket).Get and (*Bucket).List. What happens to one
// request stands in call.go, what may be repeated in retry.go.
package client

import (
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"aistore/errs"
)

// EnvEndpoint is the environment variable that names the cluster for every client.
const EnvEndpoint = "AIS_ENDPOINT"

// Options of New. The zero value takes the endpoints from AIS_ENDPOINT.
type Options struct {
	Endpoints   []string          // URLs of any nodes; one that answers is enough. Empty: AIS_ENDPOINT, comma separated; else http://127.0.0.1:8080
	Retry       Retry             // when and how often to repeat
	DialTimeout time.Duration     // 0 = 5s
	Stall       time.Duration     // an attempt without any progress for this long is given up; 0 = 60s
	MaxIdle     int               // kept connections per node; 0 = 64
	NoVerify    bool              // do not compare whole reads and acknowledged writes with their checksum
	NoDirect    bool              // send everything to gateways and follow their redirects
	UserAgent   string            // "" = "aistore-go"
	Transport   http.RoundTripper // nil = one of its own, made for this traffic; it must not follow redirects
	Log         *slog.Logger      // nil = none: repeated and resumed requests at debug level
}

// WithDefaults fills in what is zero.
func (o Options) WithDefaults() Options {
	if len(o.Endpoints) == 0 {
		o.Endpoints = strings.Split(os.Getenv(EnvEndpoint), ",")
	}
	var given []string
	for _, e := range o.Endpoints {
		if e = strings.TrimSuffix(strings.TrimSpace(e), "/"); e == "" {
			continue
		}
		if !strings.Contains(e, "://") {
			e = "http://" + e
		}
		given = append(given, e)
	}
	if o.Endpoints = given; len(given) == 0 {
		o.Endpoints = []string{"http://127.0.0.1:8080"}
	}
	o.Retry = o.Retry.WithDefaults()
	if o.DialTimeout == 0 {
		o.DialTimeout = 5 * time.Second
	}
	if o.Stall == 0 {
		o.Stall = time.Minute
	}
	if o.MaxIdle == 0 {
		o.MaxIdle = 64
	}
	if o.UserAgent == "" {
		o.UserAgent = "aistore-go"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Validate names the field that is wrong.
func (o Options) Validate() error {
	const op = "client.Options"
	for _, e := range o.Endpoints {
		u, err := url.Parse(e)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" || u.RawQuery != "" {
			return errs.F(op, "Endpoints", errs.Invalid, "%q is not http://HOST:PORT (set %s or Endpoints)", e, EnvEndpoint)
		}
		if n, err := strconv.Atoi(u.Port()); u.Port() != "" && (err != nil || n < 1 || n > 65535) {
			return errs.F(op, "Endpoints", errs.Invalid, "%q has no port between 1 and 65535 (set %s or Endpoints)", e, EnvEndpoint)
		}
	}
	if o.DialTimeout < 0 || o.Stall < 0 || o.MaxIdle < 0 {
		return errs.E(op, "DialTimeout, Stall, MaxIdle", errs.Invalid, "must not be negative")
	}
	return o.Retry.Validate()
}

// Client talks to one cluster. It is safe for concurrent use and starts no goroutine of its own.
type Client struct {
	opt    Options
	http   http.RoundTripper
	own    *http.Transport // set when New made it
	routes *routes
}

// New returns a client; it connects to nothing yet.
func New(o Options) (*Client, error) {
	o = o.WithDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	c := &Client{opt: o, http: o.Transport}
	c.routes = &routes{endpoints: o.Endpoints, ask: c.askView}
	if c.http == nil {
		c.own = newTransport(o)
		c.http = c.own
	}
	return c, nil
}

// Close closes idle connections. Requests under way go on.
func (c *Client) Close() {
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
}

// Endpoints returns the URLs the client was given.
func (c *Client) Endpoints() []string { return append([]string(nil), c.opt.Endpoints...) }

// newTransport is net/http's, with what matters here: many kept connections per node (its default is two), large
// buffers for large objects, no compression, and HTTP/1.1 only, because one connection per request streams best.
func newTransport(o Options) *http.Transport {
	d := &net.Dialer{Timeout: o.DialTimeout, KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           d.DialContext,
		MaxIdleConnsPerHost:   o.MaxIdle,
		IdleConnTimeout:       30 * time.Second,
		TLSHandshakeTimeout:   o.DialTimeout,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true,
		WriteBufferSize:       64 << 10,
		ReadBufferSize:        64 << 10,
	}
}
