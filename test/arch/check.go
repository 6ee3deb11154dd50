package arch

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// A Finding is one departure from the project's shape.
type Finding struct {
	Rule    string // which rule: the name a waiver uses
	Subject string // what broke it, stable when lines move: the name a waiver uses
	Where   string // file:line for the reader
	Text    string // what is wrong and what to do
	Soft    bool   // an alarm to look at, not a failure
}

func (f Finding) String() string {
	return fmt.Sprintf("%s: [%s] %s: %s", f.Where, f.Rule, f.Subject, f.Text)
}

// Check reads the Go files of repo, the repository's root, and returns all findings that the waiver
// table does not cover. The error is for source that cannot be read or parsed.
func Check(repo fs.FS) ([]Finding, error) {
	t, err := load(repo)
	if err != nil {
		return nil, err
	}
	found := waive(t.check(layers(), homes()), waivers())
	slices.SortStableFunc(found, func(a, b Finding) int {
		return strings.Compare(a.Rule+" "+a.Subject, b.Rule+" "+b.Subject)
	})
	return found, nil
}

// check runs every rule over t.
func (t *tree) check(ls []layer, hs []home) []Finding {
	var out []Finding
	out = append(out, checkLayers(t, ls)...)
	out = append(out, checkHomes(t, hs)...)
	out = append(out, checkDocs(t)...)
	out = append(out, checkPure(t, pure())...)
	out = append(out, checkSizes(t)...)
	out = append(out, checkHabits(t)...)
	out = append(out, checkState(t)...)
	return out
}
