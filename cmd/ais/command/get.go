package command

import (
	"context"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"aistore/api/client"
	"aistore/cmd/ais/term"
	"aistore/cmd/ais/tree"
	"aistore/cmd/ais/uri"
	"aistore/errs"
)

func (a objectVerbs) getCommand() *cli.Command {
	return a.verb(&cli.Command{
		Name: "get", Usage: "read objects into files or to standard output",
		ArgsUsage: "ais://BUCKET[/OBJECT] [FILE|DIRECTORY|-]",
		Description: "ais get ais://b/dir/x.bin                 writes ./x.bin\n" +
			"ais get ais://b/x.bin y.bin               writes y.bin\n" +
			"ais get ais://b/x.bin - --offset 1MiB --length 64KiB   writes those bytes to standard output\n" +
			"ais get ais://b DIR --prefix dir/ -y      writes dir/a/b as DIR/a/b, and so on\n" +
			"ais get ais://b DIR --prefix '' -y        writes the whole bucket\n" +
			"ais get 'ais://b/a-{000..127}.tar' DIR    writes those 128 objects\n" +
			"A file gets its name when it is complete and its checksum verified. With several objects nothing is written outside\n" +
			"of DIRECTORY: names that would lead there are reported and the others go on (exit code 4).",
		Flags: append(selectionFlags(),
			&cli.StringFlag{Name: "offset", Usage: "`BYTES` to skip; negative counts from the end", DefaultText: "0"},
			&cli.StringFlag{Name: "length", Usage: "`BYTES` to read", DefaultText: "all that follow"},
			&cli.BoolFlag{Name: "full-names", Usage: "keep the directories that --prefix names in the files' paths", DisableDefaultText: true},
			workersFlag(), a.yesFlag(), a.unitsFlag(),
		),
		Action: a.get,
	}, argObject, argPath)
}

// span is --offset and --length.
type span struct {
	offset, length int64 // length -1: to the end
	given          bool
}

func spanOf(c *cli.Context) (span, error) {
	s := span{length: -1, given: c.IsSet("offset") || c.IsSet("length")}
	var err error
	if c.IsSet("offset") {
		text, negative := strings.CutPrefix(c.String("offset"), "-")
		if s.offset, err = term.ParseBytes("--offset", text); err != nil {
			return s, err
		}
		if negative {
			s.offset = -s.offset
		}
	}
	if c.IsSet("length") {
		if s.length, err = term.ParseBytes("--length", c.String("length")); err != nil {
			return s, err
		}
		if s.length == 0 || s.offset < 0 {
			return s, usageError("--length must not be 0, and an --offset from the end reads up to the end")
		}
	}
	return s, nil
}

// download is one run of get.
type download struct {
	a        *app
	from     uri.URI
	bucket   *client.Bucket
	span     span
	workers  int
	progress *term.Progress
}

func (a objectVerbs) get(c *cli.Context) error {
	if err := count(c, 1, 2); err != nil {
		return err
	}
	if to := c.Args().Get(1); uri.Is(to) {
		return usageError("%s is no file or directory: `ais cp` copies inside the cluster (a file of that name is written ./%s)", to, to)
	}
	sel, err := selectionOf(c, c.Args().Slice()[:1])
	if err != nil {
		return err
	}
	s, err := spanOf(c)
	if err != nil {
		return err
	}
	n, err := workers(c)
	if err != nil {
		return err
	}
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	d := &download{a: a.app, from: uri.URI{Bck: sel.bck}, bucket: sdk.BucketOf(sel.bck), span: s, workers: n}
	to := c.Args().Get(1)
	if to == "/dev/stdout" { // which else the message at the end would go to as well
		to = "-"
	}
	if key, ok := sel.single(); ok {
		return d.one(c.Context, key, to)
	}
	return d.many(c, sel, to)
}

// open begins to read an object or the range of it.
func (d *download) open(ctx context.Context, key string) (*client.Reader, error) {
	if d.span.given {
		return d.bucket.GetRange(ctx, key, d.span.offset, d.span.length, client.GetOptions{})
	}
	return d.bucket.Get(ctx, key, client.GetOptions{})
}

