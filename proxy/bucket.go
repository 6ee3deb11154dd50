package proxy

import (
	"encoding/json"
	"strconv"
	"strings"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
)

// getBuckets lists the buckets.
func (g *Gateway) getBuckets(c *httpx.Ctx) error {
	m, err := message(c)
	if err != nil {
		return err
	}
	if m.Action == api.ActSummaryBucket {
		return errs.E("proxy.getBuckets", "bucket", errs.Invalid, "is not named in the path: ask for the summary of one bucket")
	}
	if m.Action != "" && m.Action != api.ActList {
		return unknownAction(&m, api.ActList)
	}
	if p := c.Query(api.QueryProvider); p != "" && p != api.ProviderAIS {
		if err := api.CheckProvider(p); errs.Is(err, errs.Invalid) {
			return err
		}
		return c.JSON([]api.Bck{}) // another cloud's: there are none
	}
	ns, err := api.ParseNamespace(c.Query(api.QueryNamespace))
	if err != nil {
		return err
	}
	v, err := g.ctl.Latest(c.Context())
	if err != nil {
		return err
	}
	all := !c.HasQuery(api.QueryNamespace)
	bcks := []api.Bck{}
	for _, b := range v.Buckets.List() {
		if all || b.Namespace == ns.Name {
			bcks = append(bcks, api.BckOf(b))
		}
	}
	return c.JSON(bcks)
}

// getBucket lists the objects of a bucket or sums it up.
func (g *Gateway) getBucket(c *httpx.Ctx) error {
	name := strings.TrimSuffix(c.Rest(), "/")
	if name == "" {
		return g.getBuckets(c)
	}
	m, err := message(c)
	if err != nil {
		return err
	}
	v, b, err := g.node.ResolveBucket(c, name)
	if err != nil {
		return err
	}
	switch m.Action {
	case "", api.ActList:
		return g.listObjects(c, v, b, &m)
	case api.ActSummaryBucket:
		return g.getSummary(c, v, b, &m)
	}
	return unknownAction(&m, api.ActList+", "+api.ActSummaryBucket)
}

// headBucket answers with the bucket's properties; asked with bsumm_remote also with a summary, of the objects under
// the prefix that may follow the bucket in the path.
func (g *Gateway) headBucket(c *httpx.Ctx) error {
	name, prefix, _ := strings.Cut(c.Rest(), "/")
	v, b, err := g.node.ResolveBucket(c, name)
	if err != nil {
		return err
	}
	props, err := json.Marshal(api.PropsOf(b))
	if err != nil {
		return errs.E("proxy.headBucket", b.String(), err)
	}
	c.SetHeader(api.HeaderBucketProps, string(props))
	c.SetHeader(api.HeaderBucketName, b.Name)
	c.SetHeader(api.HeaderBucketProvider, api.ProviderAIS)
	c.SetHeader(api.HeaderBucketID, strconv.FormatUint(b.ID, 10))
	c.SetHeader(api.HeaderDurability, string(b.Props.Durability))
	if c.HasQuery(api.QuerySummary) {
		return g.headSummary(c, v, b, prefix)
	}
	return nil
}

// postBucket creates, renames and copies.
func (g *Gateway) postBucket(c *httpx.Ctx) error {
	m, err := message(c)
	if err != nil {
		return err
	}
	switch m.Action {
	case api.ActCreateBucket:
		return g.createBucket(c, &m)
	case api.ActMoveBucket:
		return g.moveBucket(c)
	case api.ActCopyBucket:
		return g.copyBucket(c, &m)
	case api.ActCopyObjects:
		return g.copyObjects(c, &m)
	}
	return unknownAction(&m, strings.Join([]string{api.ActCreateBucket, api.ActMoveBucket, api.ActCopyBucket, api.ActCopyObjects}, ", "))
}

// putBucket has nothing to serve; AIStore makes archives here.
func (g *Gateway) putBucket(c *httpx.Ctx) error {
	m, err := message(c)
	if err != nil {
		return err
	}
	return unknownAction(&m, api.ActCreateBucket+" with POST")
}

