package command

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"aistore/api"
	"aistore/api/client"
	"aistore/cmd/ais/term"
	"aistore/cmd/ais/uri"
)

func (a objectVerbs) listCommand() *cli.Command {
	return a.verb(&cli.Command{
		Name: "ls", Usage: "list buckets, or the objects of a bucket", ArgsUsage: "[ais://BUCKET[/PREFIX]]",
		Description: "ais ls                                   lists the buckets\n" +
			"ais ls ais://b                           lists all objects of b, in byte order of their names\n" +
			"ais ls ais://b/dir/ --non-recursive      lists what is in dir, as directories are listed\n" +
			"ais ls ais://b --props name,size,checksum --limit 10\n" +
			"Properties: " + strings.Join(listable(), ", ") + ", or all.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "prefix", Usage: "only names that begin with `PREFIX`"},
			&cli.StringFlag{Name: "props", Usage: "comma-separated `PROPERTIES` to show", DefaultText: "name,size"},
			&cli.BoolFlag{Name: "all", Usage: "show all properties", DisableDefaultText: true},
			&cli.BoolFlag{Name: "name-only", Usage: "show names alone, which is cheapest", DisableDefaultText: true},
			&cli.BoolFlag{Name: "non-recursive", Aliases: []string{"nr"}, Usage: "group names at the next / after the prefix", DisableDefaultText: true},
			&cli.StringFlag{Name: "start-after", Usage: "only names greater than `NAME`"},
			&cli.StringFlag{Name: "limit", Usage: "stop after `N` names", DefaultText: "none"},
			&cli.StringFlag{Name: "page-size", Usage: "ask for `N` names at a time", DefaultText: "the cluster's"},
			&cli.BoolFlag{Name: "count-only", Usage: "print the number of objects and their bytes alone", DisableDefaultText: true},
			a.headersFlag(), a.unitsFlag(),
		},
		Action: a.list,
	}, argObject)
}

// column is a property of a listing.
type column struct {
	prop, head string
	value      func(a objectVerbs, e *api.ListEntry) string
}

func columns() []column {
	return []column{
		{api.PropName, "NAME", func(_ objectVerbs, e *api.ListEntry) string { return e.Name }},
		{api.PropSize, "SIZE>", func(a objectVerbs, e *api.ListEntry) string {
			if e.IsDir() {
				return ""
			}
			return a.out.Units.Bytes(e.Size)
		}},
		{api.PropChecksum, "CHECKSUM", func(_ objectVerbs, e *api.ListEntry) string { return e.Checksum }},
		{api.PropAtime, "ATIME", func(_ objectVerbs, e *api.ListEntry) string { return e.Atime }},
		{api.PropVersion, "VERSION", func(_ objectVerbs, e *api.ListEntry) string { return e.Version }},
		{api.PropLocation, "LOCATION", func(_ objectVerbs, e *api.ListEntry) string { return e.Location }},
		{api.PropCustom, "CUSTOM", func(_ objectVerbs, e *api.ListEntry) string { return e.Custom }},
	}
}

func listable() []string {
	var names []string
	for _, c := range columns() {
		names = append(names, c.prop)
	}
	return names
}

func (a objectVerbs) list(c *cli.Context) error {
	if err := count(c, 0, 1); err != nil {
		return err
	}
	if c.NArg() == 0 {
		for _, name := range []string{"prefix", "props", "all", "non-recursive", "start-after", "limit", "page-size", "count-only"} {
			if c.IsSet(name) {
				return usageError("--%s is about the objects of a bucket: name it, as ais://BUCKET; without one %s lists the buckets", name, fullName(c))
			}
		}
		return bucketVerbs{a.app}.listBuckets(c)
	}
	arg := c.Args().First()
	if !uri.Is(arg) {
		arg = "ais://" + arg
	}
	u, err := uri.Parse(arg)
	if err != nil {
		return err
	}
	if u.Key != "" && c.IsSet("prefix") {
		return usageError("%s has a prefix already: leave --prefix out", arg)
	}
	cols, o, err := listOptions(c, u.Key)
	if err != nil {
		return err
	}
	limit := int64(-1)
	if c.IsSet("limit") {
		if limit, err = parseInt("--limit", c.String("limit")); err != nil {
			return err
		}
		if limit > 0 && (o.PageSize == 0 || int64(o.PageSize) > limit) {
			o.PageSize = int(min(limit, 1000))
		}
	}
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	b := sdk.BucketOf(u.Bck)
	if c.Bool("count-only") {
		return a.countObjects(c.Context, b, o, limit)
	}
	return a.listObjects(c.Context, b, o, cols, limit)
}

