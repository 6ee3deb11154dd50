package edge

import (
	"strings"

	"aistore/auth/policy"
	"aistore/cluster"
	"aistore/s3"
)

// configuration is the operations on what a bucket is configured to.
type configuration struct{ *request }

// subresource serves what a bucket is configured to. The caller has been authorized.
func (r *configuration) subresource() error {
	if code := r.op.Code; code != "" {
		return r.unset(code)
	}
	switch r.op.Op {
	case s3.GetBucketLocation:
		return r.sendXML(s3.AppendLocation(nil, r.view.Config.S3.Region))
	case s3.GetBucketVersioning:
		return r.sendXML(s3.AppendVersioning(nil, r.bucket.Props.S3.Versioning))
	case s3.PutBucketVersioning:
		return r.put(s3.ParseVersioning, func(p *cluster.S3Props, v string) error { p.Versioning = v; return nil })
	case s3.GetBucketACL:
		return r.getACL()
	case s3.PutBucketACL:
		return r.putACL()
	case s3.GetBucketRequestPayment:
		return r.sendXML(s3.AppendRequestPayment(nil))
	case s3.PutBucketRequestPayment:
		doc, err := r.document(mustBeThere)
		if err != nil {
			return err
		}
		return s3.ParseRequestPayment(doc)
	case s3.GetBucketAccelerate:
		return r.sendXML(s3.AppendEmpty(nil, "AccelerateConfiguration"))
	case s3.GetBucketLogging:
		return r.sendXML(s3.AppendEmpty(nil, "BucketLoggingStatus"))
	case s3.GetBucketNotification:
		return r.sendXML(s3.AppendEmpty(nil, "NotificationConfiguration"))
	case s3.DeleteBucketReplication:
		r.c.Status(204) // there is none
		return nil
	case s3.PutBucketLogging:
		return r.switchOff("BucketLoggingStatus")
	case s3.PutBucketNotification:
		return r.switchOff("NotificationConfiguration")
	}
	return r.stored()
}

// switchOff accepts the document that configures nothing.
func (r *configuration) switchOff(root string) error {
	doc, err := r.document(mustBeThere)
	if err != nil {
		return err
	}
	return s3.CheckEmpty(doc, root)
}

// unset is the answer about a sub-resource that is not configured.
func (r *configuration) unset(code string) error {
	return s3.E("edge.subresource", r.name, code, "", s3.Field{Name: "BucketName", Value: r.name})
}

// field is a sub-resource that is kept as text.
type field struct {
	text        func(p *cluster.S3Props) *string
	missing     string // code of a GET when it is not configured
	contentType string
	parse       func(r *configuration, doc []byte) (string, error) // what is kept of a document
}

// stored serves the sub-resources that are kept as text.
func (r *configuration) stored() error {
	f := r.field()
	if f == nil {
		return s3.E("edge.subresource", r.op.Name, "NotImplemented", "")
	}
	switch r.op.Method {
	case "PUT":
		doc, err := r.document(mustBeThere)
		if err != nil {
			return err
		}
		text, err := f.parse(r, doc)
		if err != nil {
			return err
		}
		if r.op.Op == s3.PutBucketPolicy || r.op.Op == s3.PutBucketTagging {
			r.c.Status(204)
		}
		return r.change(func(p *cluster.S3Props) error { *f.text(p) = text; return nil })
	case "DELETE":
		r.c.Status(204)
		if *f.text(&r.bucket.Props.S3) == "" {
			return nil
		}
		return r.change(func(p *cluster.S3Props) error { *f.text(p) = ""; return nil })
	}
	text := *f.text(&r.bucket.Props.S3)
	if r.op.Op == s3.GetBucketPolicyStatus { // answered without a policy too: an ACL can make a bucket public
		public := r.set.Policy.Public() || r.set.ACL != nil && r.set.ACL.Public()
		return r.sendXML(s3.AppendPolicyStatus(nil, s3.Presence(public)))
	}
	if text == "" {
		return r.unset(f.missing)
	}
	r.c.SetHeader("Content-Type", f.contentType)
	return r.c.SendBytes([]byte(text))
}

