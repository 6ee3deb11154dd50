package s3conf

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func accessChecks() []check {
	return []check{{"policy", accessPolicy}, {"policy with conditions", accessConditions}, {"policy about encryption", accessEncryption},
		{"malformed policy", accessMalformed}, {"canned ACLs", accessCanned}, {"public access block", accessBlock}}
}

func (e *env) policy(t *testing.T, b *string, statement string) {
	t.Helper()
	doc := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[%s]}`, strings.ReplaceAll(statement, "BUCKET", *b))
	must[*s3.PutBucketPolicyOutput](t)(e.s3.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: b, Policy: &doc}))
}

func accessPolicy(t *testing.T, e *env) {
	b, ctx := e.bucket(t), t.Context()
	e.names(t, b, "open/a", "shut/a")
	e.policy(t, b, `{"Effect":"Allow","Principal":"*","Action":["s3:GetObject"],"Resource":"arn:aws:s3:::BUCKET/open/*"},
		{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::BUCKET/open/no*"}`)
	e.put(t, b, "open/no", "x")
	g := must[*s3.GetObjectOutput](t)(e.nobody.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: aws.String("open/a")}))
	equal(t, "body", read(t, g.Body), "open/a")
	for _, k := range []string{"shut/a", "open/no"} {
		_, err := e.nobody.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: &k})
		wantCode(t, err, "AccessDenied", 403)
	}
	_, err := e.nobody.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: b})
	wantCode(t, err, "AccessDenied", 403)
	must[*s3.DeleteBucketPolicyOutput](t)(e.s3.DeleteBucketPolicy(ctx, &s3.DeleteBucketPolicyInput{Bucket: b}))
	_, err = e.nobody.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: aws.String("open/a")})
	wantCode(t, err, "AccessDenied", 403)
}

func accessConditions(t *testing.T, e *env) {
	b, ctx := e.bucket(t), t.Context()
	e.names(t, b, "a", "p/a")
	e.policy(t, b, `{"Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::BUCKET","Condition":{"StringEquals":{"s3:prefix":"p/"}}},
		{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::BUCKET/*","Condition":{"StringEquals":{"s3:ExistingObjectTag/open":"yes"}}}`)
	must[*s3.ListObjectsV2Output](t)(e.nobody.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: b, Prefix: aws.String("p/")}))
	_, err := e.nobody.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: b})
	wantCode(t, err, "AccessDenied", 403)
	_, err = e.nobody.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: aws.String("a")})
	wantCode(t, err, "AccessDenied", 403)
	must[*s3.PutObjectTaggingOutput](t)(e.s3.PutObjectTagging(ctx, &s3.PutObjectTaggingInput{Bucket: b, Key: aws.String("a"), Tagging: tags("open", "yes")}))
	must[*s3.GetObjectOutput](t)(e.nobody.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: aws.String("a")}))
}

// accessEncryption: what a policy denies is denied before anything else is said of the encryption that is asked for.
func accessEncryption(t *testing.T, e *env) {
	b, ctx := e.bucket(t), t.Context()
	e.policy(t, b, `{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::BUCKET/*","Condition":{"StringNotEquals":{"s3:x-amz-server-side-encryption":"aws:kms"}}}`)
	_, err := e.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: aws.String("k"), Body: strings.NewReader("x")})
	wantCode(t, err, "AccessDenied", 403)
	_, err = e.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: aws.String("k"), Body: strings.NewReader("x"), ServerSideEncryption: types.ServerSideEncryptionAes256})
	wantCode(t, err, "AccessDenied", 403)
	_, err = e.s3.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: b, Key: aws.String("k"), ServerSideEncryption: types.ServerSideEncryptionAes256})
	wantCode(t, err, "AccessDenied", 403)
}

func accessMalformed(t *testing.T, e *env) {
	b := e.bucket(t)
	for _, doc := range []string{"{", `{"Version":"2012-10-17","Statement":[{"Effect":"Perhaps","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::` + *b + `/*"}]}`} {
		_, err := e.s3.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: b, Policy: &doc})
		wantCode(t, err, "MalformedPolicy", 400)
	}
}

func accessCanned(t *testing.T, e *env) {
	b, ctx := e.bucket(t), t.Context()
	must[*s3.PutBucketAclOutput](t)(e.s3.PutBucketAcl(ctx, &s3.PutBucketAclInput{Bucket: b, ACL: types.BucketCannedACLPublicRead}))
	must[*s3.PutObjectOutput](t)(e.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: aws.String("open"), Body: strings.NewReader("x"), ACL: types.ObjectCannedACLPublicRead}))
	e.put(t, b, "shut", "x")
	must[*s3.ListObjectsV2Output](t)(e.nobody.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: b}))
	must[*s3.GetObjectOutput](t)(e.nobody.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: aws.String("open")}))
	_, err := e.nobody.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: aws.String("shut")})
	wantCode(t, err, "AccessDenied", 403)
	a := must[*s3.GetObjectAclOutput](t)(e.s3.GetObjectAcl(ctx, &s3.GetObjectAclInput{Bucket: b, Key: aws.String("open")}))
	equal(t, "grants", len(a.Grants), 2)
}

func accessBlock(t *testing.T, e *env) {
	b, ctx := e.bucket(t), t.Context()
	must[*s3.PutObjectOutput](t)(e.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: aws.String("k"), Body: strings.NewReader("x"), ACL: types.ObjectCannedACLPublicRead}))
	must[*s3.PutPublicAccessBlockOutput](t)(e.s3.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{Bucket: b, PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{
		BlockPublicAcls: aws.Bool(true), IgnorePublicAcls: aws.Bool(true), BlockPublicPolicy: aws.Bool(true), RestrictPublicBuckets: aws.Bool(true),
	}}))
	_, err := e.nobody.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: aws.String("k")})
	wantCode(t, err, "AccessDenied", 403)
	_, err = e.s3.PutBucketAcl(ctx, &s3.PutBucketAclInput{Bucket: b, ACL: types.BucketCannedACLPublicRead})
	wantCode(t, err, "AccessDenied", 403)
}
