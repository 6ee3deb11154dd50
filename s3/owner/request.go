package owner

import (
	"errors"
	"strings"
	"time"

	"aistore/auth/policy"
	"aistore/auth/sigv4"
	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
	"aistore/node"
	"aistore/object"
	"aistore/s3"
)

// request is one admitted request.
type request struct {
	node.Object
	w      *Owner
	c      *httpx.Ctx
	caller *s3.Caller
	op     *s3.Operation
	h      s3.Headers
	set    *s3.Settings

	version string            // versionId of the query, "" = none
	tags    map[string]string // of x-amz-tagging or a Tagging document, once read: policies ask for them
}

// What a request is about, one type for each file that serves it.
type (
	read      struct{ *request }
	write     struct{ *request }
	known     struct{ *request } // what is known of an object besides its content
	copying   struct{ write }
	multipart struct{ write }
	values    struct{ *request } // of the condition keys of policies
)

// check refuses what no operation takes.
func (r *request) check() error {
	const op = "owner.check"
	if err := r.h.Check(); err != nil {
		return err
	}
	if e := r.h.ExpectedOwner; e != "" && e != r.Bucket.Owner {
		return s3.E(op, r.Bucket.Name, "AccessDenied", "")
	}
	if r.c.RawQuery() != "" {
		if r.version = r.c.Query("versionId"); r.version != "" {
			if err := r.checkVersion(); err != nil {
				return err
			}
		} else if r.c.HasQuery("versionId") {
			return s3.E(op, "versionId", "InvalidArgument", "Version id cannot be the empty string")
		}
	}
	return r.checkServed()
}

// checkServed refuses what asks for a service that is not there. A write that a policy denies for the encryption it asks for, as the policies
// in AWS's guide do, is denied.
func (r *request) checkServed() error {
	if r.h.Unserved == "" {
		return nil
	}
	switch r.op.Op {
	case s3.PutObject, s3.CopyObject, s3.CreateMultipartUpload, s3.UploadPart, s3.UploadPartCopy:
		var err error
		if r.tags, err = s3.ParseTagHeader(r.h.Tagging); err != nil {
			return err
		}
		if err = r.authorize(); err != nil {
			return err
		}
	}
	return r.h.CheckServed(r.op.Op)
}

// checkVersion refuses a version that cannot be, and any with what makes a new one: its client means to change an old one.
func (r *request) checkVersion() error {
	switch r.op.Op {
	case s3.PutObject, s3.CopyObject, s3.CompleteMultipartUpload:
		return s3.E("owner.checkVersion", "versionId", "InvalidArgument", "This operation does not accept a version-id.",
			s3.Field{Name: "ArgumentName", Value: "versionId"}, s3.Field{Name: "ArgumentValue", Value: r.version})
	}
	return checkVersion(r.version)
}

func checkVersion(id string) error {
	if id == object.NullVersion {
		return nil
	}
	if _, err := object.ParseVersion(id); err != nil {
		return s3.E("owner.checkVersion", "versionId", "InvalidArgument", "Invalid version id specified",
			s3.Field{Name: "ArgumentName", Value: "versionId"}, s3.Field{Name: "ArgumentValue", Value: id})
	}
	return nil
}

// perform is the table of what serves which operation.
func (r *request) perform() error {
	if code := r.op.Code; code != "" {
		return r.unserved(code)
	}
	switch r.op.Op {
	case s3.GetObject:
		return read{r}.get()
	case s3.HeadObject:
		return read{r}.head()
	case s3.PutObject:
		return write{r}.put()
	case s3.DeleteObject:
		return write{r}.remove()
	case s3.CopyObject:
		return copying{write{r}}.copy()
	case s3.GetObjectAttributes:
		return known{r}.attributes()
	case s3.GetObjectTagging:
		return known{r}.getTags()
	case s3.PutObjectTagging:
		return known{r}.putTags()
	case s3.DeleteObjectTagging:
		return known{r}.deleteTags()
	case s3.GetObjectACL:
		return known{r}.getACL()
	case s3.PutObjectACL:
		return known{r}.putACL()
	case s3.CreateMultipartUpload:
		return multipart{write{r}}.createUpload()
	case s3.UploadPart:
		return multipart{write{r}}.uploadPart()
	case s3.UploadPartCopy:
		return multipart{write{r}}.copyPart()
	case s3.ListParts:
		return multipart{write{r}}.listParts()
	case s3.CompleteMultipartUpload:
		return multipart{write{r}}.complete()
	case s3.AbortMultipartUpload:
		return multipart{write{r}}.abort()
	}
	return s3.E("owner.perform", r.op.Name, "NotImplemented", "")
}

