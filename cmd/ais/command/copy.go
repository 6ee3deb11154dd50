package command

import (
	"context"

	"github.com/urfave/cli/v2"

	"aistore/api"
	"aistore/api/client"
	"aistore/cmd/ais/term"
	"aistore/cmd/ais/uri"
)

func (a objectVerbs) copyCommand() *cli.Command {
	return a.verb(&cli.Command{
		Name: "cp", Usage: "copy objects, inside the cluster or from and to files", ArgsUsage: "SOURCE DESTINATION",
		Description: "ais cp ais://b/x ais://c/y              copies an object\n" +
			"ais cp ais://b ais://c                  copies every object; the bucket c is made if need be\n" +
			"ais cp ais://b ais://c --prefix dir/    copies those that begin with dir/\n" +
			"ais cp ais://b ais://c/old/ --all       puts old/ before every name\n" +
			"ais cp 'ais://b/a-{000..127}.tar' ais://c   copies those that exist of the 128\n" +
			"ais cp FILE ais://b/x                   is `ais put`, and ais cp ais://b/x FILE is `ais get`",
		Flags: append(selectionFlags(),
			&cli.StringFlag{Name: "prepend", Usage: "put `PREFIX` before every new name"},
			&cli.BoolFlag{Name: "dry-run", Usage: "count what would be copied", DisableDefaultText: true},
			&cli.BoolFlag{Name: "recursive", Aliases: []string{"r"}, Usage: "of a directory on this side: enter subdirectories", DisableDefaultText: true},
			workersFlag(), a.yesFlag(), a.unitsFlag(),
		),
		Action: a.copy,
	}, argPath|argObject)
}

func (a objectVerbs) copy(c *cli.Context) error {
	if err := count(c, 2, 2); err != nil {
		return err
	}
	from, to := c.Args().Get(0), c.Args().Get(1)
	switch {
	case !uri.Is(from) && !uri.Is(to):
		return usageError("neither %s nor %s is in the cluster: one must begin with ais://", from, to)
	case !uri.Is(from):
		if err := without(c, "put", "prefix", "all", "prepend"); err != nil {
			return err
		}
		return a.put(c)
	case !uri.Is(to):
		if err := without(c, "get", "prepend", "dry-run"); err != nil {
			return err
		}
		return a.get(c)
	}
	dest, err := uri.Parse(to)
	if err != nil {
		return err
	}
	source, err := uri.Parse(from)
	if err != nil {
		return err
	}
	sel := &selection{bck: source.Bck, all: true} // a bucket by itself: all of it
	if source.Key != "" || c.IsSet("prefix") || c.IsSet("list") || c.IsSet("template") || c.IsSet("all") {
		if sel, err = selectionOf(c, []string{from}); err != nil {
			return err
		}
	}
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	if key, ok := sel.single(); ok && !c.IsSet("prepend") && !c.Bool("dry-run") && !c.IsSet("list") {
		target := landing(source.With(key), dest)
		if err := sdk.BucketOf(source.Bck).Copy(c.Context, key, sdk.BucketOf(dest.Bck), target.Key); err != nil {
			return err
		}
		return a.movedTo("cp", source.With(key), target)
	}
	return a.copyMany(c, sdk, sel, dest)
}

// without refuses options of copies inside the cluster for one that is another verb's work: left out in silence, they would change what is copied,
// and where to.
func without(c *cli.Context, verb string, options ...string) error {
	for _, o := range options {
		if c.IsSet(o) {
			return usageError("%s with a local path is `ais %s`, which has no --%s (see `ais %s --help`)", fullName(c), verb, o, verb)
		}
	}
	return nil
}

// copyMany leaves the work to a job of the cluster.
func (a objectVerbs) copyMany(c *cli.Context, sdk *client.Client, sel *selection, dest uri.URI) error {
	msg := api.CopyMsg{Prepend: dest.Key + c.String("prepend"), DryRun: c.Bool("dry-run"), ContinueOn: true}
	if dest.Bck == sel.bck && msg.Prepend == "" {
		return usageError("%s would be copied onto itself: name another bucket, or a prefix for the new names", sel)
	}
	n, err := a.runJob(c.Context, "cp", func() (*client.Job, error) { return startCopy(c.Context, sdk, sel, dest.Bck, msg) })
	if err != nil {
		return err
	}
	if a.out.JSON {
		return a.out.Value(map[string]any{"verb": "cp", "from": sel.String(), "to": dest.String(), "objects": n, "dry_run": msg.DryRun})
	}
	would := ""
	if msg.DryRun {
		would = "would copy "
	}
	a.out.Printf("cp: %s%s from %s to %s", would, term.Plural(n, "object"), sel, dest)
	return nil
}

func startCopy(ctx context.Context, sdk *client.Client, sel *selection, to api.Bck, msg api.CopyMsg) (*client.Job, error) {
	from := sdk.BucketOf(sel.bck)
	if sel.all {
		msg.Prefix = sel.prefix
		return from.CopyBucket(ctx, sdk.BucketOf(to), msg)
	}
	return from.CopyObjects(ctx, api.CopyObjectsMsg{
		ObjectSelection: api.ObjectSelection{Names: sel.keys, Template: sel.template}, CopyMsg: msg, To: to,
	})
}
