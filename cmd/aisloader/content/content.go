// Package content makes the bytes of a load generator's objects from key and seed alone, so that every
// reader can check every byte without having kept anything, at the price of a memory comparison.
//
// An object is a row of chunks of 256 KiB. Each begins with 16 bytes of identity (a hash of seed, key and
// size; the chunk's number) and goes on with a slice of a random pool whose place depends on both: bytes of another
// object, of another size, or of another place in the same object do not pass.
//
// Start at NewPool, (*Pool).Object, (Object).Append and (*Checker).Write.
package content

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"aistore/cksum"
)

const (
	chunkSize = 256 << 10
	stampSize = 16
	poolSize  = 2 * chunkSize
)

// Pool is the random material; it is read-only and shared by all goroutines.
type Pool struct {
	seed  uint64
	bytes []byte
}

// NewPool derives the material from seed.
func NewPool(seed uint64) *Pool {
	p := &Pool{seed: seed, bytes: make([]byte, poolSize)}
	rng := rand.New(rand.NewPCG(seed, 0x61697320))
	for i := 0; i < poolSize; i += 8 {
		binary.LittleEndian.PutUint64(p.bytes[i:], rng.Uint64())
	}
	return p
}

// Hash is a number that depends on seed and key only; sizes and the like may be drawn from it.
func (p *Pool) Hash(key string) uint64 { return cksum.DigestString64(key, p.seed) }

// Object is the content of one object; it is cheap to make.
type Object struct {
	pool *Pool
	id   uint64
	Size int64
}

// Object returns the content of key at size bytes.
func (p *Pool) Object(key string, size int64) Object {
	return Object{pool: p, id: mix(p.Hash(key), uint64(size)), Size: size}
}

// mix joins two numbers into one with all bits in play (SplitMix64's finaliser).
func mix(a, b uint64) uint64 {
	z := a + b*0x9e3779b97f4a7c15 + 0x9e3779b97f4a7c15
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

// chunk returns the identity bytes of chunk n and the pool's part behind them, both cut to the object's size.
func (o Object) chunk(n int64) (stamp [stampSize]byte, stampLen int, rest []byte) {
	left := min(o.Size-n*chunkSize, chunkSize)
	binary.LittleEndian.PutUint64(stamp[:], o.id)
	binary.LittleEndian.PutUint64(stamp[8:], uint64(n))
	stampLen = int(min(left, stampSize))
	at := mix(o.id, uint64(n)) % (poolSize - chunkSize)
	return stamp, stampLen, o.pool.bytes[at : at+uint64(left)-uint64(stampLen)]
}

// chunks returns how many chunks the object has.
func (o Object) chunks() int64 { return (o.Size + chunkSize - 1) / chunkSize }

// Append adds the content to parts as slices that can be written in one vectored call; the pool's are not copied.
func (o Object) Append(parts [][]byte) [][]byte {
	stamps := make([]byte, 0, o.chunks()*stampSize)
	for n := range o.chunks() {
		stamp, k, rest := o.chunk(n)
		stamps = append(stamps, stamp[:k]...)
		parts = append(parts, stamps[len(stamps)-k:])
		if len(rest) > 0 {
			parts = append(parts, rest)
		}
	}
	return parts
}

// AppendBytes adds the whole content to b; for small objects that travel in one buffer with their request.
func (o Object) AppendBytes(b []byte) []byte {
	for n := range o.chunks() {
		stamp, k, rest := o.chunk(n)
		b = append(append(b, stamp[:k]...), rest...)
	}
	return b
}

// Checker compares a stream with an object's content. Its zero value expects nothing; Reset sets it up.
type Checker struct {
	obj   Object
	at    int64 // bytes seen
	n     int64 // chunk that the fields below belong to
	stamp [stampSize]byte
	head  []byte
	rest  []byte
}

// Reset starts a comparison with o.
func (c *Checker) Reset(o Object) {
	c.obj, c.at, c.n = o, 0, 0
	c.load()
}

func (c *Checker) load() {
	c.head, c.rest = nil, nil
	if c.n < c.obj.chunks() {
		var k int
		c.stamp, k, c.rest = c.obj.chunk(c.n)
		c.head = c.stamp[:k]
	}
}

// Write compares the next bytes; the error names the first chunk that differs.
func (c *Checker) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		if len(c.head) == 0 && len(c.rest) == 0 {
			if c.n++; c.n >= c.obj.chunks() {
				return 0, fmt.Errorf("more than the %d bytes that were put", c.obj.Size)
			}
			c.load()
		}
		want := &c.head
		if len(c.head) == 0 {
			want = &c.rest
		}
		k := min(len(p), len(*want))
		if !bytes.Equal(p[:k], (*want)[:k]) {
			return 0, fmt.Errorf("bytes %d-%d differ from what was put", c.at, c.at+int64(k)-1)
		}
		p, *want = p[k:], (*want)[k:]
		c.at += int64(k)
	}
	return total, nil
}

// Done tells whether all content was seen.
func (c *Checker) Done() error {
	if c.at != c.obj.Size {
		return fmt.Errorf("only %d of the %d bytes that were put", c.at, c.obj.Size)
	}
	return nil
}