// field finds the sub-resource of the operation.
func (r *configuration) field() *field {
	const xml = "application/xml"
	switch r.op.Op {
	case s3.GetBucketPolicy, s3.PutBucketPolicy, s3.DeleteBucketPolicy, s3.GetBucketPolicyStatus:
		return &field{func(p *cluster.S3Props) *string { return &p.Policy }, "NoSuchBucketPolicy", "application/json", (*configuration).parsePolicy}
	case s3.GetBucketCORS, s3.PutBucketCORS, s3.DeleteBucketCORS:
		return &field{func(p *cluster.S3Props) *string { return &p.CORS }, "NoSuchCORSConfiguration", xml, func(_ *configuration, doc []byte) (string, error) {
			c, err := s3.ParseCORS(doc)
			if err != nil {
				return "", err
			}
			return string(c.AppendXML(nil)), nil
		}}
	case s3.GetBucketLifecycle, s3.PutBucketLifecycle, s3.DeleteBucketLifecycle:
		return &field{func(p *cluster.S3Props) *string { return &p.Lifecycle }, "NoSuchLifecycleConfiguration", xml, func(_ *configuration, doc []byte) (string, error) {
			l, err := s3.ParseLifecycle(doc)
			if err != nil {
				return "", err
			}
			return string(l.AppendXML(nil)), nil
		}}
	case s3.GetBucketTagging, s3.PutBucketTagging, s3.DeleteBucketTagging:
		return &field{func(p *cluster.S3Props) *string { return &p.Tags }, "NoSuchTagSet", xml, func(_ *configuration, doc []byte) (string, error) {
			t, err := s3.ParseBucketTags(doc)
			if err != nil || len(t) == 0 {
				return "", err
			}
			return string(s3.AppendTagging(nil, t)), nil
		}}
	case s3.GetPublicAccessBlock, s3.PutPublicAccessBlock, s3.DeletePublicAccessBlock:
		return &field{func(p *cluster.S3Props) *string { return &p.PublicAccess }, "NoSuchPublicAccessBlockConfiguration", xml, func(_ *configuration, doc []byte) (string, error) {
			b, err := s3.ParsePublicAccessBlock(doc)
			if err != nil {
				return "", err
			}
			return string(s3.AppendPublicAccessBlock(nil, &b)), nil
		}}
	case s3.GetBucketOwnershipControls, s3.PutBucketOwnershipControls, s3.DeleteBucketOwnershipControls:
		return &field{func(p *cluster.S3Props) *string { return &p.Ownership }, "OwnershipControlsNotFoundError", xml, (*configuration).parseOwnership}
	case s3.GetBucketEncryption, s3.PutBucketEncryption, s3.DeleteBucketEncryption:
		return &field{func(p *cluster.S3Props) *string { return &p.Encryption }, "ServerSideEncryptionConfigurationNotFoundError", xml, func(*configuration, []byte) (string, error) {
			return "", s3.E("edge.encryption", "encryption", "NotImplemented", "Encryption of buckets is not implemented.")
		}}
	case s3.GetBucketWebsite, s3.PutBucketWebsite, s3.DeleteBucketWebsite:
		return &field{func(p *cluster.S3Props) *string { return &p.Website }, "NoSuchWebsiteConfiguration", xml, func(*configuration, []byte) (string, error) {
			return "", s3.E("edge.website", "website", "NotImplemented", "Websites are not implemented.")
		}}
	}
	return nil
}

// parsePolicy keeps a policy as it was sent.
func (r *configuration) parsePolicy(doc []byte) (string, error) {
	p, err := policy.Parse(doc, r.name)
	if err != nil {
		return "", err
	}
	byName := func(name string) string {
		if u := r.view.Users.Users[name]; u != nil {
			return u.ID
		}
		return ""
	}
	if who := p.Unknown(policy.Named{ByName: byName, ByID: r.users().ByID}); who != "" {
		return "", s3.E("edge.parsePolicy", who, "MalformedPolicy", "Invalid principal in policy: "+who+" is no user, or one that never had a key", s3.Field{Name: "Detail", Value: who})
	}
	return string(doc), r.set.Block.CheckPolicy(p)
}

func (r *configuration) parseOwnership(doc []byte) (string, error) {
	o, err := s3.ParseOwnershipControls(doc)
	if err != nil {
		return "", err
	}
	if r.set.ACL != nil {
		if err := o.CheckBucketACL(r.set.ACL); err != nil {
			return "", err
		}
	}
	return string(s3.AppendOwnershipControls(nil, o)), nil
}

// put replaces a sub-resource by what parse makes of the body.
func (r *configuration) put(parse func([]byte) (string, error), set func(p *cluster.S3Props, v string) error) error {
	doc, err := r.document(mustBeThere)
	if err != nil {
		return err
	}
	v, err := parse(doc)
	if err != nil {
		return err
	}
	return r.change(func(p *cluster.S3Props) error { return set(p, v) })
}

func (r *configuration) getACL() error {
	a := r.set.ACL
	if a == nil {
		private := policy.Private(r.bucket.Owner)
		a = &private
	}
	return r.sendXML(s3.AppendACL(nil, a, r.display))
}

// putACL replaces the bucket's ACL by what headers or body say. Its owner stays.
func (r *configuration) putACL() error {
	const op = "edge.putACL"
	if err := r.set.Ownership.CheckSetACL(); err != nil {
		return err
	}
	a, asked, err := r.h.Grants.ACL(r.bucket.Owner, r.bucket.Owner, r.users())
	if err != nil {
		return err
	}
	may := mustBeThere
	if asked {
		may = mayBeEmpty
	}
	doc, err := r.document(may)
	switch {
	case err != nil:
		return err
	case asked && len(strings.TrimSpace(string(doc))) > 0:
		return s3.E(op, "request body", "UnexpectedContent", "")
	case !asked:
		parsed, err := s3.ParseACL(doc, r.users())
		if err != nil {
			return err
		}
		if a = *parsed; a.Owner != "" && a.Owner != r.bucket.Owner {
			return s3.E(op, "Owner", "AccessDenied", "")
		}
		a.Owner = r.bucket.Owner
	}
	if err := r.set.Block.CheckACL(&a); err != nil {
		return err
	}
	text := a.Encode()
	return r.change(func(p *cluster.S3Props) error { p.ACL = text; return nil })
}
