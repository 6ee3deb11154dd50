package edge

import (
	"slices"
	"strings"
	"time"

	"aistore/auth/policy"
	"aistore/cluster"
	"aistore/errs"
	"aistore/s3"
)

// perform is the table of what the edge does itself. Operations on the sub-resources of buckets are in subresource.go.
func (r *request) perform() error {
	r.h = new(s3.Headers) // large, and nothing to requests about one key
	r.c.EachHeader(r.h.Add)
	switch r.op.Op {
	case s3.ListBuckets:
		return r.listBuckets()
	case s3.CreateBucket:
		return r.createBucket()
	case s3.PostObject:
		return (&form{r}).postObject()
	case s3.HeadBucket, s3.ListObjects, s3.ListObjectsV2, s3.ListObjectVersions, s3.ListMultipartUploads, s3.DeleteObjects:
		if err := r.findKnown(); err != nil {
			return err
		}
	default:
		if err := r.findLatest(); err != nil {
			return err
		}
	}
	if r.op.Op == s3.DeleteObjects {
		return r.deleteObjects() // key by key
	}
	if err := r.authorize(r.op.Action); err != nil {
		return err
	}
	switch r.op.Op {
	case s3.HeadBucket:
		return r.headBucket()
	case s3.DeleteBucket:
		return (&removal{r}).deleteBucket()
	case s3.ListObjects:
		return (&lists{r}).listV1()
	case s3.ListObjectsV2:
		return (&lists{r}).listV2()
	case s3.ListObjectVersions:
		return (&lists{r}).listVersions()
	case s3.ListMultipartUploads:
		return (&lists{r}).listUploads()
	}
	return (&configuration{r}).subresource()
}

// maxBuckets bounds a page of ListBuckets.
const maxBuckets = 10_000

// listBuckets lists the caller's buckets, and all of them to an administrator.
func (r *request) listBuckets() error {
	if r.c.HasQuery("list-type") { // a client that puts the bucket into the host's name, of which this node knows nothing
		return s3.E("edge.listBuckets", "list-type", "InvalidRequest", "This is the list of buckets, not of objects: use path-style requests, or name the domain of the host in s3_domain.")
	}
	q := policy.Request{Caller: r.subject(), Action: r.op.Action}
	if err := policy.Authorize(&q, &policy.Inputs{}); err != nil {
		return err
	}
	v, err := r.e.ctl.Latest(r.c.Context())
	if err != nil {
		return err
	}
	r.view = v
	limit := maxBuckets
	if s := r.c.Query("max-buckets"); s != "" {
		if limit, err = s3.ParseCount("max-buckets", s); err != nil {
			return err
		}
		if limit == 0 {
			return s3.E("edge.listBuckets", "max-buckets", "InvalidArgument", "Argument max-buckets must be an integer between 1 and 10000")
		}
	}
	after := ""
	if t := r.c.Query("continuation-token"); t != "" {
		if after, err = s3.ParseToken(t); err != nil {
			return err
		}
	}
	prefix, region := r.c.Query("prefix"), v.Config.S3.Region
	if want := r.c.Query("bucket-region"); want != "" && want != region {
		limit = 0
	}
	var all []*cluster.Bucket
	for _, b := range v.Buckets.Buckets {
		if b.Namespace == "" && b.Name > after && strings.HasPrefix(b.Name, prefix) && !r.caller.Anonymous() && (r.caller.Admin || b.Owner == r.caller.ID) {
			all = append(all, b)
		}
	}
	slices.SortFunc(all, func(a, b *cluster.Bucket) int { return strings.Compare(a.Name, b.Name) })
	next := ""
	if len(all) > limit {
		if all = all[:limit]; limit > 0 {
			next = s3.NewToken(all[limit-1].Name)
		}
	}
	lines := make([]s3.BucketEntry, len(all))
	for i, b := range all {
		lines[i] = s3.BucketEntry{Name: b.Name, Created: b.Created, Region: region}
	}
	return r.sendXML(s3.AppendBuckets(nil, r.ownerOf(r.caller.ID), lines, prefix, next))
}

func (r *request) headBucket() error {
	r.c.SetHeader("x-amz-bucket-region", r.view.Config.S3.Region)
	r.c.SetHeader("x-amz-bucket-arn", arn(r.name))
	r.c.SetHeader("Content-Type", "application/xml")
	return nil
}

func arn(bucket string) string { return "arn:aws:s3:::" + bucket }

