//go:build failpoints

package store

import (
	"testing"

	"aistore/errs"
	"aistore/internal/failpoint"
	"aistore/object"
)

// TestStoppedBeforeCommit: what ends right before its commit changes nothing and leaves nothing.
func TestStoppedBeforeCommit(t *testing.T) {
	t.Cleanup(failpoint.Disarm)
	from, to := memStore(t, "n1", 1), memStore(t, "n2", 2)
	n := b1("k")
	must(t, second(from.Put(t.Context(), n, random(5000), PutOptions{})))
	frame := frameOf(t, from, n)
	for _, point := range []string{"import.blobs-synced", "import.before-commit"} {
		must(t, failpoint.Arm(point+"=error"))
		if r := to.Import(t.Context(), [][]byte{frame}, ImportOptions{})[0]; r.Err == nil || r.Outcome != Failed {
			t.Errorf("%s: %+v", point, r)
		}
		if k, err := to.KeyState(n); k != (KeyState{}) || err != nil {
			t.Errorf("%s: %+v %v", point, k, err)
		}
		for _, m := range to.Mountpaths() {
			if got := countBlobs(t, to.cfg.FS, m.Path); got != 0 {
				t.Errorf("%s: %d blobs are left", point, got)
			}
		}
	}
	must(t, failpoint.Arm("import.after-commit=error"))
	if r := to.Import(t.Context(), [][]byte{frame}, ImportOptions{})[0]; r.Outcome != Applied {
		t.Errorf("%+v", r)
	}
	must(t, failpoint.Arm("sweep.before-commit=error"))
	if err := to.RemoveKeys(t.Context(), []object.Name{n}, nil)[0]; err == nil {
		t.Error("removed")
	}
	if len(get(t, to, n)) != 5000 {
		t.Error("it is gone")
	}
	must(t, to.RemoveKeys(t.Context(), []object.Name{n}, nil)[0])
	if _, err := to.Stat(n); !errs.Is(err, errs.NotFound) {
		t.Error(err)
	}
	checkWhole(t, to)
}
