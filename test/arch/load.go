package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A tree is the parsed source of the repository.
type tree struct {
	packages []*pkg // by path
}

// A pkg is one folder of Go files, its external tests included.
type pkg struct {
	path  string // relative to the module's root; "." for the root itself
	files []*file
}

// A file is one parsed source file.
type file struct {
	name      string // path from the repository's root
	test      bool
	generated bool
	lines     int
	imports   []imported
	syntax    *ast.File
	fset      *token.FileSet
}

type imported struct {
	path  string
	where string
}

func (f *file) at(p token.Pos) string {
	return fmt.Sprintf("%s:%d", f.name, f.fset.Position(p).Line)
}

// command reports whether p is a package main.
func (p *pkg) command() bool {
	return slices.ContainsFunc(p.files, func(f *file) bool { return !f.test && f.syntax.Name.Name == "main" })
}

// skip names the folders that hold no source of ours.
func skip(dir, name string) bool {
	if dir == "." {
		return false
	}
	switch name {
	case "testdata", "vendor", "node_modules":
		return true
	}
	return dir == "bin" || dir == "data" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")
}

// load parses every Go file below the root of repo. It fails when there is none: a check that looks
// in the wrong place must not pass.
func load(repo fs.FS) (*tree, error) {
	byPath := map[string]*pkg{}
	fset := token.NewFileSet()
	err := fs.WalkDir(repo, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && skip(name, d.Name()):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		f, err := parse(repo, fset, name)
		if err != nil {
			return err
		}
		dir := path.Dir(name)
		if byPath[dir] == nil {
			byPath[dir] = &pkg{path: dir}
		}
		byPath[dir].files = append(byPath[dir].files, f)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(byPath) == 0 {
		return nil, fmt.Errorf("arch: no Go file found: is this the root of the repository?")
	}
	t := &tree{}
	for _, p := range byPath {
		t.packages = append(t.packages, p)
	}
	slices.SortFunc(t.packages, func(a, b *pkg) int { return strings.Compare(a.path, b.path) })
	return t, nil
}

func parse(repo fs.FS, fset *token.FileSet, name string) (*file, error) {
	src, err := fs.ReadFile(repo, name)
	if err != nil {
		return nil, err
	}
	syntax, err := parser.ParseFile(fset, name, src, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	f := &file{
		name:      name,
		test:      strings.HasSuffix(name, "_test.go"),
		generated: ast.IsGenerated(syntax),
		lines:     fset.File(syntax.Pos()).LineCount(),
		syntax:    syntax,
		fset:      fset,
	}
	for _, spec := range syntax.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: import %s: %w", f.at(spec.Pos()), spec.Path.Value, err)
		}
		f.imports = append(f.imports, imported{p, f.at(spec.Pos())})
	}
	return f, nil
}
