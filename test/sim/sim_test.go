package sim

import (
	"flag"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

var seed = flag.Uint64("seed", 0, "the seed whose story TestSeed prints")
var fault = flag.String("fault", "", "the rule that TestSeed breaks")
var count = flag.Uint64("seeds", 300, "how many")

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

func faults() []Fault {
	return []Fault{NoFence, AskedWithoutLock, AskNobody, SilenceIsAbsence, FirstAnswerWins, PullInNewEpoch, PullAfterSettled, TouchedForEver, MergedStates, CommitNotGuarded, ReadNotChecked, NoMark, NoTombstone, MarkLowered, MarksDroppedEarly, KeepersSettled, AckBeforeSync, RemovedBeforeSynced, SweptBeforeSync, PushOfAnyEpoch, PushAfterSettled, PushAlwaysApplied, TombstonesStay, MovedInSpiteOfFailures, MovedBeforeCommitsEnd, ReportOfAnyEpoch, SweepNotChecked, ListWithoutStage, ListWithoutSources, ListWithoutTombstones, ListLeavesOut, LeaseNotCheckedAgain, LeaseByWallClock, NoFloor, AckBeforeAllKnow, ForgetBeforeLeaseEnds, ForgottenDiskServed, OldDiskServed, BucketIDReused}
}

func TestFaults(t *testing.T) {
	for _, f := range faults() {
		var found atomic.Uint64
		var hits atomic.Uint64
		var next atomic.Uint64
		var what string
		var wg sync.WaitGroup
		for range runtime.GOMAXPROCS(0) {
			wg.Go(func() {
				for s := next.Add(1); s <= *count && (hits.Load() < 5); s = next.Add(1) {
					out := Run(Options{Seed: s, Fault: f})
					if len(out.Violations) > 0 {
						hits.Add(1)
						if found.CompareAndSwap(0, s) {
							what = out.Violations[0]
						}
					}
				}
			})
		}
		wg.Wait()
		if len(what) > 150 {
			what = what[:150]
		}
		t.Logf("%-28s first %d, %d hits in %d  %q", f, found.Load(), hits.Load(), next.Load(), what)
	}
}
