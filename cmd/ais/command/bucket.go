package command

import (
	"errors"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"aistore/api"
	"aistore/api/client"
	"aistore/cmd/ais/term"
	"aistore/cmd/ais/uri"
	"aistore/errs"
	"aistore/s3"
)

// bucketVerbs work on buckets.
type bucketVerbs struct{ *app }

func (a bucketVerbs) command() *cli.Command {
	return &cli.Command{
		Name: "bucket", Usage: "make, remove, show and change buckets",
		Subcommands: []*cli.Command{
			a.createCommand("create"),
			a.verb(&cli.Command{
				Name: "rm", Usage: "remove buckets and everything in them", ArgsUsage: "ais://BUCKET ...",
				Flags:  []cli.Flag{&cli.BoolFlag{Name: "missing-ok", Usage: "a bucket that does not exist is no error", DisableDefaultText: true}, a.yesFlag()},
				Action: a.removeBuckets,
			}, argBucket),
			a.verb(&cli.Command{Name: "ls", Usage: "list buckets", Flags: []cli.Flag{a.headersFlag()}, Action: func(c *cli.Context) error {
				if err := count(c, 0, 0); err != nil {
					return err
				}
				return a.listBuckets(c)
			}}),
			a.propsCommand(),
			a.summaryCommand(),
			a.verb(&cli.Command{Name: "cp", Usage: "copy all objects of a bucket to another", ArgsUsage: "ais://BUCKET ais://BUCKET[/PREFIX/]",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "prefix", Usage: "only objects whose names begin with `PREFIX`"},
					&cli.StringFlag{Name: "prepend", Usage: "put `PREFIX` before every new name"},
					&cli.BoolFlag{Name: "dry-run", Usage: "count what would be copied", DisableDefaultText: true},
				}, Action: a.copyBucket}, argBucket),
			a.verb(&cli.Command{Name: "mv", Usage: "rename a bucket; no object moves", ArgsUsage: "ais://BUCKET ais://BUCKET", Action: func(c *cli.Context) error {
				from, to, err := twoBuckets(c)
				if err != nil {
					return err
				}
				return a.renameBucket(c, from, to)
			}}, argBucket),
		},
	}
}

func (a bucketVerbs) createCommand(name string) *cli.Command {
	return a.verb(&cli.Command{
		Name: name, Usage: "make buckets", ArgsUsage: "ais://BUCKET ...",
		Description: "Properties: " + propHelp(),
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "props", Usage: "`KEY=VALUE` of a property; may be repeated"},
			&cli.BoolFlag{Name: "exists-ok", Aliases: []string{"i"}, Usage: "a bucket that exists already is no error", DisableDefaultText: true},
		},
		Action: a.createBuckets,
	}, argAny)
}

func propHelp() string {
	var lines []string
	for _, p := range api.PropNames() {
		lines = append(lines, p.Name+" ("+p.Help+")")
	}
	return strings.Join(lines, ",\n")
}

