package lanes

import (
	"bytes"
	"crypto/md5" //nolint:gosec // what is compared with
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func always() bool { return true }

func needLanes(t *testing.T) {
	t.Helper()
	if !usable {
		t.Skip("this processor has no AVX-512VL: nothing is shared")
	}
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func check(t *testing.T, h *Hash, content []byte) {
	t.Helper()
	if want := md5.Sum(content); !bytes.Equal(h.Sum(nil), want[:]) { //nolint:gosec // see import
		t.Errorf("MD5 of %d bytes is %x, want %x", len(content), h.Sum(nil), want)
	}
}

// Passes of two to eight streams with pieces of any lengths, behind what was hashed alone, give what crypto/md5 gives.
func TestPass(t *testing.T) {
	needLanes(t)
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 60 {
		all := make([]*Hash, 2+round%(Lanes-1))
		contents := make([][]byte, len(all))
		for i := range all {
			before := r.IntN(3) * md5.BlockSize
			size := before + (1+r.IntN(40))*md5.BlockSize
			if r.IntN(8) == 0 {
				size += 2 * atOnce
			}
			contents[i] = noise(r, size)
			all[i] = new(Crew).New()
			all[i].alone(contents[i][:before])
			all[i].piece = contents[i][before:]
		}
		pass(all)
		for i, h := range all {
			check(t, h, contents[i])
			h.alone([]byte("and more")) // the length counts
			check(t, h, append(contents[i], "and more"...))
		}
	}
}

// A pass reads no byte behind a piece: each ends where nobody may read.
func TestPassReadsNothingElse(t *testing.T) {
	needLanes(t)
	const size = 64 << 10 // of a page on every system
	r := rand.New(rand.NewPCG(10, 11))
	all, contents := make([]*Hash, 3), make([][]byte, 3)
	for i := range all {
		mem, err := syscall.Mmap(-1, 0, 2*size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Munmap(mem) })
		if err := syscall.Mprotect(mem[size:], syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
		contents[i] = mem[size-(1+i*5)*md5.BlockSize : size : size]
		copy(contents[i], noise(r, len(contents[i])))
		all[i] = new(Crew).New()
		all[i].piece = contents[i]
	}
	pass(all)
	for i, h := range all {
		check(t, h, contents[i])
	}
}

// Streams that begin, end and write as they like, shared or not by turns, get their own sums.
func TestCrew(t *testing.T) {
	var turn sync.Mutex
	r := rand.New(rand.NewPCG(3, 4))
	c := &Crew{Short: func() bool { turn.Lock(); defer turn.Unlock(); return r.IntN(4) > 0 }}
	var all sync.WaitGroup
	for s := range uint64(12) {
		all.Go(func() {
			r := rand.New(rand.NewPCG(s, 5))
			for range 6 {
				h := c.New()
				content := noise(r, r.IntN(600<<10))
				for p := content; len(p) > 0; {
					n := min(len(p), 1+r.IntN(100<<10))
					if r.IntN(2) == 0 {
						n = min(len(p), n/md5.BlockSize*md5.BlockSize+md5.BlockSize)
					}
					if m, err := h.Write(p[:n]); m != n || err != nil {
						t.Errorf("Write of %d bytes: %d, %v", n, m, err)
					}
					p = p[n:]
				}
				check(t, h, content)
				h.Reset()
				check(t, h, nil)
			}
		})
	}
	all.Wait()
	if len(c.waiting) > 0 {
		t.Errorf("%d are left behind", len(c.waiting))
	}
}

// Nobody waits for those who do not come: a stream alone not at all, one that others have left for patience at most, and then it
// hashes by itself.
func TestNobodyComes(t *testing.T) {
	needLanes(t)
	synctest.Test(t, func(t *testing.T) {
		c := &Crew{Short: always}
		content := noise(rand.New(rand.NewPCG(6, 7)), leastPiece)
		write := func(h *Hash) time.Duration {
			began := time.Now()
			_, _ = h.Write(content)
			return time.Since(began)
		}
		time.Sleep(window) // a window begins
		one := c.New()
		if took := write(one); took != 0 {
			t.Errorf("a stream alone waits %v", took)
		}
		two, three := c.New(), c.New()
		if took := write(two); took != 0 {
			t.Errorf("one of two waits %v", took)
		}
		if took := write(three); took != patience {
			t.Errorf("one of three, of which two do not come, waits %v, want %v", took, patience)
		}
		time.Sleep(2 * window)
		if took := write(three); took != 0 {
			t.Errorf("a stream that others have left long ago waits %v", took)
		}
		check(t, one, content)
		check(t, three, append(content, content...))
	})
}

// Half of the crew is enough: the first does not wait until its patience ends.
func TestHalfIsEnough(t *testing.T) {
	needLanes(t)
	synctest.Test(t, func(t *testing.T) {
		c := &Crew{Short: always}
		content := noise(rand.New(rand.NewPCG(8, 9)), leastPiece+100)
		time.Sleep(window)
		for range leastCrew - 1 { // they have written, and do not come again
			_, _ = c.New().Write(content)
		}
		first, second := c.New(), c.New()
		began := time.Now()
		var both sync.WaitGroup
		for i, h := range []*Hash{first, second} {
			both.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				_, _ = h.Write(content)
			})
		}
		both.Wait()
		if took := time.Since(began); took != time.Millisecond {
			t.Errorf("it took %v until two of four were there, want 1ms", took)
		}
		check(t, first, content)
		check(t, second, content)
	})
}

// While processors are not short, nobody waits.
func TestNotShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Crew{Short: func() bool { return false }}
		began := time.Now()
		for range 10 {
			_, _ = c.New().Write(make([]byte, leastPiece))
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

// MD5 of 256 KiB of each of eight streams, in one pass and one after the other.
func BenchmarkMD5(b *testing.B) {
	pieces := make([][]byte, Lanes)
	for i := range pieces {
		pieces[i] = make([]byte, 256<<10)
	}
	b.Run("shared", func(b *testing.B) {
		if !usable {
			b.Skip("no AVX-512VL")
		}
		all := make([]*Hash, Lanes)
		for i := range all {
			all[i] = new(Crew).New()
			all[i].piece = pieces[i]
		}
		b.SetBytes(Lanes * 256 << 10)
		for b.Loop() {
			pass(all)
		}
	})
	b.Run("alone", func(b *testing.B) {
		h := new(Crew).New()
		b.SetBytes(Lanes * 256 << 10)
		for b.Loop() {
			for _, p := range pieces {
				h.alone(p)
			}
		}
	})
}
