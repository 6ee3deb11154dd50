package command

import (
	"context"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"aistore/api"
	"aistore/api/client"
	"aistore/cluster"
	"aistore/cmd/ais/term"
	"aistore/errs"
)

// lifeVerbs bring nodes in and take them out.
type lifeVerbs struct{ *app }

// step is one verb of `ais cluster add-remove-nodes`.
type step struct {
	name, usage, description string
	takes                    argument // what completion offers
	flags                    []cli.Flag
	warns                    string // asked before, unless -y; "" = not asked
	final                    bool   // where there is no terminal to ask at, -y is a must
	back                     bool   // it brings nodes into service
	act                      func(*client.Life, context.Context, api.NodesMsg) (client.Moved, error)
	next                     string // what to do when it has ended
}

func (a lifeVerbs) membersCommand() *cli.Command {
	noRebalance := &cli.BoolFlag{Name: "no-rebalance", Usage: "what has to move waits until 'ais start rebalance'", DisableDefaultText: true}
	steps := []step{
		{name: "start-maintenance", usage: "take nodes out of service; what they hold moves to the others, and stays on their disks",
			description: "They may be powered off when `ais show cluster` shows them in \"maintenance (done)\", and not before.\n" +
				"stop-maintenance brings them back.",
			flags: []cli.Flag{noRebalance}, act: (*client.Life).StartMaintenance, next: "when it is done the nodes may be powered off"},
		{name: "stop-maintenance", usage: "bring nodes back that are in maintenance, or were shut down and started again", takes: argAwayNode,
			flags: []cli.Flag{noRebalance}, back: true, act: (*client.Life).StopMaintenance, next: "when it is done the nodes are online"},
		{name: "shutdown", usage: "like start-maintenance, after which the nodes' processes end by themselves",
			description: "Start them again and use stop-maintenance: they come back with their ids and what they hold.",
			flags:       []cli.Flag{noRebalance}, warns: "Shut down %s?", act: (*client.Life).ShutdownNodes, next: "when it is done the processes end"},
		{name: "decommission", usage: "remove nodes for ever, once all they hold is elsewhere",
			description: "Their processes end, and their ids are refused from then on. Objects stay on their disks unless --rm-user-data is given;\n" +
				"no cluster serves them from there again. Until everything has moved, stop-maintenance takes it back.",
			flags: []cli.Flag{
				&cli.BoolFlag{Name: "rm-user-data", Usage: "when everything has moved, remove the objects from the nodes' disks too", DisableDefaultText: true},
				&cli.BoolFlag{Name: "keep-initial-config", Usage: "accepted: configuration files are never touched", DisableDefaultText: true},
			},
			warns: "Decommission %s? The ids are refused for ever after.", final: true, act: (*client.Life).DecommissionNodes, next: "when it is done the nodes are gone"},
		{name: "join", usage: "take targets into service that stand by", takes: argStandbyNode,
			flags: []cli.Flag{noRebalance}, back: true, act: (*client.Life).JoinNodes, next: "when it is done the nodes are online"},
	}
	c := &cli.Command{Name: "add-remove-nodes", Usage: "bring nodes into service and take them out, for a while or for ever"}
	for _, s := range steps {
		if s.takes == argAny {
			s.takes = argLiveNode
		}
		c.Subcommands = append(c.Subcommands, a.verb(&cli.Command{
			Name: s.name, Usage: s.usage, ArgsUsage: "NODE...", Description: s.description, Flags: append(s.flags, a.yesFlag()),
			Action: func(c *cli.Context) error { return a.step(c, s) },
		}, s.takes))
	}
	return c
}

// nodes reads the nodes that the arguments name, also several with commas between them; all must be there.
func (a lifeVerbs) nodes(c *cli.Context) ([]string, error) {
	var ids []string
	for _, arg := range strings.Split(strings.Join(c.Args().Slice(), ","), ",") {
		n, err := client.FindNode(a.view, arg)
		if err != nil {
			return nil, errs.F("", arg, errs.NotFound, "no such node: `ais show cluster` lists them")
		}
		if !slices.Contains(ids, string(n.ID)) {
			ids = append(ids, string(n.ID))
		}
	}
	return ids, nil
}

