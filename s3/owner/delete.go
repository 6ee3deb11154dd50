package owner

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"aistore/auth/policy"
	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
	"aistore/node"
	"aistore/object"
	"aistore/s3"
	"aistore/store"
	"aistore/target"
)

// remove deletes the object, puts a delete marker in its place, or removes one version. What is not there is deleted already.
func (r write) remove() error {
	cond, err := r.deleteConditions()
	if err != nil {
		return err
	}
	if err := r.authorize(); err != nil {
		return err
	}
	gone, err := r.w.delete(r.c.Context(), &r.Object, r.version, cond)
	if err != nil {
		return r.writeFault("owner.delete", err)
	}
	if err := r.acknowledge(); err != nil {
		return err
	}
	r.c.Status(204)
	if r.versioned() && (gone.VersionID != "" || r.version != "") {
		id := gone.VersionID
		if id == "" {
			id = r.version
		}
		r.c.SetHeader("x-amz-version-id", id)
	}
	if gone.Marker {
		r.c.SetHeader("x-amz-delete-marker", "true")
	}
	return nil
}

// removeUnread is remove of a key that did not come here, for the reason given: what cannot be read where it lies can be deleted all the same. Nothing
// of the object is asked for when a delete is judged.
func (r write) removeUnread(why error) error {
	cond, err := r.deleteConditions()
	if err != nil {
		return err
	}
	if !target.MayBury(&r.Object, why, cond) {
		return why
	}
	if err := r.authorize(); err != nil {
		return err
	}
	if err := target.Bury(r.c.Context(), r.w.target, &r.Object, why); err != nil {
		return r.writeFault("owner.delete", err)
	}
	r.c.Status(204)
	return nil
}

// deleteConditions reads If-Match and its kin, nil without any.
func (r write) deleteConditions() (*object.Conditions, error) {
	h := &r.h
	if h.IfMatch == "" && h.IfSize == "" && h.IfModifiedAt == "" {
		return nil, nil
	}
	it := s3.DeleteItem{Size: -1}
	if h.IfSize != "" {
		n, err := strconv.ParseInt(h.IfSize, 10, 64)
		if err != nil || n < 0 {
			return nil, s3.E("owner.delete", "x-amz-if-match-size", "InvalidArgument", "")
		}
		it.Size = n
	}
	if h.IfModifiedAt != "" {
		t, ok := httpx.ParseTime(h.IfModifiedAt)
		if !ok {
			var err error
			if t, err = time.Parse(time.RFC3339, h.IfModifiedAt); err != nil {
				return nil, s3.E("owner.delete", "x-amz-if-match-last-modified-time", "InvalidArgument", "")
			}
		}
		it.Modified = t
	}
	cond := itemConditions(&it)
	if cond == nil {
		cond = &object.Conditions{MissingIsNotFound: true}
	}
	cond.IfMatch = object.ParseETags(h.IfMatch)
	return cond, nil
}

func itemConditions(it *s3.DeleteItem) *object.Conditions {
	if it.ETag == "" && it.Size < 0 && it.Modified.IsZero() {
		return nil
	}
	cond := &object.Conditions{IfModifiedAt: it.Modified, MissingIsNotFound: true}
	if it.ETag != "" {
		cond.IfMatch = []string{it.ETag}
	}
	if it.Size >= 0 {
		cond.IfSize = &it.Size
	}
	return cond
}

// delete removes a name or a version of it. That there was nothing is no error.
func (w *Owner) delete(ctx context.Context, o *node.Object, version string, cond *object.Conditions) (store.Deleted, error) {
	if cond != nil && version == "" && o.Bucket.Props.S3.Versioning != "" {
		if err := w.judgeMarker(o, cond); err != nil {
			return store.Deleted{}, err
		}
	}
	c := w.target.Commit(o)
	gone, err := w.store.Delete(ctx, o.Name(), store.DeleteOptions{
		Epoch: o.View.Map.Epoch, Durability: o.Bucket.Props.Durability, Conditions: cond,
		Newest: c.Newest, Guard: c.Guard, Versioning: target.VersioningOf(o.Bucket), VersionID: version,
	})
	if err = w.target.Judged(o, err); errs.Is(err, errs.NotFound) {
		return store.Deleted{}, nil
	}
	return gone, err
}

// judgeMarker refuses a condition on what a delete marker has not got. A marker counts as existing, for "*" alone.
func (w *Owner) judgeMarker(o *node.Object, cond *object.Conditions) error {
	info, err := w.store.StatVersion(o.Name(), "")
	if err != nil || !info.DeleteMarker {
		return nil //nolint:nilerr // the delete itself finds out
	}
	any := *cond
	any.IfMatch = nil
	if len(cond.IfMatch) == 1 && cond.IfMatch[0] == "*" && any.IsZero() {
		return nil
	}
	return errs.E("owner.delete", "If-Match", errs.Precondition, "the current version is a delete marker")
}

// maxItems bounds the JSON of a thousand items.
const maxItems = 8 << 20

