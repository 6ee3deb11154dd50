package s3conf

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func conditionalChecks() []check {
	return []check{
		{"reads", conditionalReads}, {"dates", conditionalDates}, {"create once", conditionalCreate}, {"replace", conditionalReplace},
		{"race for one name", conditionalRace}, {"race of replacements", conditionalCounter}, {"delete", conditionalDelete},
	}
}

func conditionalReads(t *testing.T, e *env) {
	b, k, ctx := e.bucket(t), aws.String("k"), t.Context()
	tag := e.put(t, b, "k", "bar").ETag
	must[*s3.GetObjectOutput](t)(e.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: k, IfMatch: tag}))
	_, err := e.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: k, IfMatch: aws.String(`"ABCORZ"`)})
	wantCode(t, err, "PreconditionFailed", 412)
	_, err = e.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: k, IfNoneMatch: tag})
	wantStatus(t, err, 304)
	must[*s3.GetObjectOutput](t)(e.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: k, IfNoneMatch: aws.String(`"ABCORZ"`)}))
	_, err = e.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: b, Key: k, IfMatch: aws.String(`"ABCORZ"`)})
	wantStatus(t, err, 412)
}

func conditionalDates(t *testing.T, e *env) {
	b, k, ctx := e.bucket(t), aws.String("k"), t.Context()
	e.put(t, b, "k", "bar")
	early, late := aws.Time(time.Now().Add(-24*time.Hour)), aws.Time(time.Now().Add(24*time.Hour))
	must[*s3.GetObjectOutput](t)(e.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: k, IfModifiedSince: early}))
	_, err := e.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: k, IfModifiedSince: aws.Time(time.Now().Add(5 * time.Second))})
	if _, n := code(err); err != nil && n != 304 {
		t.Errorf("If-Modified-Since in the future: %v", err)
	}
	_, err = e.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: k, IfUnmodifiedSince: early})
	wantCode(t, err, "PreconditionFailed", 412)
	must[*s3.GetObjectOutput](t)(e.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: k, IfUnmodifiedSince: late}))
}

func conditionalCreate(t *testing.T, e *env) {
	b, k, ctx := e.bucket(t), aws.String("k"), t.Context()
	put := func(body string) error {
		_, err := e.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: k, Body: strings.NewReader(body), IfNoneMatch: aws.String("*")})
		return err
	}
	if err := put("first"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, put("second"), "PreconditionFailed", 412)
	wantCode(t, put(string(noise(1, 300_000))), "PreconditionFailed", 412)
	equal(t, "content", e.get(t, b, "k"), "first")
	must[*s3.DeleteObjectOutput](t)(e.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: k}))
	if err := put("third"); err != nil {
		t.Error(err)
	}
}

func conditionalReplace(t *testing.T, e *env) {
	b, k, ctx := e.bucket(t), aws.String("k"), t.Context()
	put := func(body, tag string) error {
		_, err := e.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: k, Body: strings.NewReader(body), IfMatch: &tag})
		return err
	}
	wantCode(t, put("x", `"00000000000000000000000000000000"`), "NoSuchKey", 404)
	tag := e.put(t, b, "k", "one").ETag
	if err := put("two", *tag); err != nil {
		t.Fatal(err)
	}
	wantCode(t, put("three", *tag), "PreconditionFailed", 412)
	equal(t, "content", e.get(t, b, "k"), "two")
}

func conditionalRace(t *testing.T, e *env) {
	b, k := e.bucket(t), aws.String("k")
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			_, err := e.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: b, Key: k, Body: strings.NewReader(string(noise(i, 1000*i))), IfNoneMatch: aws.String("*")})
			switch c, _ := code(err); {
			case err == nil:
				won.Add(1)
			case c != "PreconditionFailed" && c != "ConditionalRequestConflict":
				t.Error(err)
			}
		})
	}
	wg.Wait()
	equal(t, "winners", won.Load(), 1)
}

// conditionalCounter lets writers raise a counter by compare-and-swap: no increment may be lost.
func conditionalCounter(t *testing.T, e *env) {
	b, k, ctx := e.bucket(t), aws.String("counter"), t.Context()
	e.put(t, b, *k, "")
	var wg sync.WaitGroup
	const writers, each = 4, 8
	for range writers {
		wg.Go(func() {
			for done := 0; done < each; {
				g, err := e.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: k})
				if err != nil {
					t.Error(err)
					return
				}
				body := read(t, g.Body)
				_, err = e.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: k, Body: strings.NewReader(body + "+"), IfMatch: g.ETag})
				switch c, _ := code(err); {
				case err == nil:
					done++
				case c != "PreconditionFailed" && c != "ConditionalRequestConflict":
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	equal(t, "increments", len(e.get(t, b, *k)), writers*each)
}

func conditionalDelete(t *testing.T, e *env) {
	b, k, ctx := e.bucket(t), aws.String("k"), t.Context()
	tag := e.put(t, b, "k", "one").ETag
	_, err := e.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: k, IfMatch: aws.String(`"00000000000000000000000000000000"`)})
	wantCode(t, err, "PreconditionFailed", 412)
	equal(t, "content", e.get(t, b, "k"), "one")
	must[*s3.DeleteObjectOutput](t)(e.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: k, IfMatch: tag}))
}
