package command

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"aistore/api"
	"aistore/api/client"
	"aistore/cmd/ais/term"
	"aistore/config"
	"aistore/deploy/local"
	"aistore/errs"
)

const defaultDevDir = "data/cluster"

// devVerbs are `ais dev`: a cluster of local processes.
type devVerbs struct{ *app }

func (a devVerbs) command() *cli.Command {
	dir := func(more ...cli.Flag) []cli.Flag {
		return append([]cli.Flag{&cli.StringFlag{Name: "dir", Usage: "`DIR` of the cluster", Value: defaultDevDir}}, more...)
	}
	within := &cli.DurationFlag{Name: "timeout", Usage: "wait `DURATION` for a node to become ready", Value: time.Minute}
	one := func(name, usage string, act func(context.Context, *local.Cluster, string) error, more ...cli.Flag) *cli.Command {
		return a.localVerb(&cli.Command{
			Name: name, Usage: usage, ArgsUsage: "NODE", Flags: dir(more...),
			Action: func(c *cli.Context) error { return a.node(c, act) },
		}, argDevNode)
	}
	return &cli.Command{
		Name: "dev", Usage: "run a cluster of several processes on this machine",
		Subcommands: []*cli.Command{
			a.localVerb(&cli.Command{
				Name: "up", Usage: "start a cluster in DIR, or the one that is there, and wait until it is ready",
				Description: "A new cluster has the nodes g1, g2, ... (gateways) and t1, t2, ... (targets), which listen on 127.0.0.1,\n" +
					"the first gateway on PORT and the others on the ports that follow. With --tls as many ports more follow, one a\n" +
					"node in the same order, with a certificate that is made in DIR/tls. With --all (or --targets 0) it is one\n" +
					"process, a1, which is both. On a directory that holds a cluster, options that contradict it are refused.\n" +
					"The binary aisnode is found next to ais, in PATH, or by the environment's AISNODE.",
				Flags: dir(
					&cli.IntFlag{Name: "gateways", Usage: "`N` gateways", DefaultText: "1"},
					&cli.IntFlag{Name: "targets", Usage: "`N` targets", DefaultText: "3"},
					&cli.IntFlag{Name: "mountpaths", Usage: "`N` mountpaths per target", DefaultText: "2"},
					&cli.IntFlag{Name: "port", Usage: "public `PORT` of the first gateway", DefaultText: "8080, unless the kernel may give it to outgoing connections"},
					&cli.BoolFlag{Name: "all", Usage: "one process instead, gateway and target in one", DisableDefaultText: true},
					&cli.BoolFlag{Name: "tls", Usage: "every node also listens over TLS", DisableDefaultText: true},
					&cli.StringFlag{Name: "log-level", Usage: "`LEVEL` of the nodes' logs: debug, info, warn or error", DefaultText: "info"},
					within,
				),
				Action: a.up,
			}),
			a.localVerb(&cli.Command{Name: "status", Usage: "show the processes", Flags: dir(), Action: func(c *cli.Context) error {
				cluster, err := openDev(c)
				if err != nil {
					return err
				}
				return a.status(c.Context, cluster)
			}}),
			a.localVerb(&cli.Command{Name: "down", Usage: "stop all nodes (they drain first)", Flags: dir(), Action: func(c *cli.Context) error {
				cluster, err := openDev(c)
				if err != nil {
					return err
				}
				if err := cluster.Down(c.Context); err != nil {
					return err
				}
				return a.status(c.Context, cluster)
			}}),
			{Name: "add", Usage: "add nodes to the cluster in DIR, and start them", Subcommands: []*cli.Command{
				a.addCommand("target", local.RoleTarget, dir(within)), a.addCommand("gateway", local.RoleProxy, dir(within)),
			}},
			one("kill", "end a node at once (SIGKILL)", func(ctx context.Context, d *local.Cluster, id string) error { return d.Kill(ctx, id) }),
			one("stop", "stop a node (it drains first)", func(ctx context.Context, d *local.Cluster, id string) error { return d.Stop(ctx, id) }),
			one("start", "start a node and wait until it is ready", func(ctx context.Context, d *local.Cluster, id string) error { return d.Start(ctx, id) }, within),
			one("restart", "stop a node, if it runs, and start it", func(ctx context.Context, d *local.Cluster, id string) error { return d.Restart(ctx, id) }, within),
			a.localVerb(&cli.Command{Name: "logs", Usage: "print a node's log", ArgsUsage: "NODE", Flags: dir(), Action: a.logs}, argDevNode),
		},
	}
}

