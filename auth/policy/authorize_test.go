package policy

import (
	"testing"

	"aistore/errs"
)

func canned(t *testing.T, name, owner string) *ACL {
	t.Helper()
	a, err := Canned(name, owner, "ann-id")
	if err != nil {
		t.Fatal(err)
	}
	return &a
}

// can lists those of ann (the bucket's owner), bob, root and the stranger who may.
func can(action, key string, in *Inputs, values func(string) []string) string {
	var who string
	for _, c := range []struct {
		letter string
		caller Caller
	}{{"a", ann}, {"b", bob}, {"r", root}, {"s", stranger}} {
		if Authorize(&Request{Caller: c.caller, Action: action, Bucket: "b", Key: key, Values: values}, in) == nil {
			who += c.letter
		}
	}
	return who
}

// TestAccessByACL is the matrix of bucket and object ACLs: what each gives to the owner, another user, an admin and a stranger.
func TestAccessByACL(t *testing.T) {
	for _, c := range []struct {
		bucket, object           string
		list, get, put, get2     string // get2 = an object with the default ACL
		readACP, writeACP, erase string
	}{
		{"private", "private", "ar", "ar", "ar", "ar", "ar", "ar", "ar"},
		{"private", "public-read", "ar", "abrs", "ar", "ar", "ar", "ar", "ar"},
		{"private", "public-read-write", "ar", "abrs", "ar", "ar", "ar", "ar", "ar"},
		{"private", "authenticated-read", "ar", "abr", "ar", "ar", "ar", "ar", "ar"},
		{"public-read", "private", "abrs", "ar", "ar", "ar", "ar", "ar", "ar"},
		{"public-read", "public-read", "abrs", "abrs", "ar", "ar", "ar", "ar", "ar"},
		{"authenticated-read", "private", "abr", "ar", "ar", "ar", "ar", "ar", "ar"},
		{"public-read-write", "private", "abrs", "ar", "abrs", "ar", "ar", "ar", "abrs"},
		{"public-read-write", "public-read", "abrs", "abrs", "abrs", "ar", "ar", "ar", "abrs"},
	} {
		in := &Inputs{BucketOwner: "ann-id", BucketACL: canned(t, c.bucket, "ann-id"), ObjectOwner: "ann-id", ObjectACL: canned(t, c.object, "ann-id")}
		plain := *in
		plain.ObjectACL = nil
		for _, act := range []struct {
			action, key, want string
			in                *Inputs
		}{
			{"s3:ListBucket", "", c.list, in},
			{"s3:GetObject", "k", c.get, in},
			{"s3:GetObject", "k", c.get2, &plain},
			{"s3:PutObject", "k", c.put, in},
			{"s3:GetObjectAcl", "k", c.readACP, in},
			{"s3:PutObjectAcl", "k", c.writeACP, in},
			{"s3:DeleteObject", "k", c.erase, in},
			{"s3:DeleteObjectVersion", "k", "ar", in},
			{"s3:GetObjectTagging", "k", "ar", in},
			{"s3:GetBucketPolicy", "", "ar", in},
			{"s3:DeleteBucket", "", "ar", in},
		} {
			if got := can(act.action, act.key, act.in, nil); got != act.want {
				t.Errorf("bucket %s, object %s: %s: %q, want %q", c.bucket, c.object, act.action, got, act.want)
			}
		}
	}
}

// TestGrantsOnBucket: one permission granted to bob on the bucket.
func TestGrantsOnBucket(t *testing.T) {
	for p, want := range map[Permission][4]bool{ // list, read ACP, write, write ACP
		FullControl: {true, true, true, true},
		Read:        {true, false, false, false},
		ReadACP:     {false, true, false, false},
		Write:       {false, false, true, false},
		WriteACP:    {false, false, false, true},
	} {
		in := &Inputs{BucketOwner: "ann-id", BucketACL: &ACL{"ann-id", []Grant{{ID: "bob-id", Permission: p}}}}
		for i, action := range []string{"s3:ListBucket", "s3:GetBucketAcl", "s3:PutObject", "s3:PutBucketAcl"} {
			key := ""
			if action == "s3:PutObject" {
				key = "k"
			}
			got := Authorize(&Request{Caller: bob, Action: action, Bucket: "b", Key: key}, in) == nil
			if got != want[i] {
				t.Errorf("%v: %s: %v", p, action, got)
			}
			// Ann has revoked all that was hers, and is the owner nevertheless.
			if err := Authorize(&Request{Caller: ann, Action: action, Bucket: "b", Key: key}, in); err != nil {
				t.Error(err)
			}
		}
	}
	// A former owner that the ACL still names has nothing from that.
	in := &Inputs{BucketOwner: "ann-id", BucketACL: &ACL{Owner: "bob-id"}}
	if got := can("s3:PutBucketAcl", "", in, nil); got != "ar" {
		t.Error(got)
	}
}

