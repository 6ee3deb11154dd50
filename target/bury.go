package target

import (
	"context"
	"errors"

	"aistore/errs"
	"aistore/node"
	"aistore/object"
	"aistore/store"
	"aistore/store/format"
)

// A key that is damaged where it lies cannot come to its owner: its rebalance would never end, and nobody could write the key anew, since that
// begins with a first touch. A delete that asks for nothing of it needs nothing of it either.

// MayBury reports whether a delete of o can do without what the key's holder did not send, which err of OwnToDelete says: it has no conditions, and no
// version of the key outlives it.
func MayBury(o *node.Object, err error, cond *object.Conditions) bool {
	return (errs.Is(err, errs.Corrupt) || errors.Is(err, errStopped)) && cond == nil && VersioningOf(o.Bucket) == store.Unversioned
}

// deleteUnread deletes a key that its holder cannot send.
func (r *request) deleteUnread(t *Target) error {
	if err := refuseUnsupported(r.c); err != nil {
		return err
	}
	return Bury(r.c.Context(), t, &r.Object)
}

// Bury deletes a key that its holder cannot send, where MayBury allows it. Uploads of the key that were begun end with it. An error is of kind StaleMap when the key
// has come meanwhile, or owners changed: to be judged anew.
func Bury(ctx context.Context, t *Target, o *node.Object) error {
	if err := t.StillMine(o); err != nil {
		return err
	}
	if err := t.bury(ctx, o); err != nil {
		return err
	}
	return t.node.Control().Lease()
}

// bury replaces all there is of o's key by nothing. Everybody who may know it has answered, so that none commits anything of it any more, and the mark
// holds against whatever they send.
func (x *touches) bury(ctx context.Context, o *node.Object) error {
	const op = "target.bury"
	holders, err := x.holders(o)
	if err != nil {
		return err
	}
	if len(holders) == 0 {
		return errs.E(op, o, errs.StaleMap, "has come meanwhile")
	}
	if _, err := x.askAll(ctx, o, holders); err != nil && !errs.Is(err, errs.Corrupt) {
		return err
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
	x.node.Log.Warn("a key that cannot be read where it lies was deleted", "op", op, "object", o.String(), "node", holders[0].ID)
	return nil
}
