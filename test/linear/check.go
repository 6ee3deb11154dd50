package linear

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"

	"aistore/object"
)

// Check judges the whole history and joins all that is wrong with it.
func (h *History) Check() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := append([]error(nil), h.faults...)
	if err := resolve(h.ops); err != nil {
		return errors.Join(append(all, err)...)
	}
	all = append(all, checkRegisters(h.ops), checkListings(h.ops, h.listings), checkVersions(h.ops))
	return errors.Join(all...)
}

// decideWithin bounds each search for an order. A name needs milliseconds unless far too much of unknown outcome that was seen piles up
// on it.
const decideWithin = 2 * time.Minute

// register is the model of one name: its state is the value it has, 0 for none.
func register() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return uint64(0) },
		Step: func(state, input, _ any) (bool, any) {
			ok, next := step(state.(uint64), input.(*Op))
			return ok, next
		},
		Hash: func(state any) uint64 { return state.(uint64) * 0x9e3779b97f4a7c15 },
		DescribeOperation: func(input, _ any) string {
			o := input.(*Op)
			return fmt.Sprintf("%s %x %s", o.Kind, o.Value, o.Result)
		},
		DescribeState: func(state any) string { return fmt.Sprintf("%x", state) },
	}
}

// step tells whether o may take effect on the value cur, and the value after it.
func step(cur uint64, o *Op) (bool, uint64) {
	switch o.Kind {
	case Put:
		return true, o.Value
	case Create, Swap:
		holds := o.Kind == Create && cur == 0 || o.Kind == Swap && cur == o.Expect
		switch {
		case o.Result == Failed:
			return !holds, cur
		case holds:
			return true, o.Value
		}
		return o.Result == Unknown, cur
	case Get, Head:
		switch {
		case o.Result == Absent:
			return cur == 0, cur
		case o.Value == SomeValue:
			return cur != 0, cur
		}
		return cur == o.Value, cur
	case Delete:
		switch o.Result {
		case OK:
			return cur != 0, 0
		case Absent:
			return cur == 0, cur
		}
		return true, 0
	}
	return false, cur
}

// checkRegisters searches an order for each name's operations.
func checkRegisters(ops []*Op) error {
	var all []error
	for name, of := range byName(ops) {
		spare := spare(of)
		likely := operations(slices.DeleteFunc(slices.Clone(of), func(o *Op) bool { return spare[o] }))
		if porcupine.CheckOperationsTimeout(register(), likely, decideWithin) == porcupine.Ok {
			continue
		}
		history := operations(of)
		switch res := porcupine.CheckOperationsTimeout(register(), history, decideWithin); res {
		case porcupine.Ok:
		case porcupine.Unknown:
			all = append(all, fmt.Errorf("%q: %d operations: no order found in %v, nor proved that there is none", name, len(history), decideWithin))
		default:
			all = append(all, fmt.Errorf("%q: %d operations have no order that explains them; %s", name, len(history), blame(of)))
		}
	}
	return errors.Join(all...)
}

// spare returns operations of unknown outcome that an order can probably do without: writes whose value nobody saw, and deletes other than
// the last to begin before somebody found nothing. As they may never have happened, an order without them is proof enough, and each
// that is searched with them doubles the search.
func spare(ops []*Op) map[*Op]bool {
	seen := map[uint64]bool{}
	wanted := map[*Op]bool{}
	for _, o := range ops {
		switch o.Kind {
		case Get, Head:
			seen[o.Value] = true
		case Swap:
			seen[o.Expect] = true
		}
		if o.Result != Absent && (o.Kind != Create || o.Result != OK) {
			continue
		}
		var last *Op
		for _, d := range ops {
			if d.deletes() && d.Result == Unknown && d.Call < o.Return && (last == nil || d.Call > last.Call) {
				last = d
			}
		}
		wanted[last] = true
	}
	found := map[*Op]bool{}
	for _, o := range ops {
		if o.Result == Unknown && (o.writes() && !seen[o.Value] || o.deletes() && !wanted[o]) {
			found[o] = true
		}
	}
	return found
}

// operations are those that say something, as the search wants them.
func operations(ops []*Op) []porcupine.Operation {
	var history []porcupine.Operation
	for _, o := range ops {
		if o.Result != Nothing {
			history = append(history, porcupine.Operation{ClientId: o.Client, Input: o, Call: o.Call, Output: o, Return: o.Return})
		}
	}
	return history
}

