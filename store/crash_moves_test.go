package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"aistore/fs"
	"aistore/store/format"
)

// Mountpaths are attached and detached during the workload of the crash test, and names move between them. In every state that a power
// loss may leave, everything is as the history allows: at once, when what was under way is finished, and when the node has gone on
// moving until all is at home.

// movers is how many names of a mountpath move at the same time.
const movers = 4

// keepMoving moves names home as package resilver does, until nothing is left, or the context ends.
func keepMoving(ctx context.Context, s *Store) error {
	for turn := 0; s.Unsettled() && ctx.Err() == nil; turn++ {
		p := s.BeginPass()
		var found sync.Map
		g, gctx := errgroup.WithContext(ctx)
		for lane := range p.Lanes() {
			moves := make(chan Move)
			for range movers {
				g.Go(func() error {
					for m := range moves {
						if _, err := m.Run(gctx); err != nil {
							return fmt.Errorf("%v: %w", m.Name, err)
						}
					}
					return nil
				})
			}
			g.Go(func() error {
				defer close(moves)
				return p.Each(gctx, lane, func(int) {}, func(m Move) error {
					found.Store(m.Name, nil)
					select {
					case moves <- m:
						return nil
					case <-gctx.Done():
						return gctx.Err()
					}
				})
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		some := false
		found.Range(func(n, _ any) bool { some = true; return false })
		if turn > passes {
			return fmt.Errorf("not settled after %d passes: %s", passes, leftover(s, &found))
		}
		if some || !p.Valid() {
			continue
		}
		if _, err := p.End(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// passes are by far more than are needed.
const passes = 300

// leftover describes what does not settle.
func leftover(s *Store, found *sync.Map) string {
	var b strings.Builder
	found.Range(func(n, _ any) bool { fmt.Fprintf(&b, "%v ", n); return true })
	l := s.now()
	for i, v := range l.vols {
		if m, out := l.set.Out(i); !out || m.Standing != fs.Leaving {
			continue
		}
		for _, fam := range format.Families() {
			if c, err := v.newCursor([]byte{fam}, []byte{fam + 1}); err == nil && fam != format.FamMeta {
				for ok := c.it.First(); ok; ok = c.it.Next() {
					fmt.Fprintf(&b, "\n%s %c %q", v.mp.Path(), fam, c.it.Key()[1:])
				}
				_ = c.close()
			}
		}
	}
	for _, i := range s.Mountpaths() {
		fmt.Fprintf(&b, "\n%s is %s %q", i.Path, i.State, i.Standing)
	}
	return b.String()
}

// comeAndGo attaches and detaches mountpaths until done, and counts.
func comeAndGo(t *testing.T, s *Store, rng *rand.Rand, all []string, done <-chan struct{}) (changes int) {
	in := map[string]bool{}
	for _, i := range s.Mountpaths() {
		in[i.Path] = true
	}
	for {
		select {
		case <-done:
			return changes
		default:
		}
		path := all[rng.IntN(len(all))]
		var err error
		switch {
		case !in[path]:
			_, err = attach(t, s, path)
			in[path] = true
		case len(s.now().serving()) > 1:
			err = s.Detach(t.Context(), path, false)
			delete(in, path)
		default:
			continue
		}
		changes++
		if err == nil && rng.IntN(4) > 0 || len(s.now().serving()) < 2 { // else the next change comes in the middle
			err = keepMoving(t.Context(), s)
		}
		for _, i := range s.Mountpaths() { // one that leaves is attached again only when it has left
			if i.Standing != "" && err == nil {
				err = keepMoving(t.Context(), s)
			}
		}
		if err != nil {
			t.Errorf("change of %s: %v", path, err)
			return changes
		}
	}
}

func TestCrashStatesOfMoves(t *testing.T) {
	seeds := 4
	if v, err := strconv.Atoi(os.Getenv("STORE_CRASH_SEEDS")); err == nil {
		seeds = v
	}
	all := []string{"/mp1", "/mp2", "/mp3", "/mp4"}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			paths := all[:1+seed%3]
			changes := 0
			w, crashes := runWithCrashes(t, seed, paths, func(s *Store, done <-chan struct{}) {
				changes = comeAndGo(t, s, rand.New(rand.NewPCG(seed, 9)), all, done)
			})
			rng := rand.New(rand.NewPCG(seed, 10))
			rng.Shuffle(len(crashes), func(i, j int) { crashes[i], crashes[j] = crashes[j], crashes[i] })
			if os.Getenv("STORE_CRASH_SEEDS") == "" {
				crashes = crashes[:min(len(crashes), crashStates)]
			}
			for i, c := range crashes {
				if t.Failed() {
					return
				}
				w.goOn(t, c, paths, i%2 == 0)
			}
			t.Logf("%d operations, %d changes of mountpaths, %d crash states", len(w.steps), changes, len(crashes))
		})
	}
}

// crashStates are looked at of each run, unless more seeds were asked for.
const crashStates = 60

// goOn opens the state after a crash in which names were moving, and lets them move on, after or while what was interrupted is finished.
func (w *workload) goOn(t *testing.T, c crash, paths []string, after bool) {
	t.Helper()
	s, err := Open(t.Context(), crashConfig(c.mem, paths))
	if err != nil {
		t.Errorf("crash at sync of %s: the store does not open: %v", c.file, err)
		return
	}
	w.examine(t, c, s)
	tidy := sync.OnceFunc(func() { s.tidy(t.Context()) })
	if after {
		tidy()
		w.examine(t, c, s)
	}
	var aside sync.WaitGroup
	aside.Go(tidy)
	err = keepMoving(t.Context(), s)
	aside.Wait()
	if err != nil {
		t.Errorf("crash at sync of %s: %v", c.file, err)
	}
	s.tidy(t.Context())
	w.examine(t, c, s)
	allHome(t, s, 1)
	allHome(t, s, versionedBucket)
	var in []string
	for _, i := range s.Mountpaths() {
		if i.Standing != "" {
			t.Errorf("crash at sync of %s: %s is still %s", c.file, i.Path, i.Standing)
		}
		in = append(in, i.Path)
	}
	must(t, s.Close())
	for _, p := range in {
		checkOffline(t, c.mem, p)
	}
	if c.before%4 == 0 {
		w.removeAll(t, c, in)
	}
}
