package command

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"aistore/cluster"
	"aistore/cmd/ais/term"
	"aistore/cmd/ais/tree"
	"aistore/errs"
	"aistore/object"
	"aistore/store"
)

// offlineVerbs are `ais advanced store`: they read the mountpath of a node that is stopped, without any cluster. Nodes run on Linux alone.
type offlineVerbs struct{ *app }

// offlineCommands are the tools for mountpaths.
func offlineCommands(a *app) []*cli.Command { return []*cli.Command{offlineVerbs{a}.command()} }

func (a offlineVerbs) command() *cli.Command {
	flags := func(more ...cli.Flag) []cli.Flag {
		return append([]cli.Flag{
			&cli.StringFlag{Name: "mountpath", Usage: "`DIR` of the mountpath"},
			&cli.StringFlag{Name: "view", Usage: "`FILE` view.json of the node, to show buckets by their names instead of their ids"},
		}, more...)
	}
	prefix := &cli.StringFlag{Name: "prefix", Usage: "only names that begin with `PREFIX`"}
	bucket := &cli.StringFlag{Name: "bucket", Usage: "only `BUCKET`: its id, such as b7, or with --view its name"}
	return &cli.Command{
		Name: "store", Usage: "read, check and repair a mountpath while its node is stopped",
		Description: "Objects are named BUCKET/NAME where BUCKET is the bucket's id, such as b7: `ais show cluster bmd` shows it, and the\n" +
			"file view.json in the node's directory has it too (--view). Nothing but rebuild-index changes the mountpath.",
		Subcommands: []*cli.Command{
			a.localVerb(&cli.Command{Name: "ls", Usage: "list the objects of a mountpath", Description: "Goes on behind places at which the index is damaged. Exit code 8 if there are any: objects there are left out.", Flags: flags(bucket, prefix,
				&cli.StringFlag{Name: "limit", Usage: "stop after `N` names", DefaultText: "none"}, a.headersFlag(), a.unitsFlag()), Action: a.list}),
			a.localVerb(&cli.Command{Name: "get", Usage: "read an object, or all of them below a directory", ArgsUsage: "BUCKET/NAME [FILE|-], or --all DIRECTORY",
				Flags: flags(bucket, prefix, &cli.BoolFlag{Name: "all", Usage: "read all objects to DIRECTORY/BUCKET/NAME", DisableDefaultText: true}, a.unitsFlag()), Action: a.get}, argAny, argPath),
			a.localVerb(&cli.Command{Name: "check", Usage: "verify every record and every byte of a mountpath",
				Description: "Exit code 8 if bytes of an object cannot be given back. Other faults cost space only.", Flags: flags(a.unitsFlag()), Action: a.check}),
			a.localVerb(&cli.Command{Name: "rebuild-index", Usage: "make a new index from what is left of the old one and from the blobs",
				Description: "The old index is kept aside. Objects that were inside the index and cannot be read from it are lost.", Flags: flags(a.yesFlag()), Action: a.rebuild}),
		},
	}
}

// offline is a mountpath with the names of its buckets, as far as they are known.
type offline struct {
	*store.Offline
	names map[uint64]string
}

func (a offlineVerbs) open(c *cli.Context) (*offline, error) {
	if c.String("mountpath") == "" {
		return nil, usageError("name the mountpath: --mountpath DIR")
	}
	names, err := bucketNames(c.String("view"))
	if err != nil {
		return nil, err
	}
	o, err := store.OpenOffline(c.Context, store.OfflineConfig{Mountpath: c.String("mountpath")})
	if err != nil {
		return nil, stopFirst(c, err)
	}
	return &offline{o, names}, nil
}

// stopFirst says what to do about a mountpath in use.
func stopFirst(c *cli.Context, err error) error {
	if errs.Is(err, errs.Conflict) {
		return errs.F("", c.String("mountpath"), errs.Conflict, "a node runs on this mountpath: stop the node first (%s)", message(err))
	}
	return err
}

