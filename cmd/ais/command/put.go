package command

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/urfave/cli/v2"

	"aistore/api/client"
	"aistore/cmd/ais/term"
	"aistore/cmd/ais/tree"
	"aistore/cmd/ais/uri"
	"aistore/errs"
)

func (a objectVerbs) putCommand() *cli.Command {
	return a.verb(&cli.Command{
		Name: "put", Usage: "store files, directories or standard input as objects",
		ArgsUsage: "FILE|DIRECTORY|- ... ais://BUCKET[/NAME|/PREFIX/]",
		Description: "ais put x.bin ais://b             stores x.bin\n" +
			"ais put x.bin ais://b/dir/        stores dir/x.bin\n" +
			"ais put x.bin ais://b/y.bin       stores y.bin\n" +
			"ais put DIR ais://b/dir/ -r -y    stores every file below DIR as dir/RELATIVE/PATH\n" +
			"ais put 'a-{000..127}.tar' ais://b   stores those 128 files (a range counts as bash's does)\n" +
			"command | ais put - ais://b/y     stores what it reads\n" +
			"Symbolic links are followed, loops are not. A file that fails is reported and the others go on (exit code 4).",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "recursive", Aliases: []string{"r"}, Usage: "enter subdirectories", DisableDefaultText: true},
			&cli.StringFlag{Name: "list", Usage: "comma-separated `NAMES` of files, in the directory given as source if there is one"},
			&cli.StringFlag{Name: "template", Usage: "`NAME` of files with ranges such as a-{000..127}.tar, in the directory given as source if there is one"},
			&cli.StringSliceFlag{Name: "custom", Usage: "`KEY=VALUE` of user metadata; may be repeated"},
			&cli.StringFlag{Name: "content-type", Usage: "`TYPE` kept with the objects and returned by GET"},
			&cli.BoolFlag{Name: "no-overwrite", Usage: "fail where the object exists already", DisableDefaultText: true},
			&cli.BoolFlag{Name: "dry-run", Usage: "print what would be stored", DisableDefaultText: true},
			workersFlag(), a.yesFlag(), a.unitsFlag(),
		},
		Action: a.put,
	}, argPath|argObject)
}

// upload is one run of put.
type upload struct {
	a        *app
	to       uri.URI
	bucket   *client.Bucket
	opts     client.PutOptions
	sources  []source
	workers  int
	progress *term.Progress
	planned  []plannedJSON // what --dry-run --json prints
	unfit    int64         // files that --dry-run says would fail
}

// plannedJSON is a file that would be stored.
type plannedJSON struct {
	File   string `json:"file"`
	Object string `json:"object"`
	Size   int64  `json:"size"`
	Error  string `json:"error,omitempty"` // why it would fail
}

func (a objectVerbs) put(c *cli.Context) error {
	listed := c.IsSet("list") || c.IsSet("template")
	least := 2
	if listed {
		least = 1
	}
	if err := count(c, least, -1); err != nil {
		return err
	}
	args := c.Args().Slice()
	last := args[len(args)-1]
	if uri.Is(args[0]) && !uri.Is(last) {
		return usageError("%s is not a local file: %s takes files first, and at the end where they go to; `ais get` reads objects", args[0], fullName(c))
	}
	to, err := uri.Parse(last)
	if err != nil {
		return err
	}
	opts, err := putOptions(c)
	if err != nil {
		return err
	}
	n, err := workers(c)
	if err != nil {
		return err
	}
	u := &upload{a: a.app, to: to, opts: opts, workers: n}
	if err := u.find(c, args[:len(args)-1]); err != nil {
		return err
	}
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	u.bucket = sdk.BucketOf(to.Bck)
	if f, key, ok := u.single(); ok && !c.Bool("dry-run") {
		return u.one(c.Context, f, key)
	}
	if _, err := u.bucket.Props(c.Context); err != nil { // not once per file
		return err
	}
	return u.many(c)
}

func putOptions(c *cli.Context) (client.PutOptions, error) {
	o := client.PutOptions{ContentType: c.String("content-type")}
	custom, err := pairs("--custom", c.StringSlice("custom"))
	if err != nil {
		return o, err
	}
	o.Custom = custom
	if c.Bool("no-overwrite") {
		o.If.IfNoneMatch = []string{"*"}
	}
	return o, nil
}

// pairs reads KEY=VALUE arguments; nil if there are none.
func pairs(field string, list []string) (map[string]string, error) {
	var m map[string]string
	for _, s := range list {
		k, v, ok := strings.Cut(s, "=")
		if !ok || k == "" {
			return nil, usageError("%s: %q is not KEY=VALUE", field, s)
		}
		if m == nil {
			m = map[string]string{}
		}
		m[k] = v
	}
	return m, nil
}

// prefix is what all names of several objects begin with: a directory, slash or not.
func (u *upload) prefix() string {
	if u.to.Key == "" || strings.HasSuffix(u.to.Key, "/") {
		return u.to.Key
	}
	return u.to.Key + "/"
}

// single returns the file and its object's name if there is no more than one.
func (u *upload) single() (file, key string, ok bool) {
	if len(u.sources) != 1 || u.sources[0].dir != "" || u.sources[0].ranged != "" || len(u.sources[0].files) != 1 {
		return "", "", false
	}
	file = u.sources[0].files[0]
	if u.to.Key != "" && !strings.HasSuffix(u.to.Key, "/") {
		return file, u.to.Key, true
	}
	if len(u.sources[0].keys) == 1 {
		return file, u.to.Key + u.sources[0].keys[0], true
	}
	return file, u.to.Key + filepath.Base(file), true
}

