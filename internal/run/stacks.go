package run

import (
	"bytes"
	"fmt"
	"runtime/pprof"
	"strings"
)

// stacks returns the stacks of the goroutines of the part called name and of all that they started,
// as the goroutine profile's text form prints them.
func stacks(name string) string {
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		return "no stack: " + err.Error()
	}
	var found []string
	for block := range strings.SplitSeq(profile.String(), "\n\n") {
		if labelled(block, name) {
			found = append(found, strings.TrimSpace(block))
		}
	}
	if len(found) == 0 {
		return "no goroutine of this part is left" // it ended while the profile was taken
	}
	return strings.Join(found, "\n\n")
}

// labelled reports whether one block of the profile belongs to the part or to a part below it.
func labelled(block, name string) bool {
	for line := range strings.SplitSeq(block, "\n") {
		if strings.HasPrefix(line, "# labels:") {
			own := fmt.Sprintf("%q:%q", label, name)
			below := strings.TrimSuffix(fmt.Sprintf("%q:%q", label, name+"/"), `"`)
			return strings.Contains(line, own) || strings.Contains(line, below)
		}
	}
	return false
}
