package target

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"

	"aistore/errs"
	"aistore/httpx"
	"aistore/node"
	"aistore/object"
	"aistore/store"
	"aistore/store/format"
)

// A key that is damaged where it lies cannot come to its owner: its rebalance would never end, and nobody could write the key anew, since that
// begins with a first touch. Nor can one for which its owner has no room, where deletes are what makes some. A delete that asks for nothing of it needs
// nothing of it either.

// MayBury reports whether a delete of o can do without what did not come of its key, which err of OwnToDelete says: it has no conditions, and no
// version of the key outlives it.
func MayBury(o *node.Object, err error, cond *object.Conditions) bool {
	missed := errs.Is(err, errs.Corrupt) || errors.Is(err, errStopped) || errors.Is(err, errNoRoom)
	return missed && cond == nil && VersioningOf(o.Bucket) == store.Unversioned
}

// errNoRoom is that a key did not come because the disk here is full.
var errNoRoom = errors.New("is elsewhere, and cannot come here")

// deleteUnread deletes a key that did not come here, for the reason given.
func (r *request) deleteUnread(t *Target, why error) error {
	if err := refuseUnsupported(r.c); err != nil {
		return err
	}
	return Bury(r.c.Context(), t, &r.Object, why)
}

// Bury deletes a key that did not come here, where MayBury allows it for the reason given. Uploads of the key that were begun end with one that its holder
// cannot send. Where only room is missing here, a key of which there is more than one object, or none, stays, and the error is why. An error is of kind
// StaleMap when the key has come meanwhile, or owners changed: to be judged anew.
func Bury(ctx context.Context, t *Target, o *node.Object, why error) error {
	if err := t.StillMine(o); err != nil {
		return err
	}
	if err := t.bury(ctx, o, why); err != nil {
		return err
	}
	return t.node.Control().Lease()
}

// bury replaces all there is of o's key by nothing. Everybody who may know it has answered, so that none commits anything of it any more, and the mark
// holds against whatever they send.
func (x *touches) bury(ctx context.Context, o *node.Object, why error) error {
	const op = "target.bury"
	holders, err := x.holders(o)
	if err != nil {
		return err
	}
	if len(holders) == 0 {
		return errs.E(op, o, errs.StaleMap, "has come meanwhile")
	}
	best, err := x.askAll(ctx, o, holders)
	if err != nil && !errs.Is(err, errs.Corrupt) {
		return err
	}
	if err == nil && errors.Is(why, errNoRoom) {
		one, err := x.oneObject(ctx, o, best)
		if err != nil || !one {
			return cmp.Or(err, why)
		}
	}
	nothing := format.AppendFrame(nil, &format.Frame{Name: o.Name()}, 0)
	err = x.store.Import(ctx, [][]byte{nothing}, store.ImportOptions{
		Mark: o.View.Map.Epoch, Settled: o.View.Map.Settled,
		Greater: func(offered, _ store.KeyState) bool { return !offered.Exists },
		Guard:   func(_ object.Name, have store.KeyState) error { return x.mayTake(o, holders[0].ID, have.Authority) },
	})[0].Err
	if err != nil {
		return errs.E(op, o, err)
	}
	x.node.Log.Warn("a key that could not come here was deleted", "op", op, "object", o.String(), "node", holders[0].ID, "why", why)
	return nil
}

// oneObject reports whether an object is all that the holder of the best answer has of o's key: no upload of the key ends with it.
func (x *touches) oneObject(ctx context.Context, o *node.Object, best *keyAnswer) (bool, error) {
	const op = "target.oneObject"
	if !best.state.Present {
		return false, nil
	}
	var frame io.Reader = bytes.NewReader(best.frame)
	if best.frame == nil {
		ctx, stop := x.whileAlive(ctx, best.from.ID)
		defer stop()
		rep, err := x.node.Client.Do(ctx, &httpx.Call{Method: "GET", URL: keyURL(o, best.from, true)})
		if err != nil {
			return false, errs.E(op, o, err)
		}
		defer rep.Close() // no more than the description is read
		if rep.Len == 0 {
			return false, errs.F(op, o, errs.StaleMap, "is not with %s any more", best.from.ID)
		}
		frame = rep.Body
	}
	f, err := describe(frame)
	if err != nil {
		return false, errs.F(op, o, errs.Busy, "%s does not tell what it has: %w", best.from.ID, err)
	}
	if len(f.Records) != 1 || len(f.Uploads) > 0 {
		return false, nil
	}
	var rec format.Record
	if err := format.DecodeRecord(&rec, f.Records[0].Value, []byte(o.Key)); err != nil {
		return false, errs.E(op, o, err)
	}
	return !rec.Tombstone(), nil
}

// mostDescribed is how much memory a description may take: that of an object of 10,000 parts is shorter.
const mostDescribed = 4 << 20

// describe reads what stands before a frame's contents.
func describe(r io.Reader) (*format.Frame, error) {
	b := make([]byte, format.FrameHeadSize)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	h, err := format.DecodeFrameHead(b)
	if err != nil {
		return nil, err
	}
	if h.Description > mostDescribed {
		return nil, errs.F("target.describe", "frame", errs.TooLarge, "a description of %d bytes", h.Description)
	}
	b = make([]byte, h.Description)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	var f format.Frame
	return &f, format.DecodeFrame(&f, b)
}
