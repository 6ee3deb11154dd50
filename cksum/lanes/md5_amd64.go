package lanes

import (
	"math"

	"golang.org/x/sys/cpu"
)

// available tells whether the processor has what blocks8 needs.
var available = cpu.X86.HasAVX512F && cpu.X86.HasAVX512VL

// sines are the constants of MD5's steps (RFC 1321, 3.4).
var sines = func() (k [64]uint32) { //nolint:unused // blocks8 uses them
	for i := range k {
		k[i] = uint32(math.Abs(math.Sin(float64(i+1))) * (1 << 32))
	}
	return k
}()

// blocks8 takes n blocks of 64 bytes of each of eight messages into their states, which stand side by side: states[word][lane].
//
//go:noescape
func blocks8(states *[4][Lanes]uint32, data *[Lanes]*byte, n int)
