package failpoint

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestScan(t *testing.T) {
	const head = "package p\nfunc f(n string) error {\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  []string
		says  string
	}{
		{"two", map[string]string{
			"store/b.go":      head + `failpoint.Hit("put.b"); return failpoint.Hit("put.c") }`,
			"store/a.go":      head + `return failpoint.Hit("put.a") }`,
			"store/a_test.go": head + `return failpoint.Hit("put.a") }`,
			"testdata/a.go":   "no Go",
			"store/a.txt":     "no Go",
		}, []string{"put.a", "put.b", "put.c"}, ""},
		{"others' Hit", map[string]string{"a.go": head + `return cache.Hit(n) }`}, nil, ""},
		{"double", map[string]string{
			"a.go": head + `return failpoint.Hit("x") }`,
			"b.go": head + `return failpoint.Hit("x") }`,
		}, nil, `b.go:3: failpoint "x" is also at a.go:3`},
		{"variable", map[string]string{"a.go": head + `return failpoint.Hit(n) }`}, nil, "a.go:3: failpoint.Hit takes one string literal"},
		{"empty", map[string]string{"a.go": head + `return failpoint.Hit("") }`}, nil, "a.go:3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := fstest.MapFS{}
			for name, text := range c.files {
				tree[name] = &fstest.MapFile{Data: []byte(text)}
			}
			points, err := Scan(tree)
			if c.says != "" {
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Fatalf("error %v, want %q", err, c.says)
				}
				return
			}
			var names []string
			for _, p := range points {
				names = append(names, p.Name)
			}
			if err != nil || !slices.Equal(names, c.want) {
				t.Errorf("found %q (%v), want %q", names, err, c.want)
			}
		})
	}
}

// TestPointsOfRepository holds the real ones to the rules.
func TestPointsOfRepository(t *testing.T) {
	if _, err := os.Stat("../../go.mod"); err != nil {
		t.Fatal(err)
	}
	points, err := Scan(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range points {
		t.Logf("%s: %s", p.Where, p.Name)
	}
}
