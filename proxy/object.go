package proxy

import (
	"strings"

	"aistore/errs"
	"aistore/httpx"
)

// object sends the request to the object's owner. In role all the target does that.
func (g *Gateway) object(c *httpx.Ctx) error {
	const op = "proxy.object"
	rest := c.Rest()
	if name, key, _ := strings.Cut(rest, "/"); c.Method() == "POST" && name != "" && key == "" {
		m, err := message(c)
		if err != nil {
			return err
		}
		return unknownAction(&m, "rename, on /v1/objects/BUCKET/OBJECT")
	}
	o, err := g.node.ResolveObject(c, rest)
	switch {
	case err != nil:
		return err
	case g.objects != nil: // also what is another's: who sent the request here may know a newer map, and would be sent it back
		return g.objects.Serve(c, o)
	case o.Owner == nil:
		return errs.E(op, o.String(), errs.Busy, "no target is in service")
	case !o.Owner.Alive:
		return errs.F(op, o.String(), errs.Busy, "its owner %s does not answer: retry later", o.Owner.ID)
	}
	c.Redirect(g.node.RedirectURL(c, &o))
	return nil
}

// easy is the easy URL: /ais/BUCKET/OBJECT is the object, GET /ais/BUCKET lists the bucket, GET /ais/ the buckets.
func (g *Gateway) easy(c *httpx.Ctx) error {
	name, key, _ := strings.Cut(c.Rest(), "/")
	if key != "" {
		return g.object(c)
	}
	switch c.Method() {
	case "GET":
		return g.getBucket(c)
	case "HEAD":
		return g.headBucket(c)
	}
	return errs.F("proxy.easy", c.Path(), errs.Invalid, "names no object: want /ais/BUCKET/OBJECT, such as /ais/%s/NAME", orElse(name, "BUCKET"))
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