// blame finds the shortest prefix of a bad history, by return time, that is already bad, so a reader knows where to
// look.
func blame(ops []*Op) string {
	ended := append([]*Op(nil), ops...)
	sort.SliceStable(ended, func(i, j int) bool { return ended[i].Return < ended[j].Return })
	n := sort.Search(len(ended), func(n int) bool {
		last := int64(0)
		if n > 0 {
			last = ended[n-1].Return
		}
		var history []porcupine.Operation
		for i, o := range ended {
			ret := o.Return
			if i >= n { // still running: writes may have had an effect, reads say nothing
				if !o.writes() && !o.deletes() || o.Call >= last {
					continue
				}
				pending := *o
				pending.Result, ret = Unknown, Never
				o = &pending
			} else if o.Result == Nothing {
				continue
			}
			history = append(history, porcupine.Operation{ClientId: o.Client, Input: o, Call: o.Call, Output: o, Return: ret})
		}
		return porcupine.CheckOperationsTimeout(register(), history, 10*time.Second) == porcupine.Illegal
	})
	if n == 0 || n > len(ended) {
		return "all of them together"
	}
	text := "they stop making sense at " + ended[n-1].String() + " after"
	for _, o := range ended[max(0, n-12) : n-1] {
		text += "\n\t" + o.String()
	}
	return text
}

// checkListings holds each listing against what was certain while it ran: an object acknowledged before it
// began and not deleted since is in it, one deleted before it began and not written since is not.
func checkListings(ops []*Op, listings []*Listing) error {
	var all []error
	names := byName(ops)
	for _, l := range listings {
		for name := range l.Sizes {
			if names[name] == nil {
				all = append(all, fmt.Errorf("list of %d..%d via %s has %q, which nobody wrote", l.Call, l.Return, l.Via, name))
			}
		}
		for name, of := range names {
			size, in := l.Sizes[name]
			if w := mustBeIn(of, l); w != nil && !in {
				all = append(all, fmt.Errorf("list of %d..%d via %s lacks %q, written by %v", l.Call, l.Return, l.Via, name, w))
			}
			if why := mustNotBeIn(of, l); why != "" && in {
				all = append(all, fmt.Errorf("list of %d..%d via %s has %q, but %s", l.Call, l.Return, l.Via, name, why))
			}
			if in && !sizeWritten(of, l, size) {
				all = append(all, fmt.Errorf("list of %d..%d via %s gives %q %d bytes, which no write until then had", l.Call, l.Return, l.Via, name, size))
			}
		}
		if len(all) > 20 {
			break
		}
	}
	return errors.Join(all...)
}

// mustBeIn returns the write by which the name was there all the time that l ran, or nil.
func mustBeIn(ops []*Op, l *Listing) *Op {
	for _, w := range ops {
		if !w.writes() || w.Result != OK || w.Return > l.Call {
			continue
		}
		stays := true
		for _, d := range ops {
			if d.deletes() && d.Return >= w.Call && d.Call <= l.Return {
				stays = false
				break
			}
		}
		if stays {
			return w
		}
	}
	return nil
}

// mustNotBeIn says why the name was away all the time that l ran, or "".
func mustNotBeIn(ops []*Op, l *Listing) string {
	written := func(after int64) bool {
		for _, w := range ops {
			if w.writes() && w.Return >= after && w.Call <= l.Return {
				return true
			}
		}
		return false
	}
	if !written(0) {
		return "nothing had been written"
	}
	for _, d := range ops {
		gone := d.Kind == Delete && (d.Result == OK || d.Result == Absent) || (d.Kind == Get || d.Kind == Head) && d.Result == Absent
		if gone && d.Return <= l.Call && !written(d.Call) {
			return "it was gone by " + d.String()
		}
	}
	return ""
}

func sizeWritten(ops []*Op, l *Listing, size int64) bool {
	for _, w := range ops {
		if w.writes() && w.Call <= l.Return && w.Size == size {
			return true
		}
	}
	return false
}

// checkVersions: of two acknowledged writes of a name the later has the greater version, and a value read carries
// the version it was acknowledged with.
func checkVersions(ops []*Op) error {
	var all []error
	for name, of := range byName(ops) {
		var ws []*Op
		written := map[uint64]string{}
		for _, o := range of {
			if o.writes() && o.Result == OK && o.Version != "" {
				ws = append(ws, o)
				written[o.Value] = o.Version
			}
		}
		for _, o := range of {
			if v, ok := written[o.Value]; ok && (o.Kind == Get || o.Kind == Head) && o.Result == OK && o.Version != v {
				all = append(all, fmt.Errorf("%q: version %s was acknowledged, %s read: %v", name, v, o.Version, o))
			}
		}
		sort.Slice(ws, func(i, j int) bool { return ws[i].Return < ws[j].Return })
		var newest object.Version // of the writes that had returned
		var newestOp *Op
		done := 0
		calls := append([]*Op(nil), ws...)
		sort.Slice(calls, func(i, j int) bool { return calls[i].Call < calls[j].Call })
		for _, w := range calls {
			for ; done < len(ws) && ws[done].Return < w.Call; done++ {
				v, err := object.ParseVersion(ws[done].Version)
				if err != nil {
					all = append(all, fmt.Errorf("%q: %w", name, err))
				}
				if v.Compare(newest) > 0 {
					newest, newestOp = v, ws[done]
				}
			}
			if v, err := object.ParseVersion(w.Version); err == nil && v.Compare(newest) <= 0 {
				all = append(all, fmt.Errorf("%q: %v has no greater version than the earlier %v", name, w, newestOp))
			}
		}
	}
	return errors.Join(all...)
}
