package proxy

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
	"aistore/xact"
)

// startJob starts a job and answers 202 with its id.
func (g *Gateway) startJob(c *httpx.Ctx, v *cluster.View, s xact.Spec) error {
	id, err := g.jobs.Start(c.Context(), v, s)
	if err != nil {
		return err
	}
	c.Status(202)
	return text(c, id)
}

// renamed starts the job of a rename that has happened. The rename does not depend on targets being there, so a
// job that cannot start is left out.
func (g *Gateway) renamed(c *httpx.Ctx, b *cluster.Bucket, res cluster.Result) error {
	v, err := g.ctl.Latest(c.Context())
	if err != nil || v.Index < res.Index || v.BucketByID(b.ID) == nil {
		return text(c, "")
	}
	id, err := g.jobs.Start(c.Context(), v, xact.Spec{
		Kind: xact.MoveBucket, Bucket: b.ID, About: fmt.Sprintf("%s -> %s", b, v.BucketByID(b.ID)),
	})
	if err != nil {
		g.node.Log.Warn("rename is done, its job could not be shown", "bucket", b.String(), "err", err)
		return text(c, "")
	}
	return text(c, id)
}

func (g *Gateway) deleteObjects(c *httpx.Ctx, m *api.ActionMsg) error {
	var sel api.ObjectSelection
	if err := m.Decode(&sel); err != nil {
		return err
	}
	if err := sel.Check(); err != nil {
		return err
	}
	v, b, err := g.node.ResolveBucket(c, bucketName(c))
	if err != nil {
		return err
	}
	return g.startJob(c, v, xact.Spec{Kind: xact.DeleteObjects, Bucket: b.ID, Message: m.Value, About: about(&sel)})
}

func about(s *api.ObjectSelection) string {
	switch {
	case len(s.Names) > 0:
		return strconv.Itoa(len(s.Names)) + " names"
	case s.Template != "":
		return "template " + strconv.Quote(s.Template)
	}
	return "all objects"
}

func (g *Gateway) copyBucket(c *httpx.Ctx, m *api.ActionMsg) error {
	var msg api.CopyMsg
	if err := m.Decode(&msg); err != nil {
		return err
	}
	to, err := destination(c)
	if err != nil {
		return err
	}
	return g.copy(c, xact.CopyBucket, to, &msg, m.Value, "prefix "+strconv.Quote(msg.Prefix))
}

func (g *Gateway) copyObjects(c *httpx.Ctx, m *api.ActionMsg) error {
	var msg api.CopyObjectsMsg
	if err := m.Decode(&msg); err != nil {
		return err
	}
	if err := msg.ObjectSelection.Check(); err != nil {
		return err
	}
	to := msg.To
	if to.Provider == "" {
		to.Provider = api.ProviderAIS
	}
	if to.Name == "" {
		return errs.E("proxy.copyObjects", "tobck", errs.Invalid, "names no bucket")
	}
	if err := to.Check(); err != nil {
		return errs.E("proxy.copyObjects", "tobck", err)
	}
	if v, b, err := g.node.ResolveBucket(c, bucketName(c)); err == nil && v.Buckets.Get(to.Namespace.Name, to.Name) == b {
		if err := endless(&msg); err != nil {
			return err
		}
	}
	return g.copy(c, xact.CopyObjects, to, &msg.CopyMsg, m.Value, about(&msg.ObjectSelection))
}

// endless refuses copies inside a bucket that would be among what is copied: of each of them there would be another one, until names are too long.
func endless(msg *api.CopyObjectsMsg) error {
	t, err := api.ParseTemplate(msg.Template)
	if err != nil || len(msg.Names) > 0 || !t.IsPrefix() || msg.Prepend == "" || !strings.HasPrefix(msg.Prepend+t.Prefix(), t.Prefix()) {
		return err
	}
	return errs.F("proxy.copyObjects", "prepend", errs.Invalid, "%q: the copies would begin with %q as well and be copied, too: use another bucket or prefix", msg.Prepend, t.Prefix())
}

// copy starts a copying job. A destination that does not exist is created with the source's properties.
func (g *Gateway) copy(c *httpx.Ctx, kind string, to api.Bck, msg *api.CopyMsg, value json.RawMessage, what string) error {
	const op = "proxy.copy"
	if msg.ETL != "" {
		return errs.F(op, "id", errs.Unsupported, "%q: transforming copies need ETL, which this cluster does not run", msg.ETL)
	}
	v, b, err := g.node.ResolveBucket(c, bucketName(c))
	if err != nil {
		return err
	}
	if to.Name == b.Name && to.Namespace.Name == b.Namespace && (kind == xact.CopyBucket || msg.Prepend == "" && len(msg.Ext) == 0) {
		return errs.F(op, b.String(), errs.Invalid, "is both source and destination")
	}
	s := xact.Spec{Kind: kind, Bucket: b.ID, Message: value, About: fmt.Sprintf("%s of %s -> %s", what, b, to)}
	if msg.DryRun {
		s.About = "dry run: " + s.About
		return g.startJob(c, v, s)
	}
	if v, s.To, err = g.ensure(c, v, b, to); err != nil {
		return err
	}
	return g.startJob(c, v, s)
}