// unserved answers an operation whose whole answer is a code, to those who may know.
func (r *request) unserved(code string) error {
	info, err := r.stat()
	if err != nil {
		return err
	}
	if err := r.authorizeObject(&info); err != nil {
		return err
	}
	message := ""
	switch {
	case code == "InvalidRequest":
		message = "Bucket is missing Object Lock Configuration"
	case r.op.Op == s3.GetObjectTorrent:
		message = "There is no torrent of this object."
	}
	return s3.E("owner.unserved", r.op.Name, code, message)
}

// fault gives a store's error the code that S3 has for it.
func (r *request) fault(op string, err error) error {
	var known *s3.Fault
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case !errs.Is(err, errs.NotFound) || errs.Is(err, errs.NoBucket):
		return errs.E(op, &r.Object, err)
	case r.version != "":
		return s3.E(op, &r.Object, "NoSuchVersion", "", s3.Field{Name: "Key", Value: r.Key}, s3.Field{Name: "VersionId", Value: r.version})
	}
	return s3.E(op, &r.Object, "NoSuchKey", "", s3.Field{Name: "Key", Value: r.Key})
}

// act returns the request as package policy sees it.
func (r *request) act(action string) policy.Request {
	q := policy.Request{Caller: subject(r.caller), Action: action, Bucket: r.Bucket.Name, Key: r.Key}
	return q
}

// subject is the caller as package policy sees it.
func subject(c *s3.Caller) policy.Caller {
	return policy.Caller{ID: c.ID, Name: c.Name, Admin: c.Admin, ReadOnly: c.ReadOnly, Anonymous: c.Anonymous()}
}

func (r *request) inputs() policy.Inputs {
	return policy.Inputs{BucketOwner: r.Bucket.Owner, Policy: r.set.Policy, BucketACL: r.set.ACL, Block: r.set.Block, Ownership: r.set.Ownership}
}

// authorize decides about a request that needs no object: writes.
func (r *request) authorize() error {
	q, in := r.act(r.op.ActionFor(r.version)), r.inputs()
	if in.Policy != nil {
		q.Values = func(key string) []string { return values{r}.value(key, nil) }
	}
	if err := policy.Authorize(&q, &in); err != nil || in.Policy == nil {
		return err
	}
	return r.authorizeAttached(q, &in)
}

// authorizeAttached decides about the ACL and tags that a write's headers bring along, which are actions of their own: the bucket's policy must
// not deny them, and must allow them to a caller who may write only because it allows that.
func (r *request) authorizeAttached(q policy.Request, in *policy.Inputs) error {
	switch r.op.Op {
	case s3.PutObject, s3.CopyObject, s3.CreateMultipartUpload:
	default:
		return nil
	}
	without := *in
	without.Policy = nil
	byPolicy := policy.Authorize(&q, &without) != nil
	for _, attached := range [...]struct {
		action string
		asked  bool
	}{{"s3:PutObjectAcl", r.h.Grants != policy.GrantHeaders{}}, {"s3:PutObjectTagging", r.h.Tagging != ""}} {
		if !attached.asked {
			continue
		}
		q.Action = attached.action
		if d := in.Policy.Decide(&q); d == policy.Deny || byPolicy && d != policy.Allow {
			return s3.E("owner.authorize", &r.Object, "AccessDenied", "")
		}
	}
	return nil
}

// authorizeObject decides about a request to an object that exists.
func (r *request) authorizeObject(info *object.Info) error {
	q, in := r.act(r.op.ActionFor(r.version)), r.inputs()
	if err := objectInputs(&in, info); err != nil {
		return err
	}
	if in.Policy != nil {
		q.Values = func(key string) []string { return values{r}.value(key, info.Tags) }
	}
	return policy.Authorize(&q, &in)
}

