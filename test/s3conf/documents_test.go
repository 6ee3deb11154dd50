package s3conf

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func documentChecks() []check {
	return []check{{"lifecycle", documentLifecycle}, {"cors", documentCORS}}
}

func documentLifecycle(t *testing.T, e *env) {
	b, ctx := e.bucket(t), t.Context()
	put := func(rules ...types.LifecycleRule) error {
		_, err := e.s3.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{Bucket: b, LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: rules}})
		return err
	}
	rule := func(id string, days int32) types.LifecycleRule {
		return types.LifecycleRule{ID: &id, Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String("tmp/")}, Expiration: &types.LifecycleExpiration{Days: &days}}
	}
	if err := put(rule("one", 1), rule("two", 2)); err != nil {
		t.Fatal(err)
	}
	g := must[*s3.GetBucketLifecycleConfigurationOutput](t)(e.s3.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: b}))
	equal(t, "rules", len(g.Rules), 2)
	equal(t, "id", aws.ToString(g.Rules[1].ID), "two")
	wantCode(t, put(rule("same", 1), rule("same", 2)), "InvalidArgument", 400)
	wantCode(t, put(rule("zero", 0)), "InvalidArgument", 400)
	must[*s3.DeleteBucketLifecycleOutput](t)(e.s3.DeleteBucketLifecycle(ctx, &s3.DeleteBucketLifecycleInput{Bucket: b}))
	_, err := e.s3.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: b})
	wantCode(t, err, "NoSuchLifecycleConfiguration", 404)
}

func documentCORS(t *testing.T, e *env) {
	b, ctx := e.bucket(t), t.Context()
	must[*s3.PutBucketCorsOutput](t)(e.s3.PutBucketCors(ctx, &s3.PutBucketCorsInput{Bucket: b, CORSConfiguration: &types.CORSConfiguration{CORSRules: []types.CORSRule{
		{AllowedMethods: []string{"GET", "PUT"}, AllowedOrigins: []string{"*.suffix"}, AllowedHeaders: []string{"x-amz-*"}, ExposeHeaders: []string{"x-amz-meta-a"}, MaxAgeSeconds: aws.Int32(60)},
	}}}))
	preflight := func(header map[string]string, code string) *http.Response {
		t.Helper()
		resp := e.raw(t, "OPTIONS", "/"+*b+"/k", header, nil)
		if body := read(t, resp.Body); code != "" && !strings.Contains(body, "<Code>"+code+"</Code>") {
			t.Errorf("preflight with %v: status %d, %q, want %s", header, resp.StatusCode, body, code)
		}
		return resp
	}
	ask := func(method, origin, want string) {
		t.Helper()
		code := ""
		if want == "" {
			code = "AccessForbidden"
		}
		resp := preflight(map[string]string{"Origin": origin, "Access-Control-Request-Method": method}, code)
		equal(t, method+" from "+origin, resp.Header.Get("Access-Control-Allow-Origin"), want)
	}
	preflight(map[string]string{"Access-Control-Request-Method": "GET"}, "BadRequest")
	preflight(map[string]string{"Origin": "foo.suffix"}, "BadRequest")
	preflight(map[string]string{"Origin": "foo.suffix", "Access-Control-Request-Method": "FETCH"}, "BadRequest")
	ask("GET", "foo.suffix", "foo.suffix")
	ask("PUT", "foo.suffix", "foo.suffix")
	ask("DELETE", "foo.suffix", "")
	ask("GET", "foo.other", "")
	must[*s3.DeleteBucketCorsOutput](t)(e.s3.DeleteBucketCors(ctx, &s3.DeleteBucketCorsInput{Bucket: b}))
	ask("GET", "foo.suffix", "")
}
