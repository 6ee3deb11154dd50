package config

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"

	"aistore/errs"
)

const (
	envPrefix = "AIS_NODE_"
	envConfig = envPrefix + "CONFIG"

	envRoot       = "AIS_ROOT_"
	envRootAccess = envRoot + "ACCESS_KEY"
	envRootSecret = envRoot + "SECRET_KEY"

	maxFile    = 1 << 20 // bytes of a configuration file
	flagConfig = "config"
)

// Load reads the configuration from the file that --config or AIS_NODE_CONFIG names, if any, then
// from environ (as os.Environ gives it), then from args (without the program's name), fills in
// defaults, makes folders absolute and validates. All faults of a stage are joined. With -h or --help the error is
// flag.ErrHelp: call Usage.
func Load(args, environ []string) (Node, error) {
	var n Node
	file, err := configFile(args, environ)
	if err != nil {
		return n, err
	}
	var faults []error
	if file != "" {
		data, err := readBounded(file)
		if err != nil {
			return n, err
		}
		faults = append(faults, n.fromYAML(file, data))
	}
	faults = append(faults, n.fromEnv(environ), n.fromFlags(args))
	if err := errors.Join(faults...); err != nil {
		return n, err
	}
	n = n.WithDefaults()
	if err := n.absolute(); err != nil {
		return n, err
	}
	return n, n.Validate()
}

// absolute writes the node's folders from the root: the cluster shows mountpaths as they are written, and takes them so.
func (n *Node) absolute() (err error) {
	if n.Dir, err = filepath.Abs(n.Dir); err != nil {
		return errs.E("config.Load", "dir", err)
	}
	for i, m := range n.Mountpaths {
		if m == "" {
			continue // Validate refuses it
		}
		if n.Mountpaths[i], err = filepath.Abs(m); err != nil {
			return errs.E("config.Load", "mountpaths", err)
		}
	}
	return nil
}

// configFile finds the name of the file, before the file can be read and the rest can override it.
func configFile(args, environ []string) (string, error) {
	var scratch Node
	file := ""
	for _, e := range environ {
		if v, ok := strings.CutPrefix(e, envConfig+"="); ok {
			file = v
		}
	}
	flags := scratch.flagSet()
	if err := parseFlags(flags, args); err != nil {
		return "", err
	}
	if v := flags.Lookup(flagConfig).Value.String(); v != "" {
		file = v
	}
	return file, nil
}

func readBounded(name string) ([]byte, error) {
	const op = "config.Load"
	f, err := os.Open(name)
	if err != nil {
		return nil, errs.E(op, name, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, errs.E(op, name, err)
	case len(data) > maxFile:
		return nil, errs.F(op, name, errs.TooLarge, "more than %d bytes: that is no node configuration", maxFile)
	}
	return data, nil
}

// fromYAML sets what data, the content of file, holds. It walks the parsed document itself, since
// that gives every fault its line and key.
func (n *Node) fromYAML(file string, data []byte) error {
	const op = "config.Load"
	var doc, more yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(data))
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil // nothing but comments
	case err != nil:
		return errs.E(op, file, errs.Invalid, err)
	}
	switch err := d.Decode(&more); {
	case err == nil: // else its settings would have no effect, silently
		return errs.F(op, fmt.Sprintf("%s:%d", file, more.Line), errs.Invalid, "a second document begins: put all settings into one, without lines of '---' between them")
	case !errors.Is(err, io.EOF):
		return errs.E(op, file, errs.Invalid, err)
	}
	w := &walker{fields: n.fields(), file: file, seen: map[string]bool{}}
	w.mapping("", doc.Content[0])
	return errors.Join(w.faults...)
}

// walker goes through a YAML document and sets fields.
type walker struct {
	fields []field
	file   string
	seen   map[string]bool
	faults []error
}

func (w *walker) bad(at *yaml.Node, key, format string, args ...any) {
	name := fmt.Sprintf("%s:%d", w.file, at.Line)
	if key != "" {
		name += ": " + key
	}
	w.faults = append(w.faults, errs.F("config.Load", name, errs.Invalid, format, args...))
}

