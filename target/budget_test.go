package target

import (
	"testing"

	"aistore/errs"
)

func TestBudget(t *testing.T) {
	b := budget{limit: 10}
	if err := b.take(6); err != nil {
		t.Fatal(err)
	}
	if err := b.take(5); !errs.Is(err, errs.Busy) {
		t.Errorf("over the limit: %v", err)
	}
	if err := b.take(4); err != nil {
		t.Errorf("what fits is refused after something that did not: %v", err)
	}
	b.give(4)
	b.give(6)
	if b.used.Load() != 0 {
		t.Errorf("%d left", b.used.Load())
	}
	if d := defaultBudget(); d < 256<<20 || d > 4<<30 {
		t.Errorf("default %d", d)
	}
}
