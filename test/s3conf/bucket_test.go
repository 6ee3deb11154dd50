package s3conf

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func bucketChecks() []check {
	return []check{
		{"create head list delete", bucketLife}, {"create again", bucketAgain}, {"owned by another", bucketOfAnother},
		{"names", bucketNames}, {"not empty", bucketNotEmpty}, {"open upload", bucketOpenUpload}, {"missing", bucketMissing}, {"location", bucketLocation},
		{"tags of a new one", bucketTagged}, {"unset sub-resources", bucketUnset}, {"unknown sub-resource", bucketUnknown}, {"minio client", bucketMinio},
	}
}

func bucketLife(t *testing.T, e *env) {
	b := e.bucket(t)
	h := must[*s3.HeadBucketOutput](t)(e.s3.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: b}))
	equal(t, "region", aws.ToString(h.BucketRegion), "us-east-1")
	l := must[*s3.ListBucketsOutput](t)(e.s3.ListBuckets(t.Context(), &s3.ListBucketsInput{}))
	found := false
	for _, x := range l.Buckets {
		found = found || *x.Name == *b && !x.CreationDate.IsZero()
	}
	if !found || l.Owner == nil || aws.ToString(l.Owner.ID) == "" {
		t.Errorf("%s is not in the list, or the list has no owner", *b)
	}
	must[*s3.DeleteBucketOutput](t)(e.s3.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: b}))
	_, err := e.s3.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: b})
	wantStatus(t, err, 404)
}

func bucketAgain(t *testing.T, e *env) {
	b := e.bucket(t)
	e.put(t, b, "kept", "x")
	if _, err := e.s3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: b}); err != nil {
		t.Errorf("own bucket again: %v", err)
	}
	equal(t, "content", e.get(t, b, "kept"), "x")
}

func bucketOfAnother(t *testing.T, e *env) {
	if e.other == nil {
		t.Skip("no second user")
	}
	b := e.bucket(t)
	_, err := e.other.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: b})
	wantCode(t, err, "BucketAlreadyExists", 409)
	_, err = e.other.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: b})
	wantCode(t, err, "AccessDenied", 403)
	_, err = e.other.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: b})
	wantCode(t, err, "AccessDenied", 403)
}

func bucketNames(t *testing.T, e *env) {
	for _, bad := range []string{"ab", "Upper-case", "under_score", "192.168.5.123", "-dash", "dash-", "a..b", strings.Repeat("x", 64)} {
		_, err := e.s3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bad})
		if c, _ := code(err); c != "InvalidBucketName" {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func bucketNotEmpty(t *testing.T, e *env) {
	b := e.bucket(t)
	e.put(t, b, "k", "x")
	_, err := e.s3.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: b})
	wantCode(t, err, "BucketNotEmpty", 409)
	equal(t, "content", e.get(t, b, "k"), "x")
}

func bucketOpenUpload(t *testing.T, e *env) {
	b, ctx := e.bucket(t), t.Context()
	must[*s3.CreateMultipartUploadOutput](t)(e.s3.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: b, Key: aws.String("k")}))
	must[*s3.DeleteBucketOutput](t)(e.s3.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: b}))
	_, err := e.s3.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: b})
	wantCode(t, err, "NoSuchBucket", 404)
}

func bucketMissing(t *testing.T, e *env) {
	b := aws.String("conf-that-never-was")
	_, err := e.s3.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: b})
	wantCode(t, err, "NoSuchBucket", 404)
	_, err = e.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: b, Key: aws.String("k")})
	wantCode(t, err, "NoSuchBucket", 404)
	_, err = e.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: b, Key: aws.String("k"), Body: strings.NewReader("x")})
	wantCode(t, err, "NoSuchBucket", 404)
	_, err = e.s3.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: b})
	wantCode(t, err, "NoSuchBucket", 404)
}

