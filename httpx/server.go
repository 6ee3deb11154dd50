package httpx

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"aistore/internal/turn"
)

// Meter counts the requests of one operation. Observe is called once per request, after the reply.
type Meter interface {
	Observe(status int, bytesIn, bytesOut int64, took time.Duration)
}

// ServerConfig is the configuration of one listener's server.
type ServerConfig struct {
	Listener Listener // only routes of this listener exist
	Node     string   // node id, named in error bodies
	Log      *slog.Logger
	Meter    func(op string) Meter // asked once per operation; nil = not counted

	MaxConns      int           // connections; more are closed after a short 503; 0 = 32768
	MaxHeader     int           // bytes of request line and headers; 0 = 16 KiB
	SmallBody     int           // bodies declared up to this long are handed out in memory (BodyBytes); 0 = 128 KiB
	HeaderTimeout time.Duration // from the first byte of a request to the end of its header; 0 = 10s
	IdleTimeout   time.Duration // between requests; 0 = 2m
	IdleBuffer    time.Duration // how long an idle connection keeps its buffers; 0 = 5s
	Linger        time.Duration // requests are still taken so long after Serve's context ended, and told that the connection ends; 0 = 100ms
	Limits        Limits
}

// Limits may change while the server runs (Server.SetLimits).
type Limits struct {
	Progress   time.Duration // a body that does not move for this long is cut; 0 = 60s
	Drain      time.Duration // how long requests in flight may go on after Serve's context ended; 0 = 30s
	Inflight   [3]int        // requests in flight per class, by Class-1; 0 = 4096. Health is not limited
	MaxDiscard int64         // bytes of an unwanted request body that are read so that the client gets to see its reply; 0 = 8 GiB
}

// WithDefaults fills zero fields.
func (l Limits) WithDefaults() Limits {
	l.Progress = orElse(l.Progress, 60*time.Second)
	l.Drain = orElse(l.Drain, 30*time.Second)
	l.MaxDiscard = orElse(l.MaxDiscard, 8<<30)
	for i := range l.Inflight {
		l.Inflight[i] = orElse(l.Inflight[i], 4096)
	}
	return l
}

