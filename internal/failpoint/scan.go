package failpoint

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

// A Point is one call of Hit in the source.
type Point struct {
	Name  string
	Where string // file:line
}

// Scan returns the points in the Go files of tree, tests excluded, sorted by name. Names that are not
// literals, or not unique, are errors: a test could not arm exactly one of them.
func Scan(tree fs.FS) ([]Point, error) {
	var points []Point
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		src, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		found, err := scanFile(name, src)
		points = append(points, found...)
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(points, func(a, b Point) int { return strings.Compare(a.Name+a.Where, b.Name+b.Where) })
	for i := 1; i < len(points); i++ {
		if points[i].Name == points[i-1].Name {
			return nil, fmt.Errorf("%s: failpoint %q is also at %s", points[i].Where, points[i].Name, points[i-1].Where)
		}
	}
	return points, nil
}

func scanFile(name string, src []byte) ([]Point, error) {
	fset := token.NewFileSet()
	syntax, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var points []Point
	ast.Inspect(syntax, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || !isHit(call.Fun) || err != nil {
			return true
		}
		where := fmt.Sprintf("%s:%d", name, fset.Position(call.Pos()).Line)
		point, ok := literal(call.Args)
		if !ok {
			err = fmt.Errorf("%s: failpoint.Hit takes one string literal", where)
			return false
		}
		points = append(points, Point{point, where})
		return true
	})
	return points, err
}

func isHit(f ast.Expr) bool {
	sel, ok := f.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != "Hit" {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name == "failpoint"
}

func literal(args []ast.Expr) (string, bool) {
	if len(args) != 1 {
		return "", false
	}
	lit, ok := args[0].(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil && s != ""
}
