package linear

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// history builds one from operations whose calls and returns are given in order of time; versions are filled in for
// writes that have none.
func history(ops ...*Op) *History {
	h := NewHistory()
	for _, o := range ops {
		if o.Name == "" {
			o.Name = "x"
		}
		if o.Result == "" {
			o.Result = OK
		}
		if o.Result == Unknown {
			o.Return = Never
		}
		h.Add(o)
	}
	return h
}

func op(kind Kind, call, ret int64, val uint64) *Op {
	o := &Op{Kind: kind, Call: call, Return: ret, Value: val, Size: 100}
	if val != 0 {
		o.ETag = string(rune('A' + val))
		o.Version = "1." + string(rune('0'+val))
	}
	return o
}

func with(o *Op, r Result) *Op { o.Result = r; return o }

func swap(call, ret int64, expect, val uint64) *Op {
	o := op(Swap, call, ret, val)
	o.Expect = expect
	return o
}

func head(call, ret int64, etag, version string) *Op {
	return &Op{Kind: Head, Call: call, Return: ret, ETag: etag, Version: version}
}

// TestCheck feeds histories that no linearizable store can produce, and their lawful twins.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name string
		h    *History
		want string // part of the error; "" for a good history
	}{
		{"read what was written", history(op(Put, 1, 2, 1), op(Get, 3, 4, 1)), ""},
		{"stale read", history(op(Put, 1, 2, 1), op(Put, 3, 4, 2), op(Get, 5, 6, 1)), "no order"},
		{"read during an overwrite", history(op(Put, 1, 2, 1), op(Put, 3, 8, 2), op(Get, 4, 5, 2), op(Get, 6, 7, 2)), ""},
		{"read new then old", history(op(Put, 1, 2, 1), op(Put, 3, 8, 2), op(Get, 4, 5, 2), op(Get, 6, 7, 1)), "no order"},
		{"acknowledged write lost", history(op(Put, 1, 2, 1), with(op(Get, 3, 4, 0), Absent)), "no order"},
		{"unknown write may be lost", history(with(op(Put, 1, 2, 1), Unknown), with(op(Get, 3, 4, 0), Absent)), ""},
		{"unknown write may come late", history(with(op(Put, 1, 2, 1), Unknown), with(op(Get, 3, 4, 0), Absent), op(Get, 5, 6, 1)), ""},
		{"unknown write may not flicker", history(with(op(Put, 1, 2, 1), Unknown), op(Get, 3, 4, 1), with(op(Get, 5, 6, 0), Absent)), "no order"},
		{"deleted comes back", history(op(Put, 1, 2, 1), op(Delete, 3, 4, 0), op(Get, 5, 6, 1)), "no order"},
		{"unknown delete", history(op(Put, 1, 2, 1), with(op(Delete, 3, 4, 0), Unknown), op(Get, 5, 6, 1), with(op(Get, 7, 8, 0), Absent)), ""},
		{"delete of nothing acknowledged", history(op(Delete, 1, 2, 0)), "no order"},
		{"delete finds nothing", history(with(op(Delete, 1, 2, 0), Absent)), ""},
		{"two creates win", history(op(Create, 1, 4, 1), op(Create, 2, 5, 2)), "no order"},
		{"one create wins", history(op(Create, 1, 4, 1), with(op(Create, 2, 5, 2), Failed), op(Get, 6, 7, 1)), ""},
		{"create fails on nothing", history(with(op(Create, 1, 2, 1), Failed)), "no order"},
		{"two swaps win", history(op(Put, 1, 2, 1), swap(3, 6, 1, 2), swap(4, 7, 1, 3)), "no order"},
		{"swaps in turn", history(op(Put, 1, 2, 1), swap(3, 6, 1, 2), swap(4, 7, 2, 3), op(Get, 8, 9, 3)), ""},
		{"head knows the value", history(op(Put, 1, 2, 1), op(Put, 3, 4, 2), head(5, 6, "B", "1.1")), "no order"},
		{"head of an unknown value", history(with(op(Put, 1, 2, 1), Unknown), head(3, 4, "Z", "1.9")), ""},
		{"one ETag, two values", history(op(Put, 1, 2, 1), &Op{Kind: Put, Call: 3, Return: 4, Value: 2, ETag: "B", Version: "1.2"}), "stands for"},
		{"version goes back", history(op(Put, 1, 2, 2), op(Put, 3, 4, 1)), "greater version"},
		{"version read is not that written", history(op(Put, 1, 2, 1), &Op{Kind: Get, Call: 3, Return: 4, Value: 1, ETag: "B", Version: "1.2"}), "was acknowledged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.h.Check()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestCheckListings(t *testing.T) {
	in := func(call, ret int64, names ...string) *Listing {
		l := &Listing{Call: call, Return: ret, Sizes: map[string]int64{}}
		for _, n := range names {
			l.Sizes[n] = 100
		}
		return l
	}
	put, del := op(Put, 1, 2, 1), op(Delete, 10, 20, 0)
	for _, c := range []struct {
		name string
		ops  []*Op
		l    *Listing
		want string
	}{
		{"there", []*Op{put}, in(3, 4, "x"), ""},
		{"missing", []*Op{put}, in(3, 4), "lacks"},
		{"being written", []*Op{op(Put, 1, 9, 1)}, in(3, 4), ""},
		{"being deleted", []*Op{put, del}, in(12, 14), ""},
		{"still there while being deleted", []*Op{put, del}, in(12, 14, "x"), ""},
		{"ghost", []*Op{put, del}, in(21, 22, "x"), "gone by"},
		{"gone", []*Op{put, del}, in(21, 22), ""},
		{"missing after a new write", []*Op{put, del, op(Put, 21, 22, 2)}, in(23, 24), "lacks"},
		{"unknown delete", []*Op{put, with(op(Delete, 5, 6, 0), Unknown)}, in(8, 9), ""},
		{"unknown write after delete", []*Op{put, del, with(op(Put, 21, 22, 2), Unknown)}, in(30, 31, "x"), ""},
		{"not yet written", []*Op{op(Put, 10, 11, 1)}, in(1, 2, "x"), "nothing had been written"},
		{"name of nobody", []*Op{put}, in(3, 4, "x", "y"), "nobody wrote"},
		{"size of nobody", []*Op{put}, &Listing{Call: 3, Return: 4, Sizes: map[string]int64{"x": 99}}, "99 bytes"},
		{"absent read then listed", []*Op{op(Put, 1, 2, 1), with(op(Delete, 3, 4, 0), Unknown), with(op(Get, 5, 6, 0), Absent)}, in(8, 9, "x"), "gone by"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := history(c.ops...)
			h.AddListing(c.l)
			err := h.Check()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestManyUnknown: writes of unknown outcome that nobody saw do not make the search longer, however many there are, and one of them
// still is the explanation where there is no other.
func TestManyUnknown(t *testing.T) {
	for _, last := range []*Op{op(Get, 1000, 1001, 1), with(op(Create, 1000, 1001, 3), Failed)} {
		ops := []*Op{op(Put, 1, 2, 1)}
		if last.Kind == Create {
			ops = append(ops, op(Delete, 3, 4, 0))
		}
		for i := range 40 {
			o := with(op(Put, int64(10+i), Never, 2), Unknown)
			o.Value = uint64(1000 + i)
			ops = append(ops, o)
			if last.Kind == Get {
				ops = append(ops, with(op(Delete, int64(10+i), Never, 0), Unknown))
			}
		}
		began := time.Now()
		if err := history(append(ops, last)...).Check(); err != nil {
			t.Errorf("%s after %v: %v", last.Kind, time.Since(began), err)
		}
	}
}

func TestBlameNamesTheOperation(t *testing.T) {
	err := history(op(Put, 1, 2, 1), op(Get, 3, 4, 1), op(Put, 5, 6, 2), op(Get, 7, 8, 1), op(Get, 9, 10, 2)).Check()
	if err == nil || !strings.Contains(err.Error(), `stop making sense at {"client":0,"via":"","kind":"get","name":"x","value":1`) {
		t.Errorf("blamed wrongly: %v", err)
	}
}

func TestSave(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	if err := history(op(Put, 1, 2, 1), op(Get, 3, 4, 1)).Save(path); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil || strings.Count(string(b), "\n") != 2 {
		t.Errorf("saved %q, %v", b, err)
	}
}
