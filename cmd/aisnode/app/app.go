// Package app assembles an aisnode process out of its parts: listeners, control plane, store, target and gateway.
//
// It holds no logic of theirs; identity.go decides who the node is. Start at Open and (*App).Run.
package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"aistore/auth/sigv4"
	"aistore/cluster"
	"aistore/cluster/control"
	"aistore/config"
	"aistore/errs"
	"aistore/fs"
	"aistore/httpx"
	"aistore/list"
	"aistore/metrics"
	"aistore/node"
	"aistore/proxy"
	"aistore/rebalance"
	"aistore/rebalance/resilver"
	"aistore/s3/edge"
	"aistore/s3/owner"
	"aistore/store"
	"aistore/target"
	"aistore/xact"
)

// Options of a process that are no configuration.
type Options struct {
	Version string
	Log     io.Writer     // nil: nothing is logged
	Was     *cluster.Node // what App.Was told when the node was opened before in this process; nil the first time
}

// jobsDir is what the node's directory keeps of jobs.
const jobsDir = "jobs"

// App is one node.
type App struct {
	cfg      config.Node
	log      *slog.Logger
	client   *httpx.Client
	control  *control.Control
	store    *store.Store // nil on a gateway
	node     *node.Node
	resilver *resilver.Resilver // nil on a gateway
	ls       node.Listeners
	routes   []httpx.Route
	parts    []node.Part
	closers  []func() error // in order of opening
	ballast  []byte         // see heapFloor

	mover   *rebalance.Engine            // nil on a gateway
	jobs    *xact.Runtime                // nil on a gateway
	stop    context.CancelFunc           // ends Run
	retired atomic.Bool                  // the node is no more when its process has ended
	wipes   atomic.Bool                  // and neither are its objects
	ending  atomic.Bool                  // its process is on its way out
	aside   atomic.Pointer[aside]        // what is set aside when Run has ended
	oldEra  uint64                       // membership to which the content of the disks belongs
	alert   atomic.Pointer[string]       // that something is set aside; nil = nothing
	was     atomic.Pointer[cluster.Node] // see Was
}

// heapFloor is the size of an allocation to which nothing is ever written. It takes no memory, but counts as heap: where only a few MiB
// live, as in a gateway, Go collects after every few MiB of garbage, and a fifth of the CPU time of listings went into that. A higher
// GOGC would let a large heap grow as well.
const heapFloor = 16 << 20

// Open takes the ports and opens what is on disk. It serves nothing yet; call Run, which also closes.
func Open(ctx context.Context, cfg config.Node, o Options) (*App, error) {
	if o.Log == nil {
		o.Log = io.Discard
	}
	logs, err := node.NewLogs(o.Log, cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		return nil, errs.E("app.Open", "log", errs.Invalid, err)
	}
	a := &App{cfg: cfg, log: logs.Logger(), ballast: make([]byte, heapFloor)}
	a.was.Store(o.Was)
	if err := a.open(ctx, logs, o.Version); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

func (a *App) open(ctx context.Context, logs *node.Logs, version string) error {
	if st, err := os.Stat(a.cfg.Dir); err == nil && !st.IsDir() {
		return errs.F("app.open", "dir", errs.Invalid, "%s is no directory: name one, or one to be made, with --dir", a.cfg.Dir)
	}
	if err := refuse(a.cfg.Dir); err != nil {
		return err
	}
	if err := rootKey(&a.cfg).Validate(); err != nil {
		return errs.E("app.open", "AIS_ROOT_ACCESS_KEY, AIS_ROOT_SECRET_KEY", errs.Invalid, err)
	}
	who, err := identify(&a.cfg)
	if err != nil {
		return err
	}
	if a.cfg.HasTarget() {
		if err := a.openStore(ctx, who); err != nil {
			return err
		}
	}
	if err := who.save(&a.cfg); err != nil { // only once the mountpaths have agreed
		return err
	}
	raft, err := a.listen(ctx)
	if err != nil {
		return err
	}
	a.client = httpx.NewClient(httpx.ClientConfig{})
	a.closers = append(a.closers, func() error { a.client.Close(); return nil })
	if a.control, err = control.Open(a.controlConfig(who, raft, version)); err != nil {
		return err
	}
	if a.store != nil {
		a.alert.Store(a.asideAlert())
		if err := a.knownEra(); err != nil {
			return err
		}
	}
	a.assemble(who, logs, version) //nolint:contextcheck // routes take the context of each request
	a.log.Info("node opened", "id", who.ID, "version", version, "config", a.cfg.String())
	return nil
}

func (a *App) openStore(ctx context.Context, who identity) (err error) {
	a.store, err = store.Open(ctx, store.Config{
		Mountpaths: a.cfg.Mountpaths, NodeID: string(who.ID), Existing: who.existing, Home: a.cfg.Dir, GivingUp: a.loseDisk, Boot: newStart(), CacheSize: int64(a.cfg.CacheSize), Log: a.log,
	})
	switch {
	case err == nil:
		a.closers = append(a.closers, a.store.Close)
		return nil
	case errors.Is(err, iofs.ErrNotExist), errors.Is(err, iofs.ErrPermission), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EROFS):
		return errs.F("app.open", "mountpaths", errs.KindOf(err),
			"%s: name directories that can be made and written with --mountpaths, or with --dir, below which mp1 is unless they are named", errs.Plain(err))
	}
	return errs.E("app.open", "mountpaths", err)
}

