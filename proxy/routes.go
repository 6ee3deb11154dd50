package proxy

import (
	"aistore/api"
	"aistore/errs"
	"aistore/httpx"
)

// Routes is the gateway's part of the route table.
func (g *Gateway) Routes() []httpx.Route {
	control := httpx.Policy{Listener: httpx.Public, Class: httpx.ClassControl, MaxBody: maxSettings}
	data, names := control, control
	data.Class, names.MaxBody = httpx.ClassData, maxMessage
	rs := []httpx.Route{
		{Method: "GET", Path: api.PathBuckets, Op: "list-buckets", Policy: control, Handler: g.getBuckets},
		{Method: "GET", Path: api.PathBuckets + "/*", Op: "list", Policy: data, Handler: g.getBucket},
		{Method: "HEAD", Path: api.PathBuckets + "/*", Op: "head-bucket", Policy: control, Handler: g.headBucket},
		{Method: "POST", Path: api.PathBuckets + "/*", Op: "post-bucket", Policy: names, Handler: g.postBucket},
		{Method: "DELETE", Path: api.PathBuckets + "/*", Op: "delete-bucket", Ops: []string{"delete-objects"}, Policy: names, Handler: g.deleteBucket},
		{Method: "PATCH", Path: api.PathBuckets + "/*", Op: "patch-bucket", Policy: control, Handler: g.patchBucket},
		{Method: "PUT", Path: api.PathBuckets + "/*", Op: "put-bucket", Policy: control, Handler: g.putBucket},

		{Method: "GET", Path: api.PathCluster, Op: "get-cluster", Policy: control, Handler: g.getCluster},
		{Method: "PUT", Path: api.PathCluster, Op: "put-cluster", Policy: control, Handler: g.putCluster},
		{Method: "PUT", Path: api.PathSetConfig, Op: "set-config", Policy: control, Handler: g.setConfigQuery},
		{Method: "PUT", Path: api.PathSetConfig + "/", Op: "set-config", Policy: control, Handler: g.setConfigQuery},
		{Method: "PUT", Path: api.PathSetPrimary + "/*", Op: "set-primary", Policy: control, Handler: g.setPrimary},
		{Method: "POST", Path: api.PathJoin, Op: "join-node", Policy: control, Handler: lifecycle{g}.join},
		{Method: "DELETE", Path: api.PathRemove + "/*", Op: "remove-node", Policy: control, Handler: lifecycle{g}.remove},
		{Method: "POST", Path: api.PathCluster + "/*", Op: "post-cluster", Policy: control, Handler: membership},
		{Method: "DELETE", Path: api.PathCluster + "/*", Op: "delete-cluster", Policy: control, Handler: membership},
		{Method: "GET", Path: api.PathReverse, Op: "reverse", Policy: control, Handler: g.reverse},

		{Method: "GET", Path: api.PathEasy, Op: "list-buckets", Policy: control, Handler: g.getBuckets},
	}
	rs = append(rs, g.objectRoutes(api.PathObjects, g.object)...)
	rs = append(rs, g.objectRoutes(api.PathEasy, g.easy)...)
	for _, path := range []string{api.PathETL, api.PathSort, api.PathDownload, api.PathML} {
		for _, p := range []string{path, path + "/*"} {
			rs = append(rs, httpx.Route{Method: "*", Path: p, Op: "unsupported", Policy: control, Handler: unsupported})
		}
	}
	for i := range rs {
		rs[i].Handler = g.asMember(rs[i].Handler)
	}
	return rs
}

// asMember refuses requests when this gateway was removed from its cluster: its map is of then, and will stay so. One that is merely cut off goes on:
// targets tell whether its map is good.
func (g *Gateway) asMember(h httpx.Handler) httpx.Handler {
	return func(c *httpx.Ctx) error {
		if err := g.ctl.Member(); err != nil {
			return err
		}
		return h(c)
	}
}

// RouteTable is Routes for documentation and tests: its handlers must not be called.
func RouteTable() []httpx.Route { return new(Gateway).Routes() }

// objectRoutes are the routes of objects below base, one per method. Operations and limits are those of package
// target, which serves them in the end.
func (g *Gateway) objectRoutes(base string, h httpx.Handler) []httpx.Route {
	small := httpx.Policy{Listener: httpx.Public, Class: httpx.ClassData, MaxBody: 1 << 20}
	content := small
	content.MaxBody = httpx.NoLimit // limits.max_object_size
	var rs []httpx.Route
	for method, op := range map[string]string{"GET": "get", "HEAD": "head", "PUT": "put", "DELETE": "delete", "PATCH": "patch", "POST": "post"} {
		r := httpx.Route{Method: method, Path: base + "/*", Op: op, Policy: small, Handler: h}
		if method == "PUT" {
			r.Policy = content
		}
		rs = append(rs, r)
	}
	return rs
}

func unsupported(c *httpx.Ctx) error {
	return errs.F("proxy.unsupported", c.Path(), errs.Unsupported, "ETL, dsort, downloads and batch reads are not served by this cluster")
}

func membership(c *httpx.Ctx) error {
	return errs.E("proxy.membership", c.Path(), errs.Unsupported,
		"nodes join by themselves: start aisnode with --join and the URL of any node; by hand: POST "+api.PathJoin+", DELETE "+api.PathRemove+"/ID")
}