// TestForeignObject: bob's object in ann's bucket.
func TestForeignObject(t *testing.T) {
	all := mustParse(t, statementOf("Allow", `"*"`, `"*"`, `"*"`, ""))
	for _, c := range []struct {
		name, acl string
		policy    *Policy
		ownership Ownership
		action    string
		want      string
	}{
		{"private", "private", nil, ObjectWriter, "s3:GetObject", "br"},
		{"private", "private", nil, ObjectWriter, "s3:GetObjectAcl", "br"},
		{"private", "private", nil, ObjectWriter, "s3:PutObjectTagging", "br"},
		{"the bucket's owner may delete it", "private", nil, ObjectWriter, "s3:DeleteObject", "ar"},
		{"also a version", "private", nil, ObjectWriter, "s3:DeleteObjectVersion", "ar"},
		{"and overwrite it", "private", nil, ObjectWriter, "s3:PutObject", "ar"},
		{"and look after uploads", "private", nil, ObjectWriter, "s3:AbortMultipartUpload", "abr"},
		{"and look after uploads", "private", nil, ObjectWriter, "s3:ListMultipartUploadParts", "abr"},
		{"given to the bucket's owner", "bucket-owner-full-control", nil, ObjectWriter, "s3:GetObjectAcl", "abr"},
		{"given to the bucket's owner to read", "bucket-owner-read", nil, ObjectWriter, "s3:GetObject", "abr"},
		{"given to the bucket's owner to read", "bucket-owner-read", nil, ObjectWriter, "s3:GetObjectAcl", "br"},
		{"public", "public-read", nil, ObjectWriter, "s3:GetObject", "abrs"},
		{"a policy of the bucket does not reach it", "private", all, ObjectWriter, "s3:GetObject", "br"},
		{"but reaches what the bucket decides", "private", all, ObjectWriter, "s3:PutObject", "abrs"},
		{"enforced: it is the bucket owner's", "private", nil, BucketOwnerEnforced, "s3:GetObject", "ar"},
		{"enforced: it is the bucket owner's", "public-read", nil, BucketOwnerEnforced, "s3:GetObject", "ar"},
		{"enforced: the policy reaches it", "private", all, BucketOwnerEnforced, "s3:GetObjectAcl", "abrs"},
	} {
		in := &Inputs{BucketOwner: "ann-id", ObjectOwner: "bob-id", ObjectACL: canned(t, c.acl, "bob-id"), Policy: c.policy, Ownership: c.ownership}
		if got := can(c.action, "k", in, nil); got != c.want {
			t.Errorf("%s: %s: %q, want %q", c.name, c.action, got, c.want)
		}
	}
	// Without an ACL it is private to its owner.
	if got := can("s3:GetObject", "k", &Inputs{BucketOwner: "ann-id", ObjectOwner: "bob-id"}, nil); got != "br" {
		t.Error(got)
	}
}

