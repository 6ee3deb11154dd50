package sim

import (
	"flag"
	"testing"
)

var seed = flag.Uint64("seed", 0, "the seed whose story TestSeed prints")
var count = flag.Uint64("seeds", 300, "how many")
var fault = flag.String("fault", "", "the rule that TestSeed breaks")

func TestSeed(t *testing.T) {
	if *seed == 0 {
		t.Skip("no -seed")
	}
	out := Run(Options{Seed: *seed, Fault: Fault(*fault), Story: t.Logf})
	for _, v := range out.Violations {
		t.Error(v)
	}
	t.Logf("%d operations, %d events, %d epochs, %d losses", out.Ops, out.Events, out.Epochs, out.Losses)
}

func TestSeeds(t *testing.T) {
	bad := 0
	var ops, events, epochs, losses int
	for s := uint64(1); s <= *count; s++ {
		out := Run(Options{Seed: s, Fault: Fault(*fault)})
		ops += out.Ops
		events += out.Events
		epochs += int(out.Epochs)
		losses += out.Losses
		if len(out.Violations) > 0 {
			bad++
			if bad < 10 {
				t.Errorf("seed %d: %s", s, out.Violations[0])
			}
		}
	}
	t.Logf("%d bad; %d ops %d events %d epochs %d losses", bad, ops, events, epochs, losses)
}
