package rebalance

import (
	"context"
	"testing"
)

// TestCancelledTakesNoTurn: one who no longer wants to work does not keep the place of others.
func TestCancelledTakesNoTurn(t *testing.T) {
	g := newThrottle(1, nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 3 {
		if g.work(ended, func() { t.Error("worked") }) == nil {
			t.Error("no error although the context has ended")
		}
	}
	worked := false
	if err := g.work(t.Context(), func() { worked = true }); err != nil || !worked {
		t.Errorf("the next one: %v, worked: %v", err, worked)
	}
}
