package arch

import (
	"fmt"
	"strings"
)

// A home says which packages may import an outside library; one place knows its habits.
type home struct {
	library  string   // module path, or a prefix of it that ends at a slash
	packages []string // as in member.path
	tests    bool     // any test file may use it too
}

// homes lists every outside library. One that is not here fails the test.
func homes() []home {
	return []home{
		{"github.com/valyala/fasthttp", []string{"httpx"}, false},
		{"github.com/json-iterator/go", []string{"internal/jsonx"}, false},
		{"github.com/modern-go/reflect2", []string{"internal/jsonx"}, false},
		{"github.com/prometheus/client_golang", []string{"metrics"}, false},
		{"github.com/prometheus/client_model", []string{"metrics"}, false},
		{"github.com/prometheus/common", []string{"metrics"}, false},
		{"github.com/klauspost/reedsolomon", []string{"ec"}, false},
		{"github.com/OneOfOne/xxhash", []string{"cksum"}, false},
		{"github.com/minio/crc64nvme", []string{"cksum"}, false},
		{"github.com/urfave/cli", []string{"cmd/ais", "cmd/ais/..."}, false},
		{"github.com/vbauerster/mpb", []string{"cmd/ais", "cmd/ais/..."}, false},
		{"github.com/KimMachineGun/automemlimit", []string{"cmd/aisnode"}, false},
		{"github.com/cockroachdb/pebble", []string{"store", "store/indexfs"}, false},
		{"github.com/hashicorp/raft", []string{"cluster/control", "cluster/control/statedir"}, false},
		{"github.com/hashicorp/raft-boltdb", []string{"cluster/control/statedir"}, false},
		{"github.com/hashicorp/go-hclog", []string{"cluster/control"}, false},
		{"go.etcd.io/bbolt", []string{"cluster/control/statedir"}, false},
		{"github.com/tinylib/msgp", []string{"api"}, false},
		{"gopkg.in/yaml.v3", []string{"config"}, false},
		{"github.com/aws/aws-sdk-go-v2", []string{"backend/..."}, true},
		{"github.com/aws/smithy-go", []string{"backend/..."}, true},
		{"github.com/minio/minio-go/v7", []string{"test/..."}, true},
		{"github.com/anishathalye/porcupine", []string{"test/..."}, true},
		{"github.com/rogpeppe/go-internal", []string{"test/..."}, true},
		{"golang.org/x/sync", []string{"..."}, true},
		{"golang.org/x/sys", []string{"..."}, true},
		{"golang.org/x/term", []string{"cmd/ais", "cmd/ais/..."}, false},
		{"golang.org/x/tools", []string{"test/..."}, false},
	}
}

// checkHomes reports outside libraries used away from home, or that have none.
func checkHomes(t *tree, table []home) []Finding {
	var out []Finding
	for _, p := range t.packages {
		for _, f := range p.files {
			for _, imp := range f.imports {
				if text := astray(table, p.path, imp.path, f.test); text != "" {
					out = append(out, Finding{
						Rule: "home", Subject: p.path + " -> " + imp.path, Where: imp.where, Text: text,
					})
				}
			}
		}
	}
	return out
}

// astray says what is wrong with pkg importing library, or "" if nothing is.
func astray(table []home, pkg, library string, test bool) string {
	first, _, _ := strings.Cut(library, "/")
	if !strings.Contains(first, ".") {
		return "" // the standard library, or ours
	}
	for _, h := range table {
		if library != h.library && !strings.HasPrefix(library, h.library+"/") {
			continue
		}
		if test && h.tests || anyMatches(h.packages, pkg) || h.packages[0] == "..." {
			return ""
		}
		return fmt.Sprintf("%s belongs to %s", library, strings.Join(h.packages, ", "))
	}
	return library + " has no home: add it to homes() in test/arch/homes.go with the one package that uses it"
}