func objectInputs(in *policy.Inputs, info *object.Info) error {
	text := info.System[s3.SystemACL]
	if text == "" {
		return nil
	}
	a, err := policy.ParseACL(text)
	if err != nil {
		return errs.F("owner.authorize", info.Key, errs.Corrupt, "the object's ACL cannot be read: %w", err)
	}
	in.ObjectOwner, in.ObjectACL = a.Owner, a
	return nil
}

// missing answers a request to an object that does not exist: whether the caller may know that.
func (r *request) missing(err error) error {
	if !errs.Is(err, errs.NotFound) {
		return r.fault("owner.open", err)
	}
	q, in := r.act(r.op.ActionFor(r.version)), r.inputs()
	if in.Policy != nil {
		q.Values = func(key string) []string { return values{r}.value(key, nil) }
	}
	if err := policy.AuthorizeMissing(&q, &in); err != nil {
		return err
	}
	if r.c != nil && r.version == "" {
		r.c.SetFailHeader("x-amz-delete-marker", "false")
	}
	return r.fault("owner.open", err)
}

// value answers what a policy's condition asks for; tags are the object's.
func (r values) value(key string, tags map[string]string) []string {
	if name, ok := strings.CutPrefix(key, "s3:existingobjecttag/"); ok {
		return tagValue(tags, name)
	}
	if name, ok := strings.CutPrefix(key, "s3:requestobjecttag/"); ok {
		return tagValue(r.tags, name)
	}
	if key == "s3:requestobjecttagkeys" {
		var ks []string
		for k := range r.tags {
			ks = append(ks, k)
		}
		return ks
	}
	if v := r.common(key); v != "" {
		return []string{v}
	}
	if v := r.header(key); v != "" {
		return []string{v}
	}
	return nil
}

func tagValue(tags map[string]string, name string) []string {
	if v, ok := tags[name]; ok {
		return []string{v}
	}
	return nil
}

// common are the keys that every request has.
func (r values) common(key string) string {
	switch key {
	case "aws:sourceip":
		return r.caller.Addr
	case "aws:securetransport":
		if r.caller.Secure {
			return "true"
		}
		return "false"
	case "aws:useragent":
		return r.h.UserAgent
	case "aws:referer":
		return r.h.Referer
	case "aws:currenttime":
		return time.Now().UTC().Format(time.RFC3339)
	case "aws:epochtime":
		return itoa(time.Now().Unix())
	case "s3:versionid":
		return r.version
	}
	return r.caller.Signature(key, time.Now())
}

// header are the keys that are a header of the request.
func (r values) header(key string) string {
	switch key {
	case "s3:x-amz-acl":
		return r.h.Grants.Canned
	case "s3:x-amz-grant-full-control":
		return r.h.Grants.FullControl
	case "s3:x-amz-grant-read":
		return r.h.Grants.Read
	case "s3:x-amz-grant-read-acp":
		return r.h.Grants.ReadACP
	case "s3:x-amz-grant-write":
		return r.h.Grants.Write
	case "s3:x-amz-grant-write-acp":
		return r.h.Grants.WriteACP
	case "s3:x-amz-copy-source":
		return strings.TrimPrefix(r.h.CopySource, "/")
	case "s3:x-amz-metadata-directive":
		return r.h.MetadataDirective
	case "s3:x-amz-storage-class":
		return r.h.Class
	case "s3:x-amz-server-side-encryption":
		return r.h.Encryption.Method
	case "s3:x-amz-server-side-encryption-aws-kms-key-id":
		return r.h.Encryption.KMSKey
	case "s3:x-amz-server-side-encryption-customer-algorithm":
		return r.h.Encryption.Algorithm
	case "s3:if-match":
		return r.h.IfMatch
	case "s3:if-none-match":
		return r.h.IfNoneMatch
	case "s3:x-amz-content-sha256":
		if r.c != nil { // else it is the source of a copy, which has no body
			return r.c.Header("x-amz-content-sha256")
		}
	}
	return ""
}

