package edge

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"time"

	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
	"aistore/s3"
)

// share is what one target gets of a DeleteObjects.
type share struct {
	owner *cluster.Node
	items []s3.DeleteItem
	at    []int // of each item in the request
}

// deleteObjects deletes many keys: every owner gets its own at once, and decides about each.
func (r *request) deleteObjects() error {
	if e := r.h.ExpectedOwner; e != "" && e != r.bucket.Owner {
		return s3.E("edge.deleteObjects", r.name, "AccessDenied", "")
	}
	doc, err := r.document(mustBeThere)
	if err != nil {
		return err
	}
	del, err := s3.ParseDelete(doc)
	if err != nil {
		return err
	}
	done := make([]s3.Deleted, len(del.Items))
	left := make([]int, len(del.Items))
	for i := range left {
		left[i] = i
	}
	began := now()
	for pause := deletePause; len(left) > 0; pause *= 2 {
		r.deleteRound(del.Items, left, done)
		left = slices.DeleteFunc(left, func(i int) bool { return !done[i].Again })
		if len(left) == 0 || now().Sub(began)+pause > deleteWithin || !r.pause(pause) {
			break
		}
	}
	return r.sendXML(s3.AppendDeleted(nil, done, s3.Presence(del.Quiet)))
}

// Clients do not try again what fails of a DeleteObjects: keys whose owners change, or have no answer for a moment, are tried again here.
const (
	deletePause  = 50 * time.Millisecond // before the second attempt; doubled each time
	deleteWithin = 10 * time.Second
)

// pause waits, and takes the newest view; false when there is none.
func (r *request) pause(d time.Duration) bool {
	ctx := r.c.Context()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return false
	}
	ok, err := r.renew()
	return ok && err == nil
}

// deleteRound deletes those items that are left and fills their lines of done.
func (r *request) deleteRound(items []s3.DeleteItem, left []int, done []s3.Deleted) {
	shares := map[cluster.NodeID]*share{}
	for _, i := range left {
		it := &items[i]
		done[i] = s3.Deleted{Key: it.Key, VersionID: it.VersionID}
		n := r.view.Owner(r.bucket, it.Key)
		if n == nil || !n.Alive {
			fail(&done[i], errs.E("edge.deleteObjects", it.Key, errs.Unavailable))
			done[i].Again = false // it is known to be away for some time
			continue
		}
		sh := shares[n.ID]
		if sh == nil {
			sh = &share{owner: n}
			shares[n.ID] = sh
		}
		sh.items, sh.at = append(sh.items, *it), append(sh.at, i)
	}
	ctx := httpx.WithRequestID(r.c.Context(), r.c.RequestID())
	var wg sync.WaitGroup
	for _, sh := range shares {
		wg.Go(func() { r.deleteShare(ctx, sh, done) })
	}
	wg.Wait()
}

func fail(d *s3.Deleted, err error) {
	f := s3.FaultOf(err)
	d.Code, d.Message, d.Again = f.Code, f.Text(), errs.KindOf(err).Retryable()
}

// deleteShare fills the lines of one target's share.
func (r *request) deleteShare(ctx context.Context, sh *share, done []s3.Deleted) {
	e := r.e
	var lines []s3.Deleted
	var err error
	if e.owner != nil && sh.owner.ID == e.node.ID {
		lines, err = e.owner.DeleteMany(ctx, r.view, r.bucket, &r.caller, sh.items)
	} else {
		lines, err = r.deleteAt(ctx, sh)
	}
	if err == nil && len(lines) != len(sh.items) {
		err = errs.F("edge.deleteShare", string(sh.owner.ID), errs.Other, "answered %d of %d items", len(lines), len(sh.items))
	}
	for i, at := range sh.at {
		if err != nil {
			fail(&done[at], err)
		} else {
			done[at] = lines[i]
		}
	}
}

// deleteAt asks another node.
func (r *request) deleteAt(ctx context.Context, sh *share) ([]s3.Deleted, error) {
	const op = "edge.deleteAt"
	body, err := json.Marshal(sh.items)
	if err != nil {
		return nil, errs.E(op, r.name, err)
	}
	rep, err := r.e.node.Client.Do(ctx, &httpx.Call{
		Method: "POST", URL: "http://" + sh.owner.IntraAddr + s3.PathDelete + "/" + strconv.FormatUint(r.bucket.ID, 10), Body: body,
		Headers: []httpx.Header{{Key: s3.HeaderCaller, Value: string(r.caller.Append(nil))}, {Key: "Content-Type", Value: "application/json"}},
		Hurry:   true,
	})
	if err != nil {
		return nil, err
	}
	b, err := rep.ReadAll(16 << 20)
	if err != nil {
		return nil, err
	}
	var lines []s3.Deleted
	if err := json.Unmarshal(b, &lines); err != nil {
		return nil, errs.F(op, string(sh.owner.ID), errs.Other, "reply is not the JSON that is wanted: %w", err)
	}
	return lines, nil
}
