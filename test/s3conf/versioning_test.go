package s3conf

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func versioningChecks() []check {
	return []check{{"stack of versions", versioningStack}, {"delete markers", versioningMarkers}, {"null version", versioningNull}, {"list", versioningList}, {"multipart and copy", versioningMultipart}}
}

func (e *env) versioning(t *testing.T, b *string, s types.BucketVersioningStatus) {
	t.Helper()
	must[*s3.PutBucketVersioningOutput](t)(e.s3.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: b, VersioningConfiguration: &types.VersioningConfiguration{Status: s}}))
	g := must[*s3.GetBucketVersioningOutput](t)(e.s3.GetBucketVersioning(t.Context(), &s3.GetBucketVersioningInput{Bucket: b}))
	equal(t, "status", g.Status, s)
}

func (e *env) version(t *testing.T, b *string, key string, id *string) string {
	t.Helper()
	g, err := e.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: b, Key: &key, VersionId: id})
	if err != nil {
		c, _ := code(err)
		return c
	}
	return read(t, g.Body)
}

func versioningStack(t *testing.T, e *env) {
	b, k, ctx := e.bucket(t), aws.String("k"), t.Context()
	e.versioning(t, b, types.BucketVersioningStatusEnabled)
	var idsOf []*string
	bodies := []string{"one", string(noise(2, 200_000)), "three"}
	for _, body := range bodies {
		idsOf = append(idsOf, e.put(t, b, "k", body).VersionId)
	}
	for i, id := range idsOf {
		equal(t, fmt.Sprint("version ", i), e.version(t, b, "k", id), bodies[i])
	}
	equal(t, "current", e.get(t, b, "k"), "three")
	must[*s3.DeleteObjectOutput](t)(e.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: k, VersionId: idsOf[2]}))
	equal(t, "current, the newest removed", e.get(t, b, "k"), bodies[1])
	must[*s3.DeleteObjectOutput](t)(e.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: k, VersionId: idsOf[0]}))
	equal(t, "removed", e.version(t, b, "k", idsOf[0]), "NoSuchVersion")
	must[*s3.DeleteObjectOutput](t)(e.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: k, VersionId: idsOf[1]}))
	equal(t, "all removed", e.version(t, b, "k", nil), "NoSuchKey")
}

func versioningMarkers(t *testing.T, e *env) {
	b, k, ctx := e.bucket(t), aws.String("k"), t.Context()
	e.versioning(t, b, types.BucketVersioningStatusEnabled)
	id := e.put(t, b, "k", "x").VersionId
	d := must[*s3.DeleteObjectOutput](t)(e.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: k}))
	if !aws.ToBool(d.DeleteMarker) || aws.ToString(d.VersionId) == "" {
		t.Fatalf("delete: %+v", d)
	}
	equal(t, "current", e.version(t, b, "k", nil), "NoSuchKey")
	equal(t, "older", e.version(t, b, "k", id), "x")
	equal(t, "the marker", e.version(t, b, "k", d.VersionId), "MethodNotAllowed")
	l := must[*s3.ListObjectsV2Output](t)(e.s3.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: b}))
	equal(t, "names listed", len(l.Contents), 0)
	must[*s3.DeleteObjectOutput](t)(e.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: k, VersionId: d.VersionId}))
	equal(t, "without the marker", e.version(t, b, "k", nil), "x")
}

func versioningNull(t *testing.T, e *env) {
	b, k, ctx := e.bucket(t), aws.String("k"), t.Context()
	e.put(t, b, "k", "before")
	e.versioning(t, b, types.BucketVersioningStatusEnabled)
	equal(t, "null version", e.version(t, b, "k", aws.String("null")), "before")
	id := e.put(t, b, "k", "versioned").VersionId
	e.versioning(t, b, types.BucketVersioningStatusSuspended)
	e.put(t, b, "k", "suspended")
	equal(t, "null version, replaced", e.version(t, b, "k", aws.String("null")), "suspended")
	equal(t, "the one in between", e.version(t, b, "k", id), "versioned")
	must[*s3.DeleteObjectOutput](t)(e.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: k, VersionId: aws.String("null")}))
	equal(t, "current", e.version(t, b, "k", nil), "versioned")
}

func versioningList(t *testing.T, e *env) {
	b, ctx := e.bucket(t), t.Context()
	e.versioning(t, b, types.BucketVersioningStatusEnabled)
	for _, k := range []string{"b", "a", "a", "d/x", "a"} {
		e.put(t, b, k, k)
	}
	must[*s3.DeleteObjectOutput](t)(e.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: aws.String("b")}))
	var got []string
	in := &s3.ListObjectVersionsInput{Bucket: b, MaxKeys: aws.Int32(2)}
	for range 8 {
		p := must[*s3.ListObjectVersionsOutput](t)(e.s3.ListObjectVersions(ctx, in))
		for _, v := range p.Versions {
			got = append(got, fmt.Sprint(*v.Key, *v.IsLatest))
		}
		for _, v := range p.DeleteMarkers {
			got = append(got, fmt.Sprint("marker-", *v.Key, *v.IsLatest))
		}
		if !aws.ToBool(p.IsTruncated) {
			break
		}
		in.KeyMarker, in.VersionIdMarker = p.NextKeyMarker, p.NextVersionIdMarker
	}
	equal(t, "versions", strings.Join(got, " "), "atrue afalse afalse marker-btrue bfalse d/xtrue")
	p := must[*s3.ListObjectVersionsOutput](t)(e.s3.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: b, Delimiter: aws.String("/"), Prefix: aws.String("d")}))
	equal(t, "prefixes", prefixesOf(p.CommonPrefixes), "d/")
}

func versioningMultipart(t *testing.T, e *env) {
	b, ctx := e.bucket(t), t.Context()
	e.versioning(t, b, types.BucketVersioningStatusEnabled)
	first := e.put(t, b, "k", "plain").VersionId
	u := e.upload(t, b, "k")
	u.put(t, 1, []byte("multi"))
	out := must[*s3.CompleteMultipartUploadOutput](t)(u.complete(t))
	if aws.ToString(out.VersionId) == "" {
		t.Error("complete names no version")
	}
	equal(t, "older", e.version(t, b, "k", first), "plain")
	c := must[*s3.CopyObjectOutput](t)(e.s3.CopyObject(ctx, &s3.CopyObjectInput{Bucket: b, Key: aws.String("copy"), CopySource: aws.String(*b + "/k?versionId=" + *first)}))
	equal(t, "source", aws.ToString(c.CopySourceVersionId), *first)
	equal(t, "copy of the older", e.get(t, b, "copy"), "plain")
}
