package arch

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"
)

// checkDocs reports packages whose comment does not say what they are, and names that say nothing.
func checkDocs(t *tree) []Finding {
	vague := []string{"util", "utils", "common", "cmn", "helper", "helpers", "misc"}
	var out []Finding
	for _, p := range t.packages {
		if slices.Contains(vague, path.Base(p.path)) {
			out = append(out, Finding{Rule: "name", Subject: p.path, Where: p.path, Text: "name the package after what it holds"})
		}
		want := "Package " + path.Base(p.path) + " "
		if p.command() {
			want = "Command " + path.Base(p.path) + " "
		}
		if !slices.ContainsFunc(p.files, func(f *file) bool { return strings.HasPrefix(f.syntax.Doc.Text(), want) }) {
			out = append(out, Finding{
				Rule: "doc", Subject: p.path, Where: p.path,
				Text: fmt.Sprintf("no package comment that begins %q: say what it is, what not, where to start", want),
			})
		}
	}
	return out
}

// checkPure reports I/O, goroutines and clocks in the packages that must have none.
func checkPure(t *tree, pure []string) []Finding {
	impure := []string{"os", "net", "net/http", "os/exec", "syscall", "io/fs", "log/slog", "math/rand", "math/rand/v2", "crypto/rand"}
	var out []Finding
	for _, p := range t.packages {
		if !slices.Contains(pure, p.path) {
			continue
		}
		for _, f := range p.files {
			if f.test {
				continue
			}
			report := func(where, text string) {
				out = append(out, Finding{Rule: "pure", Subject: p.path, Where: where, Text: text + " in a package of nouns"})
			}
			for _, imp := range f.imports {
				if slices.Contains(impure, imp.path) {
					report(imp.where, "imports "+imp.path)
				}
			}
			ast.Inspect(f.syntax, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.GoStmt:
					report(f.at(n.Pos()), "go statement")
				case *ast.CallExpr:
					switch name := qualified(n.Fun); name {
					case "time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.AfterFunc",
						"time.NewTimer", "time.NewTicker", "time.Tick":
						report(f.at(n.Pos()), name)
					}
				}
				return true
			})
		}
	}
	return out
}

// checkHabits reports goto, contexts from nowhere and exported functions that take a bool, whose
// callers read as f(x, true).
func checkHabits(t *tree) []Finding {
	var out []Finding
	for _, p := range t.packages {
		rootless := !p.command() && !strings.HasPrefix(p.path, "test/")
		for _, f := range p.files {
			if f.test || f.generated {
				continue
			}
			for _, d := range f.syntax.Decls {
				subject := p.path
				if fd, ok := d.(*ast.FuncDecl); ok {
					subject = funcName(p, fd)
					if takesBool(fd) {
						out = append(out, Finding{
							Rule: "bool", Subject: subject, Where: f.at(d.Pos()),
							Text: "exported function with a bool parameter: make it two functions, an option or a named type",
						})
					}
				}
				out = append(out, habits(f, d, subject, rootless)...)
			}
		}
	}
	return out
}

func habits(f *file, d ast.Decl, subject string, rootless bool) []Finding {
	var out []Finding
	ast.Inspect(d, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BranchStmt:
			if n.Tok == token.GOTO {
				out = append(out, Finding{Rule: "goto", Subject: subject, Where: f.at(n.Pos()), Text: "goto"})
			}
		case *ast.CallExpr:
			name := qualified(n.Fun)
			if rootless && (name == "context.Background" || name == "context.TODO") {
				out = append(out, Finding{
					Rule: "context", Subject: subject, Where: f.at(n.Pos()),
					Text: name + "() outside main and tests: take a context from the caller",
				})
			}
		}
		return true
	})
	return out
}

// takesBool reports whether d is exported, as is its receiver, and has a parameter of type bool.
func takesBool(d *ast.FuncDecl) bool {
	if !d.Name.IsExported() {
		return false
	}
	if recv := receiver(d); recv != "" && !ast.IsExported(recv) {
		return false
	}
	return slices.ContainsFunc(d.Type.Params.List, func(p *ast.Field) bool {
		id, ok := p.Type.(*ast.Ident)
		return ok && id.Name == "bool"
	})
}

// qualified returns "pkg.Name" for a selector on a plain identifier, else "".
func qualified(e ast.Expr) string {
	if sel, ok := e.(*ast.SelectorExpr); ok {
		if x, ok := sel.X.(*ast.Ident); ok {
			return x.Name + "." + sel.Sel.Name
		}
	}
	return ""
}