// users resolves grantees.
func (r *request) users() policy.Users {
	m := r.View.Users
	return policy.Users{
		ByID: func(id string) string {
			if u := m.ByID(id); u != nil {
				return u.ID
			}
			return ""
		},
		ByEmail: func(email string) string {
			if u := m.ByEmail(email); u != nil {
				return u.ID
			}
			return ""
		},
	}
}

// display is the name that is shown of a canonical id.
func (r *request) display(id string) string {
	if u := r.View.Users.ByID(id); u != nil && u.Display != "" {
		return u.Display
	}
	return id
}

// secrets is how chunks of a body are verified.
func (r *request) secrets() sigv4.Secrets {
	m := r.View.Users
	return func(access string) (string, bool) {
		_, k := m.ByAccess(access)
		if k == nil {
			return "", false
		}
		return k.Secret, true
	}
}

// guard is checked right before a commit.
func (r *request) guard() error { return r.w.target.StillMine(&r.Object) }

// acknowledge looks at the lease once more before a reply tells of a change.
func (r *request) acknowledge() error { return r.w.target.Acknowledge(&r.Object) }

// versioned reports whether the bucket has, or had, versions.
func (r *request) versioned() bool { return r.Bucket.Props.S3.Versioning != "" }

// showVersion adds the version's id to the reply.
func (r *request) showVersion(id string) {
	if r.versioned() {
		r.c.SetHeader("x-amz-version-id", s3.ShownVersion(id))
	}
}

// showNewVersion is showVersion of a version that a write made: while versions are suspended there is none to tell of.
func (r *request) showNewVersion(id string) {
	if r.Bucket.Props.S3.Versioning == cluster.VersioningEnabled {
		r.c.SetHeader("x-amz-version-id", id)
	}
}

// stat describes the object that the request names; delete markers are not objects.
func (r *request) stat() (object.Info, error) {
	var info object.Info
	var err error
	if r.plain() {
		info, err = r.w.store.Stat(r.Name())
	} else {
		info, err = r.w.store.StatVersion(r.Name(), r.version)
	}
	if err != nil {
		return info, r.missing(err)
	}
	if info.DeleteMarker {
		return info, r.marker(&info)
	}
	return info, nil
}

// plain reports whether versions have nothing to do with the request.
func (r *request) plain() bool { return r.version == "" && !r.versioned() }

// marker answers a read that finds a delete marker.
func (r *request) marker(info *object.Info) error {
	const op = "owner.marker"
	if r.version == "" {
		if err := r.missing(errs.E(op, r.Name(), errs.NotFound)); !errs.Is(err, errs.NotFound) {
			return err
		}
	} else if err := r.authorizeObject(info); err != nil {
		return err
	}
	r.c.SetFailHeader("x-amz-delete-marker", "true")
	r.c.SetFailHeader("x-amz-version-id", s3.ShownVersion(info.VersionID))
	if r.version == "" {
		return s3.E(op, &r.Object, "NoSuchKey", "", s3.Field{Name: "Key", Value: r.Key})
	}
	r.c.SetFailHeader("Last-Modified", httpx.Time(info.Created))
	r.c.SetFailHeader("Allow", "DELETE")
	return s3.E(op, &r.Object, "MethodNotAllowed", "", s3.Field{Name: "Method", Value: r.c.Method()}, s3.Field{Name: "ResourceType", Value: "DeleteMarker"})
}

// sendXML sends a document.
func (r *request) sendXML(doc []byte) error {
	r.c.SetHeader("Content-Type", "application/xml")
	return r.c.SendBytes(doc)
}

// body reads a document that the request carries, at most what the operation takes.
func (r *request) body() ([]byte, error) {
	if err := r.w.target.Reserve(); err != nil {
		return nil, err
	}
	defer r.w.target.Release()
	br, err := r.reader()
	if err != nil {
		return nil, err
	}
	defer br.Close()
	defer httpx.BoundDocument(r.c, r.op.MaxBody)()
	doc, err := readDocument(br, r.op.MaxBody)
	if err == nil && r.op.Op != s3.CompleteMultipartUpload { // whose checksums are the object's
		err = r.h.CheckDocument(doc, br.Trailer)
	}
	return doc, err
}
