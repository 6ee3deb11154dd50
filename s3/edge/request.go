package edge

import (
	"net"
	"strconv"
	"strings"

	"aistore/auth/policy"
	"aistore/auth/sigv4"
	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
	"aistore/s3"
)

// request is one request of a client.
type request struct {
	e      *Edge
	c      *httpx.Ctx
	op     *s3.Operation
	level  s3.Level
	name   string // of the bucket
	key    string
	host   bool // virtual-host style
	caller s3.Caller
	unsure error       // why it is not known whether an access key exists
	passed uint64      // id of the bucket for which another node has vouched for the caller
	h      *s3.Headers // of operations on buckets

	view   *cluster.View
	bucket *cluster.Bucket
	set    *s3.Settings
}

// serve answers a client.
func (e *Edge) serve(c *httpx.Ctx) error {
	r := &request{e: e, c: c}
	r.locate()
	mark(c)
	var unknown error
	r.op, unknown = s3.FindOperation(c.Method(), r.level, c.RawQuery(), s3.Presence(c.Header("x-amz-copy-source") != ""))
	if unknown == nil {
		c.SetOp(r.op.Metric())
		if r.op.Op == s3.OptionsRequest {
			return r.preflight()
		}
	}
	if origin := c.Header("Origin"); origin != "" {
		r.cors(origin)
	}
	if err := r.authenticate(); err != nil {
		return err
	}
	if unknown != nil {
		if s3.IsCode(unknown, "MethodNotAllowed") {
			c.SetFailHeader("Allow", s3.Allowed(c.Method(), r.level, c.RawQuery()))
		}
		return unknown
	}
	if r.level == s3.Key {
		return r.toOwner()
	}
	return r.perform()
}

// mark sets what every reply has.
func mark(c *httpx.Ctx) {
	c.SetHeader("Server", "aistore")
	c.SetHeader("x-amz-request-id", c.RequestID())
	c.SetHeader("x-amz-id-2", c.RequestID())
}

// locate finds out what the request is addressed to.
func (r *request) locate() {
	rest := r.c.Rest()
	if len(r.e.domains) > 0 {
		if name := r.e.bucketOfHost(r.c.Host()); name != "" {
			r.name, r.host = name, true
			r.key = strings.TrimPrefix(r.c.Path(), "/") // "/s3" is no prefix here
			r.level = s3.Bucket
			if r.key != "" {
				r.level = s3.Key
			}
			return
		}
	}
	r.name, r.key, _ = strings.Cut(rest, "/")
	switch {
	case r.key != "":
		r.level = s3.Key
	case r.name != "":
		r.level = s3.Bucket
	}
}

// domainOf is the Host header without the bucket: behind it the bucket can stand in the path.
func domainOf(r *request) string {
	host := r.c.Host()
	if r.host {
		host = host[len(r.name)+1:]
	}
	return host
}

// bucketOfHost returns the bucket of a virtual-host style request, "" for any other host.
func (e *Edge) bucketOfHost(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host = strings.ToLower(strings.TrimSuffix(host, ".")); host == e.host {
		return ""
	}
	for _, d := range e.domains {
		if name, ok := strings.CutSuffix("."+host, d); ok {
			return strings.TrimPrefix(name, ".") // "" = the domain itself
		}
	}
	return ""
}

// authenticate finds out who asks. Nothing of the body is read.
func (r *request) authenticate() error {
	c := r.c
	v, err := r.e.node.View()
	if err != nil {
		return err
	}
	r.view = v
	path, query := rawTarget(c.Target())
	if pass := passOf(query); pass != "" {
		return r.accept(pass)
	}
	signed := sigv4.Request{Method: c.Method(), RawPath: path, RawQuery: query, Host: c.Host(), Each: c.EachHeader, Now: now()}
	if r.host {
		signed.Bucket = r.name
	}
	who, err := r.e.verifier.Verify(&signed, r.secrets)
	if err != nil {
		return sure(r, err)
	}
	r.caller = s3.Caller{
		Presigned: who.Presigned, V2: who.Signature == "AWS", Secure: c.TLS(), Addr: hostOf(c.RemoteAddr()), Host: domainOf(r), Body: who.Body,
	}
	if who.Access == "" {
		return nil
	}
	return r.identify(who.Access)
}

// identify fills the caller with what is known of the owner of an access key.
func (r *request) identify(access string) error {
	if err := mayAsk(r); err != nil { // a key that was taken away may still be in this view
		return err
	}
	u, _ := r.view.Users.ByAccess(access)
	if u == nil {
		return s3.E("edge.identify", "access key", "InvalidAccessKeyId", "")
	}
	r.caller.ID, r.caller.Name, r.caller.Access = u.ID, u.Name, access
	r.caller.Admin, r.caller.ReadOnly = u.Role == cluster.Admin, u.Role == cluster.ReadOnly
	return nil
}

// mayAsk returns nil while this node knows who may do what: it holds its lease, or an object is read of a bucket that does without.
func mayAsk(r *request) error {
	err := r.e.ctl.Lease()
	if err == nil || r.level != s3.Key || r.c.Method() != "GET" && r.c.Method() != "HEAD" {
		return err
	}
	if b := r.view.Buckets.Get("", r.name); b != nil {
		_, err = r.e.node.MayRead(b)
	}
	return err
}

// secrets returns the secret of an access key. One that this node does not know may be new.
func (r *request) secrets(access string) (string, bool) {
	_, k := r.view.Users.ByAccess(access)
	if k == nil {
		v, err := r.e.ctl.Latest(r.c.Context())
		if err != nil {
			r.unsure = err
			return "", false
		}
		r.view = v
		if _, k = v.Users.ByAccess(access); k == nil {
			return "", false
		}
	}
	return k.Secret, true
}