func TestPolicyAndRoles(t *testing.T) {
	policies := map[string]*Policy{
		"allow list":          mustParse(t, statementOf("Allow", `{"AWS":"*"}`, `"s3:ListBucket"`, `["arn:aws:s3:::b","arn:aws:s3:::b/*"]`, "")),
		"deny list":           mustParse(t, statementOf("Deny", `{"AWS":"*"}`, `"s3:ListBucket"`, `"arn:aws:s3:::b"`, "")),
		"deny policy":         mustParse(t, statementOf("Deny", `"*"`, `["s3:PutBucketPolicy","s3:GetBucketPolicy","s3:DeleteBucketPolicy","s3:GetBucketPublicAccessBlock"]`, `"arn:aws:s3:::b"`, "")),
		"put on bucket's ARN": mustParse(t, statementOf("Allow", `"*"`, `"s3:PutObject"`, `"arn:aws:s3:::b"`, "")),
		"put on key's ARN":    mustParse(t, statementOf("Allow", `"*"`, `"s3:PutObject"`, `"arn:aws:s3:::b/k"`, "")),
		"get public tags":     mustParse(t, statementOf("Allow", `"*"`, `"s3:GetObject"`, `"arn:aws:s3:::b/*"`, `{"StringEquals":{"s3:ExistingObjectTag/security":"public"}}`)),
		"deny unencrypted":    mustParse(t, statementOf("Deny", `"*"`, `"s3:PutObject"`, `"arn:aws:s3:::b/*"`, `{"Null":{"s3:x-amz-server-side-encryption":"true"}}`)),
	}
	for _, c := range []struct {
		policy, acl, action, key string
		values                   func(string) []string
		want                     string
	}{
		{"allow list", "private", "s3:ListBucket", "", nil, "abrs"},
		{"allow list", "private", "s3:GetObject", "k", nil, "ar"},
		{"deny list", "public-read", "s3:ListBucket", "", nil, ""},
		{"deny list", "public-read", "s3:ListBucketVersions", "", nil, "abrs"},
		{"deny policy", "private", "s3:GetBucketPolicy", "", nil, "ar"},
		{"deny policy", "private", "s3:DeleteBucketPolicy", "", nil, "ar"},
		{"deny policy", "private", "s3:GetBucketPublicAccessBlock", "", nil, ""},
		{"put on bucket's ARN", "private", "s3:PutObject", "k", nil, "ar"},
		{"put on key's ARN", "private", "s3:PutObject", "k", nil, "abrs"},
		{"put on key's ARN", "private", "s3:PutObject", "other", nil, "ar"},
		{"get public tags", "private", "s3:GetObject", "k", with("s3:existingobjecttag/security", "public"), "abrs"},
		{"get public tags", "private", "s3:GetObject", "k", with("s3:existingobjecttag/security", "private"), "ar"},
		{"get public tags", "private", "s3:GetObject", "k", with("s3:existingobjecttag/security1", "public"), "ar"},
		{"deny unencrypted", "private", "s3:PutObject", "k", nil, ""},
		{"deny unencrypted", "private", "s3:PutObject", "k", with("s3:x-amz-server-side-encryption", "AES256"), "ar"},
	} {
		in := &Inputs{BucketOwner: "ann-id", BucketACL: canned(t, c.acl, "ann-id"), Policy: policies[c.policy]}
		if got := can(c.action, c.key, in, c.values); got != c.want {
			t.Errorf("%s, %s: %s: %q, want %q", c.policy, c.acl, c.action, got, c.want)
		}
	}
	open := &Inputs{BucketOwner: "bob-id", BucketACL: canned(t, "public-read-write", "bob-id"), Policy: mustParse(t, statementOf("Allow", `"*"`, `"*"`, `"*"`, ""))}
	for action, want := range map[string]bool{
		"s3:GetObject": true, "s3:ListBucket": true, "s3:GetBucketAcl": true, "s3:ListAllMyBuckets": true,
		"s3:PutObject": false, "s3:DeleteObject": false, "s3:CreateBucket": false, "s3:PutBucketAcl": false, "s3:PutObjectTagging": false,
		"s3:AbortMultipartUpload": false, "s3:NewInTheFuture": false,
	} {
		if got := Authorize(&Request{Caller: reader, Action: action, Bucket: "b", Key: "k"}, open) == nil; got != want {
			t.Errorf("readonly: %s: %v", action, got)
		}
	}
	if got := can("s3:CreateBucket", "", &Inputs{}, nil); got != "abr" {
		t.Errorf("create: %q", got)
	}
	if got := can("s3:ListAllMyBuckets", "", &Inputs{}, nil); got != "abrs" {
		t.Errorf("buckets: %q", got)
	}
	// A bucket that nobody owns is the admins'.
	if got := can("s3:GetObject", "k", &Inputs{}, nil); got != "r" {
		t.Errorf("no owner: %q", got)
	}
	err := Authorize(&Request{Caller: bob, Action: "s3:GetObject", Bucket: "b", Key: "k"}, &Inputs{BucketOwner: "ann-id"})
	if codeOf(err) != "AccessDenied" || !errs.Is(err, errs.Forbidden) {
		t.Error(err)
	}
}