// serveMany deletes keys of a DeleteObjects for another node.
func (w *Owner) serveMany(c *httpx.Ctx) error {
	const op = "owner.serveMany"
	caller, err := s3.ParseCaller(c.Header(s3.HeaderCaller))
	if err != nil {
		return err
	}
	id, err := strconv.ParseUint(c.Rest(), 10, 64)
	if err != nil {
		return errs.F(op, c.Path(), errs.Invalid, "%q is not a bucket id", c.Rest())
	}
	var items []s3.DeleteItem
	if err := c.ReadJSON(maxItems, &items); err != nil {
		return err
	}
	if len(items) > s3.MaxKeys {
		return errs.F(op, "items", errs.TooLarge, "%d, at most %d", len(items), s3.MaxKeys)
	}
	v, err := w.node.View()
	if err == nil && (v.Index < caller.View || v.BucketByID(id) == nil) {
		v, err = w.node.Control().Latest(c.Context())
	}
	if err != nil {
		return err
	}
	b := v.BucketByID(id)
	if b == nil {
		return errs.E(op, c.Rest(), errs.NoBucket, "bucket does not exist")
	}
	done, err := w.DeleteMany(c.Context(), v, b, &caller, items)
	if err != nil {
		return err
	}
	body, err := json.Marshal(done)
	if err != nil {
		return err
	}
	c.SetHeader("Content-Type", "application/json")
	return c.SendBytes(body)
}

// parallelDeletes is how many deletes of one request wait for the disk at the same time: they commit as one group.
const parallelDeletes = 64

// DeleteMany deletes what the caller may of the items and returns one line each in their order.
func (w *Owner) DeleteMany(ctx context.Context, v *cluster.View, b *cluster.Bucket, caller *s3.Caller, items []s3.DeleteItem) ([]s3.Deleted, error) {
	set, err := w.settings.Of(v, b)
	if err != nil {
		return nil, err
	}
	done := make([]s3.Deleted, len(items))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(parallelDeletes, len(items)) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range next {
				o := node.Object{View: v, Bucket: b, Key: items[i].Key, Owner: v.Owner(b, items[i].Key)}
				done[i] = w.deleteItem(ctx, &o, caller, set, &items[i])
			}
		}()
	}
	for i := range items {
		next <- i
	}
	close(next)
	wg.Wait()
	return done, w.node.Control().Lease()
}

func (w *Owner) deleteItem(ctx context.Context, o *node.Object, caller *s3.Caller, set *s3.Settings, it *s3.DeleteItem) s3.Deleted {
	d := s3.Deleted{Key: it.Key, VersionID: it.VersionID}
	gone, err := w.deleteOne(ctx, o, caller, set, it)
	for try := 1; try < servedMost && errs.Is(err, errs.StaleMap) && w.node.Refresh(o) == nil; try++ {
		gone, err = w.deleteOne(ctx, o, caller, set, it)
	}
	if err != nil {
		f := s3.FaultOf(err)
		if errs.Is(err, errs.Precondition) {
			f = &s3.Fault{Code: "PreconditionFailed"}
		}
		d.Code, d.Message, d.Again = f.Code, f.Text(), errs.KindOf(err).Retryable()
		return d
	}
	if d.Marker = gone.Marker; gone.Marker {
		d.MarkerVersionID = s3.ShownVersion(gone.VersionID)
	}
	return d
}

func (w *Owner) deleteOne(ctx context.Context, o *node.Object, caller *s3.Caller, set *s3.Settings, it *s3.DeleteItem) (store.Deleted, error) {
	if err := s3.CheckKey(it.Key); err != nil {
		return store.Deleted{}, err
	}
	action := "s3:DeleteObject"
	if it.VersionID != "" {
		if err := checkVersion(it.VersionID); err != nil {
			return store.Deleted{}, s3.E("owner.deleteOne", it.Key, "NoSuchVersion", "")
		}
		action = "s3:DeleteObjectVersion"
	}
	if o.Owner == nil || o.Owner.ID != w.node.ID {
		return store.Deleted{}, errs.F("owner.deleteOne", o, errs.WrongOwner, "is not this node's in version %d of the cluster map", o.View.Map.Version)
	}
	cond := itemConditions(it)
	unread := w.target.OwnToDelete(ctx, o)
	if unread != nil && (it.VersionID != "" || !target.MayBury(o, unread, cond)) {
		return store.Deleted{}, unread
	}
	r := &request{Object: *o, w: w, caller: caller, set: set, version: it.VersionID}
	q, in := r.act(action), r.inputs()
	if in.Policy != nil {
		q.Values = func(key string) []string { return values{r}.valueOfMany(key) }
	}
	if err := policy.Authorize(&q, &in); err != nil {
		return store.Deleted{}, err
	}
	if unread != nil {
		return store.Deleted{}, target.Bury(ctx, w.target, o, unread)
	}
	return w.delete(ctx, o, it.VersionID, cond)
}

// valueOfMany answers a condition on one key of a DeleteObjects: what belongs to the request as a whole.
func (r values) valueOfMany(key string) []string {
	if v := r.common(key); v != "" {
		return []string{v}
	}
	return nil
}