func (a devVerbs) up(c *cli.Context) error {
	if err := count(c, 0, 0); err != nil {
		return err
	}
	o := local.Options{
		Dir: c.String("dir"), Gateways: c.Int("gateways"), Targets: c.Int("targets"), Mountpaths: c.Int("mountpaths"),
		Port: c.Int("port"), All: c.Bool("all"), TLS: c.Bool("tls"), LogLevel: c.String("log-level"), ReadyWithin: c.Duration("timeout"),
	}
	for _, name := range []string{"gateways", "targets", "mountpaths", "port"} {
		least := 1
		if name == "targets" {
			least = 0
		}
		if c.IsSet(name) && c.Int(name) < least {
			return usageError("--%s %d: give at least %d", name, c.Int(name), least)
		}
	}
	if c.IsSet("targets") && o.Targets == 0 {
		o.All = true
	}
	if o.All && (o.Gateways > 1 || o.Targets > 0) {
		return usageError("--all is one process: leave --gateways and --targets out")
	}
	if o.All {
		o.Gateways = 0
	}
	begin := time.Now()
	cluster, err := local.Up(c.Context, o)
	if err != nil {
		if cluster != nil { // what is well of it runs
			err = errors.Join(a.status(c.Context, cluster), err)
		}
		return err
	}
	if err := a.status(c.Context, cluster); err != nil {
		return err
	}
	if !slices.ContainsFunc(cluster.Status(), func(s local.NodeStatus) bool { return s.State == local.Running }) {
		return errs.F("dev.up", c.String("dir"), errs.Conflict, "no node of this cluster runs any more: it was decommissioned; use another directory")
	}
	a.out.Printf("\nReady after %v. To use it:\n  export AIS_ENDPOINT=%s", time.Since(begin).Round(time.Millisecond), cluster.Endpoint())
	if cert := cluster.Certificate(); cert != "" {
		a.out.Printf("Over TLS, for clients that trust the certificate %s:\n  export AIS_ENDPOINT=%s SSL_CERT_FILE=%s", cert, cluster.Nodes()[0].TLSURL(), cert)
	}
	sdk, err := client.New(client.Options{Endpoints: []string{cluster.Endpoint()}, UserAgent: "ais/" + a.proc.Version})
	if err != nil {
		return nil // the cluster is up; that is what was asked for
	}
	defer sdk.Close()
	a.showS3(c.Context, sdk, cluster.Endpoint())
	a.warnMountpaths(c.Context, sdk, cluster)
	return nil
}

// warnMountpaths names the mountpaths that are out of service, as one whose directory was removed: nodes start without them.
func (a devVerbs) warnMountpaths(ctx context.Context, sdk *client.Client, cluster *local.Cluster) {
	if a.out.JSON {
		return
	}
	for _, n := range cluster.Status() {
		if n.State != local.Running || n.Role == local.RoleProxy {
			continue
		}
		s, err := sdk.NodeStatus(ctx, n.ID)
		if err != nil || s.Mountpaths == nil {
			continue // it was ready a moment ago
		}
		for i := range s.Mountpaths.Details {
			if m := &s.Mountpaths.Details[i]; m.State == api.StateDisabled {
				a.out.Notef("%s %s: mountpath %s is disabled: %s (`ais storage mountpath show %s` shows more)", a.out.PaintErr(term.Amber, "warning:"), n.ID, m.Path, m.Reason, n.ID)
			}
		}
	}
}

// addCommand is `ais dev add target` or `gateway`.
func (a devVerbs) addCommand(name string, role local.Role, flags []cli.Flag) *cli.Command {
	if role == local.RoleTarget { // a gateway has nothing to wait with: it serves at once
		flags = append(flags, &cli.BoolFlag{Name: "standby", Usage: "it waits until it is joined by hand", DisableDefaultText: true},
			&cli.IntFlag{Name: "mountpaths", Usage: "`N` mountpaths per target", DefaultText: "as many as the target with the most has"})
	}
	return a.localVerb(&cli.Command{
		Name: name, Usage: "add a " + name + ", or N of them", ArgsUsage: "[N]", Flags: flags,
		Action: func(c *cli.Context) error {
			if err := count(c, 0, 1); err != nil {
				return err
			}
			more := local.More{Count: 1, Mountpaths: c.Int("mountpaths")}
			if c.NArg() == 1 {
				var err error
				if more.Count, err = strconv.Atoi(c.Args().First()); err != nil || more.Count < 1 || more.Count > 50 {
					return usageError("%q is no number of nodes: use 1 to 50", c.Args().First())
				}
			}
			if c.IsSet("mountpaths") && more.Mountpaths < 1 {
				return usageError("--mountpaths %d: give at least 1", more.Mountpaths)
			}
			cluster, err := local.Open(local.Options{Dir: c.String("dir"), ReadyWithin: c.Duration("timeout")})
			if err != nil {
				return err
			}
			if c.Bool("standby") {
				more.Env = []string{"AIS_NODE_STANDBY=true"}
			}
			if _, err := cluster.Add(c.Context, role, more); err != nil {
				return err
			}
			return a.status(c.Context, cluster)
		},
	})
}

