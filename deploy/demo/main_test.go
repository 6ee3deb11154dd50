package main

import (
	"strings"
	"testing"

	"aistore/errs"
)

// TestEnough: a demonstration does not start where its disks would fill up, and says what it needs.
func TestEnough(t *testing.T) {
	if err := enough(needed, "/tmp"); err != nil {
		t.Error(err)
	}
	if err := enough(3<<30, "/tmp"); !errs.Is(err, errs.Full) || !strings.Contains(err.Error(), "/tmp: has 3.0 GiB free, and up to 8 GiB are needed") || !strings.Contains(err.Error(), "TMPDIR") {
		t.Error(err)
	}
	if free, err := freeSpace(t.TempDir()); err != nil || free <= 0 {
		t.Errorf("%d bytes free, %v", free, err)
	}
}