// deleteBucket destroys the bucket, or deletes objects of it.
func (g *Gateway) deleteBucket(c *httpx.Ctx) error {
	m, err := message(c)
	if err != nil {
		return err
	}
	switch m.Action {
	case api.ActDestroyBucket:
		_, b, err := g.node.ResolveBucket(c, bucketName(c))
		if err != nil {
			return err
		}
		_, err = g.ctl.Propose(c.Context(), cluster.DestroyBucket{Namespace: b.Namespace, Name: b.Name, ID: b.ID})
		return err
	case api.ActDeleteObjects, "delete": // the second one as in AIStore's HTTP documentation
		c.SetOp("delete-objects")
		return g.deleteObjects(c, &m)
	}
	return unknownAction(&m, api.ActDestroyBucket+", "+api.ActDeleteObjects)
}

// bucketName is the bucket of a path below PathBuckets; a slash at its end is allowed.
func bucketName(c *httpx.Ctx) string { return strings.TrimSuffix(c.Rest(), "/") }

func (g *Gateway) createBucket(c *httpx.Ctx, m *api.ActionMsg) error {
	b, err := bck(c, bucketName(c))
	if err != nil {
		return err
	}
	if err := cluster.CheckBucketName(b.Name); err != nil {
		return err
	}
	props, err := api.ParseProps(m.Value, cluster.DefaultBucketProps())
	if err != nil {
		return err
	}
	_, err = g.ctl.Propose(c.Context(), cluster.CreateBucket{Namespace: b.Namespace.Name, Name: b.Name, Props: props})
	return err
}

// patchBucket changes properties.
func (g *Gateway) patchBucket(c *httpx.Ctx) error {
	m, err := message(c)
	if err != nil {
		return err
	}
	if m.Action != api.ActSetProps && m.Action != api.ActResetProps {
		return unknownAction(&m, api.ActSetProps+", "+api.ActResetProps)
	}
	_, b, err := g.node.ResolveBucket(c, bucketName(c))
	for try := 0; err == nil; try++ {
		props := api.ResetProps(b.Props)
		if m.Action == api.ActSetProps {
			if props, err = api.ParseProps(m.Value, b.Props); err != nil {
				return err
			}
		}
		_, err = g.ctl.Propose(c.Context(), cluster.SetBucketProps{Namespace: b.Namespace, Name: b.Name, Props: props, Version: b.Version})
		if !errs.Is(err, errs.Conflict) || try == 3 {
			return err
		}
		// Somebody else changed other properties meanwhile: keep both changes.
		var v *cluster.View
		if v, err = g.ctl.Latest(c.Context()); err != nil {
			return err
		}
		was := b
		if b = v.BucketByID(was.ID); b == nil {
			return errs.E("proxy.patchBucket", was.String(), errs.NoBucket, "the bucket was destroyed")
		}
	}
	return err
}

// moveBucket renames. The control plane does it at once; the job that is returned is for clients that wait for one.
func (g *Gateway) moveBucket(c *httpx.Ctx) error {
	const op = "proxy.moveBucket"
	_, b, err := g.node.ResolveBucket(c, bucketName(c))
	if err != nil {
		return err
	}
	to, err := destination(c)
	if err != nil {
		return err
	}
	if to.Namespace.Name != b.Namespace {
		return errs.F(op, api.QueryBucketTo, errs.Unsupported, "%s is in another namespace than %s: copy the bucket instead", to, b)
	}
	res, err := g.ctl.Propose(c.Context(), cluster.RenameBucket{Namespace: b.Namespace, Name: b.Name, To: to.Name, ID: b.ID})
	if err != nil {
		return err
	}
	return g.renamed(c, b, res)
}

// destination reads bck_to.
func destination(c *httpx.Ctx) (api.Bck, error) {
	if !c.HasQuery(api.QueryBucketTo) {
		return api.Bck{}, errs.E("proxy.destination", api.QueryBucketTo, errs.Invalid, "is missing in the query: want ais/@#/NAME/")
	}
	return api.ParseBckPath(api.QueryBucketTo, c.Query(api.QueryBucketTo))
}