func TestPublicAccessBlock(t *testing.T) {
	public := mustParse(t, statementOf("Allow", `"*"`, `"s3:GetObject"`, `"arn:aws:s3:::b/*"`, ""))
	named := mustParse(t, statementOf("Allow", `{"AWS":"bob"}`, `"s3:GetObject"`, `"arn:aws:s3:::b/*"`, ""))
	for _, c := range []struct {
		block  Block
		policy *Policy
		acl    string
		want   string // who may get
	}{
		{Block{}, public, "private", "abrs"},
		{Block{RestrictPublicBuckets: true}, public, "private", "ar"},
		{Block{RestrictPublicBuckets: true}, named, "private", "abr"},
		{Block{RestrictPublicBuckets: true}, nil, "public-read", "abrs"},
		{Block{IgnorePublicACLs: true}, nil, "public-read", "ar"},
		{Block{IgnorePublicACLs: true}, nil, "authenticated-read", "ar"},
		{Block{IgnorePublicACLs: true}, public, "private", "abrs"},
		{Block{BlockPublicACLs: true, BlockPublicPolicy: true}, nil, "public-read", "abrs"},
	} {
		in := &Inputs{BucketOwner: "ann-id", BucketACL: canned(t, c.acl, "ann-id"), ObjectOwner: "ann-id", ObjectACL: canned(t, c.acl, "ann-id"), Policy: c.policy, Block: c.block}
		if got := can("s3:GetObject", "k", in, nil); got != c.want {
			t.Errorf("%+v, %s: %q, want %q", c.block, c.acl, got, c.want)
		}
		if c.policy == nil {
			if got := can("s3:ListBucket", "", in, nil); got != c.want {
				t.Errorf("%+v, %s: list: %q, want %q", c.block, c.acl, got, c.want)
			}
		}
	}
	all := Block{true, true, true, true}
	for name, refused := range map[string]bool{"private": false, "public-read": true, "public-read-write": true, "authenticated-read": true, "bucket-owner-read": false} {
		if err := all.CheckACL(canned(t, name, "ann-id")); (codeOf(err) == "AccessDenied") != refused {
			t.Errorf("%s: %v", name, err)
		}
		if err := (Block{IgnorePublicACLs: true, BlockPublicPolicy: true, RestrictPublicBuckets: true}).CheckACL(canned(t, name, "ann-id")); err != nil {
			t.Error(name, err)
		}
	}
	if err := all.CheckPolicy(public); codeOf(err) != "AccessDenied" {
		t.Error(err)
	}
	if err := all.CheckPolicy(named); err != nil {
		t.Error(err)
	}
	if err := (Block{BlockPublicACLs: true}).CheckPolicy(public); err != nil {
		t.Error(err)
	}
}

func TestInputsPublic(t *testing.T) {
	public := mustParse(t, statementOf("Allow", `"*"`, `"s3:GetObject"`, `"arn:aws:s3:::b/*"`, ""))
	for _, c := range []struct {
		in   Inputs
		want bool
	}{
		{Inputs{}, false},
		{Inputs{BucketACL: canned(t, "private", "ann-id")}, false},
		{Inputs{BucketACL: canned(t, "public-read", "ann-id")}, true},
		{Inputs{BucketACL: canned(t, "authenticated-read", "ann-id")}, true},
		{Inputs{BucketACL: canned(t, "public-read", "ann-id"), Ownership: BucketOwnerEnforced}, false},
		{Inputs{Policy: public}, true},
	} {
		if got := c.in.Public(); got != c.want {
			t.Errorf("%+v: %v", c.in, got)
		}
	}
}