// listen takes the ports and returns raft's half of the intra-cluster one.
func (a *App) listen(ctx context.Context) (raft net.Listener, err error) {
	var lc net.ListenConfig
	take := func(field string, port int) (net.Listener, error) {
		ln, err := lc.Listen(ctx, "tcp", net.JoinHostPort(a.cfg.Host, strconv.Itoa(port)))
		if err != nil {
			return nil, a.cannotListen(field, port, err)
		}
		a.closers = append(a.closers, func() error { _ = ln.Close(); return nil }) // a server may have closed it already
		return ln, nil
	}
	if a.ls.Public, err = take("port", a.cfg.Port); err != nil {
		return nil, err
	}
	if err := a.listenTLS(take); err != nil {
		return nil, err
	}
	intra, err := take("intra_port", a.cfg.IntraPort)
	if err != nil {
		return nil, err
	}
	raft, a.ls.Intra = control.SplitListener(intra)
	local, err := httpx.ListenLocal(ctx, a.cfg.IntraAddr())
	if err != nil { // there is TCP
		a.log.Warn("other nodes on this machine are not served by a local socket", "err", err)
		return raft, nil
	}
	a.ls.Local = local
	a.closers = append(a.closers, func() error { _ = local.Close(); return nil }) // a server may have closed it already
	return raft, nil
}

// cannotListen says which setting keeps the node from listening, and what to set it to.
func (a *App) cannotListen(field string, port int, err error) error {
	flag := "--" + strings.ReplaceAll(field, "_", "-")
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		err = fmt.Errorf("%w: choose another with %s (make run PORT=N)", err, flag)
	case errors.Is(err, syscall.EACCES) && port < 1024:
		err = fmt.Errorf("%w: ports below 1024 need a privilege (CAP_NET_BIND_SERVICE): choose another with %s", err, flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.As(err, new(*net.DNSError)):
		field, err = "host", fmt.Errorf("%w: name an address of this machine with --host", err)
	}
	return errs.E("app.listen", field, errs.Invalid, err)
}

// listenTLS takes the port of the second public listener, if there is to be one.
func (a *App) listenTLS(take func(field string, port int) (net.Listener, error)) error {
	if a.cfg.TLSPort == 0 {
		return nil
	}
	cert, err := httpx.OpenCertificate(a.cfg.TLSCert, a.cfg.TLSKey, a.log)
	if err != nil {
		return errs.E("app.listen", "tls_cert, tls_key", errs.Invalid, err)
	}
	ln, err := take("tls_port", a.cfg.TLSPort)
	if err == nil {
		a.ls.TLS = tls.NewListener(ln, httpx.TLSConfig(cert.Get))
	}
	return err
}

func (a *App) controlConfig(who identity, raft net.Listener, version string) control.Config {
	cfg := &a.cfg
	c := control.Config{
		Self: cluster.Node{
			ID: who.ID, Role: cluster.Role(cfg.Role), PublicURL: cfg.PublicURL, Weight: cfg.Weight, Zone: cfg.Zone, Manual: cfg.Standby.On(),
			IntraAddr: cfg.IntraAddr(),
		},
		Cluster: who.Cluster, Dir: cfg.Dir, Join: cfg.Join, Bootstrap: cfg.Bootstrap.On(), Root: rootKey(cfg),
		Raft: raft, Client: a.client, Report: a.report, Version: version, Log: a.log,
	}
	if a.store != nil {
		c.Disks = disks{a}
	}
	return c
}

