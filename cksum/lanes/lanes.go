// Package lanes computes the MD5 of several streams in one pass. A step of MD5 needs the one before it, so a single stream keeps a
// processor waiting most of the time; eight that go through it side by side, each in a lane of its wide registers, take as long as one.
//
// Lanes must be filled: who has bytes waits a moment for others that hash as well, and the last to come does the work of all. That is
// for times when processors are short. What is written while they are not, or while there are no others, goes to crypto/md5; both ways
// leave their state there, so that a stream may go one way and then the other.
//
// Start at Crew.
package lanes

import (
	"crypto/md5" //nolint:gosec // for S3's ETags, not for security
	"encoding"
	"encoding/binary"
	"hash"
	"sync"
	"time"
)

// Lanes is how many streams a pass takes.
const Lanes = 8

const (
	leastPiece = 16 << 10             // bytes; what is shorter is hashed sooner than others are found
	atOnce     = 64 << 10             // bytes of each stream for which the processor is kept: Go cannot take it away meanwhile
	patience   = 3 * time.Millisecond // the longest wait for others
	window     = 16 * time.Millisecond
	leastCrew  = 3 // streams in a window; for fewer a wait costs more than it saves
)

// Crew is the streams that are hashed at the same time. The zero value shares nothing.
type Crew struct {
	// Short tells whether processors are short; nil = never.
	Short func() bool

	mu      sync.Mutex
	waiting []*Hash // fewer than Lanes
	window  int64   // number of the present one
	now     int     // streams that have written in it
	before  int     // and in the one before
}

// New returns an MD5 whose longer writes go through together with those of others.
func (c *Crew) New() *Hash { return &Hash{sum: newSum(), crew: c} }

// Hash is the MD5 of one stream. It is for one goroutine at a time. Write may wait for some milliseconds.
type Hash struct {
	sum   running
	crew  *Crew
	odd   int           // bytes of a block that has begun
	seen  int64         // window in which it has written
	piece []byte        // whole blocks, to be hashed
	taken bool          // under crew.mu: somebody hashes piece
	done  chan struct{} // piece has been hashed by somebody else
	timer *time.Timer
	state []byte // as the sum tells it
}

// Sum appends the MD5 of what was written to b.
func (h *Hash) Sum(b []byte) []byte { return h.sum.Sum(b) }

// Reset forgets what was written.
func (h *Hash) Reset() {
	h.odd = 0
	h.sum.Reset()
}

// Size is 16 bytes.
func (h *Hash) Size() int { return md5.Size }

// BlockSize is 64 bytes.
func (h *Hash) BlockSize() int { return md5.BlockSize }

// Write adds p; it never fails.
func (h *Hash) Write(p []byte) (int, error) {
	n := len(p)
	if n >= leastPiece && h.crew.pays(h) {
		begun := (md5.BlockSize - h.odd) % md5.BlockSize
		whole := begun + (n-begun)/md5.BlockSize*md5.BlockSize
		h.alone(p[:begun])
		h.crew.share(h, p[begun:whole])
		p = p[whole:]
	}
	h.alone(p)
	return n, nil
}

// alone hashes p without others.
func (h *Hash) alone(p []byte) {
	_, _ = h.sum.Write(p) // hash.Hash never returns an error
	h.odd = (h.odd + len(p)) % md5.BlockSize
}

// pays notes that h writes, and reports whether others are likely to do so soon.
func (c *Crew) pays(h *Hash) bool {
	if !usable || c.Short == nil || !c.Short() {
		return false
	}
	w := time.Now().UnixNano() / int64(window)
	c.mu.Lock()
	defer c.mu.Unlock()
	if w != c.window {
		c.before = 0
		if w == c.window+1 {
			c.before = c.now
		}
		c.window, c.now = w, 0
	}
	if h.seen != w {
		h.seen = w
		c.now++
	}
	return c.size() >= leastCrew
}

// size is how many streams write at present. The caller holds mu.
func (c *Crew) size() int { return max(c.now, c.before) }