// bucketNames reads a node's view.json; none if path is empty.
func bucketNames(path string) (map[uint64]string, error) {
	if path == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, errs.E("", path, err)
	}
	v, err := cluster.DecodeView(raw)
	if err != nil {
		return nil, errs.F("", path, errs.Invalid, "is not the view.json of a node: %w", err)
	}
	names := map[uint64]string{}
	for _, b := range v.Buckets.Buckets {
		names[b.ID] = b.Name
		if b.Namespace != "" {
			names[b.ID] = "#" + b.Namespace + "/" + b.Name
		}
	}
	return names, nil
}

// bucketName is how a bucket is written: its name where it is known, else its id.
func (o *offline) bucketName(id uint64) string {
	if n := o.names[id]; n != "" {
		return "ais://" + n
	}
	return "b" + strconv.FormatUint(id, 10)
}

// bucketID reads what bucketName writes.
func (o *offline) bucketID(s string) (uint64, error) {
	s = strings.TrimPrefix(s, "ais://")
	for id, n := range o.names {
		if n == s {
			return id, nil
		}
	}
	if id, err := strconv.ParseUint(strings.TrimPrefix(s, "b"), 10, 64); err == nil {
		return id, nil
	}
	return 0, usageError("%q is no bucket's id, such as b7 (names need --view)", s)
}

// each yields the objects that --bucket and --prefix select. Of what cannot be read it says so in the end.
func (o *offline) each(c *cli.Context, yield func(bucket uint64, i *object.Info) error) error {
	harm, places := "", 0
	damage := func(_ object.Name, err error) {
		if places++; harm == "" {
			harm, _, _ = strings.Cut(err.Error(), "\n") // pebble says it twice
		}
	}
	ids, err := o.Buckets(c.Context, damage)
	if err != nil {
		return err
	}
	seen := places // some of them come again
	places = 0
	if c.IsSet("bucket") {
		id, err := o.bucketID(c.String("bucket"))
		if err != nil {
			return err
		}
		ids = []uint64{id}
	}
	for _, id := range ids {
		var failed error
		err := o.List(c.Context, id, c.String("prefix"), func(i *object.Info) bool {
			failed = yield(id, i)
			return failed == nil
		}, damage)
		if failed != nil {
			return failed
		}
		if err != nil {
			return err
		}
	}
	if places = max(places, seen); places > 0 {
		return errs.F("", c.String("mountpath"), errs.Corrupt, "the index cannot be read in %s, and objects there are left out: %s; `ais advanced store check` tells more, and rebuild-index saves what it can",
			term.Plural(int64(places), "place"), harm)
	}
	return nil
}

// errEnough ends a listing early.
var errEnough = errs.E("", nil, errs.Canceled, "enough")

// offlineJSON is how --json shows an object of a mountpath.
type offlineJSON struct {
	Bucket   string            `json:"bucket"`
	ID       uint64            `json:"bucket_id"`
	Name     string            `json:"name"`
	Size     int64             `json:"size"`
	Version  string            `json:"version"`
	Checksum *checksumJSON     `json:"checksum,omitempty"`
	Custom   map[string]string `json:"custom,omitempty"`
}

func (a offlineVerbs) list(c *cli.Context) error {
	if err := count(c, 0, 0); err != nil {
		return err
	}
	limit := int64(-1)
	if c.IsSet("limit") {
		n, err := parseInt("--limit", c.String("limit"))
		if err != nil {
			return err
		}
		limit = n
	}
	o, err := a.open(c)
	if err != nil {
		return err
	}
	defer o.Close()
	t := a.out.NewTable(term.Columns("BUCKET", "NAME", "SIZE>", "VERSION", "CHECKSUM")...)
	add, end := a.out.Array()
	n := int64(0)
	err = o.each(c, func(id uint64, i *object.Info) error {
		if n++; limit >= 0 && n > limit {
			return errEnough
		}
		if a.out.JSON {
			j := offlineJSON{Bucket: o.bucketName(id), ID: id, Name: i.Key, Size: i.Size, Version: i.Version.String(), Custom: i.Custom}
			if i.Checksum.Value != "" {
				j.Checksum = &checksumJSON{i.Checksum.Type.String(), i.Checksum.Value}
			}
			return add(j)
		}
		return t.Add(o.bucketName(id), i.Key, a.out.Units.Bytes(i.Size), i.Version.String(), i.Checksum.String())
	})
	if err != nil && err != errEnough && !errs.Is(err, errs.Corrupt) { //nolint:errorlint // our own mark
		return err
	}
	damaged := err
	if a.out.JSON {
		err = end()
	} else {
		err = t.Flush()
	}
	if err == nil && errs.Is(damaged, errs.Corrupt) {
		err = damaged
	}
	return err
}