func (a lifeVerbs) step(c *cli.Context, s step) error {
	if err := count(c, 1, -1); err != nil {
		return err
	}
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	ids, err := a.nodes(c)
	if err != nil {
		return err
	}
	warns := s.warns
	if c.Bool("rm-user-data") {
		warns += " When everything has moved, their disks are wiped."
	}
	if warns != "" && (s.final || a.out.Asks()) {
		if err := a.out.Confirm(c.Context, warns, strings.Join(ids, ", ")); err != nil {
			return err
		}
	}
	before := a.view.Map
	moved, err := s.act(sdk.Life(), c.Context, api.NodesMsg{
		Nodes: ids, SkipRebalance: c.Bool("no-rebalance"), RmUserData: c.Bool("rm-user-data"), KeepConfig: c.Bool("keep-initial-config"),
	})
	if err != nil {
		return err
	}
	already := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !s.back || !isBack(before.Nodes[cluster.NodeID(id)]) })
	return a.moved(c.Context, sdk, movedJSON{Verb: s.name, Nodes: ids, Already: already, Rebalance: moved.Rebalance, Primary: moved.Primary}, s.next)
}

// isBack reports whether nothing is left to bring into service of n.
func isBack(n *cluster.Node) bool { return n.State == cluster.Online && n.Phase == "" }

// movedJSON is what verbs on nodes print with --json.
type movedJSON struct {
	Verb      string   `json:"verb"`
	Nodes     []string `json:"nodes"`
	Already   []string `json:"already,omitempty"` // of these, who were online before: nothing was done for them
	Rebalance string   `json:"rebalance"`         // "" = nothing moves
	Paused    bool     `json:"paused,omitempty"`
	Offline   []string `json:"offline,omitempty"` // the rebalance waits for them
	Primary   string   `json:"primary,omitempty"` // if it is another now
}

// moved tells what has begun.
func (a lifeVerbs) moved(ctx context.Context, sdk *client.Client, m movedJSON, next string) error {
	view, err := sdk.View(ctx)
	if err != nil {
		return err
	}
	m.Paused = m.Rebalance != "" && view.Map.Paused
	if m.Rebalance != "" {
		m.Offline = absent(view.Map)
	}
	if a.out.JSON {
		return a.out.Value(m)
	}
	if m.Primary != "" {
		a.out.Printf("The primary was among them: %s is the primary now.", m.Primary)
	}
	for _, id := range m.Already {
		state := "online already, nothing to do"
		if n := view.Map.Nodes[cluster.NodeID(id)]; n != nil && !n.Alive {
			state = "in service already, but offline: start it again"
		}
		a.out.Printf("%s: %s: %s", m.Verb, id, state)
	}
	ids := slices.DeleteFunc(slices.Clone(m.Nodes), func(id string) bool { return slices.Contains(m.Already, id) })
	if len(ids) == 0 {
		return nil
	}
	names := strings.Join(ids, ", ")
	switch {
	case m.Paused:
		a.out.Printf("%s: %s. Rebalance %q is stopped: nothing moves, and nothing may be powered off, until `ais start rebalance`.", m.Verb, names, m.Rebalance)
	case m.Rebalance != "":
		a.out.Printf("%s: %s; %s", m.Verb, names, next)
		a.out.Printf("Started rebalance %q (to monitor, run 'ais show rebalance')", m.Rebalance)
	default:
		a.out.Printf("%s: %s: done, nothing has to move ('ais show cluster' shows the nodes)", m.Verb, names)
	}
	if len(m.Offline) > 0 {
		a.out.Notef("%s %s", a.out.PaintErr(term.Amber, "warning:"), offlineNote(m.Offline))
	}
	return nil
}

// absent lists who may have what its owner lacks and is offline: no rebalance ends without it.
func absent(m *cluster.Map) []string {
	var ids []string
	for _, n := range m.All() {
		if m.Sources[n.ID].Stage == cluster.Moving && !n.Alive {
			ids = append(ids, string(n.ID))
		}
	}
	return ids
}

// offlineNote says what a rebalance waits for, and what to do about it.
func offlineNote(ids []string) string {
	return strings.Join(ids, ", ") + ": offline. What only an offline node may have cannot move until it is back, and the rebalance does not end before: start it again, " +
		"or take it out with `ais advanced remove-from-smap` if it is lost for ever."
}

// removeCommand is `ais advanced remove-from-smap`.
func (a lifeVerbs) removeCommand() *cli.Command {
	return a.verb(&cli.Command{
		Name: "remove-from-smap", Usage: "take a node out of the cluster map as it is: nothing is moved", ArgsUsage: "NODE",
		Description: "For a node that is lost and will not be back: the others stop waiting for it. What only it holds is lost to the cluster.\n" +
			"If the node is started again it joins with empty disks; what they held is set aside, not served.",
		Flags: []cli.Flag{a.yesFlag()}, Action: a.remove,
	}, argNode)
}