// mapping reads the pairs of m, whose keys all begin with prefix.
func (w *walker) mapping(prefix string, m *yaml.Node) {
	if m.Kind != yaml.MappingNode {
		w.bad(m, strings.TrimSuffix(prefix, "."), "want lines of the form KEY: VALUE")
		return
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		w.pair(prefix+m.Content[i].Value, m.Content[i], m.Content[i+1])
	}
}

func (w *walker) pair(key string, at, v *yaml.Node) {
	if w.seen[key] {
		w.bad(at, key, "stands here twice")
		return
	}
	w.seen[key] = true
	for _, f := range w.fields {
		switch {
		case f.key == key:
			w.set(f, v)
			return
		case strings.HasPrefix(f.key, key+"."):
			w.mapping(key+".", v)
			return
		}
	}
	w.bad(at, key, "no such key%s", meant(key, names(w.fields, func(f field) string { return f.key })))
}

// set gives f the value v: a scalar, or for a list also a sequence of scalars.
func (w *walker) set(f field, v *yaml.Node) {
	list, isList := f.value.(*listValue)
	switch {
	case v.Kind == yaml.ScalarNode && v.Tag == "!!null":
		w.bad(v, f.key, "has no value: give it one or remove the line")
	case v.Kind == yaml.ScalarNode:
		if err := f.value.Set(v.Value); err != nil {
			w.bad(v, f.key, "%w", err)
		}
	case v.Kind == yaml.SequenceNode && isList:
		items := make([]string, len(v.Content))
		for i, c := range v.Content {
			if c.Kind != yaml.ScalarNode {
				w.bad(c, f.key, "want a list of plain values")
				return
			}
			items[i] = c.Value
		}
		list.add(items)
	default:
		w.bad(v, f.key, "want one value")
	}
}

// fromEnv sets what the environment holds; an empty variable counts as unset. A variable of ours that
// is no key is an error: a typing slip must not start a node with another configuration than was meant.
func (n *Node) fromEnv(environ []string) error {
	fields := n.fields()
	var faults []error
	for _, e := range environ {
		name, v, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, envRoot) && v != "" {
			faults = append(faults, n.rootFromEnv(name, v))
			continue
		}
		if !strings.HasPrefix(name, envPrefix) || name == envConfig || v == "" {
			continue
		}
		if err := setEnv(fields, name, v); err != nil {
			faults = append(faults, errs.E("config.Load", name, errs.Invalid, err))
		}
	}
	return errors.Join(faults...)
}

func (n *Node) rootFromEnv(name, v string) error {
	switch name {
	case envRootAccess:
		n.Root.Access = v
	case envRootSecret:
		n.Root.Secret = v
	default:
		return errs.F("config.Load", name, errs.Invalid, "no such key, only %s and %s", envRootAccess, envRootSecret)
	}
	return nil
}

func setEnv(fields []field, name, v string) error {
	for _, f := range fields {
		if f.envName() == name {
			return f.value.Set(v)
		}
	}
	return fmt.Errorf("no such key%s", meant(name, names(fields, field.envName)))
}

func (n *Node) fromFlags(args []string) error { return parseFlags(n.flagSet(), args) }

func (n *Node) flagSet() *flag.FlagSet {
	flags := flag.NewFlagSet("aisnode", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	flags.String(flagConfig, "", "")
	for _, f := range n.fields() {
		flags.Var(f.value, f.flagName(), f.help)
	}
	return flags
}

// badFlag is how package flag refuses the value of a flag, whose own error, the second group, has it too.
var badFlag = regexp.MustCompile(`^invalid (?:boolean )?value "(?s:.*)" for (?:flag )?-([a-z0-9-]+): (.*)$`)

func parseFlags(flags *flag.FlagSet, args []string) error {
	const op = "config.Load"
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return flag.ErrHelp
	case err != nil:
		if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
			var n Node
			return errs.F(op, "--"+name, errs.Invalid, "no such flag%s", meant(name, names(n.fields(), field.flagName)))
		}
		if m := badFlag.FindStringSubmatch(err.Error()); m != nil {
			return errs.E(op, "--"+m[1], errs.Invalid, m[2])
		}
		return errs.E(op, nil, errs.Invalid, err)
	case flags.NArg() > 0:
		return errs.E(op, flags.Arg(0), errs.Invalid, "want only flags")
	}
	return nil
}
