package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"aistore/fs"
	"aistore/object"
)

// Keys come and go in batches on the simulated disk. In every state that a power loss may leave, each key is whole: as the last call
// that was acknowledged left it, or as one begun later would; only a removal without blobs may be undone.

// keyMoment is a state of a key, in the order in which they were asked for.
type keyMoment struct {
	call, ret int64 // ret 0: not acknowledged yet
	volatile  bool  // a power loss may undo it
	state     KeyState
	picture   picture
}

// frameMoment is a frame and what it makes of a key.
type frameMoment struct {
	frame   []byte
	state   KeyState
	picture picture
}

const crashKeys, crashTurns = 6, 8

// crashFrames makes histories of keys: each frame is greater than the one before.
func crashFrames(t *testing.T, seed uint64) map[object.Name][]frameMoment {
	s := memStore(t, "source", 3)
	rng := rand.New(rand.NewPCG(seed, 3))
	all := map[object.Name][]frameMoment{}
	for k := range crashKeys {
		h := &history{t: t, s: s, rng: rng, n: b1(fmt.Sprintf("key%d", k))}
		for turn := range crashTurns {
			h.epoch = uint64(turn) + 1
			for range 1 + rng.IntN(6) {
				h.step()
			}
			must(t, s.MarkKeys(t.Context(), []object.Name{h.n}, ImportOptions{Mark: h.epoch})[0].Err)
			state, err := s.KeyState(h.n)
			must(t, err)
			all[h.n] = append(all[h.n], frameMoment{frameOf(t, s, h.n), state, pictureOf(t, s, h.n)})
		}
	}
	return all
}

func TestCrashStatesOfKeys(t *testing.T) {
	seeds := 4
	if v, err := strconv.Atoi(os.Getenv("STORE_CRASH_SEEDS")); err == nil {
		seeds = v
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			paths := []string{"/mp1", "/mp2", "/mp3"}[:1+2*(seed%2)]
			moments, crashes := keysWithCrashes(t, seed, paths)
			for _, c := range crashes {
				if t.Failed() {
					return
				}
				recoverKeys(t, c, paths, moments)
			}
			t.Logf("%d crash states", len(crashes))
		})
	}
}

func keysWithCrashes(t *testing.T, seed uint64, paths []string) (map[object.Name][]*keyMoment, []crash) {
	frames := crashFrames(t, seed)
	mem := fs.NewMem()
	s, err := Open(t.Context(), crashConfig(mem, paths))
	must(t, err)
	var clock atomic.Int64
	var mu sync.Mutex
	var crashes []crash
	rng := rand.New(rand.NewPCG(seed, 1))
	mem.OnSync = func(name string) {
		mu.Lock()
		defer mu.Unlock()
		for range rng.IntN(200) {
			runtime.Gosched()
		}
		if rng.IntN(3) != 0 {
			return
		}
		var keep *rand.Rand
		if rng.IntN(2) == 0 {
			keep = rand.New(rand.NewPCG(seed, rng.Uint64()))
		}
		c := crash{before: clock.Add(1), file: name}
		c.mem = mem.Crash(keep)
		c.after = clock.Add(1)
		crashes = append(crashes, c)
	}
	moments := map[object.Name][]*keyMoment{}
	for n := range frames {
		moments[n] = []*keyMoment{{ret: 1}}
	}
	var wg sync.WaitGroup
	for w := range 2 {
		var names []object.Name
		for k := w; k < crashKeys; k += 2 {
			names = append(names, b1(fmt.Sprintf("key%d", k)))
		}
		wg.Go(func() {
			moveAndRemove(t, s, rand.New(rand.NewPCG(seed, uint64(w)+50)), &clock, &mu, names, frames, moments)
		})
	}
	wg.Wait()
	mem.OnSync = nil
	must(t, s.Close())
	return moments, crashes
}

// moveAndRemove takes the frames of names in their order, in batches, and removes keys now and then.
func moveAndRemove(t *testing.T, s *Store, rng *rand.Rand, clock *atomic.Int64, mu *sync.Mutex, names []object.Name, frames map[object.Name][]frameMoment, moments map[object.Name][]*keyMoment) {
	for turn := range crashTurns {
		var batch [][]byte
		var begun []*keyMoment
		note := func(n object.Name, m *keyMoment) {
			mu.Lock()
			defer mu.Unlock()
			m.call = clock.Add(1)
			moments[n] = append(moments[n], m)
			begun = append(begun, m)
		}
		end := func() {
			mu.Lock()
			defer mu.Unlock()
			for _, m := range begun {
				m.ret = clock.Add(1)
			}
			begun = nil
		}
		lazy := rng.IntN(2) == 0
		for _, n := range names {
			f := frames[n][turn]
			batch = append(batch, f.frame)
			note(n, &keyMoment{state: f.state, picture: f.picture, volatile: lazy})
		}
		imported := func(o ImportOptions, want Outcome) {
			for _, r := range s.Import(t.Context(), batch, o) {
				if r.Err != nil || r.Outcome != want {
					t.Errorf("%+v", r)
				}
			}
			end()
		}
		imported(ImportOptions{Lazy: lazy}, Applied)
		if lazy && rng.IntN(3) > 0 { // what is acknowledged as had is durable then
			for _, n := range names {
				f := frames[n][turn]
				note(n, &keyMoment{state: f.state, picture: f.picture})
			}
			imported(ImportOptions{}, Had)
		}
		if rng.IntN(2) == 0 {
			gone := names[:1+rng.IntN(len(names))]
			for _, n := range gone {
				note(n, &keyMoment{volatile: true})
			}
			for _, err := range s.RemoveKeys(t.Context(), gone, nil) {
				if err != nil {
					t.Error(err)
				}
			}
			end()
		}
	}
}

// recoverKeys opens the state after a crash and looks for each key among the states it may have.
func recoverKeys(t *testing.T, c crash, paths []string, moments map[object.Name][]*keyMoment) {
	t.Helper()
	s, err := Open(t.Context(), crashConfig(c.mem, paths))
	if err != nil {
		t.Errorf("crash at sync of %s: the store does not open: %v", c.file, err)
		return
	}
	s.tidy(t.Context())
	for n, ms := range moments {
		state, err := s.KeyState(n)
		must(t, err)
		got := pictureOf(t, s, n)
		found := false
		least := 0
		for i, m := range ms {
			if m.ret > 0 && m.ret < c.before && !m.volatile {
				least = i
			}
		}
		for i := least; i < len(ms) && ms[i].call < c.after && !found; i++ {
			found = ms[i].state == state && reflect.DeepEqual(ms[i].picture, got)
		}
		if !found {
			t.Errorf("crash at sync of %s: %v is %+v with %d versions and %d uploads, which is none of its states from %d of %d on",
				c.file, n, state, len(got.Versions), len(got.Uploads), least, len(ms))
			for _, m := range ms[least:] {
				t.Logf("  %d-%d: %+v with %d versions and %d uploads", m.call, m.ret, m.state, len(m.picture.Versions), len(m.picture.Uploads))
			}
		}
	}
	must(t, s.Close())
	for _, p := range paths {
		checkOffline(t, c.mem, p)
	}
}