func bucketArgs(c *cli.Context) ([]api.Bck, error) {
	if err := count(c, 1, -1); err != nil {
		return nil, err
	}
	var all []api.Bck
	for _, arg := range c.Args().Slice() {
		b, err := uri.ParseBucket(arg)
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, nil
}

func twoBuckets(c *cli.Context) (from, to api.Bck, err error) {
	if err := count(c, 2, 2); err != nil {
		return from, to, err
	}
	both, err := bucketArgs(c)
	if err != nil {
		return from, to, err
	}
	return both[0], both[1], nil
}

// propPairs reads KEY=VALUE; values may themselves be separated by blanks, as "a=1 b=2" in one argument.
func propPairs(field string, list []string) (client.Props, error) {
	var flat []string
	for _, s := range list {
		flat = append(flat, strings.Fields(s)...)
	}
	return pairs(field, flat)
}

func (a bucketVerbs) createBuckets(c *cli.Context) error {
	bcks, err := bucketArgs(c)
	if err != nil {
		return err
	}
	props, err := propPairs("--props", c.StringSlice("props"))
	if err != nil {
		return err
	}
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	made := []string{} // in JSON, too
	var there []error
	for _, b := range bcks {
		err := sdk.BucketOf(b).Create(c.Context, props)
		if errs.Is(err, errs.Exists) {
			if !c.Bool("exists-ok") {
				there = append(there, err)
			}
			continue // with the others, as mkdir does
		}
		if err != nil {
			return errors.Join(append(there, err)...)
		}
		made = append(made, b.String())
		a.out.Printf("create: %s", b)
		a.noteS3Name(b)
	}
	if a.out.JSON {
		there = append(there, a.out.Value(map[string]any{"created": made}))
	}
	return errors.Join(there...)
}

// noteS3Name tells whoever gives a bucket a name that S3 does not allow what comes of it: the name is good here, and nothing else says so
// before a client refuses it.
func (a bucketVerbs) noteS3Name(b api.Bck) {
	if b.Namespace.Name != "" || a.out.JSON || s3.CheckBucketName(b.Name) == nil {
		return
	}
	a.out.Notef("note: some S3 clients refuse the name %s: S3's rules are 3 to 63 lower-case letters, digits, '-' and '.'", b.Name)
}

func (a bucketVerbs) removeBuckets(c *cli.Context) error {
	bcks, err := bucketArgs(c)
	if err != nil {
		return err
	}
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	for _, b := range bcks { // before anything is removed
		if _, err := sdk.BucketOf(b).Props(c.Context); err != nil && !(errs.Is(err, errs.NoBucket, errs.NotFound) && c.Bool("missing-ok")) {
			return err
		}
	}
	if !a.out.Yes {
		var names []string
		for _, b := range bcks {
			names = append(names, b.String())
		}
		them := "it"
		if len(names) > 1 {
			them = "them"
		}
		if err := a.out.Confirm(c.Context, "Remove %s and everything in %s?", strings.Join(names, ", "), them); err != nil {
			return err
		}
	}
	removed := []string{}
	for _, b := range bcks {
		err := sdk.BucketOf(b).Destroy(c.Context)
		if errs.Is(err, errs.NoBucket, errs.NotFound) && c.Bool("missing-ok") {
			continue
		}
		if err != nil {
			return err
		}
		removed = append(removed, b.String())
		a.out.Printf("rm: %s", b)
	}
	if a.out.JSON {
		return a.out.Value(map[string]any{"removed": removed})
	}
	return nil
}

func (a bucketVerbs) propsCommand() *cli.Command {
	return &cli.Command{
		Name: "props", Usage: "show and change the properties of a bucket",
		Subcommands: []*cli.Command{
			a.verb(&cli.Command{Name: "show", Usage: "show all properties, or one", ArgsUsage: "ais://BUCKET [PROPERTY]", Flags: []cli.Flag{a.headersFlag()}, Action: a.showProps}, argBucket, argPropName),
			a.verb(&cli.Command{
				Name: "set", Usage: "change properties", ArgsUsage: "ais://BUCKET PROPERTY=VALUE ...", Description: propHelp(), Action: a.setProps,
			}, argBucket, argProp),
			a.verb(&cli.Command{Name: "reset", Usage: "give every property its default", ArgsUsage: "ais://BUCKET ...", Action: a.resetProps}, argBucket),
		},
	}
}

// bucketPropsJSON is how --json shows a bucket: the API's properties and the name.
type bucketPropsJSON struct {
	URI string `json:"uri"`
	api.BucketProps
}

// bucketID writes the hexadecimal id of the API as logs and offline tools do.
func bucketID(hex string) string {
	n, err := strconv.ParseUint(hex, 16, 64)
	if err != nil {
		return hex
	}
	return "b" + strconv.FormatUint(n, 10)
}

func (a bucketVerbs) showProps(c *cli.Context) error {
	if err := count(c, 1, 2); err != nil {
		return err
	}
	b, err := uri.ParseBucket(c.Args().First())
	if err != nil {
		return err
	}
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	p, err := sdk.BucketOf(b).Props(c.Context)
	if err != nil {
		return err
	}
	rows := [][2]string{
		{"name", b.String()}, {"created", stamp(time.Unix(0, p.Created))}, {"id", bucketID(p.BID)}, {"placement-seed", strconv.FormatUint(p.Seed, 16)},
		{"checksum.type", p.Checksum.Type.String()}, {"checksum.validate_warm_get", strconv.FormatBool(p.Checksum.ValidateWarmGet)},
		{"durability", string(p.Durability)}, {"versioning.enabled", strconv.FormatBool(p.Versioning.Enabled)},
		{"stale_reads", strconv.FormatBool(p.StaleReads)}, {"s3.multi_range", strconv.FormatBool(p.S3.MultiRange)}, {"owner", p.Owner},
	}
	if c.NArg() == 2 {
		for _, r := range rows {
			if r[0] != c.Args().Get(1) {
				continue
			}
			if a.out.JSON {
				return a.out.Value(r[1])
			}
			a.out.Printf("%s", r[1])
			return nil
		}
		var names []string
		for _, r := range rows {
			names = append(names, r[0])
		}
		return usageError("a bucket has no property %q: use %s", c.Args().Get(1), strings.Join(names, ", "))
	}
	if a.out.JSON {
		return a.out.Value(bucketPropsJSON{b.String(), *p})
	}
	return a.properties(rows)
}

func (a bucketVerbs) setProps(c *cli.Context) error {
	if err := count(c, 2, -1); err != nil {
		return err
	}
	b, err := uri.ParseBucket(c.Args().First())
	if err != nil {
		return err
	}
	props, err := propPairs(fullName(c), c.Args().Tail())
	if err != nil {
		return err
	}
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	if err := sdk.BucketOf(b).SetProps(c.Context, props); err != nil {
		return err
	}
	if a.out.JSON {
		return a.out.Value(map[string]any{"uri": b.String(), "set": props})
	}
	var names []string
	for k, v := range props {
		names = append(names, k+"="+v)
	}
	sort.Strings(names)
	a.out.Printf("props set: %s %s", b, strings.Join(names, " "))
	return nil
}

func (a bucketVerbs) resetProps(c *cli.Context) error {
	bcks, err := bucketArgs(c)
	if err != nil {
		return err
	}
	for _, arg := range c.Args().Tail() { // a bucket of that name is written ais://NAME
		if slices.ContainsFunc(api.PropNames(), func(p api.PropInfo) bool { return p.Name == arg }) {
			return usageError("%s resets all properties of a bucket, not only %s: `ais bucket props set %s %s=VALUE` changes one", fullName(c), arg, bcks[0], arg)
		}
	}
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	for _, b := range bcks { // before anything is reset
		if _, err := sdk.BucketOf(b).Props(c.Context); err != nil {
			return err
		}
	}
	for _, b := range bcks {
		if err := sdk.BucketOf(b).ResetProps(c.Context); err != nil {
			return err
		}
		a.out.Printf("props reset: %s", b)
	}
	if a.out.JSON {
		return a.out.Value(map[string]any{"reset": c.Args().Slice()})
	}
	return nil
}

func (a bucketVerbs) summaryCommand() *cli.Command {
	return a.verb(&cli.Command{
		Name: "summary", Usage: "count the objects and bytes of buckets", ArgsUsage: "[ais://BUCKET[/PREFIX] ...]",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "prefix", Usage: "only objects whose names begin with `PREFIX`"}, a.headersFlag(), a.unitsFlag(),
		},
		Action: a.summary,
	}, argObject)
}

