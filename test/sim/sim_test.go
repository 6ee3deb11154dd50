package sim

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	seed   = flag.Uint64("seed", 0, "the seed whose story TestSeed tells")
	fault  = flag.String("fault", "", "the rule that TestSeed breaks")
	base   = flag.Uint64("base", 0, "the first seed of TestFresh and TestFaults; 0 = from the time")
	seeds  = flag.Uint64("seeds", 5000, "how many seeds TestFresh runs")
	update = flag.Bool("update", false, "look for the seeds of docs/design/ownership.md again and write its table")
)

// firstSeed is never the same twice unless it is given.
func firstSeed(t *testing.T) uint64 {
	b := *base
	if b == 0 {
		b = uint64(time.Now().UnixMilli()) * 1000
	}
	t.Logf("-base %d", b)
	return b
}

// search runs n seeds from first on, on all processors, until each says stop; it returns how many were run.
func search(first, n uint64, each func(seed uint64) (stop bool)) uint64 {
	var next, over atomic.Uint64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < n && over.Load() == 0; i = next.Add(1) - 1 {
				if each(first + i) {
					over.Store(1)
				}
			}
		})
	}
	wg.Wait()
	return min(n, next.Load())
}

// TestSeed tells the story of one seed: -seed N -v, and -fault NAME to break a rule in it.
func TestSeed(t *testing.T) {
	if *seed == 0 {
		t.Skip("needs -seed N")
	}
	out := Run(Options{Seed: *seed, Fault: Fault(*fault), Story: t.Logf})
	for _, v := range out.Violations {
		t.Error(v)
	}
	t.Logf("%d operations, %d events, epoch %d, %d keys lost with disks", out.Ops, out.Events, out.Epochs, out.Losses)
}

// TestFresh runs seeds that nobody has run before.
func TestFresh(t *testing.T) {
	n := *seeds
	if testing.Short() {
		n = min(n, 300)
	}
	var ops, events, epochs, bad atomic.Int64
	search(firstSeed(t), n, func(s uint64) bool {
		out := Run(Options{Seed: s})
		ops.Add(int64(out.Ops))
		events.Add(int64(out.Events))
		epochs.Add(int64(out.Epochs))
		if len(out.Violations) > 0 {
			t.Errorf("seed %d (go test ./test/sim -run TestSeed -seed %d -v): %s", s, s, out.Violations[0])
		}
		return len(out.Violations) > 0 && bad.Add(1) >= 5
	})
	t.Logf("%d seeds: %d operations, %d events, %d epochs", n, ops.Load(), events.Load(), epochs.Load())
	if int64(n)*20 > ops.Load() || int64(n)*4 > epochs.Load() {
		t.Errorf("too little happens for anything to be shown")
	}
}

// TestReplay holds a run to its seed: the same story, word by word.
func TestReplay(t *testing.T) {
	for s := uint64(1); s <= 20; s++ {
		var stories [2]strings.Builder
		for i := range stories {
			Run(Options{Seed: s, Story: func(format string, args ...any) { fmt.Fprintf(&stories[i], format+"\n", args...) }})
		}
		if stories[0].Len() < 1000 || stories[0].String() != stories[1].String() {
			t.Errorf("seed %d tells two stories", s)
		}
	}
}

// TestFaults demands that fresh seeds find out every fault that is not rare, within 500.
func TestFaults(t *testing.T) {
	first := firstSeed(t)
	if testing.Short() {
		t.Skip("the seeds of the page are enough")
	}
	caught := 0
	for i, d := range Defects() {
		if d.Rare {
			continue
		}
		var found atomic.Uint64
		ran := search(first+uint64(i)*500, 500, func(s uint64) bool {
			if len(Run(Options{Seed: s, Fault: d.Fault}).Violations) > 0 {
				found.Store(s)
				return true
			}
			return false
		})
		if found.Load() == 0 {
			t.Errorf("%s: %s, and %d seeds find nothing wrong", d.Fault, d.Text, ran)
			continue
		}
		caught++
		t.Logf("%-28s seed %d, the %d.", d.Fault, found.Load(), ran)
	}
	if caught < 15 {
		t.Errorf("%d faults are found out, want at least 15", caught)
	}
}

const ownershipPage = "../../docs/design/ownership.md"

// TestPage holds the table of docs/design/ownership.md to the truth: every fault is in it, its seed breaks with it and not without.
func TestPage(t *testing.T) {
	b, err := os.ReadFile(ownershipPage)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok1 := strings.Cut(string(b), "<!-- faults -->\n")
	table, tail, ok2 := strings.Cut(rest, "<!-- end -->")
	if !ok1 || !ok2 {
		t.Fatal("the page has no place for the table")
	}
	if *update {
		table = writeTable(t, table)
		if err := os.WriteFile(ownershipPage, []byte(head+"<!-- faults -->\n"+table+"<!-- end -->"+tail), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	known := readTable(table)
	for _, d := range Defects() {
		s := known[d.Fault]
		switch {
		case !strings.Contains(table, row(d, s)):
			t.Errorf("the page does not have the row %q: go test ./test/sim -run TestPage -update", row(d, s))
		case s == 0:
			if !d.Rare {
				t.Errorf("%s has no seed", d.Fault)
			}
		case len(Run(Options{Seed: s, Fault: d.Fault}).Violations) == 0:
			t.Errorf("%s: seed %d finds nothing wrong: go test ./test/sim -run TestPage -update", d.Fault, s)
		case len(Run(Options{Seed: s}).Violations) > 0:
			t.Errorf("seed %d breaks without any fault", s)
		}
	}
	if n := strings.Count(table, "\n| "); n != len(Defects())+1 {
		t.Errorf("the table has %d rows for %d faults", n, len(Defects()))
	}
}

// row is a line of the table.
func row(d Defect, seed uint64) string {
	s := strconv.FormatUint(seed, 10)
	if seed == 0 {
		s = "none found"
	}
	return fmt.Sprintf("| %d | `%s` | %s | %s |\n", d.Rule, d.Fault, d.Text, s)
}

func readTable(table string) map[Fault]uint64 {
	known := map[Fault]uint64{}
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, " | "); len(cells) == 4 {
			s, _ := strconv.ParseUint(strings.Trim(cells[3], " |\n"), 10, 64)
			known[Fault(strings.Trim(cells[1], "`"))] = s
		}
	}
	return known
}

// writeTable keeps the seeds that still break, and looks for others in place of those that do not.
func writeTable(t *testing.T, old string) string {
	known := readTable(old)
	s := "\n| rule | fault | what is done wrong | a seed that finds it out |\n|---|---|---|---|\n"
	for _, d := range Defects() {
		if k := known[d.Fault]; k == 0 || len(Run(Options{Seed: k, Fault: d.Fault}).Violations) == 0 || len(Run(Options{Seed: k}).Violations) > 0 {
			var found atomic.Uint64
			search(1, 1200, func(s uint64) bool {
				if len(Run(Options{Seed: s, Fault: d.Fault}).Violations) > 0 {
					found.Store(s)
				}
				return found.Load() > 0
			})
			known[d.Fault] = found.Load()
			t.Logf("%s: %d", d.Fault, found.Load())
		}
		s += row(d, known[d.Fault])
	}
	return s + "\n"
}
