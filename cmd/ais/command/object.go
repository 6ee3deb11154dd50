package command

import (
	"context"
	"io"
	"path"
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
)

// objectVerbs work on objects.
type objectVerbs struct{ *app }

// commands are at the top level and again below `ais object`.
func (a objectVerbs) commands() []*cli.Command {
	return []*cli.Command{
		a.putCommand(), a.getCommand(), a.listCommand(), a.removeCommand(), a.copyCommand(), a.moveCommand(),
		a.verb(&cli.Command{
			Name: "cat", Usage: "write objects to standard output", ArgsUsage: "ais://BUCKET/OBJECT ...",
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "offset", Usage: "`BYTES` to skip; negative counts from the end", DefaultText: "0"},
				&cli.StringFlag{Name: "length", Usage: "`BYTES` to read", DefaultText: "all that follow"},
			},
			Action: a.cat,
		}, argObject),
		a.verb(&cli.Command{
			Name: "set-custom", Usage: "add user metadata to an object", ArgsUsage: "ais://BUCKET/OBJECT KEY=VALUE ...",
			Flags:  []cli.Flag{&cli.BoolFlag{Name: "replace", Usage: "drop all user metadata there was; KEY=VALUE may be left out then", DisableDefaultText: true}},
			Action: a.setCustom,
		}, argObject, argAny),
	}
}

func (a *app) yesFlag() cli.Flag {
	return &cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask", Destination: &a.out.Yes, DisableDefaultText: true}
}

func (a *app) unitsFlag() cli.Flag {
	return &cli.StringFlag{Name: "units", Usage: "write sizes in `UNITS`: iec (KiB), si (KB) or raw (bytes)", DefaultText: "iec",
		Action: func(_ *cli.Context, s string) (err error) {
			a.out.Units, err = term.ParseUnits(s)
			return err
		}}
}

func (a *app) headersFlag() cli.Flag {
	return &cli.BoolFlag{Name: "no-headers", Aliases: []string{"H"}, Usage: "leave the first line of tables out", Destination: &a.out.NoHeaders, DisableDefaultText: true}
}

// objectJSON is how --json shows one object.
type objectJSON struct {
	Bucket     string            `json:"bucket"`
	Name       string            `json:"name"`
	Size       int64             `json:"size"`
	Version    string            `json:"version,omitempty"`
	Checksum   *checksumJSON     `json:"checksum,omitempty"`
	ETag       string            `json:"etag,omitempty"`
	Modified   time.Time         `json:"last_modified,omitzero"`
	Accessed   time.Time         `json:"atime,omitzero"`
	Location   string            `json:"location,omitempty"`
	Durability string            `json:"durability,omitempty"`
	Custom     map[string]string `json:"custom,omitempty"`
	Headers    map[string]string `json:"headers,omitempty"`
}

type checksumJSON struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

func objectOf(b api.Bck, i *client.Info) objectJSON {
	o := objectJSON{
		Bucket: b.String(), Name: i.Key, Size: i.Size, ETag: i.ETag, Modified: i.Created, Accessed: i.Atime,
		Location: i.Location, Durability: string(i.Durability), Custom: i.Custom, Headers: i.System,
	}
	if !i.Version.IsZero() {
		o.Version = i.Version.String()
	}
	if i.Checksum.Value != "" {
		o.Checksum = &checksumJSON{i.Checksum.Type.String(), i.Checksum.Value}
	}
	return o
}

func (a objectVerbs) showObjectCommand(name string) *cli.Command {
	return a.verb(&cli.Command{
		Name: name, Usage: "show what is known of an object", ArgsUsage: "ais://BUCKET/OBJECT",
		Flags: []cli.Flag{a.headersFlag(), a.unitsFlag()}, Action: a.showObject,
	}, argObject)
}

func (a objectVerbs) showObject(c *cli.Context) error {
	if err := count(c, 1, 1); err != nil {
		return err
	}
	u, err := uri.ParseObject(c.Args().First())
	if err != nil {
		return err
	}
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	info, err := sdk.BucketOf(u.Bck).Head(c.Context, u.Key, client.GetOptions{})
	if err != nil {
		return err
	}
	o := objectOf(u.Bck, info)
	if a.out.JSON {
		return a.out.Value(o)
	}
	rows := [][2]string{
		{"name", u.String()}, {"size", a.out.Units.Bytes(o.Size)}, {"version", o.Version}, {"etag", o.ETag},
		{"last-modified", stamp(o.Modified)}, {"atime", stamp(o.Accessed)}, {"location", o.Location}, {"durability", o.Durability},
	}
	if o.Checksum != nil {
		rows = append(rows, [2]string{"checksum", o.Checksum.Type + " " + o.Checksum.Value})
	}
	rows = append(rows, prefixed("header.", o.Headers)...)
	return a.properties(append(rows, prefixed("custom.", o.Custom)...))
}

// prefixed makes rows of a map, in order.
func prefixed(prefix string, m map[string]string) [][2]string {
	var rows [][2]string
	for k, v := range m {
		rows = append(rows, [2]string{prefix + k, v})
	}
	sort.Slice(rows, func(i, j int) bool { return rows[i][0] < rows[j][0] })
	return rows
}