// report is what the node tells the primary with each heartbeat.
func (a *App) report() control.Report {
	var r control.Report
	if a.store == nil {
		return r
	}
	if text := a.alert.Load(); text != nil {
		r.Alerts = []string{*text}
	}
	for _, m := range a.store.Mountpaths() {
		mp := control.Mountpath{Path: m.Path, FS: m.FS, Total: m.Capacity.Total, Used: m.Capacity.Total - m.Capacity.Free}
		switch {
		case m.State == fs.Disabled:
			mp.Disabled = m.Reason
		case m.Standing == fs.Leaving:
			mp.Alert = "is being detached"
		case m.Full:
			mp.Alert = "is full"
		case m.Slow != "":
			mp.Alert = "is slow: " + m.Slow
		case m.BadReads > 0:
			mp.Alert = "has files that cannot be read"
		}
		r.Mountpaths = append(r.Mountpaths, mp)
	}
	return r
}

// assemble wires target and gateway to the node; from here on nothing can fail.
func (a *App) assemble(who identity, logs *node.Logs, version string) {
	cfg := &a.cfg
	reg := metrics.New(metrics.Labels{"node": string(who.ID), "role": cfg.Role, "version": version})
	reg.ControlPlane(func() metrics.ControlPlane { return controlMetrics(a.control) })
	nc := node.Config{
		ID: who.ID, Role: cluster.Role(cfg.Role), Version: version, Control: a.control, Client: a.client,
		Metrics: reg, Logs: logs, Settings: cfg, Propose: a.control.Propose, End: a.end, Ends: a.ending.Load,
	}
	if a.store != nil {
		nc.Disks, nc.Mounts = a.store.Mountpaths, a.store
		a.resilver = resilver.New(resilver.Config{Store: a.store, Limits: a.resilverLimits, Busy: func() int64 { return a.node.Load().Inflight }, Log: a.log})
		nc.Resilver = a.resilverStatus
		resilverMetrics(reg, a.resilver)
		reg.Gauge("ais_append_sessions", "Append sessions that are open.", nil, func() float64 { n, _ := a.store.Appends(); return float64(n) })
		reg.Gauge("ais_append_bytes", "Bytes that open append sessions hold.", nil, func() float64 { _, n := a.store.Appends(); return float64(n) })
	}
	a.node = node.New(nc)
	a.routes = append(a.node.Routes(), a.control.Routes()...)
	a.parts = []node.Part{{Name: "control", Run: a.control.Run}, {Name: "root-key", Run: a.watchRoot}, {Name: "life", Run: a.live}, {Name: "set-aside", Run: a.watchAside}}

	gw := proxy.Config{Node: a.node, Control: a.control}
	ec := edge.Config{Node: a.node, Control: a.control, Verifier: sigv4.New(), Domains: cfg.S3Domain, Host: cfg.PublicHost()}
	if a.store != nil {
		t := target.New(a.node, a.store)
		lists := list.NewLocal(t.Objects().Names, a.control)
		lists.SetMarks(a.store.Marks)
		jobs := xact.NewRuntime(xact.Config{Self: who.ID, Objects: t.Objects(), Map: a.control, Pages: a.pages(lists), Peers: xact.NewRemote(a.client, who.ID, nil), Dir: filepath.Join(cfg.Dir, jobsDir), Log: a.log})
		a.jobs = jobs
		lists.Describe(edge.Describe)
		edge.AddRows(lists, a.store)
		a.moveKeys(who.ID, t, reg)
		w := owner.New(a.node, t, ec.Verifier)
		ec.Owner, ec.Lists = w, lists
		a.routes = append(a.routes, w.Routes()...)
		a.parts = append(a.parts, node.Part{Name: "lifecycle", Run: w.Run})
		t.AddRoutes(lists.Routes()...)
		t.AddRoutes(jobs.Routes()...)
		if cfg.HasGateway() {
			a.routes = append(a.routes, t.IntraRoutes()...)
		} else {
			a.routes = append(a.routes, t.Routes()...)
		}
		a.parts = append(a.parts, node.Part{Name: "target", Run: t.Run}, node.Part{Name: "jobs", Run: jobs.Run}, node.Part{Name: "bind", Run: a.bind}, node.Part{Name: "own-disks", Run: a.keepDisks})
		a.parts = append(a.parts, node.Part{Name: "resilver", Run: a.resilve}, node.Part{Name: "disk-settings", Run: a.followDisks})
		gw.Objects, gw.Lists, gw.Jobs = t, lists, jobs
	}
	if cfg.HasGateway() {
		a.routes = append(a.routes, proxy.New(gw).Routes()...)
	}
	a.routes = append(a.routes, edge.New(ec).Routes()...)
}