func (a lifeVerbs) remove(c *cli.Context) error {
	if err := count(c, 1, 1); err != nil {
		return err
	}
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	ids, err := a.nodes(c)
	if err != nil {
		return err
	}
	if len(ids) > 1 {
		return usageError("%s takes one node at a time", fullName(c))
	}
	n := a.view.Map.Nodes[cluster.NodeID(ids[0])]
	if !a.out.JSON {
		warning := "Nothing is moved."
		if mayHold(a.view.Map, n) {
			warning = "What only " + ids[0] + " holds is LOST to the cluster: nothing is moved. `ais cluster add-remove-nodes decommission` moves it first."
		}
		a.out.Notef("%s %s", a.out.PaintErr(term.Amber, "warning:"), warning)
	}
	if err := a.out.Confirm(c.Context, "Remove %s node %s from the cluster map?", n.Describe(), ids[0]); err != nil {
		return err
	}
	moved, err := sdk.Life().RemoveNode(c.Context, ids[0])
	if err != nil {
		return err
	}
	return a.moved(c.Context, sdk, movedJSON{Verb: "remove-from-smap", Nodes: ids, Rebalance: moved.Rebalance, Primary: moved.Primary}, "its names belong to the others now")
}

// mayHold reports whether the node may have objects that nobody else has.
func mayHold(m *cluster.Map, n *cluster.Node) bool {
	return n.Role.Target() && (n.InService() || m.Sources[n.ID].Stage == cluster.Moving)
}

func (a lifeVerbs) shutdownCommand() *cli.Command {
	return a.verb(&cli.Command{
		Name: "shutdown", Usage: "stop all nodes; started again they are the same cluster, and go on with what they were at",
		Flags: []cli.Flag{a.yesFlag()},
		Action: func(c *cli.Context) error {
			if err := count(c, 0, 0); err != nil {
				return err
			}
			sdk, err := a.connect(c.Context)
			if err != nil {
				return err
			}
			if err := a.out.Confirm(c.Context, "Stop every node of cluster %s?", a.view.Map.UUID); err != nil {
				return err
			}
			e, err := sdk.Life().ShutdownCluster(c.Context)
			if err != nil {
				return err
			}
			return a.ended("shutdown", e, "stop", "could not be told, and goes on")
		},
	})
}

func (a lifeVerbs) decommissionCommand() *cli.Command {
	return a.verb(&cli.Command{
		Name: "decommission", Usage: "destroy the whole cluster with every bucket and object",
		Description: "Needs both --rm-user-data and --yes. There is no way back: every node removes what it has of the cluster from its disks and ends.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "rm-user-data", Usage: "all buckets and objects are to be destroyed", DisableDefaultText: true}, a.yesFlag(),
		},
		Action: func(c *cli.Context) error {
			if err := count(c, 0, 0); err != nil {
				return err
			}
			if !c.Bool("rm-user-data") || !a.out.Yes {
				return usageError("%s destroys every bucket and object of the cluster: give both --rm-user-data and --yes to say so; to stop all nodes and keep everything, use `ais cluster shutdown`", fullName(c))
			}
			sdk, err := a.connect(c.Context)
			if err != nil {
				return err
			}
			e, err := sdk.Life().DecommissionCluster(c.Context, api.NodesMsg{RmUserData: true})
			if err != nil {
				return err
			}
			return a.ended("decommission", e, "remove what they have and end", "could not be told: remove its directories by hand")
		},
	})
}

// ended tells who ends; someone who was not told makes it a partial success.
func (a lifeVerbs) ended(verb string, e *api.Ended, what, missing string) error {
	if a.out.JSON {
		if err := a.out.Value(e); err != nil {
			return err
		}
	} else {
		a.out.Printf("%s: %s %s: %s", verb, term.Plural(int64(len(e.Nodes)), "node"), what, strings.Join(e.Nodes, ", "))
	}
	for id, why := range e.Missing {
		if a.out.JSON { // has them already
			break
		}
		a.out.Notef("%s %s: %s (%s)", a.out.PaintErr(term.Amber, "warning:"), id, missing, why)
	}
	if len(e.Missing) > 0 {
		return errs.F("", verb, errs.Unavailable, "%s could not be told", term.Plural(int64(len(e.Missing)), "node"))
	}
	return nil
}
