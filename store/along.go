package store

import (
	"bytes"

	"aistore/object"
	"aistore/store/format"
)

// along reads one value of each of many names that come in the order of the index: from where it stands the next is near, and what was read for
// the one before, a block of a table or of values, is still at hand. It shows what was committed before the first read on each
// volume. Looking up each name by itself finds nothing at hand, but where there is none a filter says so at once.
type along struct {
	fam     byte
	cursors map[*volume]*cursor
	key     []byte
}

// find returns the value of n in v, nil when there is none, until the next call; or not ok when it cannot tell, and the name must be
// looked up. A nil along never can.
func (a *along) find(v *volume, n object.Name) (val []byte, ok bool) {
	if a == nil {
		return nil, false
	}
	c := a.cursors[v]
	if c == nil {
		var err error
		if c, err = v.newCursor([]byte{a.fam}, []byte{a.fam + 1}); err != nil {
			return nil, false
		}
		if a.cursors == nil {
			a.cursors = map[*volume]*cursor{}
		}
		a.cursors[v] = c
	}
	a.key = format.ObjectKey(a.key[:0], a.fam, n.Bucket, n.Key)
	if !c.it.SeekGE(a.key) || !bytes.Equal(c.it.Key(), a.key) {
		return nil, c.it.Error() == nil
	}
	val, err := c.it.ValueAndErr()
	return val, err == nil && val != nil
}

func (a *along) close() {
	if a == nil {
		return
	}
	for _, c := range a.cursors {
		_ = c.close() // what it could not read was looked up
	}
}
