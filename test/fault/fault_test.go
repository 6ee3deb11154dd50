package fault

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"aistore/test/linear"
	"aistore/test/plain"
	"aistore/test/procs"
)

func TestMain(m *testing.M) { procs.Main(m) }

// long reports whether the long form of the suite was asked for.
func long() bool { return os.Getenv("AIS_LONG") != "" }

// rounds returns short, or many when the long form was asked for.
func rounds(short, many int) int {
	if long() {
		return many
	}
	return short
}

// asked returns those of points that were asked for: all, or the ones that the regular expression AIS_POINTS matches, so that a long form
// can be run in parts.
func asked[P any](t *testing.T, points []P, name func(P) string) []P {
	t.Helper()
	re, err := regexp.Compile(os.Getenv("AIS_POINTS"))
	must(t, err)
	points = slices.DeleteFunc(points, func(p P) bool { return !re.MatchString(name(p)) })
	if len(points) == 0 {
		t.Skipf("AIS_POINTS=%s matches no point of this test", re)
	}
	return points
}

// itself is the name of what is a name.
func itself(name string) string { return name }

// judge fails the test if the history has no explanation, and keeps it.
func judge(t *testing.T, dir string, h *linear.History) {
	t.Helper()
	path := filepath.Join(dir, "history.jsonl") // before the search, which may take long
	if e := h.Save(path); e != nil {
		t.Error(e)
	}
	err := h.Check()
	t.Logf("history: %v", h.Count())
	if err != nil {
		t.Errorf("history %s: %.8000v", path, err)
	}
}

// must fails the test at once.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ownedBy returns n names below prefix that the node at url owns.
func ownedBy(t *testing.T, c *plain.Client, url, bucket, prefix string, n int) []string {
	t.Helper()
	var names []string
	for i := 0; len(names) < n; i++ {
		if i > 1000*n {
			t.Fatalf("%s owns none of %d names", url, i)
		}
		name := fmt.Sprintf("%s-%d", prefix, i)
		owner, err := c.Owner(context.Background(), bucket, name)
		must(t, err)
		if owner == url {
			names = append(names, name)
		}
	}
	return names
}