// WithDefaults fills zero fields.
func (c ServerConfig) WithDefaults() ServerConfig {
	c.MaxConns = orElse(c.MaxConns, 32768)
	c.MaxHeader = orElse(c.MaxHeader, 16<<10)
	c.SmallBody = orElse(c.SmallBody, 128<<10)
	c.HeaderTimeout = orElse(c.HeaderTimeout, 10*time.Second)
	c.IdleTimeout = orElse(c.IdleTimeout, 2*time.Minute)
	c.IdleBuffer = orElse(c.IdleBuffer, 5*time.Second)
	c.Linger = orElse(c.Linger, 100*time.Millisecond)
	c.Limits = c.Limits.WithDefaults()
	if c.Listener == 0 {
		c.Listener = Public
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func orElse[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Server serves one route table on one listener.
type Server struct {
	cfg     ServerConfig
	router  *Router
	meters  map[*route]Meter
	byOp    map[string]Meter
	unknown Meter // requests without a route
	readers readerPool
	pipes   pipePool
	turns   turn.Queue
	limits  atomic.Pointer[Limits]
	faults  faultLog

	inflight  [classCount]atomic.Int64
	documents atomic.Int64 // bytes of long bodies that requests hold: maxDocuments
	draining  atomic.Bool  // every reply ends its connection
	lingered  atomic.Bool  // and only connections that are there already are accepted
	closing   atomic.Bool  // and no request is waited for
	date      dateCache
	idPrefix  string
	idNext    atomic.Uint64

	mu    sync.Mutex
	conns map[*connection]struct{}
	wg    sync.WaitGroup // connections

	base  context.Context // ends when requests in flight must
	watch watcher
}

// NewServer returns a server that does nothing yet.
func NewServer(cfg ServerConfig, r *Router) *Server {
	cfg = cfg.WithDefaults()
	s := &Server{cfg: cfg, router: r, meters: map[*route]Meter{}, conns: map[*connection]struct{}{}}
	s.readers.size = cfg.MaxHeader
	s.SetLimits(cfg.Limits)
	s.watch.set = map[*requestContext]struct{}{}
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	s.idPrefix = hex.EncodeToString(b[:])
	if cfg.Meter != nil {
		s.byOp = map[string]Meter{}
		r.each(func(rt *route) {
			for _, op := range append([]string{rt.Op}, rt.Ops...) {
				if s.byOp[op] == nil {
					s.byOp[op] = cfg.Meter(op)
				}
			}
			s.meters[rt] = s.byOp[rt.Op]
		})
		s.unknown = cfg.Meter("unknown")
	}
	return s
}

// SetLimits replaces the limits; requests in flight feel it at their next read or write.
func (s *Server) SetLimits(l Limits) {
	l = l.WithDefaults()
	s.limits.Store(&l)
}

// Inflight returns how many requests of a class are being served.
func (s *Server) Inflight(c Class) int64 { return s.inflight[c].Load() }

// Serve accepts connections on the listeners until ctx ends or one of them fails. Requests that come within ServerConfig.Linger after that are served too:
// clients that have connections cannot know of the end, and one whose connection is closed under its request does not know whether that was carried out.
// Then Serve lets requests in flight finish for Limits.Drain and cuts the rest. Every goroutine has ended when it returns; nil after a drain. It may be called
// once.
func (s *Server) Serve(ctx context.Context, lns ...net.Listener) error {
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	s.base = base
	watchEnded := s.watch.run(base)
	defer func() { cut(); watchEnded() }()
	end := sync.OnceFunc(func() {
		s.draining.Store(true)
		s.linger()
		s.lingered.Store(true)
		for _, ln := range lns {
			if d, ok := ln.(deadliner); !ok || d.SetDeadline(time.Unix(1, 0)) != nil { // accept goes on with the last
				_ = ln.Close() // accept returns
			}
		}
	})
	defer context.AfterFunc(ctx, end)()

	ended := make(chan error, len(lns))
	for _, ln := range lns {
		go func() { ended <- s.accept(ctx, ln) }()
	}
	err := <-ended
	end()
	for range len(lns) - 1 {
		<-ended //nolint:errcheck // ended by us
	}
	s.closing.Store(true)
	s.drain(cut)
	s.pipes.close()
	s.turns.Close()
	return err
}

// deadliner is a listener whose Accept can be ended without losing the connections that wait for it.
type deadliner interface{ SetDeadline(t time.Time) error }

// Of the last connections: what waits to be accepted when a listener is closed the kernel resets, with the requests that have been sent on it.
const (
	acceptQuiet  = 100 * time.Microsecond // none has come for this long
	acceptAtMost = 500 * time.Millisecond // and there must be an end
	firstRequest = 100 * time.Millisecond // is waited for this long on a connection that has just come
)

func (s *Server) accept(ctx context.Context, ln net.Listener) error {
	pause := time.Duration(0)
	var until time.Time // of the last connections
	defer func() { _ = ln.Close() }()
	for {
		if s.lingered.Load() {
			d, ok := ln.(deadliner)
			now := time.Now()
			if until.IsZero() {
				until = now.Add(acceptAtMost)
			}
			if !ok || now.After(until) || d.SetDeadline(now.Add(acceptQuiet)) != nil {
				return nil
			}
		}
		nc, err := ln.Accept()
		if err != nil {
			var ne net.Error
			switch {
			case errors.Is(err, os.ErrDeadlineExceeded) && until.IsZero() && s.lingered.Load():
				continue // the deadline was to end the wait
			case ctx.Err() != nil || s.lingered.Load():
				return nil
			case errors.Is(err, net.ErrClosed) || !errors.As(err, &ne):
				return err
			}
			pause = min(max(2*pause, 5*time.Millisecond), time.Second) // out of file descriptors: wait for some to be freed
			s.cfg.Log.Error("accept failed", "listener", ln.Addr().String(), "err", err, "pause", pause)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(pause):
			}
			continue
		}
		pause = 0
		boundUnsent(rawConn(nc))
		cn := &connection{Conn: nc, sock: newSocket(nc), s: s, fresh: true, near: sameHost(nc)}
		s.mu.Lock()
		full := len(s.conns) >= s.cfg.MaxConns
		if !full {
			s.conns[cn] = struct{}{}
		}
		s.mu.Unlock()
		if full {
			turnAway(nc)
			continue
		}
		s.wg.Go(func() {
			cn.serve()
			s.mu.Lock()
			delete(s.conns, cn)
			s.mu.Unlock()
		})
	}
}

// linger lets connected clients learn from replies that their connections end. Where nobody is connected there is nobody to tell.
func (s *Server) linger() {
	s.mu.Lock()
	connected := len(s.conns) > 0
	s.mu.Unlock()
	if !connected {
		return
	}
	t := time.NewTimer(min(s.cfg.Linger, s.limits.Load().Drain))
	defer t.Stop()
	<-t.C
}

// turnAway tells a client that there are too many connections. It must not wait for the client.
func turnAway(nc net.Conn) {
	if nc != rawConn(nc) { // TLS: nothing can be said before a handshake
		_ = nc.Close()
		return
	}
	_ = nc.SetWriteDeadline(time.Now().Add(10 * time.Millisecond)) // the kernel's buffer takes it at once
	_, _ = nc.Write([]byte("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nx-amz-retry-after: 1000\r\nContent-Length: 0\r\nConnection: close\r\nais-error-kind: busy\r\n\r\n"))
	_ = nc.Close()
}

// drain ends idle connections, waits for busy ones, and cuts what is left after Limits.Drain.
func (s *Server) drain(cut context.CancelFunc) {
	s.each(func(cn *connection) {
		if cn.idle.Load() {
			cn.poked.Store(true)
			_ = cn.Conn.SetReadDeadline(time.Unix(1, 0))
		}
	})
	done := make(chan struct{})
	go func() { s.wg.Wait(); close(done) }()
	limit := time.NewTimer(s.limits.Load().Drain)
	defer limit.Stop()
	select {
	case <-done:
		return
	case <-limit.C:
	}
	n := 0
	cut()
	s.each(func(cn *connection) { n++; _ = rawConn(cn.Conn).Close() }) // TLS would first try to say so
	s.cfg.Log.Warn("drain time is over: connections cut", "connections", n)
	<-done // handlers end because their context and their connection have
}

func (s *Server) each(f func(*connection)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for cn := range s.conns {
		f(cn)
	}
}

// each visits every route of the table.
func (r *Router) each(f func(*route)) {
	visit := func(ep *endpoint) {
		for _, rt := range ep.byMethod {
			if rt != nil {
				f(rt)
			}
		}
	}
	for _, ep := range r.exact {
		visit(ep)
	}
	for _, ep := range r.prefixes {
		visit(ep)
	}
}

// dateCache formats the Date header once a second.
type dateCache struct{ p atomic.Pointer[dateEntry] }

type dateEntry struct {
	unix int64
	text string
}

func (d *dateCache) get(now time.Time) string {
	sec := now.Unix()
	if e := d.p.Load(); e != nil && e.unix == sec {
		return e.text
	}
	e := &dateEntry{sec, Time(now)}
	d.p.Store(e)
	return e.text
}

const timeLayout = "Mon, 02 Jan 2006 15:04:05 GMT"

// Time formats t as a header (RFC 9110 section 5.6.7).
func Time(t time.Time) string { return t.UTC().Format(timeLayout) }

// AppendTime is Time without the string, and without reading the layout each time.
func AppendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(b, timeLayout)
	}
	hour, minute, second := t.Clock()
	b = append(append(b, t.Weekday().String()[:3]...), ", "...)
	b = append(appendTwo(b, day), ' ')
	b = append(append(b, month.String()[:3]...), ' ')
	b = append(appendTwo(appendTwo(b, year/100), year%100), ' ')
	b = append(appendTwo(b, hour), ':')
	b = append(appendTwo(b, minute), ':')
	return append(appendTwo(b, second), " GMT"...)
}

func appendTwo(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }

// ParseTime reads a date header in any of the three forms that servers must take.
func ParseTime(s string) (time.Time, bool) {
	if s == "" {
		return time.Time{}, false
	}
	t, err := http.ParseTime(s)
	return t, err == nil
}
