package command

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"aistore/cmd/ais/term"
	"aistore/cmd/ais/tree"
	"aistore/cmd/ais/uri"
	"aistore/errs"
)

// source is one argument of put: a file, a directory, or a name with ranges.
type source struct {
	dir    string   // a directory, entered; or "" and
	files  []string // these files
	keys   []string // their objects' names
	ranged string   // or the files of this name with ranges, below base
	base   string
}

// find takes the sources apart.
func (u *upload) find(c *cli.Context, args []string) error {
	if c.IsSet("list") || c.IsSet("template") {
		return u.findListed(c, args)
	}
	for _, arg := range args {
		if arg == "-" && len(args) == 1 {
			if u.to.Key == "" || strings.HasSuffix(u.to.Key, "/") {
				return usageError("standard input has no name: write ais://%s/NAME", u.to.Bck.Name)
			}
			u.sources = append(u.sources, source{files: []string{"-"}})
			continue
		}
		if uri.Is(arg) {
			return usageError("%s is not a local file: `ais cp` copies between buckets", arg)
		}
		st, err := os.Stat(arg)
		switch {
		case err == nil && st.IsDir():
			u.sources = append(u.sources, source{dir: arg})
		case err == nil:
			u.sources = append(u.sources, source{files: []string{arg}})
		case uri.HasRange(arg):
			u.sources = append(u.sources, source{ranged: arg})
		case len(args) > 1: // reported when its turn comes; the others go on
			u.sources = append(u.sources, source{files: []string{arg}})
		default:
			return errs.E("", arg, err)
		}
	}
	return u.distinct()
}

// distinct refuses sources of which one would overwrite another.
func (u *upload) distinct() error {
	seen := map[string]string{}
	for _, s := range u.sources {
		path := s.dir
		if len(s.files) == 1 {
			path = s.files[0]
		}
		if path == "" {
			continue
		}
		name := filepath.Base(filepath.Clean(path))
		if other, ok := seen[name]; ok {
			return usageError("%s and %s would both be stored as %s: use one command for each", other, path, name)
		}
		seen[name] = path
	}
	return nil
}

// findListed is find for --list and --template.
func (u *upload) findListed(c *cli.Context, args []string) error {
	if len(args) > 1 || c.IsSet("list") && c.IsSet("template") {
		return usageError("give --list or --template, and at most one directory that the names are in")
	}
	base := ""
	if len(args) == 1 {
		base = args[0]
	}
	if c.IsSet("template") {
		if !uri.HasRange(c.String("template")) {
			return usageError("--template %q has no range such as {000..127}", c.String("template"))
		}
		u.sources = []source{{ranged: c.String("template"), base: base}}
		return nil
	}
	s := source{}
	seen := map[string]string{} // by the object's name
	for _, n := range uri.List(c.String("list")) {
		file, key := filepath.Join(base, n), filepath.ToSlash(n)
		if base == "" {
			key = filepath.Base(n)
		}
		switch other, ok := seen[key]; {
		case ok && other != file:
			return usageError("%s and %s would both be stored as %s: give the directory that both are in as source, or use one command for each", other, file, key)
		case ok:
			continue
		}
		seen[key] = file
		s.files, s.keys = append(s.files, file), append(s.keys, key)
	}
	if len(s.files) == 0 {
		return usageError("--list names no file")
	}
	u.sources = []source{s}
	return nil
}

// count walks the sources once beforehand, and shows what it finds for --dry-run.
func (u *upload) count(ctx context.Context, o tree.Options, show bool) (total term.Transfer, skipped int64, err error) {
	skipped, err = u.items(ctx, o, func(it item) bool {
		if it.err == nil {
			total.Objects++
			total.Bytes += it.size
		}
		if show {
			u.plan(it)
		}
		return true
	})
	return total, skipped, err
}

// plan shows what would become of a file.
func (u *upload) plan(it item) {
	to := u.to.With(it.key).String()
	planned := plannedJSON{File: it.path, Object: to, Size: it.size}
	if it.err != nil {
		u.unfit++
		planned.Error = message(it.err)
	}
	switch {
	case u.a.out.JSON:
		u.planned = append(u.planned, planned)
	case it.err != nil:
		u.a.out.Notef("%s %s: %s", u.a.out.PaintErr(term.Red, "would fail:"), term.Printable(it.path), withoutName(planned.Error, it.path))
	default:
		u.a.out.Printf("%s -> %s", term.Printable(it.path), term.Printable(to))
	}
}

// items yields every file with the name of its object; skipped counts the subdirectories not entered.
func (u *upload) items(ctx context.Context, o tree.Options, yield func(item) bool) (skipped int64, err error) {
	stopped := false
	emit := func(it item) bool {
		stopped = !yield(it)
		return !stopped
	}
	for _, s := range u.sources {
		switch {
		case s.dir != "":
			prefix := u.prefix()
			if len(u.sources) > 1 { // as cp -r does: two directories must not fall into one another
				prefix += filepath.Base(filepath.Clean(s.dir)) + "/"
			}
			sum, err := tree.Walk(ctx, s.dir, o, func(f tree.File) bool {
				return emit(item{key: prefix + f.Rel, path: f.Path, size: f.Size, err: f.Err})
			})
			if err != nil {
				return skipped, err
			}
			skipped += sum.Skipped
		case s.ranged != "":
			if err := u.rangedItems(s, emit); err != nil {
				return skipped, err
			}
		default:
			for i, f := range s.files {
				key := filepath.Base(f)
				if len(s.keys) > 0 {
					key = s.keys[i]
				}
				if !emit(u.fileItem(f, key)) {
					break
				}
			}
		}
		if stopped || ctx.Err() != nil {
			return skipped, ctx.Err()
		}
	}
	return skipped, nil
}

func (u *upload) rangedItems(s source, emit func(item) bool) error {
	t, err := parseRange(s.ranged)
	if err != nil {
		return err
	}
	fixed := "" // the directories before the first range are no part of the names
	if s.base == "" {
		fixed = t.Prefix()[:strings.LastIndexByte(t.Prefix(), '/')+1]
	}
	for name := range t.Names() {
		key := strings.TrimPrefix(filepath.ToSlash(name), fixed)
		if !emit(u.fileItem(filepath.Join(s.base, name), key)) {
			return nil
		}
	}
	return nil
}

func (u *upload) fileItem(path, key string) item {
	it := item{key: u.prefix() + key, path: path}
	st, err := os.Stat(path)
	switch {
	case err != nil:
		it.err = err
	case st.IsDir():
		it.err = errs.E("", nil, errs.Invalid, "is a directory")
	default:
		it.size = st.Size()
	}
	return it
}