// share hashes p, whole blocks, together with what others bring, and returns when that is done.
func (c *Crew) share(h *Hash, p []byte) {
	if h.done == nil {
		h.done = make(chan struct{}, 1)
	}
	h.piece = p
	c.mu.Lock()
	h.taken = false
	c.waiting = append(c.waiting, h)
	first := len(c.waiting) == 1
	all := c.take(min(Lanes, (c.size()+1)/2)) // half of them fill enough lanes; to wait for all keeps the machine idle
	c.mu.Unlock()
	if all == nil && first {
		all = c.await(h)
	}
	if all == nil {
		<-h.done
		return
	}
	pass(all)
	for _, o := range all {
		if o != h {
			o.done <- struct{}{}
		}
	}
}

// await waits for others on behalf of all who come after h. It returns whom h has to hash: nobody if somebody else does it.
func (c *Crew) await(h *Hash) []*Hash {
	if h.timer == nil {
		h.timer = time.NewTimer(patience)
	} else {
		h.timer.Reset(patience)
	}
	defer h.timer.Stop()
	select {
	case <-h.done:
		h.done <- struct{}{} // for share
		return nil
	case <-h.timer.C:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.taken {
		return nil
	}
	return c.take(1)
}

// take returns all who wait if there are at least n. The caller holds mu.
func (c *Crew) take(n int) []*Hash {
	if len(c.waiting) < n {
		return nil
	}
	all := c.waiting
	c.waiting = make([]*Hash, 0, Lanes)
	for _, h := range all {
		h.taken = true
	}
	return all
}

// pass hashes the pieces of all, at most Lanes, of any lengths.
func pass(all []*Hash) {
	if len(all) == 1 {
		all[0].alone(all[0].piece)
		return
	}
	var states [4][Lanes]uint32
	var left [Lanes][]byte
	for i, h := range all {
		h.tell(&states, i)
		left[i] = h.piece
	}
	for {
		n := atOnce
		var data [Lanes]*byte
		var any *byte
		for i := range left {
			if len(left[i]) > 0 {
				n, any = min(n, len(left[i])), &left[i][0]
			}
		}
		if any == nil {
			return
		}
		for i := range data {
			data[i] = any // a lane that has ended, or was empty, computes what nobody wants
			if len(left[i]) > 0 {
				data[i] = &left[i][0]
			}
		}
		blocks8(&states, &data, n/md5.BlockSize)
		for i := range left {
			if len(left[i]) == 0 {
				continue
			}
			if left[i] = left[i][n:]; len(left[i]) == 0 {
				all[i].told(&states, i)
			}
		}
	}
}

// running is the MD5 of crypto/md5, with all that it can do.
type running interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

func newSum() running {
	r, _ := md5.New().(running) //nolint:gosec // see import
	return r
}

// The state of crypto/md5 as it is marshaled: a magic text, the four words, the bytes of a block that has begun, the number of bytes.
const (
	magic     = "md5\x01"
	wordsAt   = len(magic)
	lengthAt  = wordsAt + md5.Size + md5.BlockSize
	stateSize = lengthAt + 8
)

// usable tells whether streams can share passes here: the processor can, and crypto/md5 tells its state as expected.
var usable = available && func() bool {
	b, err := newSum().AppendBinary(nil)
	return err == nil && len(b) == stateSize && string(b[:wordsAt]) == magic
}()

// tell puts the state into lane i.
func (h *Hash) tell(states *[4][Lanes]uint32, i int) {
	h.state, _ = h.sum.AppendBinary(h.state[:0]) // see usable
	for w := range states {
		states[w][i] = binary.BigEndian.Uint32(h.state[wordsAt+4*w:])
	}
}

// told takes the state of lane i back, which has the piece in it.
func (h *Hash) told(states *[4][Lanes]uint32, i int) {
	for w := range states {
		binary.BigEndian.PutUint32(h.state[wordsAt+4*w:], states[w][i])
	}
	length := h.state[lengthAt:]
	binary.BigEndian.PutUint64(length, binary.BigEndian.Uint64(length)+uint64(len(h.piece)))
	_ = h.sum.UnmarshalBinary(h.state) // it has told it itself
}
