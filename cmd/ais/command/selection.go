package command

import (
	"context"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"aistore/api"
	"aistore/api/client"
	"aistore/cmd/ais/term"
	"aistore/cmd/ais/uri"
	"aistore/errs"
)

// selection says which objects of one bucket a verb works on: names, names with ranges, or all with a prefix.
type selection struct {
	bck      api.Bck
	keys     []string
	template string
	prefix   string
	all      bool // the prefix counts
	listed   bool // keys are of --list
}

func selectionFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "prefix", Usage: "the objects whose names begin with `PREFIX`; '' = all of the bucket"},
		&cli.StringFlag{Name: "list", Usage: "the objects with these comma-separated `NAMES`, taken as they are"},
		&cli.StringFlag{Name: "template", Usage: "the objects that `NAME` with ranges such as a-{000..127}.tar stands for"},
		&cli.BoolFlag{Name: "all", Usage: "all objects of the bucket", DisableDefaultText: true},
	}
}

// selectionOf reads the names and the options of selectionFlags. All names are of one bucket.
func selectionOf(c *cli.Context, args []string) (*selection, error) {
	s := &selection{}
	given := 0
	for _, name := range []string{"prefix", "list", "template", "all"} {
		if c.IsSet(name) {
			given++
		}
	}
	for i, arg := range args {
		u, err := uri.Parse(arg)
		if err != nil {
			return nil, err
		}
		if i > 0 && u.Bck != s.bck {
			return nil, usageError("%s is in another bucket than %s: use one command for each", arg, args[0])
		}
		if s.bck = u.Bck; u.Key == "" {
			continue
		}
		if given > 0 {
			return nil, usageError("%s names an object: leave it out beside --prefix, --list, --template and --all", arg)
		}
		switch {
		case !uri.HasRange(u.Key):
			s.keys = append(s.keys, u.Key)
		case len(args) > 1:
			return nil, usageError("%s has a range: give it alone", arg)
		default:
			s.template = u.Key
		}
	}
	switch {
	case given > 1:
		return nil, usageError("give one of --prefix, --list, --template and --all")
	case given == 0 && len(s.keys) == 0 && s.template == "":
		return nil, usageError("%s names a bucket: name an object in it, or add --prefix PREFIX, --list, --template, or --all", args[0])
	case c.IsSet("list"):
		if s.keys = uri.List(c.String("list")); len(s.keys) == 0 {
			return nil, usageError("--list names no object")
		}
		s.listed = true
	case c.IsSet("template"):
		if s.template = c.String("template"); !uri.HasRange(s.template) {
			return nil, usageError("--template %q has no range such as {000..127}: --prefix selects by prefix", s.template)
		}
	case given > 0:
		s.all, s.prefix = true, c.String("prefix")
	}
	s.keys = distinct(s.keys)
	if s.template != "" {
		if _, err := parseRange(s.template); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// parseRange is api.ParseTemplate for what the user has typed: all that is wrong with it is wrong usage, too many names as well.
func parseRange(template string) (*api.Template, error) {
	t, err := api.ParseTemplate(template)
	if err != nil {
		return nil, errs.E("", nil, errs.Invalid, err)
	}
	return t, nil
}

// distinct drops names that stand there already.
func distinct(names []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(names, func(n string) bool {
		was := seen[n]
		seen[n] = true
		return was
	})
}

// String describes the selection: "ais://b/x", "ais://b/a-{1..3}", "ais://b (prefix p)".
func (s *selection) String() string {
	switch {
	case s.template != "":
		return s.bck.String() + "/" + s.template
	case s.all && s.prefix == "":
		return s.bck.String()
	case s.all:
		return s.bck.String() + "/" + term.Printable(s.prefix) + "*"
	case len(s.keys) == 1:
		return s.bck.String() + "/" + term.Printable(s.keys[0])
	}
	return s.bck.String() + " (" + term.Plural(int64(len(s.keys)), "name") + ")"
}

// single returns the one name that was given.
func (s *selection) single() (string, bool) {
	if s.template == "" && !s.all && len(s.keys) == 1 {
		return s.keys[0], true
	}
	return "", false
}

// each yields the objects; sizes are known only where the bucket is listed, else -1.
func (s *selection) each(ctx context.Context, b *client.Bucket, yield func(key string, size int64) bool) error {
	switch {
	case s.template != "":
		t, err := api.ParseTemplate(s.template)
		if err != nil {
			return err
		}
		for key := range t.Names() {
			if !yield(key, -1) {
				return nil
			}
		}
	case s.all:
		for e, err := range b.List(ctx, client.ListOptions{Prefix: s.prefix, Props: []string{api.PropName, api.PropSize}}) {
			if err != nil {
				return err
			}
			if !e.IsDir() && !yield(e.Name, e.Size) {
				return nil
			}
		}
	default:
		for _, key := range s.keys {
			if !yield(key, -1) {
				return nil
			}
		}
	}
	return nil
}

// count says what to expect. Names are counted without looking whether they exist.
func (s *selection) count(ctx context.Context, b *client.Bucket) (term.Transfer, error) {
	var t term.Transfer
	err := s.each(ctx, b, func(_ string, size int64) bool {
		t.Objects++
		t.Bytes += max(size, 0)
		return true
	})
	return t, err
}

// trim is what is cut off the front of names to make paths: the directories that the prefix names, unless full names
// are wanted. So what was put with a prefix comes back without it.
func (s *selection) trim(full bool) string {
	if full || !s.all {
		return ""
	}
	return s.prefix[:strings.LastIndexByte(s.prefix, '/')+1]
}