// ensure returns the id of the destination bucket and a view that has both.
func (g *Gateway) ensure(c *httpx.Ctx, v *cluster.View, from *cluster.Bucket, to api.Bck) (*cluster.View, uint64, error) {
	if b := v.Buckets.Get(to.Namespace.Name, to.Name); b != nil {
		return v, b.ID, nil
	}
	props := from.Props
	props.S3 = cluster.S3Props{MultiRange: props.S3.MultiRange} // policies and rules were written for the one bucket
	_, err := g.ctl.Propose(c.Context(), cluster.CreateBucket{Namespace: to.Namespace.Name, Name: to.Name, Props: props})
	if err != nil && !errs.Is(err, errs.Exists) {
		return nil, 0, err
	}
	if v, err = g.ctl.Latest(c.Context()); err != nil {
		return nil, 0, err
	}
	b := v.Buckets.Get(to.Namespace.Name, to.Name)
	if b == nil || v.BucketByID(from.ID) == nil {
		return nil, 0, errs.F("proxy.ensure", from.String(), errs.NoBucket, "this bucket or %s was destroyed", to)
	}
	return v, b.ID, nil
}

// getSummary starts a summary (202, the job's id) or answers for one that was started: 202 while it runs, 200 with
// the result.
func (g *Gateway) getSummary(c *httpx.Ctx, v *cluster.View, b *cluster.Bucket, m *api.ActionMsg) error {
	var msg api.SummaryMsg
	if err := m.Decode(&msg); err != nil {
		return err
	}
	if msg.UUID == "" {
		return g.startSummary(c, v, b, msg)
	}
	s, err := g.summaryOf(c, v, b, msg.UUID)
	if err != nil {
		return err
	}
	if s == nil {
		c.Status(202)
		return text(c, msg.UUID)
	}
	return c.JSON([]*api.BucketSummary{s})
}

func (g *Gateway) startSummary(c *httpx.Ctx, v *cluster.View, b *cluster.Bucket, msg api.SummaryMsg) error {
	raw, err := json.Marshal(&msg)
	if err != nil {
		return errs.E("proxy.startSummary", b.String(), err)
	}
	return g.startJob(c, v, xact.Spec{Kind: xact.SummaryBucket, Bucket: b.ID, Message: raw, About: "prefix " + strconv.Quote(msg.Prefix)})
}

// headSummary is getSummary in headers. Starting one, the reply to HEAD names the job in a header.
func (g *Gateway) headSummary(c *httpx.Ctx, v *cluster.View, b *cluster.Bucket, prefix string) error {
	id := strings.Trim(c.Query(api.QueryUUID), `"`)
	if id == "" {
		raw, err := json.Marshal(&api.SummaryMsg{Prefix: prefix})
		if err != nil {
			return errs.E("proxy.headSummary", b.String(), err)
		}
		if id, err = g.jobs.Start(c.Context(), v, xact.Spec{
			Kind: xact.SummaryBucket, Bucket: b.ID, Message: raw, About: "prefix " + strconv.Quote(prefix),
		}); err != nil {
			return err
		}
		c.SetHeader(api.HeaderXactionID, id)
		c.Status(202)
		return nil
	}
	s, err := g.summaryOf(c, v, b, id)
	if err != nil {
		return err
	}
	c.SetHeader(api.HeaderXactionID, id)
	if s == nil {
		c.Status(202)
		return nil
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return errs.E("proxy.headSummary", b.String(), err)
	}
	c.SetHeader(api.HeaderBucketSummary, string(raw))
	return nil
}

// summaryOf returns the result of a summary, nil while it runs.
func (g *Gateway) summaryOf(c *httpx.Ctx, v *cluster.View, b *cluster.Bucket, id string) (*api.BucketSummary, error) {
	const op = "proxy.summaryOf"
	j, err := g.jobs.Status(c.Context(), v, id)
	switch {
	case err != nil:
		return nil, err
	case j.Kind != xact.SummaryBucket || *j.Bck != api.BckOf(b):
		return nil, errs.F(op, api.QueryUUID, errs.Invalid, "job %s is no summary of %s", id, b)
	case j.EndTime == 0:
		return nil, nil
	case j.Aborted || j.Err != "":
		return nil, errs.F(op, "summary "+id, errs.Unavailable, "%s", orElse(j.Err, "was stopped"))
	}
	s := &api.BucketSummary{Bck: api.BckOf(b), Present: true}
	s.ObjCount.Present = uint64(j.Objects)
	s.ObjSize.Min, s.ObjSize.Max = j.Sizes.Min, j.Sizes.Max
	if j.Objects > 0 {
		s.ObjSize.Avg = j.Bytes / j.Objects
	}
	s.TotalSize.Present, s.TotalSize.OnDisk = uint64(j.Bytes), uint64(j.Bytes)
	health, err := g.ctl.Health(c.Context())
	if err != nil {
		return nil, err
	}
	for i := range health {
		for _, mp := range disks(&health[i]) {
			s.TotalSize.Disks += uint64(mp.Total)
		}
	}
	if s.TotalSize.Disks > 0 {
		s.UsedPct = s.TotalSize.OnDisk * 100 / s.TotalSize.Disks
	}
	return s, nil
}
