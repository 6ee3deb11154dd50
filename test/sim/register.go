package sim

import (
	"fmt"
	"math/bits"
	"time"
)

// picture is the state of a key as clients see it: the values of its versions, oldest first, then its uploads after a 0. "" is nothing.
type picture string

// removedBit marks the values of delete markers.
const removedBit = 0x8000

func (p picture) split() (versions, uploads []uint16) {
	for i := 0; i+1 < len(p); i += 2 {
		v := uint16(p[i])<<8 | uint16(p[i+1])
		switch {
		case v == 0:
			uploads = []uint16{}
		case uploads != nil:
			uploads = append(uploads, v)
		default:
			versions = append(versions, v)
		}
	}
	return versions, uploads
}

func join(versions, uploads []uint16) picture {
	b := make([]byte, 0, 2*(len(versions)+len(uploads)+1))
	for _, v := range versions {
		b = append(b, byte(v>>8), byte(v))
	}
	if len(uploads) > 0 {
		b = append(b, 0, 0)
		for _, v := range uploads {
			b = append(b, byte(v>>8), byte(v))
		}
	}
	return picture(b)
}

// current is the value of what a plain GET returns, 0 if that is nothing.
func (p picture) current() uint16 {
	versions, _ := p.split()
	if n := len(versions); n > 0 && versions[n-1]&removedBit == 0 {
		return versions[n-1]
	}
	return 0
}

func (p picture) String() string {
	versions, uploads := p.split()
	if len(uploads) == 0 {
		return fmt.Sprintf("%x", versions)
	}
	return fmt.Sprintf("%x+%x", versions, uploads)
}

// entry is what happened to a register: calls, returns and losses in the order of time.
type entry struct {
	op   *operation // of calls and returns
	end  bool
	loss []picture // not nil: what only one disk had is lost, and these are what else may be found
	at   time.Duration
}

// register is the history of one name of a bucket.
type register struct {
	name      string
	versioned bool
	entries   []entry
}

// config is one explanation of what has happened so far: the state, and which of the open operations have taken effect.
type config struct {
	p    picture
	took uint64
}

// judge looks for an order that explains the history, keeping all explanations at once: between two returns any of the open operations may take
// effect; at a return the operation must have.
type judge struct {
	r     *register
	now   map[config]bool
	slots [64]*operation
	used  uint64
	// After a loss:
	zombies []picture
	fresh   map[*operation]bool // that must not be lost with it
}

// judgeAll returns what is wrong with a history, "" if nothing is.
func (r *register) judgeAll() string {
	j := judge{r: r, now: map[config]bool{{}: true}}
	for i, e := range r.entries {
		switch {
		case e.loss != nil:
			j.lose(e.loss, e.at)
		case !e.end:
			if !j.call(e.op) {
				return ""
			}
		default:
			if !j.end(e.op) {
				return fmt.Sprintf("%s: no order explains it any more at %v, which began at %.4fs and ended at %.4fs:%s", r.name, e.op, e.op.call.Seconds(), e.at.Seconds(), r.tail(i))
			}
		}
		if len(j.now) > 20000 {
			return "" // too many explanations to go on; the count of the tests tells how often that happens
		}
	}
	return ""
}

// tail prints what came before the entry at i.
func (r *register) tail(i int) string {
	s := ""
	for _, e := range r.entries[max(0, i-24) : i+1] {
		switch {
		case e.loss != nil:
			s += fmt.Sprintf("\n\t%9.4fs loss, found may be %v", e.at.Seconds(), e.loss)
		case e.end:
			s += fmt.Sprintf("\n\t%9.4fs   end %v", e.at.Seconds(), e.op)
		default:
			s += fmt.Sprintf("\n\t%9.4fs begin %v", e.at.Seconds(), e.op.request)
		}
	}
	return s
}

// call opens an operation; false if too many are open.
func (j *judge) call(o *operation) bool {
	free := bits.TrailingZeros64(^j.used)
	if free == 64 {
		return false
	}
	j.slots[free], j.used = o, j.used|1<<free
	o.slot = free
	if j.zombies != nil {
		j.fresh[o] = true
	}
	return true
}

// lose makes everything possible that is left on other disks, until a later write is acknowledged.
func (j *judge) lose(found []picture, at time.Duration) {
	next := map[config]bool{}
	for c := range j.now {
		next[c] = true
		for _, p := range found {
			next[config{p, c.took}] = true
		}
	}
	j.now = next
	j.zombies = append(j.zombies, found...)
	j.fresh = map[*operation]bool{}
	for open := j.used; open != 0; open &= open - 1 {
		if o := j.slots[bits.TrailingZeros64(open)]; o.ended && o.acknowledged > at {
			j.fresh[o] = true // whoever acknowledged it knew, or had no lease
		}
	}
}

// spread adds all that can come of c by open operations that take effect.
func (j *judge) spread(c config, into map[config]bool) {
	if into[c] {
		return
	}
	into[c] = true
	for open := j.used &^ c.took; open != 0; open &= open - 1 {
		i := bits.TrailingZeros64(open)
		if p, ok := j.slots[i].step(c.p, j.r.versioned); ok && (p != c.p || j.slots[i].ended) {
			j.spread(config{p, c.took | 1<<i}, into)
		}
	}
	if j.zombies != nil && c.took&j.freshBits() == 0 {
		for _, z := range j.zombies {
			j.spread(config{z, c.took}, into)
		}
	}
}

func (j *judge) freshBits() uint64 {
	var m uint64
	for o := range j.fresh {
		if o.op.creates() {
			m |= 1 << o.slot
		}
	}
	return m
}

// end closes an operation: only explanations are left in which it has taken effect.
func (j *judge) end(o *operation) bool {
	all := map[config]bool{}
	for c := range j.now {
		j.spread(c, all)
	}
	bit := uint64(1) << o.slot
	next := map[config]bool{}
	for c := range all {
		if c.took&bit != 0 {
			next[config{c.p, c.took &^ bit}] = true
		}
	}
	j.slots[o.slot], j.used = nil, j.used&^bit
	if j.fresh[o] {
		delete(j.fresh, o)
		if o.left() {
			j.zombies, j.fresh = nil, nil
		}
	}
	j.now = next
	return len(next) > 0
}