func (a offlineVerbs) get(c *cli.Context) error {
	if err := count(c, 1, 2); err != nil {
		return err
	}
	o, err := a.open(c)
	if err != nil {
		return err
	}
	defer o.Close()
	if c.Bool("all") {
		if err := count(c, 1, 1); err != nil {
			return err
		}
		return a.getAll(c, o, c.Args().First())
	}
	bucket, key, ok := strings.Cut(strings.TrimPrefix(c.Args().First(), "ais://"), "/")
	if !ok || key == "" {
		return usageError("%q is not BUCKET/NAME, such as b7/dir/x", c.Args().First())
	}
	id, err := o.bucketID(bucket)
	if err != nil {
		return err
	}
	to := c.Args().Get(1)
	if to == "" {
		if to = path.Base(key); tree.CheckRel(to) != nil {
			return usageError("%q makes no file name: name the file", key)
		}
	}
	n := object.Name{Bucket: id, Key: key}
	if to == "-" {
		_, err := o.copyTo(n, a.out.Stdout())
		return err
	}
	size, err := o.save(n, func() (*tree.Pending, error) { return tree.CreateFile(to) })
	if err != nil {
		return err
	}
	if a.out.JSON {
		return a.out.Value(map[string]any{"bucket_id": id, "name": key, "file": to, "bytes": size})
	}
	a.out.Printf("get: %s/%s (%s) to %s", o.bucketName(id), term.Printable(key), a.out.Units.Bytes(size), term.Printable(to))
	return nil
}

// copyTo writes the verified content of an object to w.
func (o *offline) copyTo(n object.Name, w io.Writer) (int64, error) {
	obj, err := o.Open(n)
	if err != nil {
		return 0, err
	}
	defer obj.Close()
	size := obj.Info().Size
	if size == 0 {
		return 0, nil
	}
	return size, obj.WriteSpan(w, object.Span{Length: size})
}

func (o *offline) save(n object.Name, create func() (*tree.Pending, error)) (int64, error) {
	f, err := create()
	if err != nil {
		return 0, err
	}
	size, err := o.copyTo(n, f)
	if err != nil {
		f.Drop()
		return 0, err
	}
	return size, f.Commit()
}

func (a offlineVerbs) getAll(c *cli.Context, o *offline, to string) error {
	dir, err := tree.OpenDir(to)
	if err != nil {
		return errs.E("", to, err)
	}
	defer dir.Close()
	progress := a.out.StartProgress(c.Context, term.Transfer{})
	t := &transfer{
		a: a.app, verb: "get", workers: 2, progress: progress,
		name: func(it item) string { return it.path },
		do: func(_ context.Context, it item, _ []byte) error {
			size, err := o.save(object.Name{Bucket: it.bucket, Key: it.key}, func() (*tree.Pending, error) { return dir.Create(it.path) })
			progress.AddBytes(size)
			return err
		},
	}
	err = t.run(c.Context, func(_ context.Context, yield func(item) bool) error {
		err := o.each(c, func(id uint64, i *object.Info) error {
			where := strings.TrimPrefix(o.bucketName(id), "ais://")
			if !yield(item{key: i.Key, path: where + "/" + i.Key, bucket: id}) {
				return errEnough
			}
			return nil
		})
		if err == errEnough { //nolint:errorlint // our own mark
			err = nil
		}
		return err
	})
	progress.Done()
	return t.finish(err, "from "+c.String("mountpath")+" to "+to)
}