// sure is err, unless that says of an access key that there is none while nobody could be asked: a client gives up on the one, and tries again after
// the other.
func sure(r *request, err error) error {
	if r.unsure != nil {
		return errs.E("edge.authenticate", "access key", r.unsure)
	}
	return err
}

// rawTarget splits a request target; that of a proxy has the scheme and host before the path.
func rawTarget(t string) (path, query string) {
	if !strings.HasPrefix(t, "/") {
		if _, after, ok := strings.Cut(t, "://"); ok {
			if i := strings.IndexByte(after, '/'); i >= 0 {
				t = after[i:]
			}
		}
	}
	path, query, _ = strings.Cut(t, "?")
	return path, query
}

func hostOf(addr string) string {
	if h, _, err := net.SplitHostPort(addr); err == nil {
		return h
	}
	return addr
}

// find resolves the bucket in this node's view, or the newest one.
func (r *request) find() error {
	if b := r.view.Buckets.Get("", r.name); b != nil {
		return r.take(r.view, b)
	}
	return r.findLatest()
}

// findKnown is find for what this node answers by itself. Without a lease it may not have heard that the bucket is gone, or that strangers may not
// read it any more; who signed was refused before.
func (r *request) findKnown() error {
	if r.e.ctl.Lease() != nil {
		return r.findLatest()
	}
	return r.find()
}

// findLatest resolves the bucket in the newest view: what was changed through another node counts.
func (r *request) findLatest() error {
	v, err := r.e.ctl.Latest(r.c.Context())
	if err != nil {
		return errs.E("edge.find", r.name, err)
	}
	b := v.Buckets.Get("", r.name)
	if b == nil {
		return noBucket(r.name)
	}
	return r.take(v, b)
}

func noBucket(name string) error {
	return s3.E("edge.find", name, "NoSuchBucket", "", s3.Field{Name: "BucketName", Value: name})
}

func (r *request) take(v *cluster.View, b *cluster.Bucket) (err error) {
	r.view, r.bucket = v, b
	r.caller.View = max(r.caller.View, v.Index)
	r.set, err = r.e.settings.Of(v, b)
	return err
}

// authorize decides about an operation on the bucket.
func (r *request) authorize(action string) error {
	if e := r.h.ExpectedOwner; e != "" && e != r.bucket.Owner {
		return s3.E("edge.authorize", r.name, "AccessDenied", "")
	}
	q := policy.Request{Caller: r.subject(), Action: action, Bucket: r.name, Values: r.values}
	return policy.Authorize(&q, r.inputs())
}

func (r *request) inputs() *policy.Inputs {
	return &policy.Inputs{BucketOwner: r.bucket.Owner, Policy: r.set.Policy, BucketACL: r.set.ACL, Block: r.set.Block, Ownership: r.set.Ownership}
}

func (r *request) subject() policy.Caller {
	c := &r.caller
	return policy.Caller{ID: c.ID, Name: c.Name, Admin: c.Admin, ReadOnly: c.ReadOnly, Anonymous: c.Anonymous()}
}

// values answers what a policy's condition asks for.
func (r *request) values(key string) []string {
	v := ""
	switch key {
	case "aws:sourceip":
		v = r.caller.Addr
	case "aws:securetransport":
		v = "false"
		if r.caller.Secure {
			v = "true"
		}
	case "aws:useragent":
		v = r.h.UserAgent
	case "aws:referer":
		v = r.h.Referer
	case "aws:currenttime":
		v = now().UTC().Format("2006-01-02T15:04:05Z")
	case "s3:prefix", "s3:delimiter", "s3:max-keys":
		if name := strings.TrimPrefix(key, "s3:"); r.c.HasQuery(name) {
			return []string{r.c.Query(name)}
		}
	case "s3:x-amz-acl":
		v = r.h.Grants.Canned
	case "s3:x-amz-grant-full-control":
		v = r.h.Grants.FullControl
	case "s3:x-amz-grant-read":
		v = r.h.Grants.Read
	case "s3:x-amz-grant-read-acp":
		v = r.h.Grants.ReadACP
	case "s3:x-amz-grant-write":
		v = r.h.Grants.Write
	case "s3:x-amz-grant-write-acp":
		v = r.h.Grants.WriteACP
	case "aws:epochtime":
		v = strconv.FormatInt(now().Unix(), 10)
	default:
		v = r.caller.Signature(key, now())
	}
	if v == "" {
		return nil
	}
	return []string{v}
}

// users resolves grantees.
func (r *request) users() policy.Users {
	m := r.view.Users
	id := func(u *cluster.User) string {
		if u == nil {
			return ""
		}
		return u.ID
	}
	return policy.Users{
		ByID:    func(s string) string { return id(m.ByID(s)) },
		ByEmail: func(s string) string { return id(m.ByEmail(s)) },
	}
}

// display is the name that is shown of a canonical id.
func (r *request) display(id string) string {
	if u := r.view.Users.ByID(id); u != nil && u.Display != "" {
		return u.Display
	}
	return id
}

func (r *request) ownerOf(id string) s3.Owner { return s3.Owner{ID: id, Display: r.display(id)} }

// sendXML makes doc the reply.
func (r *request) sendXML(doc []byte) error {
	r.c.SetHeader("Content-Type", "application/xml")
	return r.c.SendBytes(doc)
}
