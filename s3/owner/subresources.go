package owner

import (
	"maps"

	"aistore/auth/policy"
	"aistore/errs"
	"aistore/object"
	"aistore/s3"
	"aistore/store"
)

// getTags serves the object's tags.
func (r known) getTags() error {
	info, err := r.readable()
	if err != nil {
		return err
	}
	r.showVersion(info.VersionID)
	return r.sendXML(s3.AppendTagging(nil, info.Tags))
}

// readable describes an object for a caller who may ask what the operation tells of it.
func (r *request) readable() (object.Info, error) {
	info, err := r.stat()
	if err == nil {
		err = r.authorizeObject(&info)
	}
	if err == nil {
		err = r.w.node.Control().Lease()
	}
	return info, err
}

// putTags replaces the object's tags.
func (r known) putTags() error {
	info, err := r.stat()
	if err != nil {
		return err
	}
	if r.set.Policy == nil { // else it may ask for the tags in the body
		if err := r.authorizeObject(&info); err != nil {
			return err
		}
	}
	doc, err := r.body()
	if err != nil {
		return err
	}
	if r.tags, err = s3.ParseObjectTags(doc); err != nil {
		return err
	}
	if r.set.Policy != nil {
		if err := r.authorizeObject(&info); err != nil {
			return err
		}
	}
	if err := r.update(&info, func(i *object.Info) error { i.Tags = r.tags; return nil }); err != nil {
		return err
	}
	r.c.Status(200)
	return nil
}

// deleteTags removes the object's tags.
func (r known) deleteTags() error {
	info, err := r.readable()
	if err != nil {
		return err
	}
	if err := r.update(&info, func(i *object.Info) error { i.Tags = nil; return nil }); err != nil {
		return err
	}
	r.c.Status(204)
	return nil
}

// update changes what is known of a version, which stays the version it is. judged is the one that the caller was allowed to change: if another has
// taken its place meanwhile, it is that one which decides.
func (r known) update(judged *object.Info, change func(*object.Info) error) error {
	c := r.w.target.Commit(&r.Object)
	o := store.UpdateOptions{
		Epoch: r.View.Map.Epoch, Durability: r.Bucket.Props.Durability, Newest: c.Newest, Guard: c.Guard, VersionID: r.version, InPlace: true,
	}
	info, err := r.w.store.Update(r.c.Context(), r.Name(), o, func(i *object.Info) error {
		if i.Version != judged.Version {
			if err := r.authorizeObject(i); err != nil {
				return err
			}
		}
		return change(i)
	})
	if err != nil {
		return r.fault("owner.update", err)
	}
	r.showVersion(info.VersionID)
	return r.acknowledge()
}

// aclOf returns the ACL of an object: what is kept, or private to the bucket's owner.
func (r *request) aclOf(info *object.Info) (*policy.ACL, error) {
	if text := info.System[s3.SystemACL]; text != "" {
		a, err := policy.ParseACL(text)
		if err != nil {
			return nil, errs.F("owner.acl", &r.Object, errs.Corrupt, "the object's ACL cannot be read: %w", err)
		}
		return a, nil
	}
	a, err := policy.Canned("", r.Bucket.Owner, r.Bucket.Owner)
	return &a, err
}

// getACL serves the object's ACL.
func (r known) getACL() error {
	info, err := r.readable()
	if err != nil {
		return err
	}
	a, err := r.aclOf(&info)
	if err != nil {
		return err
	}
	r.showVersion(info.VersionID)
	return r.sendXML(s3.AppendACL(nil, a, r.display))
}

// putACL replaces the object's ACL by what headers or the body say; the owner stays.
func (r known) putACL() error {
	const op = "owner.putACL"
	info, err := r.readable()
	if err != nil {
		return err
	}
	if err := r.set.Ownership.CheckSetACL(); err != nil {
		return err
	}
	old, err := r.aclOf(&info)
	if err != nil {
		return err
	}
	a, asked, err := r.h.Grants.ACL(old.Owner, r.Bucket.Owner, r.users())
	if err != nil {
		return err
	}
	if !asked {
		doc, err := r.body()
		if err != nil {
			return err
		}
		given, err := s3.ParseACL(doc, r.users())
		if err != nil {
			return err
		}
		if given.Owner != "" && given.Owner != old.Owner {
			return s3.E(op, &r.Object, "AccessDenied", "")
		}
		a = policy.ACL{Owner: old.Owner, Grants: given.Grants}
	}
	if err := r.set.Block.CheckACL(&a); err != nil {
		return err
	}
	text := a.Encode()
	return r.update(&info, func(i *object.Info) error {
		switch now, err := r.aclOf(i); {
		case err != nil:
			return err
		case now.Owner != old.Owner: // it was overwritten, and a is of another's object
			return s3.E(op, &r.Object, "AccessDenied", "")
		}
		i.System = with(maps.Clone(i.System), s3.SystemACL, text)
		return nil
	})
}

// attributes serves a GetObjectAttributes.
func (r known) attributes() error {
	want, err := s3.ParseAttributes(r.h.Attributes)
	if err != nil {
		return err
	}
	most, err := s3.ParseCount("max-parts", r.h.MaxParts)
	if err != nil {
		return err
	}
	after, err := s3.ParseMarker(r.h.PartNumberMarker)
	if err != nil {
		return err
	}
	info, parts, err := r.described(want)
	if err != nil {
		return err
	}
	if err := r.judge(&info); err != nil {
		return err
	}
	a := s3.ObjectAttributes{Want: want, ETag: info.ETag, Class: s3.Class(&info), Size: info.Size, Max: most, Marker: after}
	a.Checksum = s3.DecodeChecksum(info.System[s3.SystemChecksum])
	attributeParts(&a, parts)
	r.showVersion(info.VersionID)
	r.c.SetHeader("Last-Modified", lastModified(&info))
	return r.sendXML(s3.AppendAttributes(nil, &a))
}

// described is readable with the parts of the same version, if they are wanted.
func (r known) described(want s3.Attributes) (object.Info, []store.PartInfo, error) {
	if !want.Parts {
		info, err := r.readable()
		return info, nil, err
	}
	obj, err := read{r.request}.open()
	if err != nil {
		return object.Info{}, nil, err
	}
	defer obj.Close()
	return *obj.Info(), obj.Parts(), r.w.node.Control().Lease()
}

func attributeParts(a *s3.ObjectAttributes, parts []store.PartInfo) {
	a.Total = len(parts)
	for i := range parts {
		p := &parts[i]
		if p.Number <= a.Marker {
			continue
		}
		if len(a.Parts) == a.Max {
			a.Truncated = true
			break
		}
		a.Parts = append(a.Parts, s3.Part{Number: p.Number, Size: p.Size, Checksum: partSum(p, a.Checksum)})
		a.NextMarker = p.Number
	}
}