// createBucket makes a bucket. The caller's own bucket again, as it is, is a success: tools create before they use.
func (r *request) createBucket() error {
	const op = "edge.createBucket"
	q := policy.Request{Caller: r.subject(), Action: r.op.Action, Bucket: r.name, Values: r.values}
	if err := policy.Authorize(&q, &policy.Inputs{BucketOwner: r.caller.ID}); err != nil {
		return err
	}
	if err := s3.CheckBucketName(r.name); err != nil {
		return err
	}
	if err := cluster.CheckBucketName(r.name); err != nil {
		return s3.E(op, r.name, "InvalidBucketName", "", s3.Field{Name: "BucketName", Value: r.name})
	}
	if v := r.c.Header("x-amz-bucket-object-lock-enabled"); strings.EqualFold(v, "true") {
		return s3.E(op, "x-amz-bucket-object-lock-enabled", "NotImplemented", "Object Lock is not implemented.")
	}
	doc, err := r.document(mayBeEmpty)
	if err != nil {
		return err
	}
	region, tags, err := s3.ParseCreateBucket(doc)
	if err != nil {
		return err
	}
	if here := r.view.Config.S3.Region; region != "" && region != here {
		return s3.E(op, "LocationConstraint", "InvalidLocationConstraint", "The specified location constraint is not valid: buckets here are in "+here+" (setting s3.region)", s3.Field{Name: "LocationConstraint", Value: region})
	}
	props := cluster.DefaultBucketProps()
	if err := r.initial(&props.S3); err != nil {
		return err
	}
	if len(tags) > 0 {
		props.S3.Tags = string(s3.AppendTagging(nil, tags))
	}
	r.c.SetHeader("Location", "/"+r.name)
	r.c.SetHeader("x-amz-bucket-arn", arn(r.name))
	_, err = r.e.ctl.Propose(r.c.Context(), cluster.CreateBucket{Name: r.name, Props: props, Owner: r.caller.ID})
	if errs.Is(err, errs.Exists) {
		return r.again(&props.S3)
	}
	return err
}

// initial fills in what a CreateBucket says of ACL and ownership.
func (r *request) initial(p *cluster.S3Props) error {
	acl, asked, err := r.h.Grants.ACL(r.caller.ID, r.caller.ID, r.users())
	if err != nil {
		return err
	}
	if o := r.c.Header("x-amz-object-ownership"); o != "" {
		own, err := policy.ParseOwnership(o)
		if err != nil {
			return s3.E("edge.createBucket", "x-amz-object-ownership", "InvalidArgument", "Invalid x-amz-object-ownership header: "+o)
		}
		if asked {
			if err := own.CheckBucketACL(&acl); err != nil {
				return err
			}
		}
		p.Ownership = string(s3.AppendOwnershipControls(nil, own))
	}
	if asked && !acl.Private() {
		p.ACL = acl.Encode()
	}
	return nil
}

// again answers to the creation of a bucket that exists.
func (r *request) again(want *cluster.S3Props) error {
	if err := r.findLatest(); err != nil {
		return err
	}
	b := r.bucket
	if b.Owner == r.caller.ID && b.Props.S3.ACL == want.ACL && (want.Ownership == "" || want.Ownership == b.Props.S3.Ownership) {
		return nil
	}
	return s3.E("edge.createBucket", r.name, "BucketAlreadyExists", "", s3.Field{Name: "BucketName", Value: r.name})
}

// change replaces sub-resources of the bucket; f works on a copy and may refuse. It is tried again when somebody else has changed others
// meanwhile: of those who change some at the same time one gets ahead each time, and clients do not repeat what is refused for a conflict.
func (r *request) change(f func(p *cluster.S3Props) error) error {
	for began := now(); ; {
		b := r.bucket
		props := b.Props
		if err := f(&props.S3); err != nil {
			return err
		}
		if err := props.S3.Validate(); err != nil {
			return err
		}
		_, err := r.e.ctl.Propose(r.c.Context(), cluster.SetBucketProps{Name: b.Name, Props: props, Version: b.Version})
		if !errs.Is(err, errs.Conflict) || now().Sub(began) > changeWithin {
			return err
		}
		if err := r.findLatest(); err != nil {
			return err
		}
		switch {
		case r.bucket.ID != b.ID:
			return noBucket(r.name)
		case r.bucket.Version == b.Version:
			return err // it conflicts with something else
		}
	}
}

// changeWithin is how long one change of a bucket is tried.
const changeWithin = 10 * time.Second