// pages lists names over all targets for jobs.
func (a *App) pages(own *list.Local) xact.Pages {
	lister := list.NewLister(list.NewRemote(a.client, a.node.ID, own))
	return func(ctx context.Context, bucket uint64, prefix, after string) (found []xact.Found, next string, err error) {
		res, err := lister.Names(ctx, a.control, bucket, prefix, after)
		if err != nil {
			return nil, "", err
		}
		for _, e := range res.Entries {
			found = append(found, xact.Found{Key: e.Name, Size: e.Size})
		}
		return found, res.Next, nil
	}
}

// bind writes the cluster's id onto the mountpaths once it is known, so that disks of different clusters are
// never mixed up.
func (a *App) bind(ctx context.Context) error {
	for {
		if v := a.control.View(); v != nil {
			return a.store.Bind(v.Map.UUID)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-a.control.Watch(0):
		}
	}
}

// Run serves until ctx ends, a part fails or the cluster has no more use for this process; it drains, and closes everything. After
// ErrReopen the node is to be opened again.
func (a *App) Run(ctx context.Context) error {
	ctx, a.stop = context.WithCancel(ctx)
	defer a.stop()
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var landing sync.WaitGroup
	landing.Go(func() {
		select {
		case <-ctx.Done():
			a.ending.Store(true)
			a.land(serving)
			end()
		case <-serving.Done(): // a part failed
		}
	})
	err := a.node.Run(serving, a.ls, a.routes, a.parts...)
	end()
	landing.Wait()
	err = errors.Join(err, a.close())
	if a.retired.Load() {
		err = errors.Join(err, a.retire())
	} else if what := a.aside.Load(); what != nil && err == nil {
		err = a.setAside(what)
	}
	if err != nil && !errors.Is(err, ErrReopen) {
		a.log.Error("node stopped", "err", err)
	} else {
		a.log.Info("node stopped")
	}
	return err
}

// land lets others go on with this node's jobs, and what is being moved to other nodes arrive before this one ends, for as long as rebalance.term_wait
// says. Clients are served meanwhile.
func (a *App) land(ctx context.Context) {
	if a.jobs != nil {
		a.jobs.Leave(ctx)
	}
	v := a.control.View()
	if a.mover == nil || v == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, v.Config.Rebalance.TermWait.D())
	defer cancel()
	if err := a.mover.Quiesce(ctx); err != nil {
		a.log.Warn("the node ends in the middle of a rebalance, which goes on when it is started again", "err", err)
	}
}

func (a *App) close() error {
	var err error
	for i := len(a.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, a.closers[i]())
	}
	a.closers = nil
	return err
}

// Ready tells why the node cannot serve yet; nil when it can.
func (a *App) Ready() error { return a.node.Ready() }

// URL is the node's public URL.
func (a *App) URL() string { return a.cfg.PublicURL }

// TLSURL is where the node listens for TLS; "" if it does not. Its host is the configured one, which the certificate need not name.
func (a *App) TLSURL() string {
	if a.cfg.TLSPort == 0 {
		return ""
	}
	return "https://" + net.JoinHostPort(a.cfg.Host, strconv.Itoa(a.cfg.TLSPort))
}

// ID is the node's id.
func (a *App) ID() cluster.NodeID { return a.node.ID }

func controlMetrics(c *control.Control) metrics.ControlPlane {
	s := c.Stats()
	m := metrics.ControlPlane{
		State: s.Raft, Term: s.Term, LastIndex: s.LastIndex, CommitIndex: s.CommitIndex, AppliedIndex: s.Applied,
		LastContact: s.LastContact, LeaseLeft: s.LeaseLeft, Heartbeats: s.Heartbeats, Missed: s.Missed,
		Proposals: s.Proposals, Elections: s.Reigns,
	}
	if v := c.View(); v != nil {
		m.MapVersion = v.Map.Version
	}
	return m
}
