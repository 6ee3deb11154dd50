package local

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"

	"aistore/errs"
)

// Build compiles aisnode from the module around the working directory into dir and returns the binary's path, for
// tests that need real processes. Build tags, such as the one that compiles failpoints in, are optional.
func Build(ctx context.Context, dir string, tags ...string) (string, error) {
	out := filepath.Join(dir, "aisnode")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", out, "-tags", strings.Join(tags, ","), "aistore/cmd/aisnode")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", errs.F("local.Build", "aisnode", errs.Other, "%w\n%s", err, text)
	}
	return out, nil
}
