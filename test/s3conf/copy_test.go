package s3conf

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func copyChecks() []check {
	return []check{
		{"same and other bucket", copyPlaces}, {"directives", copyDirectives}, {"onto itself", copyItself}, {"names", copyNames}, {"conditions", copyConditions},
		{"missing source", copyMissing}, {"part copy", copyPart}, {"many owners", copyOwners},
	}
}

func source(b *string, key string) *string {
	return aws.String(*b + "/" + strings.ReplaceAll(url.PathEscape(key), "%2F", "/"))
}

func copyPlaces(t *testing.T, e *env) {
	b, c, ctx := e.bucket(t), e.bucket(t), t.Context()
	for _, n := range []int{0, 10, 100_000, 3 << 20} {
		body := string(noise(n, n))
		tag := e.put(t, b, "src", body).ETag
		for _, to := range []*string{b, c} {
			out := must[*s3.CopyObjectOutput](t)(e.s3.CopyObject(ctx, &s3.CopyObjectInput{Bucket: to, Key: aws.String("dst"), CopySource: source(b, "src")}))
			equal(t, "ETag", aws.ToString(out.CopyObjectResult.ETag), aws.ToString(tag))
			if e.get(t, to, "dst") != body {
				t.Errorf("the copy of %d bytes differs", n)
			}
		}
	}
	must[*s3.DeleteObjectOutput](t)(e.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: aws.String("src")}))
	equal(t, "the copy after its source is gone", len(e.get(t, c, "dst")), 3<<20)
}

func copyDirectives(t *testing.T, e *env) {
	b, ctx := e.bucket(t), t.Context()
	must[*s3.PutObjectOutput](t)(e.s3.PutObject(ctx, &s3.PutObjectInput{
		Bucket: b, Key: aws.String("src"), Body: strings.NewReader("x"), Metadata: map[string]string{"a": "1"}, ContentType: aws.String("t/1"), Tagging: aws.String("k=v"),
	}))
	head := func(key string) *s3.HeadObjectOutput {
		return must[*s3.HeadObjectOutput](t)(e.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: b, Key: &key}))
	}
	must[*s3.CopyObjectOutput](t)(e.s3.CopyObject(ctx, &s3.CopyObjectInput{Bucket: b, Key: aws.String("kept"), CopySource: source(b, "src")}))
	h := head("kept")
	equal(t, "kept", h.Metadata["a"]+" "+aws.ToString(h.ContentType), "1 t/1")
	equal(t, "tags kept", aws.ToInt32(h.TagCount), 1)
	must[*s3.CopyObjectOutput](t)(e.s3.CopyObject(ctx, &s3.CopyObjectInput{
		Bucket: b, Key: aws.String("new"), CopySource: source(b, "src"), MetadataDirective: types.MetadataDirectiveReplace, Metadata: map[string]string{"b": "2"}, ContentType: aws.String("t/2"),
		TaggingDirective: types.TaggingDirectiveReplace, Tagging: aws.String("x=1&y=2"),
	}))
	h = head("new")
	equal(t, "replaced", fmt.Sprint(h.Metadata)+" "+aws.ToString(h.ContentType), "map[b:2] t/2")
	equal(t, "tags replaced", aws.ToInt32(h.TagCount), 2)
}

func copyItself(t *testing.T, e *env) {
	b, ctx := e.bucket(t), t.Context()
	e.put(t, b, "k", "x")
	_, err := e.s3.CopyObject(ctx, &s3.CopyObjectInput{Bucket: b, Key: aws.String("k"), CopySource: source(b, "k")})
	wantCode(t, err, "InvalidRequest", 400)
	must[*s3.CopyObjectOutput](t)(e.s3.CopyObject(ctx, &s3.CopyObjectInput{
		Bucket: b, Key: aws.String("k"), CopySource: source(b, "k"), MetadataDirective: types.MetadataDirectiveReplace, Metadata: map[string]string{"n": "1"},
	}))
	h := must[*s3.HeadObjectOutput](t)(e.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: b, Key: aws.String("k")}))
	equal(t, "metadata", h.Metadata["n"], "1")
	equal(t, "content", e.get(t, b, "k"), "x")
}

