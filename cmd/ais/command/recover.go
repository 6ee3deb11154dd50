package command

import (
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"aistore/cluster"
	"aistore/cluster/control/statedir"
	"aistore/cmd/ais/term"
	"aistore/errs"
)

// recoverCommand is `ais advanced recover-cluster`.
func (a advancedVerbs) recoverCommand() *cli.Command {
	return a.localVerb(&cli.Command{
		Name: "recover-cluster", Usage: "go on without the nodes that voted, when most of them are lost for good", ArgsUsage: "DIRECTORY",
		Description: "DIRECTORY is the directory (`dir`) of a node that is left, and stopped; the node becomes the only voter. Compare the nodes that are left\n" +
			"with --show, and take the one with the highest term, and of these the highest index; one with term 0 has no readable copy of the log, and\n" +
			"is taken if its index is higher still. What was decided later (buckets, settings, users, nodes) is forgotten, and objects of\n" +
			"buckets that it does not know are lost. The former voters must not run again with what they have in their directories, though\n" +
			"one that comes back alone is taken in. Then start the node, and the others; a rebalance looks at all objects, and nodes that are\n" +
			"lost are removed with `ais advanced remove-from-smap`.",
		Flags: []cli.Flag{a.yesFlag(), &cli.BoolFlag{Name: "show", Usage: "tell what the node knows, and change nothing", DisableDefaultText: true}}, Action: a.recoverCluster,
	}, argPath)
}

// rememberedJSON is how --json shows what a directory knows of its cluster.
type rememberedJSON struct {
	Node      cluster.NodeID   `json:"node"`
	Cluster   string           `json:"cluster"`
	Index     uint64           `json:"index"`
	Term      uint64           `json:"term"`
	Voters    []cluster.NodeID `json:"voters"`
	Nodes     []cluster.NodeID `json:"nodes"`
	Buckets   int              `json:"buckets"`
	Damaged   string           `json:"damaged,omitempty"` // why its copy of the log cannot be read
	Recovered bool             `json:"recovered"`
	Kept      string           `json:"kept,omitempty"` // where the former copy of the log is then
}

func (a advancedVerbs) recoverCluster(c *cli.Context) error {
	if err := count(c, 1, 1); err != nil {
		return err
	}
	dir := c.Args().First()
	r, err := statedir.Look(dir)
	if err != nil {
		return stoppedNode(dir, err)
	}
	v := rememberedJSON{Node: r.ID, Cluster: r.State.Map.UUID, Index: r.Index(), Term: r.Term, Voters: r.Voters, Buckets: len(r.State.Buckets.Buckets)}
	if r.Damaged != nil {
		v.Damaged = message(r.Damaged)
	}
	for _, n := range r.State.Map.All() {
		v.Nodes = append(v.Nodes, n.ID)
	}
	if !a.out.JSON {
		a.out.Printf("%s of cluster %s: index %d, term %d, %s", v.Node, v.Cluster, v.Index, v.Term, term.Plural(int64(v.Buckets), "bucket"))
		if v.Damaged != "" {
			a.out.Printf("its copy of the replicated log cannot be read, its last view is what is left: %s", v.Damaged)
		}
		a.out.Printf("nodes: %s; of these vote: %s", idList(v.Nodes), idList(v.Voters))
	}
	if !c.Bool("show") {
		err := a.out.Confirm(c.Context, "Make %s the only voter? The other voters must be lost for good; what they decided and %s does not know is forgotten.", r.ID, r.ID)
		if err != nil {
			return err
		}
		if r, err = statedir.Recover(dir, time.Now()); err != nil {
			return stoppedNode(dir, err)
		}
		v.Recovered, v.Kept = true, r.Kept
	}
	if a.out.JSON {
		return a.out.Value(v)
	}
	if v.Recovered {
		former := ""
		if r.Kept != "" {
			former = fmt.Sprintf(" The former log is now %s, remove it when all is well.", r.Kept)
		}
		a.out.Printf("%s is the only voter: start it, then the others; remove who is lost (ais advanced remove-from-smap).%s", r.ID, former)
	}
	return nil
}

func idList(ids []cluster.NodeID) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = string(id)
	}
	return strings.Join(texts, ", ")
}

// stoppedNode says what to do about a directory in use.
func stoppedNode(dir string, err error) error {
	if errs.Is(err, errs.Conflict) {
		return errs.F("", dir, errs.Conflict, "a node runs in this directory: stop it first (%s)", message(err))
	}
	return err
}