func bucketLocation(t *testing.T, e *env) {
	l := must[*s3.GetBucketLocationOutput](t)(e.s3.GetBucketLocation(t.Context(), &s3.GetBucketLocationInput{Bucket: e.bucket(t)}))
	equal(t, "location", string(l.LocationConstraint), "")
}

func bucketUnset(t *testing.T, e *env) {
	b, ctx := e.bucket(t), t.Context()
	_, err := e.s3.GetBucketCors(ctx, &s3.GetBucketCorsInput{Bucket: b})
	wantCode(t, err, "NoSuchCORSConfiguration", 404)
	_, err = e.s3.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: b})
	wantCode(t, err, "NoSuchLifecycleConfiguration", 404)
	_, err = e.s3.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: b})
	wantCode(t, err, "NoSuchTagSet", 404)
	_, err = e.s3.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: b})
	wantCode(t, err, "NoSuchBucketPolicy", 404)
	_, err = e.s3.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: b})
	wantCode(t, err, "ObjectLockConfigurationNotFoundError", 404)
	_, err = e.s3.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: b})
	wantCode(t, err, "ServerSideEncryptionConfigurationNotFoundError", 404)
	_, err = e.s3.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: b})
	wantCode(t, err, "NoSuchPublicAccessBlockConfiguration", 404)
	_, err = e.s3.GetBucketWebsite(ctx, &s3.GetBucketWebsiteInput{Bucket: b})
	wantCode(t, err, "NoSuchWebsiteConfiguration", 404)
	_, err = e.s3.GetBucketReplication(ctx, &s3.GetBucketReplicationInput{Bucket: b})
	wantCode(t, err, "ReplicationConfigurationNotFoundError", 404)
	must[*s3.DeleteBucketReplicationOutput](t)(e.s3.DeleteBucketReplication(ctx, &s3.DeleteBucketReplicationInput{Bucket: b}))
	v := must[*s3.GetBucketVersioningOutput](t)(e.s3.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: b}))
	equal(t, "versioning", v.Status, types.BucketVersioningStatus(""))
}

func bucketUnknown(t *testing.T, e *env) {
	b := e.bucket(t)
	_, err := e.s3.PutBucketAnalyticsConfiguration(t.Context(), &s3.PutBucketAnalyticsConfigurationInput{
		Bucket: b, Id: aws.String("a"), AnalyticsConfiguration: &types.AnalyticsConfiguration{Id: aws.String("a"), StorageClassAnalysis: &types.StorageClassAnalysis{}},
	})
	wantCode(t, err, "NotImplemented", 501)
	if _, err := e.s3.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: b}); err != nil {
		t.Errorf("the bucket is gone: %v", err)
	}
}

func bucketMinio(t *testing.T, e *env) {
	b := e.bucket(t)
	ok, err := e.minio.BucketExists(t.Context(), *b)
	if err != nil || !ok {
		t.Errorf("BucketExists: %v %v", ok, err)
	}
	loc, err := e.minio.GetBucketLocation(t.Context(), *b)
	if err != nil || loc != "us-east-1" {
		t.Errorf("location %q: %v", loc, err)
	}
}

// bucketTagged makes a bucket with tags.
func bucketTagged(t *testing.T, e *env) {
	b, ctx := e.bucket(t), t.Context()
	name := aws.String(*b + "-tagged")
	create := func(key string) error {
		out, err := e.s3.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: name, CreateBucketConfiguration: &types.CreateBucketConfiguration{Tags: []types.Tag{{Key: &key, Value: aws.String("red")}}}})
		if err == nil {
			equal(t, "ARN", aws.ToString(out.BucketArn), "arn:aws:s3:::"+*name)
		}
		return err
	}
	wantCode(t, create("a<b"), "InvalidTag", 400)
	if err := create("colour"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.empty(t, name) })
	out := must[*s3.GetBucketTaggingOutput](t)(e.s3.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: name}))
	equal(t, "tag", *out.TagSet[0].Key+*out.TagSet[0].Value, "colourred")
}
