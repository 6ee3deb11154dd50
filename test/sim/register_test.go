package sim

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// porcupineSays judges a history without losses by the library.
func porcupineSays(r *register) bool {
	model := porcupine.Model{
		Init: func() any { return picture("") },
		Step: func(state, input, _ any) (bool, any) {
			p, ok := input.(*operation).step(state.(picture), r.versioned)
			return ok, p
		},
	}
	ends := map[*operation]time.Duration{}
	for _, e := range r.entries {
		if e.end {
			ends[e.op] = e.at
		}
	}
	var history []porcupine.Operation
	for _, e := range r.entries {
		if e.op != nil && !e.end {
			end := int64(math.MaxInt64)
			if at, ok := ends[e.op]; ok {
				end = int64(at)
			}
			history = append(history, porcupine.Operation{Input: e.op, Call: int64(e.at), Return: end})
		}
	}
	return porcupine.CheckOperationsTimeout(model, history, 20*time.Second) != porcupine.Illegal
}

// TestJudge compares the judge of registers with porcupine, on histories that are right, and on the same with a read changed.
func TestJudge(t *testing.T) {
	judged, wrong := 0, 0
	for s := uint64(1); s <= 60; s++ {
		for i, r := range Run(Options{Seed: s}).Histories {
			if len(r.entries) == 0 || slices.ContainsFunc(r.entries, func(e entry) bool { return e.loss != nil }) {
				continue
			}
			if int(s)%2 == i%2 { // let one that reads see what the one before it saw
				var last *operation
				for _, e := range r.entries[len(r.entries)/2:] {
					if e.end && !e.op.op.changes() && e.op.op != opClear {
						if last != nil && last.seen != e.op.seen {
							e.op.seen = last.seen
							break
						}
						last = e.op
					}
				}
			}
			mine := r.judgeAll() == ""
			if judged++; !mine {
				wrong++
			}
			if mine != porcupineSays(r) {
				t.Errorf("seed %d, %s: the judge says %v, porcupine does not:%s", s, r.name, mine, r.tail(len(r.entries)-1))
			}
		}
	}
	if judged < 100 || wrong < 10 {
		t.Errorf("%d histories, %d of them wrong: too few to compare", judged, wrong)
	}
}

// TestLoss follows what may come back after a loss, and for how long.
func TestLoss(t *testing.T) {
	at := time.Duration(0)
	r := &register{name: "x"}
	do := func(o op, value uint16, seen picture) {
		x := &operation{request: &request{op: o, value: value}, ended: true, seen: seen}
		r.entries = append(r.entries, entry{op: x, at: at}, entry{op: x, end: true, at: at + 1})
		at += 10
	}
	one, two, three := join([]uint16{1}, nil), join([]uint16{2}, nil), join([]uint16{3}, nil)
	do(opPut, 1, one)
	do(opPut, 2, two)
	r.entries = append(r.entries, entry{loss: []picture{"", one}, at: at})
	do(opWhole, 0, "")
	do(opWhole, 0, one) // a copy comes back late
	do(opRemove, 0, "")
	do(opWhole, 0, one)
	do(opPut, 3, three)
	if wrong := r.judgeAll(); wrong != "" {
		t.Fatalf("all this may happen: %s", wrong)
	}
	do(opWhole, 0, one)
	if wrong := r.judgeAll(); !strings.Contains(wrong, "no order") {
		t.Errorf("what is older than an acknowledged write came back, and the judge says %q", wrong)
	}
}