// properties prints a table of names and values; empty values are left out.
func (a *app) properties(rows [][2]string) error {
	t := a.out.NewTable(term.Columns("PROPERTY", "VALUE")...)
	for _, r := range rows {
		if r[1] == "" {
			continue
		}
		if err := t.Add(r[0], r[1]); err != nil {
			return err
		}
	}
	return t.Flush()
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

func (a objectVerbs) cat(c *cli.Context) error {
	if err := count(c, 1, -1); err != nil {
		return err
	}
	s, err := spanOf(c)
	if err != nil {
		return err
	}
	var objects []uri.URI
	for _, arg := range c.Args().Slice() {
		u, err := uri.ParseObject(arg)
		if err != nil {
			return err
		}
		objects = append(objects, u)
	}
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	for _, u := range objects {
		d := &download{a: a.app, from: u, bucket: sdk.BucketOf(u.Bck), span: s}
		if err := d.cat(c.Context, u.Key); err != nil {
			return err
		}
	}
	return nil
}

func (d *download) cat(ctx context.Context, key string) error {
	r, err := d.open(ctx, key)
	if errs.Is(err, errs.NotFound) && uri.HasRange(key) {
		return errs.F("", d.from.String(), errs.NotFound, "object does not exist: names are taken as they are; `ais get '%s' - -y` reads what a range stands for", d.from)
	}
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(d.a.out.Stdout(), r)
	return err
}

func (a objectVerbs) setCustom(c *cli.Context) error {
	least := 2
	if c.Bool("replace") {
		least = 1 // by nothing
	}
	if err := count(c, least, -1); err != nil {
		return err
	}
	u, err := uri.ParseObject(c.Args().First())
	if err != nil {
		return err
	}
	custom, err := pairs(fullName(c), c.Args().Tail())
	if err != nil {
		return err
	}
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	set := sdk.BucketOf(u.Bck).SetCustom
	if c.Bool("replace") {
		set = sdk.BucketOf(u.Bck).ReplaceCustom
		if custom == nil {
			custom = map[string]string{}
		}
	}
	if err := set(c.Context, u.Key, custom); err != nil {
		return err
	}
	if a.out.JSON {
		return a.out.Value(map[string]any{"object": u.String(), "custom": custom})
	}
	a.out.Printf("set-custom: %s (%s)", term.Printable(u.String()), term.Plural(int64(len(custom)), "value"))
	return nil
}

func (a objectVerbs) removeCommand() *cli.Command {
	return a.verb(&cli.Command{
		Name: "rm", Aliases: []string{"del"}, Usage: "delete objects", ArgsUsage: "ais://BUCKET[/OBJECT] ...",
		Description: "ais rm ais://b/x ais://b/y          deletes two objects, each of which must be there; --list x,y does the same\n" +
			"ais rm ais://b --prefix dir/ -y     deletes all that begin with dir/\n" +
			"ais rm 'ais://b/a-{000..127}.tar'   deletes those that exist of the 128\n" +
			"ais rm ais://b --all -y             empties the bucket\n" +
			"Buckets are removed by `ais bucket rm`.",
		Flags:  append(selectionFlags(), a.yesFlag()),
		Action: a.remove,
	}, argObject)
}

func (a objectVerbs) remove(c *cli.Context) error {
	if err := count(c, 1, -1); err != nil {
		return err
	}
	sel, err := selectionOf(c, c.Args().Slice())
	if err != nil {
		return err
	}
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	b := sdk.BucketOf(sel.bck)
	if sel.template == "" && !sel.all && !sel.listed {
		return a.removeEach(c.Context, b, sel.keys)
	}
	var total term.Transfer
	if !a.out.Yes {
		if total, err = sel.count(c.Context, b); err != nil {
			return err
		}
	}
	if err := a.out.Confirm(c.Context, "Delete %s from %s?", term.Plural(total.Objects, "object"), sel); err != nil {
		return err
	}
	if sel.listed {
		return a.removeEach(c.Context, b, sel.keys)
	}
	deleted, err := a.removeMany(c.Context, b, sel)
	if err != nil {
		return err
	}
	if deleted == 0 && sel.template != "" {
		return errs.F("", sel.String(), errs.NotFound, "matches no object; --list takes names literally, braces included")
	}
	if a.out.JSON {
		return a.out.Value(map[string]any{"verb": "rm", "bucket": sel.bck.String(), "objects": deleted})
	}
	a.out.Printf("rm: %s of %s", term.Plural(deleted, "object"), sel)
	return nil
}

// removeEach deletes objects that were named one by one: each must exist.
func (a objectVerbs) removeEach(ctx context.Context, b *client.Bucket, keys []string) error {
	t := &transfer{
		a: a.app, verb: "rm", workers: 16, progress: a.out.StartProgress(ctx, term.Transfer{Objects: int64(len(keys))}),
		name: func(it item) string { return b.String() + "/" + it.key },
		do: func(ctx context.Context, it item, _ []byte) error {
			return b.Delete(ctx, it.key, client.DeleteOptions{})
		},
	}
	if len(keys) == 1 { // its error is the command's
		if err := t.do(ctx, item{key: keys[0]}, nil); err != nil {
			return err
		}
		t.progress.AddObject()
		return t.finish(nil, "of "+b.String())
	}
	err := t.run(ctx, func(_ context.Context, yield func(item) bool) error {
		for _, k := range keys {
			if !yield(item{key: k}) {
				break
			}
		}
		return nil
	})
	t.progress.Done()
	return t.finish(err, "of "+b.String())
}

// removeMany leaves the work to a job of the cluster. A prefix that the job would take for a template is listed here.
func (a objectVerbs) removeMany(ctx context.Context, b *client.Bucket, sel *selection) (int64, error) {
	if sel.template != "" {
		return a.runJob(ctx, "rm", func() (*client.Job, error) { return b.DeleteObjects(ctx, api.ObjectSelection{Template: sel.template}) })
	}
	if sel.all && !strings.ContainsAny(sel.prefix, "{}") && !strings.HasSuffix(sel.prefix, "*") {
		return a.runJob(ctx, "rm", func() (*client.Job, error) { return b.DeletePrefix(ctx, sel.prefix) })
	}
	const batch = 10_000
	var names []string
	var deleted int64
	flush := func() error {
		n, err := a.runJob(ctx, "rm", func() (*client.Job, error) { return b.DeleteObjects(ctx, api.ObjectSelection{Names: names}) })
		deleted, names = deleted+n, names[:0]
		return err
	}
	var ferr error
	err := sel.each(ctx, b, func(key string, _ int64) bool {
		if names = append(names, key); len(names) == batch {
			ferr = flush()
		}
		return ferr == nil
	})
	if err == nil {
		err = ferr
	}
	if err == nil && len(names) > 0 {
		err = flush()
	}
	return deleted, err
}

func (a objectVerbs) moveCommand() *cli.Command {
	return a.verb(&cli.Command{
		Name: "mv", Usage: "rename an object or a bucket", ArgsUsage: "ais://BUCKET[/OBJECT] ais://BUCKET[/OBJECT]",
		Description: "ais mv ais://b/x ais://b/dir/   renames x to dir/x\n" +
			"ais mv ais://b ais://c          renames the bucket; no object moves\n" +
			"An object that goes to another bucket is copied and then deleted, unless it was changed meanwhile.",
		Action: a.move,
	}, argObject)
}

func (a objectVerbs) move(c *cli.Context) error {
	if err := count(c, 2, 2); err != nil {
		return err
	}
	var ends [2]uri.URI
	for i, arg := range c.Args().Slice() {
		u, err := uri.Parse(arg)
		if err != nil {
			return err
		}
		ends[i] = u
	}
	from, to := ends[0], ends[1]
	if from.Key == "" && to.Key == "" {
		return bucketVerbs{a.app}.renameBucket(c, from.Bck, to.Bck)
	}
	if from.Key == "" {
		return usageError("%s is a bucket and %s an object's name: name two buckets or two objects", from, to)
	}
	to = landing(from, to)
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	b := sdk.BucketOf(from.Bck)
	if from.Bck == to.Bck {
		err = b.Rename(c.Context, from.Key, to.Key)
	} else {
		err = moveAcross(c.Context, b, from.Key, sdk.BucketOf(to.Bck), to.Key)
	}
	if err != nil {
		return err
	}
	return a.movedTo("mv", from, to)
}

func (a *app) movedTo(verb string, from, to uri.URI) error {
	if a.out.JSON {
		return a.out.Value(map[string]string{"verb": verb, "from": from.String(), "to": to.String()})
	}
	a.out.Printf("%s: %s to %s", verb, term.Printable(from.String()), term.Printable(to.String()))
	return nil
}

// landing completes a destination: a bucket keeps the object's name, "dir/" its last part.
func landing(from, to uri.URI) uri.URI {
	if to.Key == "" {
		return to.With(from.Key)
	}
	if strings.HasSuffix(to.Key, "/") {
		return to.With(to.Key + path.Base(from.Key))
	}
	return to
}

// moveAcross copies and deletes; the deletion is bound to the version that was copied.
func moveAcross(ctx context.Context, b *client.Bucket, key string, to *client.Bucket, toKey string) error {
	info, err := b.Head(ctx, key, client.GetOptions{})
	if err != nil {
		return err
	}
	if err := b.Copy(ctx, key, to, toKey); err != nil {
		return err
	}
	err = b.Delete(ctx, key, client.DeleteOptions{If: client.Conditions{IfMatch: []string{info.ETag}}})
	if errs.Is(err, errs.Precondition) {
		return errs.F("", b.String()+"/"+key, errs.Conflict, "was changed while it was copied: both %s/%s and the original are there now", to, toKey)
	}
	return err
}

func parseInt(field, s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, usageError("%s: %q is no number", field, s)
	}
	if n < 0 {
		return 0, usageError("%s: %d must be >= 0", field, n)
	}
	return n, nil
}
