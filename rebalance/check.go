package rebalance

import (
	"cmp"
	"context"
	"io"
	"strings"

	"aistore/api"
	"aistore/cluster"
	"aistore/cluster/ownership"
	"aistore/errs"
	"aistore/fs"
	"aistore/httpx"
	"aistore/object"
	"aistore/store"
)

// PathCheck answers which of the keys of an offer the owner has in a state that is at least as new: body and reply are as of an offer. Nothing is changed.
const PathCheck = "/intra/rebalance-check"

// queryDeep makes a check read every content that is in blobs, too.
const queryDeep = "deep"

const (
	checkAtOnce  = 512 // keys of one owner that are asked about together
	checkExample = 10  // faults that are named
	checkAgain   = 3   // times that all is looked at while names go from one mountpath to another
)

// check is one walk over what this target has.
type check struct {
	*Engine
	ctx   context.Context
	view  *cluster.View
	deep  bool
	kept  bool // this node is out of service: copies of what its owner has too are not surplus
	out   api.NodeCheck
	asked map[cluster.NodeID][]offered
}

// Check answers GET /v1/daemon?what=check: it looks at every key of this target's indexes. Contents in the index are verified, those in blobs
// only when the query says deep=true.
func (e *Engine) Check(c *httpx.Ctx) error {
	v := e.control.View()
	if v == nil || v.Map.Nodes[e.self] == nil || !e.control.Ready() {
		return errs.E("rebalance.check", string(e.self), errs.Unavailable, "the node has not been accepted by its cluster yet")
	}
	var out api.NodeCheck
	for range checkAgain {
		k := &check{Engine: e, ctx: c.Context(), view: v, deep: c.Query(queryDeep) == "true", kept: !v.Map.Nodes[e.self].InService(), asked: map[cluster.NodeID][]offered{}}
		if err := k.run(); err != nil {
			return errs.E("rebalance.check", string(e.self), err)
		}
		if out = k.out; !out.Moving || k.deep { // who reads everything does not do it again
			break
		}
	}
	return c.JSON(&out)
}

// run looks through all mountpaths.
func (k *check) run() error {
	lies := k.store.Shifts()
	k.out.Out = k.outside()
	for lane := range k.store.Lanes() {
		if err := k.walk(lane); err != nil {
			return err
		}
	}
	for owner := range k.asked {
		if err := k.ask(owner); err != nil {
			return err
		}
	}
	k.out.Moving = k.store.Shifts() != lies
	return nil
}

// outside lists the mountpaths that cannot be looked through, and why.
func (e *Engine) outside() map[string]string {
	out := map[string]string{}
	for _, mp := range e.store.Mountpaths() {
		if mp.State != fs.Enabled {
			out[mp.Path] = cmp.Or(mp.Reason, string(mp.State))
		}
	}
	return out
}

// walk looks at the keys of one mountpath. One that is out of use, or leaves it meanwhile, is told of; the others are looked through all the same.
func (k *check) walk(lane int) error {
	if mps := k.store.Mountpaths(); lane < len(mps) && mps[lane].State != fs.Enabled {
		return nil // outside has it
	}
	var err error
	werr := k.store.WalkKeys(k.ctx, lane, object.Name{}, func(bucket uint64, key []byte) bool {
		err = k.one(object.Name{Bucket: bucket, Key: string(key)})
		return err == nil && k.ctx.Err() == nil
	})
	if mps := k.store.Mountpaths(); err == nil && werr != nil && k.ctx.Err() == nil && lane < len(mps) {
		k.out.Out[mps[lane].Path] = cmp.Or(mps[lane].Reason, errs.KindOf(werr).String())
		return nil
	}
	return cmp.Or(err, werr)
}

// one looks at one key.
func (k *check) one(n object.Name) error {
	b := k.view.BucketByID(n.Bucket)
	if b == nil {
		return nil // its data is being removed
	}
	owner, misplaced := ownership.Misplaced(k.view, k.self, b, n.Key)
	if !misplaced {
		k.content(b, n)
		return nil
	}
	s, err := k.store.KeyState(n)
	switch {
	case errs.Is(err, errs.NoBucket) || err == nil && !s.Exists:
		return nil // a mark alone takes no place in the cluster
	case errs.Is(err, errs.Mountpath):
		return nil // what its disk, which is out, has of it is not known
	case err != nil:
		k.fault(&k.out.Corrupt, "corrupt", b, n)
		return nil
	}
	k.out.Checked++
	if owner == nil {
		k.fault(&k.out.Misplaced, "misplaced", b, n)
		return nil
	}
	k.asked[owner.ID] = append(k.asked[owner.ID], offered{n, s})
	if len(k.asked[owner.ID]) < checkAtOnce {
		return nil
	}
	return k.ask(owner.ID)
}