// one stores a single file or standard input.
func (u *upload) one(ctx context.Context, file, key string) error {
	size := int64(-1)
	if file != "-" {
		st, err := os.Stat(file)
		if err != nil {
			return err
		}
		size = st.Size()
	}
	u.progress = u.a.out.StartProgress(ctx, term.Transfer{Objects: 1, Bytes: size})
	info, err := u.store(ctx, file, key)
	if err == nil {
		u.progress.AddObject()
	}
	u.progress.Done()
	if err != nil {
		return err
	}
	if u.a.out.JSON {
		return u.a.out.Value(objectOf(u.to.Bck, info))
	}
	u.a.out.Printf("put: %s (%s, durability %s)", term.Printable(u.to.With(key).String()), u.a.out.Units.Bytes(info.Size), info.Durability)
	return nil
}

func (u *upload) store(ctx context.Context, file, key string) (*client.Info, error) {
	if file == "-" {
		return u.put(ctx, key, client.Stream(u.progress.Reader(u.a.out.Stdin(ctx)), -1))
	}
	f, size, err := tree.File{Path: file}.Open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	counted := &countingAt{r: f, p: u.progress}
	info, err := u.put(ctx, key, client.ReaderAt(counted, size))
	if err != nil {
		u.progress.AddBytes(-counted.seen.Load()) // they went nowhere
	}
	return info, err
}

// put stores one content. That an object is there already is told in the words of the option that asked.
func (u *upload) put(ctx context.Context, key string, content client.Body) (*client.Info, error) {
	info, err := u.bucket.Put(ctx, key, content, u.opts)
	if len(u.opts.If.IfNoneMatch) > 0 && errs.Is(err, errs.Precondition) {
		return nil, errs.E("", u.to.With(key).String(), errs.Precondition, "exists already: leave --no-overwrite out to replace it")
	}
	return info, err
}

// countingAt counts what is read for the first time: a repeated request reads again.
type countingAt struct {
	r    io.ReaderAt
	p    *term.Progress
	seen atomic.Int64
}

func (c *countingAt) ReadAt(b []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(b, off)
	end := off + int64(n)
	for old := c.seen.Load(); end > old; old = c.seen.Load() {
		if c.seen.CompareAndSwap(old, end) {
			c.p.AddBytes(end - old)
			break
		}
	}
	return n, err
}

// many stores all files of all sources.
func (u *upload) many(c *cli.Context) error {
	ctx := c.Context
	recursive := tree.Options{Recursive: c.Bool("recursive")}
	u.planned = []plannedJSON{}
	var total term.Transfer
	var skipped int64
	if !u.a.out.Yes || u.a.out.Shows() || c.Bool("dry-run") {
		var err error
		if total, skipped, err = u.count(ctx, recursive, c.Bool("dry-run")); err != nil {
			return err
		}
	}
	where := term.Printable(u.to.With(u.prefix()).String())
	if skipped > 0 {
		u.noteSkipped(skipped)
	}
	if c.Bool("dry-run") {
		return u.dryRun(total, where)
	}
	if err := u.a.out.Confirm(c.Context, "Put %s (%s) into %s?", term.Plural(total.Objects, "file"), u.a.out.Units.Bytes(total.Bytes), where); err != nil {
		return err
	}
	u.progress = u.a.out.StartProgress(ctx, total)
	t := &transfer{
		a: u.a, verb: "put", workers: u.workers, progress: u.progress,
		name: func(it item) string { return it.path },
		do:   u.item,
	}
	noted := skipped > 0
	err := t.run(ctx, func(ctx context.Context, yield func(item) bool) (err error) {
		skipped, err = u.items(ctx, recursive, yield)
		return err
	})
	u.progress.Done()
	if skipped > 0 && !noted {
		u.noteSkipped(skipped)
	}
	return t.finish(err, "from "+u.from()+" to "+where)
}

// dryRun sums up what plan has shown.
func (u *upload) dryRun(total term.Transfer, where string) error {
	if u.a.out.JSON {
		if err := u.a.out.Value(u.planned); err != nil {
			return err
		}
	}
	u.a.out.Printf("put: would store %s (%s) in %s", term.Plural(total.Objects, "file"), u.a.out.Units.Bytes(total.Bytes), where)
	if u.unfit > 0 {
		return unfitError{partialError{verb: "put", failed: u.unfit, done: total.Objects}}
	}
	return nil
}

func (u *upload) noteSkipped(n int64) {
	noun := "subdirectories"
	if n == 1 {
		noun = "subdirectory"
	}
	u.a.out.Notef("note: %s %s not entered; --recursive (-r) enters them", term.Count(n), noun)
}

func (u *upload) from() string {
	if len(u.sources) > 1 {
		return term.Plural(int64(len(u.sources)), "source")
	}
	s := u.sources[0]
	switch {
	case s.dir != "":
		return s.dir
	case s.ranged != "":
		return filepath.Join(s.base, s.ranged)
	}
	return term.Plural(int64(len(s.files)), "file")
}

// item stores one file. A small one is read first: its checksum then goes ahead of it.
func (u *upload) item(ctx context.Context, it item, buf []byte) error {
	if it.size >= int64(len(buf)) {
		_, err := u.store(ctx, it.path, it.key)
		return err
	}
	n, err := readInto(it.path, buf)
	if err != nil {
		return err
	}
	if n == len(buf) { // it has grown
		_, err := u.store(ctx, it.path, it.key)
		return err
	}
	if _, err := u.put(ctx, it.key, client.Bytes(buf[:n])); err != nil {
		return err
	}
	u.progress.AddBytes(int64(n))
	return nil
}

// readInto reads a file as far as buf reaches.
func readInto(path string, buf []byte) (int, error) {
	f, _, err := tree.File{Path: path}.Open()
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n := 0
	for n < len(buf) {
		m, err := f.Read(buf[n:])
		n += m
		if err == io.EOF {
			break
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