// one reads a single object to a file, a directory or standard output.
func (d *download) one(ctx context.Context, key, to string) error {
	name := to
	if st, err := os.Stat(to); to == "" || strings.HasSuffix(to, "/") || err == nil && st.IsDir() {
		base := path.Base(key)
		if tree.CheckRel(base) != nil || strings.HasSuffix(key, "/") {
			return usageError("%q makes no file name: name the file, or get all below it with --prefix", key)
		}
		name = filepath.Join(to, base)
	}
	if _, err := os.Stat(filepath.Dir(name)); name != "-" && os.IsNotExist(err) {
		return errs.F("", filepath.Dir(name), errs.NotFound, "the directory does not exist: make it first")
	}
	r, err := d.open(ctx, key)
	if err != nil {
		return err
	}
	defer r.Close()
	d.progress = d.a.out.StartProgress(ctx, term.Transfer{Objects: 1, Bytes: r.Size()})
	if name == "-" {
		_, err = io.Copy(d.progress.Writer(d.a.out.Stdout()), r)
	} else {
		err = d.save(r, func() (*tree.Pending, error) { return tree.CreateFile(name) }, nil)
	}
	if err == nil {
		d.progress.AddObject()
	}
	d.progress.Done()
	if err != nil || name == "-" {
		return err
	}
	if d.a.out.JSON {
		return d.a.out.Value(map[string]any{"object": objectOf(d.from.Bck, r.Info()), "file": name, "bytes": r.Size()})
	}
	d.a.out.Printf("get: %s (%s) to %s in %v", term.Printable(d.from.With(key).String()), d.a.out.Units.Bytes(r.Size()), term.Printable(name), d.progress.Elapsed().Round(time.Millisecond))
	return nil
}

// save writes what r yields to a pending file, which gets its name only if all of it has come and is verified.
func (d *download) save(r *client.Reader, create func() (*tree.Pending, error), buf []byte) error {
	f, err := create()
	if err != nil {
		return err
	}
	if buf == nil {
		buf = make([]byte, itemBuffer)
	}
	type plain struct{ io.Reader } // without WriteTo, which has a buffer of its own
	n, err := io.CopyBuffer(d.progress.Writer(f), plain{r}, buf)
	if err != nil {
		f.Drop()
	} else {
		err = f.Commit()
	}
	if err != nil {
		d.progress.AddBytes(-n) // they are not kept
	}
	return err
}

// many reads several objects below a directory, to standard output one after the other, or into the void.
func (d *download) many(c *cli.Context, sel *selection, to string) error {
	ctx := c.Context
	if to == "" {
		return usageError("name the directory that the files go to, or - for standard output\nUsage: %s %s", fullName(c), c.Command.ArgsUsage)
	}
	var total term.Transfer
	var err error
	if !d.a.out.Yes || d.a.out.Shows() {
		if total, err = sel.count(ctx, d.bucket); err != nil {
			return err
		}
	}
	size := ""
	if sel.all { // names by themselves say nothing of sizes
		size = " (" + d.a.out.Units.Bytes(total.Bytes) + ")"
	}
	if err := d.a.out.Confirm(c.Context, "Get %s%s from %s to %s?", term.Plural(total.Objects, "object"), size, sel, to); err != nil {
		return err
	}
	t := &transfer{a: d.a, verb: "get", workers: d.workers, name: func(it item) string { return d.from.With(it.key).String() }}
	switch st, serr := os.Stat(to); {
	case to == "-":
		t.workers, t.quiet = 1, true // one after the other
		t.do = func(ctx context.Context, it item, buf []byte) error { return d.stream(ctx, it, buf, d.a.out.Stdout()) }
	case serr == nil && st.Mode()&os.ModeDevice != 0:
		t.do = func(ctx context.Context, it item, buf []byte) error { return d.stream(ctx, it, buf, io.Discard) }
	default:
		dir, err := tree.OpenDir(to)
		if err != nil {
			return errs.E("", to, err)
		}
		defer dir.Close()
		t.do = func(ctx context.Context, it item, buf []byte) error { return d.item(ctx, dir, it, buf) }
	}
	d.progress = d.a.out.StartProgress(ctx, total)
	t.progress = d.progress
	trim := sel.trim(c.Bool("full-names"))
	err = t.run(ctx, func(ctx context.Context, yield func(item) bool) error {
		return sel.each(ctx, d.bucket, func(key string, size int64) bool {
			return yield(item{key: key, path: strings.TrimPrefix(key, trim), size: size})
		})
	})
	d.progress.Done()
	return t.finish(err, "from "+sel.String()+" to "+to)
}

func (d *download) stream(ctx context.Context, it item, buf []byte, w io.Writer) error {
	r, err := d.open(ctx, it.key)
	if err != nil {
		return err
	}
	defer r.Close()
	type plain struct{ io.Reader }
	_, err = io.CopyBuffer(d.progress.Writer(w), plain{r}, buf)
	return err
}

// item reads one of several objects into its place below dir.
func (d *download) item(ctx context.Context, dir *tree.Dir, it item, buf []byte) error {
	if it.path == "" && it.size == 0 { // an empty object that stands for the directory that --prefix names: it is there
		return nil
	}
	if strings.HasSuffix(it.path, "/") && it.size == 0 { // or for one below it
		return dir.Mkdir(strings.TrimRight(it.path, "/"))
	}
	if err := tree.CheckRel(it.path); err != nil {
		return err
	}
	r, err := d.open(ctx, it.key)
	if err != nil {
		return err
	}
	defer r.Close()
	return d.save(r, func() (*tree.Pending, error) { return dir.Create(it.path) }, buf)
}
