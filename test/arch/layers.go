package arch

import (
	"fmt"
	"strings"
)

// module is the import path of the repository's root.
const module = "aistore"

// A layer is one row of the picture in docs/design/layers.md. Its packages import those of the rows
// before it, and of their own row only what they name.
type layer struct {
	name     string
	packages []member
}

// A member is one package, or with a trailing "/..." a folder of them, and the packages of its own
// layer that it may import.
type member struct {
	path string
	same []string
}

// layers is the whole table, lowest first. A package that is not here fails the test.
func layers() []layer {
	return []layer{
		{"0 ground", []member{
			{"errs", nil},
			{"cksum", []string{"cksum/lanes", "errs"}},
			{"cksum/lanes", nil},
			{"metrics", []string{"errs", "internal/jsonx"}},
			{"config", []string{"errs", "internal/jsonx", "internal/near"}},
			{"internal/run", []string{"errs"}},
			{"internal/jsonx", []string{"errs"}},
			{"internal/failpoint", []string{"errs"}},
			{"internal/spare", nil},
			{"internal/flock", []string{"errs"}},
			{"internal/durable", []string{"errs"}},
			{"internal/frozen", nil},
			{"internal/near", nil},
			{"internal/slack", nil},
			{"internal/turn", nil},
		}},
		{"1 nouns", []member{
			{"object", nil},
			{"cluster", []string{"object"}},
			{"cluster/ownership", []string{"cluster", "object"}},
			{"api", []string{"object", "cluster"}},
			{"archive", []string{"object"}},
			{"auth/sigv4", nil},
			{"auth/policy", nil},
		}},
		{"2 parts", []member{
			{"httpx", nil},
			{"transport", []string{"httpx"}},
			{"fs", nil},
			{"fs/jog", []string{"fs"}},
			{"store/format", nil},
			{"store/indexfs", []string{"fs"}},
			{"store/hot", nil},
			{"store", []string{"store/format", "store/indexfs", "store/hot", "fs", "fs/jog"}},
			{"cluster/control", []string{"httpx", "cluster/control/statedir"}},
			{"cluster/control/statedir", nil},
			{"backend/...", nil},
			{"s3", nil},
			{"api/client", nil},
		}},
		{"3 work", []member{
			{"xact", nil},
			{"ec", []string{"xact"}},
			{"mirror", []string{"xact"}},
			{"rebalance", []string{"xact"}},
			{"rebalance/resilver", []string{"xact", "rebalance"}},
			{"list", []string{"xact"}},
			{"etl", []string{"xact"}},
			{"dsort", []string{"xact"}},
			{"space", []string{"xact"}},
			{"copier", []string{"xact"}},
			{"download", []string{"xact"}},
		}},
		{"4 node", []member{
			{"node", nil},
			{"proxy", []string{"node"}},
			{"target", []string{"node"}},
			{"s3/owner", []string{"node", "target"}},
			{"s3/edge", []string{"node"}},
		}},
		{"4.5 local", []member{{"deploy/local", nil}}},
		{"5 top", []member{
			{"cmd/aisnode/app", nil},
			{"cmd/aisnode", []string{"cmd/aisnode/app"}},
			{"cmd/ais", []string{"cmd/ais/..."}},
			{"cmd/ais/...", []string{"cmd/ais/..."}},
			{"deploy/demo", nil},
			{"cmd/aisloader", []string{"cmd/aisloader/..."}},
			{"cmd/aisloader/...", []string{"cmd/aisloader/..."}},
			{"test/...", []string{"test/...", "cmd/aisnode/app"}},
		}},
	}
}

// pure are the packages of nouns: values and functions of them, testable without a clock or a disk.
func pure() []string {
	return []string{"object", "cluster", "api", "archive", "auth/sigv4", "auth/policy"}
}

// place is where a package stands in the table.
type place struct {
	level int
	layer string
	member
}

// matches reports whether pattern names path: itself, or for "dir/..." anything below dir.
func matches(pattern, path string) bool {
	if dir, ok := strings.CutSuffix(pattern, "/..."); ok {
		return strings.HasPrefix(path, dir+"/")
	}
	return pattern == path
}

func anyMatches(patterns []string, path string) bool {
	for _, p := range patterns {
		if matches(p, path) {
			return true
		}
	}
	return false
}

// locate finds path in table, an exact entry before a folder's.
func locate(table []layer, path string) (place, bool) {
	var folder place
	found := false
	for i, l := range table {
		for _, m := range l.packages {
			switch {
			case m.path == path:
				return place{i, l.name, m}, true
			case matches(m.path, path):
				folder, found = place{i, l.name, m}, true
			}
		}
	}
	return folder, found
}

// checkLayers reports packages missing from the table and imports that do not go downwards. A test
// file may also import any package of its own layer: the rule is about what ships.
func checkLayers(t *tree, table []layer) []Finding {
	var out []Finding
	for _, p := range t.packages {
		from, ok := locate(table, p.path)
		if !ok {
			out = append(out, Finding{
				Rule: "layer", Subject: p.path, Where: p.path,
				Text: "package is in no layer: add it to layers() in test/arch/layers.go and to docs/design/layers.md",
			})
			continue
		}
		for _, f := range p.files {
			for _, imp := range f.imports {
				to, ours := strings.CutPrefix(imp.path, module+"/")
				if !ours || to == p.path {
					continue
				}
				if text := upward(table, from, to, f.test); text != "" {
					out = append(out, Finding{
						Rule: "layer", Subject: p.path + " -> " + to, Where: imp.where, Text: text,
					})
				}
			}
		}
	}
	return out
}

// upward says what is wrong with a package at from importing to, or "" if nothing is.
func upward(table []layer, from place, to string, test bool) string {
	dest, ok := locate(table, to)
	switch {
	case !ok:
		return "imports " + to + ", which is in no layer of test/arch/layers.go"
	case dest.level < from.level:
		return ""
	case dest.level > from.level:
		return fmt.Sprintf("layer %q imports upwards: %s is in layer %q", from.layer, to, dest.layer)
	case test || anyMatches(from.same, to):
		return ""
	}
	return fmt.Sprintf("imports %s of its own layer %q, which the table does not allow", to, from.layer)
}