// faultJSON is how --json shows a fault.
type faultJSON struct {
	Harmful bool   `json:"harmful"`
	Bucket  uint64 `json:"bucket_id,omitempty"`
	Name    string `json:"name,omitempty"`
	File    string `json:"file,omitempty"`
	What    string `json:"what"`
}

func faultOf(f store.Fault) faultJSON {
	return faultJSON{f.Harmful, f.Name.Bucket, f.Name.Key, f.File, f.What}
}

// sayFault prints a fault; names of buckets come from names.
func (a offlineVerbs) sayFault(o *offline, f store.Fault) {
	var about []string
	if f.Name.Key != "" {
		about = append(about, o.bucketName(f.Name.Bucket)+"/"+term.Printable(f.Name.Key))
	}
	if f.File != "" {
		about = append(about, f.File)
	}
	mark := a.out.Paint(term.Amber, "untidy: ")
	if f.Harmful {
		mark = a.out.Paint(term.Red, "damaged:")
	}
	a.out.Printf("%s %s: %s", mark, strings.Join(about, ", "), f.What)
}

func (a offlineVerbs) check(c *cli.Context) error {
	if err := count(c, 0, 0); err != nil {
		return err
	}
	o, err := a.open(c)
	if err != nil {
		return err
	}
	defer o.Close()
	faults := []faultJSON{}
	sum, err := o.Check(c.Context, func(f store.Fault) {
		faults = append(faults, faultOf(f))
		a.sayFault(o, f)
	})
	if err != nil {
		return err
	}
	if a.out.JSON {
		if err := a.out.Value(map[string]any{"summary": sum, "faults": faults}); err != nil {
			return err
		}
	}
	a.out.Printf("check: %s (%s) and %s read, %s, %s damaged", term.Plural(sum.Objects, "object"), a.out.Units.Bytes(sum.Bytes),
		term.Plural(sum.Blobs, "blob"), term.Plural(sum.Faults, "fault"), term.Count(sum.Harmful))
	if sum.Harmful > 0 {
		return errs.F("", c.String("mountpath"), errs.Corrupt, "bytes of objects cannot be given back (%s)", term.Plural(sum.Harmful, "fault"))
	}
	return nil
}

func (a offlineVerbs) rebuild(c *cli.Context) error {
	if err := count(c, 0, 0); err != nil {
		return err
	}
	if c.String("mountpath") == "" {
		return usageError("name the mountpath: --mountpath DIR")
	}
	names, err := bucketNames(c.String("view"))
	if err != nil {
		return err
	}
	if err := a.out.Confirm(c.Context, "Make a new index for %s? The old one is kept aside.", c.String("mountpath")); err != nil {
		return err
	}
	o := &offline{names: names}
	faults := []faultJSON{}
	sum, err := store.RebuildIndex(c.Context, store.OfflineConfig{Mountpath: c.String("mountpath")}, func(f store.Fault) {
		faults = append(faults, faultOf(f))
		a.sayFault(o, f)
	})
	if err != nil {
		return stopFirst(c, err)
	}
	if a.out.JSON {
		return a.out.Value(map[string]any{"summary": sum, "faults": faults})
	}
	saved := ""
	if sum.SavedAs != "" {
		saved = fmt.Sprintf("; the old index is now %s, remove it when all is well", sum.SavedAs)
	}
	a.out.Printf("rebuild-index: old index %s, %s kept, %s restored, %s looked at, %s lost%s", sum.OldIndex, term.Plural(sum.Kept, "object"),
		term.Count(sum.Restored), term.Plural(sum.Blobs, "blob"), term.Count(sum.Lost), saved)
	switch {
	case sum.OldIndex == "lost" && sum.Kept == 0 && sum.Damage > 0:
		a.out.Printf("Of the old index nothing could be read: small objects, whose content lay in it, are gone, and nothing names them. If it exists anywhere, put it back instead.")
	case sum.Damage > 0:
		a.out.Printf("The old index could not be read at %s: what was written there last is lost, though nothing names it, and such objects are missing, as they were before, or back.",
			term.Plural(sum.Damage, "place"))
	}
	return nil
}