// content looks at what a key of this target's own names: the object, and the older versions that its bucket keeps.
func (k *check) content(b *cluster.Bucket, n object.Name) {
	obj, err := k.store.Open(n)
	err = k.read(obj, err)
	there := !errs.Is(err, errs.NotFound, errs.NoBucket)
	if b.Props.S3.Versioning != "" && (!there || err == nil) {
		for _, id := range k.older(n) {
			obj, verr := k.store.OpenVersion(n, id)
			if verr = k.read(obj, verr); verr != nil && !errs.Is(verr, errs.NotFound, errs.NoBucket) {
				there, err = true, verr
				break
			}
		}
	}
	if !there {
		return // a mark, an upload, a delete marker
	}
	k.out.Checked++
	switch {
	case err == nil:
	case errs.Is(err, errs.Mountpath):
		k.out.Checked-- // its disk has left meanwhile
	case strings.Contains(err.Error(), "missing"): // the store's word for content that an index names in vain
		k.fault(&k.out.Missing, "missing", b, n)
	default:
		k.fault(&k.out.Corrupt, "corrupt", b, n)
	}
}

// read reads what was opened, if it is to, and closes it.
func (k *check) read(obj *store.Object, err error) error {
	if obj == nil {
		return err
	}
	if err == nil && k.deep && obj.Bytes() == nil {
		err = obj.WriteSpan(io.Discard, object.Span{Length: obj.Info().Size})
	}
	obj.Close()
	return err
}

// older lists the versions of a key behind the current one. What cannot be listed is on a mountpath that is out, which is told of.
func (k *check) older(n object.Name) (ids []string) {
	_ = k.store.ListVersions(k.ctx, store.VersionQuery{Bucket: n.Bucket, Prefix: n.Key}, func(info *object.Info) bool {
		if info.Key == n.Key && !info.Latest && !info.DeleteMarker {
			ids = append(ids, info.VersionID)
		}
		return info.Key == n.Key
	})
	return ids
}

func (k *check) fault(count *int64, what string, b *cluster.Bucket, n object.Name) {
	*count++
	if len(k.out.Examples) < checkExample {
		k.out.Examples = append(k.out.Examples, what+" "+b.String()+"/"+n.Key)
	}
}

// ask has an owner tell of keys that lie here.
func (k *check) ask(owner cluster.NodeID) error {
	keys := k.asked[owner]
	delete(k.asked, owner)
	if len(keys) == 0 {
		return nil
	}
	to := k.view.Map.Nodes[owner]
	rep, err := k.client.Do(k.ctx, &httpx.Call{Method: "POST", URL: "http://" + to.IntraAddr + PathCheck, Body: appendOffer(nil, keys)})
	if err != nil {
		return errs.E("rebalance.check", "target "+string(owner), err)
	}
	msg, err := rep.ReadAll(maxAnswers)
	if err != nil {
		return err
	}
	as, err := decodeAnswers(msg, len(keys))
	if err != nil {
		return err
	}
	for i := range as {
		n := keys[i].name
		switch b := k.view.BucketByID(n.Bucket); {
		case as[i].outcome == outWanted || as[i].outcome == outFailed:
			k.fault(&k.out.Misplaced, "misplaced", b, n)
		case !k.kept:
			k.fault(&k.out.Surplus, "surplus", b, n)
		default:
			k.out.Kept++
		}
	}
	return nil
}

// told answers PathCheck.
func (e *Engine) told(c *httpx.Ctx) error {
	body, err := c.ReadAll(maxOffer)
	if err != nil {
		return err
	}
	keys, err := decodeOffer(body)
	if err != nil {
		return err
	}
	if !e.control.Ready() {
		return errs.E("rebalance.check", string(e.self), errs.Unavailable, "the node has not been accepted by its cluster yet")
	}
	v := e.control.View()
	as := make([]answer, len(keys))
	for i := range keys {
		var have store.KeyState
		if have, err = e.store.KeyState(keys[i].name); err != nil {
			as[i].err = err
			continue
		}
		as[i] = answer{state: have, outcome: outHad}
		if state(keys[i].state).Compare(state(have), v.Map.Settled) > 0 {
			as[i].outcome = outWanted
		}
	}
	return c.SendBytes(appendAnswers(nil, as))
}
