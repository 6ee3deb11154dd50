package arch

import (
	"go/ast"
	"go/token"
	"strings"
)

// checkState reports variables of a package that change after it is initialised: assigned in a
// function, or of a type that exists to be changed. A sync.Pool and a sync.OnceValue are let pass, since
// nobody can tell what they hold.
func checkState(t *tree) []Finding {
	var out []Finding
	for _, p := range t.packages {
		vars := packageVars(p)
		for _, f := range p.files {
			if f.test || f.generated {
				continue
			}
			for _, d := range f.syntax.Decls {
				fd, ok := d.(*ast.FuncDecl)
				if !ok || fd.Body == nil || fd.Name.Name == "init" && fd.Recv == nil {
					continue
				}
				for name, at := range assigned(f, fd, vars) {
					out = append(out, Finding{
						Rule: "state", Subject: p.path + "." + name, Where: f.at(at),
						Text: "a package-level variable is changed here: make it a field of what the caller holds",
					})
				}
			}
		}
		for name, v := range vars {
			if v.mutable != "" {
				out = append(out, Finding{
					Rule: "state", Subject: p.path + "." + name, Where: v.where,
					Text: "a package-level " + v.mutable + ": make it a field of what the caller holds",
				})
			}
		}
	}
	return out
}

// A packageVar is one variable at package level.
type packageVar struct {
	spec    *ast.ValueSpec
	where   string
	mutable string // the type that gives it away, or ""
}

func packageVars(p *pkg) map[string]packageVar {
	vars := map[string]packageVar{}
	for _, f := range p.files {
		if f.test || f.generated {
			continue
		}
		for _, d := range f.syntax.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, s := range g.Specs {
				spec := s.(*ast.ValueSpec)
				for _, name := range spec.Names {
					if name.Name != "_" {
						vars[name.Name] = packageVar{spec, f.at(name.Pos()), mutableType(spec)}
					}
				}
			}
		}
	}
	return vars
}

// mutableType returns the type of spec if values of it exist to be changed.
func mutableType(spec *ast.ValueSpec) string {
	e := spec.Type
	if e == nil && len(spec.Values) == 1 {
		if lit, ok := spec.Values[0].(*ast.CompositeLit); ok {
			e = lit.Type
		}
	}
	if ix, ok := e.(*ast.IndexExpr); ok {
		e = ix.X
	}
	switch name := qualified(e); {
	case name == "sync.Mutex", name == "sync.RWMutex", name == "sync.Map", name == "sync.Once", name == "sync.WaitGroup":
		return name
	case strings.HasPrefix(name, "atomic."):
		return name
	}
	return ""
}

// assigned returns the variables of vars that fd assigns to, or to a part of, and where.
func assigned(f *file, fd *ast.FuncDecl, vars map[string]packageVar) map[string]token.Pos {
	found := map[string]token.Pos{}
	see := func(e ast.Expr) {
		id := rootOf(e)
		if id == nil {
			return
		}
		v, ok := vars[id.Name]
		if !ok || id.Obj != nil && id.Obj.Decl != v.spec {
			return // a variable of the function that has the same name
		}
		found[id.Name] = id.Pos()
	}
	ast.Inspect(fd.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, e := range n.Lhs {
					see(e)
				}
			}
		case *ast.IncDecStmt:
			see(n.X)
		case *ast.RangeStmt:
			if n.Tok == token.ASSIGN {
				see(n.Key)
				see(n.Value)
			}
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "delete" || id.Name == "clear") && len(n.Args) > 0 {
				see(n.Args[0])
			}
		}
		return true
	})
	return found
}

// rootOf returns the identifier that e is or is a part of.
func rootOf(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}