func copyNames(t *testing.T, e *env) {
	b := e.bucket(t)
	for _, n := range []string{"sp ace", "pl+us", "a/b/c", "?q", "ünï", "%41"} {
		e.put(t, b, n, n)
		must[*s3.CopyObjectOutput](t)(e.s3.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: b, Key: aws.String("copy of " + n), CopySource: source(b, n)}))
		equal(t, n, e.get(t, b, "copy of "+n), n)
	}
	e.put(t, b, "pl us", "space") // a plus that is not escaped is a space, if that is there
	must[*s3.CopyObjectOutput](t)(e.s3.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: b, Key: aws.String("copy of a plus"), CopySource: source(b, "pl+us")}))
	equal(t, "a plus", e.get(t, b, "copy of a plus"), "space")
	must[*s3.CopyObjectOutput](t)(e.s3.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: b, Key: aws.String("copy of a plus"), CopySource: aws.String(*b + "/pl%2Bus")}))
	equal(t, "an escaped plus", e.get(t, b, "copy of a plus"), "pl+us")
}

func copyConditions(t *testing.T, e *env) {
	b, ctx := e.bucket(t), t.Context()
	tag := e.put(t, b, "src", "x").ETag
	in := func() *s3.CopyObjectInput {
		return &s3.CopyObjectInput{Bucket: b, Key: aws.String("dst"), CopySource: source(b, "src")}
	}
	i := in()
	i.CopySourceIfMatch = aws.String(`"other"`)
	_, err := e.s3.CopyObject(ctx, i)
	wantCode(t, err, "PreconditionFailed", 412)
	i = in()
	i.CopySourceIfNoneMatch = tag
	_, err = e.s3.CopyObject(ctx, i)
	wantCode(t, err, "PreconditionFailed", 412)
	i = in()
	i.CopySourceIfMatch = tag
	must[*s3.CopyObjectOutput](t)(e.s3.CopyObject(ctx, i))
}

func copyMissing(t *testing.T, e *env) {
	b := e.bucket(t)
	_, err := e.s3.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: b, Key: aws.String("dst"), CopySource: source(b, "none")})
	wantCode(t, err, "NoSuchKey", 404)
	_, err = e.s3.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: b, Key: aws.String("dst"), CopySource: aws.String("conf-never-was/k")})
	wantCode(t, err, "NoSuchBucket", 404)
}

func copyPart(t *testing.T, e *env) {
	b, k, ctx := e.bucket(t), aws.String("dst"), t.Context()
	body := string(noise(3, 11<<20))
	e.put(t, b, "s r/c+", body)
	up := must[*s3.CreateMultipartUploadOutput](t)(e.s3.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: b, Key: k}))
	var parts []types.CompletedPart
	for i, r := range []string{"bytes=0-5242879", "bytes=5242880-10485759", "bytes=10485760-11534335"} {
		p := must[*s3.UploadPartCopyOutput](t)(e.s3.UploadPartCopy(ctx, &s3.UploadPartCopyInput{
			Bucket: b, Key: k, UploadId: up.UploadId, PartNumber: aws.Int32(int32(i + 1)), CopySource: source(b, "s r/c+"), CopySourceRange: &r,
		}))
		parts = append(parts, types.CompletedPart{PartNumber: aws.Int32(int32(i + 1)), ETag: p.CopyPartResult.ETag})
	}
	must[*s3.CompleteMultipartUploadOutput](t)(e.s3.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: b, Key: k, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	}))
	if e.get(t, b, "dst") != body {
		t.Error("the object made of copied parts differs from its source")
	}
}

func copyOwners(t *testing.T, e *env) {
	b := e.bucket(t)
	e.put(t, b, "src", "body")
	for i := range 12 { // some of these names belong to other targets than the source
		key := fmt.Sprintf("to-%d", i)
		must[*s3.CopyObjectOutput](t)(e.s3.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: b, Key: &key, CopySource: source(b, "src")}))
		equal(t, key, e.get(t, b, key), "body")
	}
}
