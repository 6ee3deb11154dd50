package s3conf

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func taggingChecks() []check {
	return []check{{"object", taggingObject}, {"limits", taggingLimits}, {"bucket", taggingBucket}}
}

func tags(kv ...string) *types.Tagging {
	tg := &types.Tagging{TagSet: []types.Tag{}}
	for i := 0; i < len(kv); i += 2 {
		tg.TagSet = append(tg.TagSet, types.Tag{Key: &kv[i], Value: &kv[i+1]})
	}
	return tg
}

func taggingObject(t *testing.T, e *env) {
	b, k, ctx := e.bucket(t), aws.String("k"), t.Context()
	must[*s3.PutObjectOutput](t)(e.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: k, Body: strings.NewReader("x"), Tagging: aws.String("a=1&b=sp%20ace")}))
	get := func() string {
		out := must[*s3.GetObjectTaggingOutput](t)(e.s3.GetObjectTagging(ctx, &s3.GetObjectTaggingInput{Bucket: b, Key: k}))
		s := ""
		for _, tg := range out.TagSet {
			s += *tg.Key + "=" + *tg.Value + ";"
		}
		return s
	}
	equal(t, "tags", get(), "a=1;b=sp ace;")
	tag := e.s3head(t, b, "k").ETag
	must[*s3.PutObjectTaggingOutput](t)(e.s3.PutObjectTagging(ctx, &s3.PutObjectTaggingInput{Bucket: b, Key: k, Tagging: tags("c", "3")}))
	equal(t, "replaced", get(), "c=3;")
	equal(t, "ETag", aws.ToString(e.s3head(t, b, "k").ETag), aws.ToString(tag))
	equal(t, "count", aws.ToInt32(e.s3head(t, b, "k").TagCount), 1)
	must[*s3.DeleteObjectTaggingOutput](t)(e.s3.DeleteObjectTagging(ctx, &s3.DeleteObjectTaggingInput{Bucket: b, Key: k}))
	equal(t, "deleted", get(), "")
	equal(t, "content", e.get(t, b, "k"), "x")
}

func (e *env) s3head(t *testing.T, b *string, key string) *s3.HeadObjectOutput {
	t.Helper()
	return must[*s3.HeadObjectOutput](t)(e.s3.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: b, Key: &key}))
}

func taggingLimits(t *testing.T, e *env) {
	b, k := e.bucket(t), aws.String("k")
	e.put(t, b, "k", "x")
	var eleven []string
	for i := range 11 {
		eleven = append(eleven, fmt.Sprint("k", i), "v")
	}
	put := func(tg *types.Tagging) error {
		_, err := e.s3.PutObjectTagging(t.Context(), &s3.PutObjectTaggingInput{Bucket: b, Key: k, Tagging: tg})
		return err
	}
	if err := put(tags(eleven[:20]...)); err != nil {
		t.Error(err)
	}
	if c, _ := code(put(tags(eleven...))); c != "InvalidTag" && c != "BadRequest" {
		t.Errorf("eleven tags: %q", c)
	}
	wantCode(t, put(tags(strings.Repeat("k", 129), "v")), "InvalidTag", 400)
	wantCode(t, put(tags("k", strings.Repeat("v", 257))), "InvalidTag", 400)
	wantCode(t, put(tags("twice", "1", "twice", "2")), "InvalidTag", 400)
	wantCode(t, put(tags("k&", "v")), "InvalidTag", 400)
	wantCode(t, put(tags("k", "<v>")), "InvalidTag", 400)
	wantCode(t, put(tags("k", "line\n")), "InvalidTag", 400)
	if err := put(tags("Größe नमस्ते _.:/=+-@1", "値 _.:/=+-@2", "k", "")); err != nil {
		t.Error(err)
	}
}

func taggingBucket(t *testing.T, e *env) {
	b, ctx := e.bucket(t), t.Context()
	must[*s3.PutBucketTaggingOutput](t)(e.s3.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{Bucket: b, Tagging: tags("Hello", "World")}))
	out := must[*s3.GetBucketTaggingOutput](t)(e.s3.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: b}))
	equal(t, "tag", *out.TagSet[0].Key+*out.TagSet[0].Value, "HelloWorld")
	must[*s3.DeleteBucketTaggingOutput](t)(e.s3.DeleteBucketTagging(ctx, &s3.DeleteBucketTaggingInput{Bucket: b}))
	_, err := e.s3.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: b})
	wantCode(t, err, "NoSuchTagSet", 404)
}
