package arch

import (
	"fmt"
	"go/ast"
	"slices"
)

// The alarms. Past the soft limit a finding is logged, past the hard one it fails.
const (
	fileSoft, fileHard   = 500, 800
	funcSoft, funcHard   = 60, 90
	methodsHard          = 40
	packageHard          = 5000 // lines, tests and generated files not counted
	interfaceMethodsSoft = 5    // of an unexported interface: one its own package consumes
)

// checkSizes reports what has grown too large to read. Generated files have no reader; of tests only
// the files are measured, for a long table is no long thought.
func checkSizes(t *tree) []Finding {
	var out []Finding
	for _, p := range t.packages {
		total := 0
		methods := map[string]int{}
		for _, f := range p.files {
			if f.generated {
				continue
			}
			out = appendOver(out, "file", f.name, f.name, "lines", f.lines, fileSoft, fileHard)
			if f.test {
				continue
			}
			total += f.lines
			out = append(out, measure(p, f, methods)...)
		}
		out = appendOver(out, "package", p.path, p.path, "lines", total, packageHard, packageHard)
		for _, recv := range sortedKeys(methods) {
			out = appendOver(out, "methods", p.path+"."+recv, p.path, "methods", methods[recv], methodsHard, methodsHard)
		}
	}
	return out
}

// measure reports long functions and wide consumer interfaces of f, and counts its methods by type.
func measure(p *pkg, f *file, methods map[string]int) []Finding {
	var out []Finding
	for _, d := range f.syntax.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if recv := receiver(d); recv != "" {
				methods[recv]++
			}
			n := f.fset.Position(d.End()).Line - f.fset.Position(d.Pos()).Line + 1
			out = appendOver(out, "function", funcName(p, d), f.at(d.Pos()), "lines", n, funcSoft, funcHard)
		case *ast.GenDecl:
			for _, s := range d.Specs {
				ts, ok := s.(*ast.TypeSpec)
				if !ok || ts.Name.IsExported() {
					continue
				}
				if it, ok := ts.Type.(*ast.InterfaceType); ok && it.Methods.NumFields() > interfaceMethodsSoft {
					out = append(out, Finding{
						Rule: "interface", Subject: p.path + "." + ts.Name.Name, Where: f.at(ts.Pos()), Soft: true,
						Text: fmt.Sprintf("%d methods; a consumer's interface has at most %d", it.Methods.NumFields(), interfaceMethodsSoft),
					})
				}
			}
		}
	}
	return out
}

// appendOver adds a finding when n is past a limit.
func appendOver(out []Finding, rule, subject, where, unit string, n, soft, hard int) []Finding {
	switch {
	case n > hard:
		return append(out, Finding{Rule: rule, Subject: subject, Where: where, Text: fmt.Sprintf("%d %s; at most %d", n, unit, hard)})
	case n > soft:
		return append(out, Finding{Rule: rule, Subject: subject, Where: where, Soft: true, Text: fmt.Sprintf("%d %s; better at most %d", n, unit, soft)})
	}
	return out
}

// receiver returns the name of d's receiver type, or "" for a function.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return ""
	}
	e := d.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// funcName names d as waivers do: pkg.F or pkg.T.M.
func funcName(p *pkg, d *ast.FuncDecl) string {
	if recv := receiver(d); recv != "" {
		return p.path + "." + recv + "." + d.Name.Name
	}
	return p.path + "." + d.Name.Name
}

func sortedKeys(m map[string]int) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