// listOptions reads the options of ls and chooses the columns.
func listOptions(c *cli.Context, prefix string) ([]column, client.ListOptions, error) {
	o := client.ListOptions{Prefix: prefix + c.String("prefix"), StartAfter: c.String("start-after"), NameOnly: c.Bool("name-only")}
	if c.Bool("non-recursive") {
		o.Delimiter = "/"
	}
	if c.IsSet("page-size") {
		n, err := parseInt("--page-size", c.String("page-size"))
		if err != nil {
			return nil, o, err
		}
		o.PageSize = int(n)
	}
	wanted := uri.List(c.String("props"))
	switch {
	case c.Bool("name-only"):
		wanted = []string{api.PropName}
	case c.Bool("all") || len(wanted) == 1 && wanted[0] == "all":
		wanted = listable()
	case len(wanted) == 0:
		wanted = []string{api.PropName, api.PropSize}
	}
	var cols []column
	for _, w := range wanted {
		found := false
		for _, known := range columns() {
			if known.prop == w {
				cols, found = append(cols, known), true
			}
		}
		if !found {
			return nil, o, usageError("--props: %q is unknown: use %s, or all", w, strings.Join(listable(), ", "))
		}
	}
	if wanted[0] != api.PropName {
		cols = append([]column{columns()[0]}, cols...)
	}
	if !o.NameOnly {
		o.Props = wanted
	}
	return cols, o, nil
}

// entryJSON is how --json shows an entry of a listing.
type entryJSON struct {
	Name     string `json:"name"`
	Size     *int64 `json:"size,omitempty"` // not of directories, and only where it is listed
	Dir      bool   `json:"dir,omitempty"`
	Checksum string `json:"checksum,omitempty"`
	Atime    string `json:"atime,omitempty"`
	Version  string `json:"version,omitempty"`
	Location string `json:"location,omitempty"`
	Custom   string `json:"custom,omitempty"`
}

// entryOf shows the size only where it was asked for: else it is not known, and 0.
func entryOf(e *api.ListEntry, o *client.ListOptions) entryJSON {
	j := entryJSON{Name: e.Name, Dir: e.IsDir(), Checksum: e.Checksum, Atime: e.Atime, Version: e.Version, Location: e.Location, Custom: e.Custom}
	if !j.Dir && slices.Contains(o.Props, api.PropSize) {
		j.Size = &e.Size
	}
	return j
}

// listObjects prints entries as they come.
func (a objectVerbs) listObjects(ctx context.Context, b *client.Bucket, o client.ListOptions, cols []column, limit int64) error {
	var heads []string
	for _, col := range cols {
		heads = append(heads, col.head)
	}
	t := a.out.NewTable(term.Columns(heads...)...)
	add, end := a.out.Array()
	show := func(e *api.ListEntry) error {
		if a.out.JSON {
			return add(entryOf(e, &o))
		}
		cells := make([]term.Cell, len(cols))
		for i, col := range cols {
			cells[i].Text = col.value(a, e)
			if e.IsDir() {
				cells[i].Style = term.Bold
			}
		}
		return t.AddCells(cells...)
	}
	if limit != 0 {
		n := int64(0)
		for e, err := range b.List(ctx, o) {
			if err != nil {
				if n > 0 {
					_ = t.Flush() // what came before the error is worth seeing
				}
				return err
			}
			if err := show(e); err != nil {
				return err
			}
			if n++; n == limit {
				break
			}
		}
	}
	if a.out.JSON {
		return end()
	}
	return t.Flush()
}

// countObjects counts up to limit objects, all if it is negative. It needs their sizes, whatever would be shown of them.
func (a objectVerbs) countObjects(ctx context.Context, b *client.Bucket, o client.ListOptions, limit int64) error {
	var objects, bytes int64
	o.NameOnly, o.Props = false, []string{api.PropName, api.PropSize}
	for e, err := range b.List(ctx, o) {
		if err != nil {
			return err
		}
		if limit >= 0 && objects == limit {
			break
		}
		if !e.IsDir() {
			objects++
			bytes += e.Size
		}
	}
	if a.out.JSON {
		return a.out.Value(map[string]int64{"objects": objects, "bytes": bytes})
	}
	a.out.Printf("%s, %s", term.Plural(objects, "object"), a.out.Units.Bytes(bytes))
	return nil
}

// bucketJSON is how --json shows a bucket in a listing.
type bucketJSON struct {
	Name      string    `json:"name"`
	Namespace string    `json:"namespace,omitempty"`
	URI       string    `json:"uri"`
	Created   time.Time `json:"created,omitzero"`
}

func (a bucketVerbs) listBuckets(c *cli.Context) error {
	if _, err := a.connect(c.Context); err != nil {
		return err
	}
	if a.out.JSON {
		add, end := a.out.Array()
		for _, b := range a.view.Buckets.List() {
			if err := add(bucketJSON{b.Name, b.Namespace, b.String(), b.Created.UTC()}); err != nil {
				return err
			}
		}
		return end()
	}
	heads := []string{"NAME", "CREATED", "CHECKSUM", "DURABILITY"}
	if c.Bool("name-only") {
		heads = heads[:1]
	}
	t := a.out.NewTable(term.Columns(heads...)...)
	for _, b := range a.view.Buckets.List() {
		cells := []string{b.String(), stamp(b.Created), b.Props.Checksum.String(), string(b.Props.Durability)}
		if err := t.Add(cells[:len(heads)]...); err != nil {
			return err
		}
	}
	return t.Flush()
}
