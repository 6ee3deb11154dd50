package hot

import (
	"fmt"
	"testing"

	"aistore/cksum"
	"aistore/object"
)

// TestBounds adds more than there is room for, and reads some of it again and again.
func TestBounds(t *testing.T) {
	const limit = 256 << 10
	c := New[int](limit)
	entry := func(i int) *Entry[int] {
		key := fmt.Sprint(i)
		return &Entry[int]{Name: object.Name{Key: key}, Digest: cksum.DigestString64(key, 0), Key: []byte(key), Content: make([]byte, 4096)}
	}
	found := func(e *Entry[int]) bool { return c.Get(e.Name, e.Digest, 0) != nil }
	for i := range 2000 {
		c.Add(entry(i))
		for f := range 10 {
			found(entry(f))
		}
	}
	n, favourites := 0, 0
	for i := range 2000 {
		if found(entry(i)) {
			n++
			if i < 10 {
				favourites++
			}
		}
	}
	var bytes int64
	for i := range c.slots {
		if e := c.slots[i].Load(); e != nil {
			bytes += e.size()
		}
	}
	if bytes > limit || bytes != c.Size() || n < 40 || favourites < 10 {
		t.Errorf("%d entries (%d of 10 favourites) of %d bytes, %d counted", n, favourites, bytes, c.Size())
	}
}

// TestWants: a name is wanted at its first miss while half of the room is free, then at its second, and never by a writer.
func TestWants(t *testing.T) {
	c := New[int](1 << 20)
	for i := range uint64(2) {
		digest := (7 + i) << 40
		roomy := i == 0
		if c.Wants(digest, 3) || c.Wants(digest, 2) != roomy || c.Wants(digest, 3) || !c.Wants(digest, 2) {
			t.Errorf("wanted by a writer, not at the second miss, or at the first (room: %v)", roomy)
		}
		c.Add(&Entry[int]{Name: object.Name{Key: "a"}, Turn: 2, Content: make([]byte, 600<<10)})
	}
}

// TestTurns has an entry found in its own turn alone, and none in a writer's.
func TestTurns(t *testing.T) {
	const digest = 7 << 40
	c := New[int](1 << 20)
	n := object.Name{Key: "a"}
	add := func(turn uint64) { c.Add(&Entry[int]{Name: n, Digest: digest, Turn: turn, Home: 5}) }
	add(2)
	if e := c.Get(n, digest, 2); e == nil || e.Home != 5 {
		t.Errorf("in its turn: %+v", e)
	}
	if c.Get(object.Name{Bucket: 1, Key: "a"}, digest, 2) != nil {
		t.Error("another name of this digest is found")
	}
	if c.Get(n, digest, 3) != nil || c.Get(n, digest, 4) != nil || c.Size() != 0 {
		t.Error("found in another turn, or kept after it")
	}
	add(4)
	add(4) // takes the place of the first
	c.Forget(c.Get(n, digest, 4))
	if c.Get(n, digest, 4) != nil || c.Size() != 0 {
		t.Error("not forgotten")
	}
	var none *Cache[int]
	if none.Get(n, digest, 4) != nil || none.Wants(digest, 4) || none.Size() != 0 {
		t.Error("nothing keeps something")
	}
}