// showS3 says how S3 clients get in, as far as is known of keys: those of a new store, unless others were chosen.
func (a devVerbs) showS3(ctx context.Context, sdk *client.Client, endpoint string) {
	root := config.DefaultRoot()
	if access := a.proc.Getenv("AIS_ROOT_ACCESS_KEY"); access != "" {
		root.Access, root.Secret = access, "$AIS_ROOT_SECRET_KEY"
	}
	users, err := sdk.Auth().Users(ctx)
	if err != nil {
		return // the cluster is up; that is what was asked for
	}
	known := slices.ContainsFunc(users, func(u api.User) bool {
		return slices.ContainsFunc(u.Keys, func(k api.UserKey) bool { return k.Access == root.Access })
	})
	if !known {
		root.Access, root.Secret = "ACCESS", "SECRET"
		a.out.Printf("S3, with a key pair of a user (`ais auth show`, `ais auth add key USER`):")
	} else {
		a.out.Printf("S3:")
	}
	a.out.Printf("  export AWS_ENDPOINT_URL=%s AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s AWS_REGION=us-east-1\n  aws s3 mb s3://pictures && aws s3 ls", endpoint, root.Access, root.Secret)
}

func openDev(c *cli.Context) (*local.Cluster, error) {
	if err := count(c, 0, 0); err != nil {
		return nil, err
	}
	return local.Open(local.Options{Dir: c.String("dir")})
}

func (a devVerbs) status(ctx context.Context, cluster *local.Cluster) error {
	nodes := cluster.Describe(ctx)
	if a.out.JSON {
		v := map[string]any{"nodes": nodes}
		if cert := cluster.Certificate(); cert != "" {
			v["certificate"] = cert
		}
		return a.out.Value(v)
	}
	columns := []string{"NODE", "ROLE", "URL", "TLS", "PID>", "STATE"}
	secure := cluster.Certificate() != ""
	if !secure {
		columns = slices.Delete(columns, 3, 4)
	}
	t := a.out.NewTable(term.Columns(columns...)...)
	for _, n := range nodes {
		pid, style := strconv.Itoa(n.PID), term.Green
		switch n.State {
		case local.Running:
		case local.Decommissioned, local.Removed:
			pid, style = "-", term.Plain
		case local.Stopped:
			pid, style = "-", term.Red
		}
		cells := []term.Cell{{Text: n.ID}, {Text: string(n.Role)}, {Text: n.URL}, {Text: n.TLS}, {Text: pid}, {Text: string(n.State), Style: style}}
		if !secure {
			cells = slices.Delete(cells, 3, 4)
		}
		if err := t.AddCells(cells...); err != nil {
			return err
		}
	}
	return t.Flush()
}

func (a devVerbs) node(c *cli.Context, act func(context.Context, *local.Cluster, string) error) error {
	if err := count(c, 1, 1); err != nil {
		return err
	}
	cluster, err := local.Open(local.Options{Dir: c.String("dir"), ReadyWithin: c.Duration("timeout")})
	if err != nil {
		return err
	}
	if err := act(c.Context, cluster, c.Args().First()); err != nil {
		return err
	}
	return a.status(c.Context, cluster)
}

func (a devVerbs) logs(c *cli.Context) error {
	if err := count(c, 1, 1); err != nil {
		return err
	}
	cluster, err := local.Open(local.Options{Dir: c.String("dir")})
	if err != nil {
		return err
	}
	path, err := cluster.Logs(c.Args().First())
	if err != nil {
		return err
	}
	if a.out.JSON {
		return a.out.Value(map[string]string{"log": path})
	}
	f, err := os.Open(path)
	if err != nil {
		return errs.E("command.devLogs", path, err)
	}
	defer f.Close()
	_, err = io.Copy(a.out.Stdout(), f)
	return err
}

// devStatusOf is for completion: nothing if there is no cluster.
func devStatusOf(dir string) []local.NodeStatus {
	cluster, err := local.Open(local.Options{Dir: dir})
	if err != nil {
		return nil
	}
	return cluster.Status()
}