func TestOwnershipOfNewObjects(t *testing.T) {
	for _, c := range []struct {
		o      Ownership
		who    Caller
		h      GrantHeaders
		owner  string
		grants int
		code   string
	}{
		{ObjectWriter, bob, GrantHeaders{}, "bob-id", 1, ""},
		{ObjectWriter, bob, GrantHeaders{Canned: "bucket-owner-full-control"}, "bob-id", 2, ""},
		{ObjectWriter, bob, GrantHeaders{FullControl: "id=ann-id"}, "bob-id", 1, ""},
		{ObjectWriter, stranger, GrantHeaders{Canned: "public-read"}, "ann-id", 2, ""},
		{BucketOwnerPreferred, bob, GrantHeaders{}, "bob-id", 1, ""},
		{BucketOwnerPreferred, bob, GrantHeaders{Canned: "private"}, "bob-id", 1, ""},
		{BucketOwnerPreferred, bob, GrantHeaders{Canned: "bucket-owner-full-control"}, "ann-id", 1, ""},
		{BucketOwnerEnforced, bob, GrantHeaders{}, "ann-id", 1, ""},
		{BucketOwnerEnforced, bob, GrantHeaders{Canned: "bucket-owner-full-control"}, "ann-id", 1, ""},
		{BucketOwnerEnforced, bob, GrantHeaders{FullControl: `id="ann-id"`}, "ann-id", 1, ""},
		{BucketOwnerEnforced, bob, GrantHeaders{FullControl: `id="bob-id"`}, "", 0, "AccessControlListNotSupported"},
		{BucketOwnerEnforced, bob, GrantHeaders{Canned: "private"}, "", 0, "AccessControlListNotSupported"},
		{BucketOwnerEnforced, bob, GrantHeaders{Read: "id=bob-id"}, "", 0, "AccessControlListNotSupported"},
	} {
		a, err := c.o.NewObject(&c.who, "ann-id", &c.h, people)
		if codeOf(err) != c.code || a.Owner != c.owner || len(a.Grants) != c.grants {
			t.Errorf("%v, %+v: %+v, %v", c.o, c.h, a, err)
		}
	}
	if codeOf(BucketOwnerEnforced.CheckSetACL()) != "AccessControlListNotSupported" || BucketOwnerPreferred.CheckSetACL() != nil {
		t.Error("CheckSetACL")
	}
	if err := BucketOwnerEnforced.CheckBucketACL(canned(t, "public-read", "ann-id")); codeOf(err) != "InvalidBucketAclWithObjectOwnership" {
		t.Error(err)
	}
	for _, err := range []error{BucketOwnerEnforced.CheckBucketACL(canned(t, "private", "ann-id")), BucketOwnerEnforced.CheckBucketACL(nil), ObjectWriter.CheckBucketACL(canned(t, "public-read", "ann-id"))} {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestAuthorizeMissing(t *testing.T) {
	prefix := mustParse(t, statementOf("Allow", `{"AWS":"*"}`, `"s3:ListBucket"`, `"arn:aws:s3:::b"`, `{"StringLike":{"s3:prefix":"public/*"}}`))
	get := mustParse(t, statementOf("Allow", `"*"`, `"s3:GetObject"`, `"arn:aws:s3:::b/*"`, ""))
	deny := mustParse(t, statementOf("Deny", `"*"`, `"s3:GetObject"`, `"arn:aws:s3:::b/*"`, ""))
	for _, c := range []struct {
		name, key, acl string
		policy         *Policy
		want           string
	}{
		{"under the prefix", "public/x", "private", prefix, "abrs"},
		{"elsewhere", "private/x", "private", prefix, "ar"},
		{"may get, not list", "x", "private", get, "ar"},
		{"may list", "x", "public-read", nil, "abrs"},
		{"denied", "x", "public-read", deny, ""},
	} {
		in := &Inputs{BucketOwner: "ann-id", BucketACL: canned(t, c.acl, "ann-id"), Policy: c.policy}
		var got string
		for i, who := range []Caller{ann, bob, root, stranger} {
			if AuthorizeMissing(&Request{Caller: who, Action: "s3:GetObject", Bucket: "b", Key: c.key}, in) == nil {
				got += "abrs"[i : i+1]
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func BenchmarkAuthorize(b *testing.B) {
	r := &Request{Caller: ann, Action: "s3:GetObject", Bucket: "b", Key: "some/key"}
	for name, doc := range map[string]string{
		"no policy": "",
		"policy":    statementOf("Deny", `"*"`, `"s3:Put*"`, `"arn:aws:s3:::b/*"`, `{"Bool":{"aws:SecureTransport":"false"}}`),
	} {
		in := &Inputs{BucketOwner: "ann-id"}
		if doc != "" {
			in.Policy, _ = Parse([]byte(doc), "b")
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := Authorize(r, in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