// summaryJSON is how --json shows a bucket's summary.
type summaryJSON struct {
	URI     string `json:"uri"`
	Prefix  string `json:"prefix,omitempty"`
	Objects uint64 `json:"objects"`
	Bytes   uint64 `json:"bytes"`
	OnDisk  uint64 `json:"size_on_disk"`
	UsedPct uint64 `json:"used_pct"`
}

func (a bucketVerbs) summary(c *cli.Context) error {
	var of []uri.URI
	for _, arg := range c.Args().Slice() {
		if !uri.Is(arg) {
			arg = "ais://" + arg
		}
		u, err := uri.Parse(arg)
		if err != nil {
			return err
		}
		u.Key += c.String("prefix")
		of = append(of, u)
	}
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	if len(of) == 0 {
		for _, b := range a.view.Buckets.List() {
			of = append(of, uri.URI{Bck: api.BckOf(b), Key: c.String("prefix")})
		}
	}
	all := make([]summaryJSON, 0, len(of))
	for _, u := range of {
		s, err := sdk.BucketOf(u.Bck).Summary(c.Context, u.Key)
		if err != nil {
			return err
		}
		all = append(all, summaryJSON{u.Bck.String(), u.Key, s.ObjCount.Present, s.TotalSize.Present, s.TotalSize.OnDisk, s.UsedPct})
	}
	if a.out.JSON {
		return a.out.Value(all)
	}
	t := a.out.NewTable(term.Columns("NAME", "OBJECTS>", "SIZE>", "ON DISK>", "USED>")...)
	for _, s := range all {
		name := s.URI
		if s.Prefix != "" {
			name += "/" + s.Prefix
		}
		if err := t.Add(name, term.Count(int64(s.Objects)), a.out.Units.Bytes(int64(s.Bytes)), a.out.Units.Bytes(int64(s.OnDisk)), strconv.FormatUint(s.UsedPct, 10)+"%"); err != nil {
			return err
		}
	}
	return t.Flush()
}

func (a bucketVerbs) copyBucket(c *cli.Context) error {
	if err := count(c, 2, 2); err != nil {
		return err
	}
	from, err := uri.ParseBucket(c.Args().Get(0))
	if err != nil {
		return err
	}
	arg := c.Args().Get(1)
	if !uri.Is(arg) {
		arg = "ais://" + arg
	}
	to, err := uri.Parse(arg)
	if err != nil {
		return err
	}
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	return objectVerbs{a.app}.copyMany(c, sdk, &selection{bck: from, all: true, prefix: c.String("prefix")}, to)
}

func (a bucketVerbs) renameBucket(c *cli.Context, from, to api.Bck) error {
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	job, err := sdk.BucketOf(from).RenameBucket(c.Context, sdk.BucketOf(to))
	if err != nil {
		return err
	}
	if err := job.Wait(c.Context); err != nil {
		return err
	}
	if err := a.movedTo("mv", uri.URI{Bck: from}, uri.URI{Bck: to}); err != nil {
		return err
	}
	a.noteS3Name(to)
	return nil
}
