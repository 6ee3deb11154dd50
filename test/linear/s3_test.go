package linear_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aistore/test/cluster"
	"aistore/test/linear"
	"aistore/test/plain"
	"aistore/test/procs"
)

// s3Client is AWS's SDK without retries, as a linear.Client.
type s3Client struct {
	endpoint string
	s3       *s3.Client
}

func newS3(endpoint string) *s3Client {
	return &s3Client{endpoint, s3.New(s3.Options{
		BaseEndpoint: &endpoint, Region: "us-east-1", UsePathStyle: true, RetryMaxAttempts: 1, HTTPClient: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
		Credentials: credentials.NewStaticCredentialsProvider("aisadmin", "aisadmin-secret", ""),
	})}
}

func (c *s3Client) Endpoint() string { return c.endpoint }

// refusal turns the SDK's error into plain's, whose status says what is known of the outcome.
func refusal(err error) error {
	var r interface{ HTTPStatusCode() int }
	if errors.As(err, &r) && r.HTTPStatusCode() > 0 {
		return &plain.Refusal{Status: r.HTTPStatusCode(), Message: err.Error()}
	}
	return err
}

func tag(etag *string) string { return strings.Trim(aws.ToString(etag), `"`) }

func (c *s3Client) Put(ctx context.Context, bucket, name string, body []byte, hs ...plain.Header) (plain.Meta, error) {
	in := &s3.PutObjectInput{Bucket: &bucket, Key: &name, Body: bytes.NewReader(body)}
	for _, h := range hs {
		switch h.Name {
		case "If-Match":
			in.IfMatch = aws.String(h.Value)
		case "If-None-Match":
			in.IfNoneMatch = aws.String(h.Value)
		}
	}
	out, err := c.s3.PutObject(ctx, in)
	if err != nil {
		return plain.Meta{}, refusal(err)
	}
	return plain.Meta{ETag: tag(out.ETag)}, nil
}

func (c *s3Client) Get(ctx context.Context, bucket, name string, _ ...plain.Header) ([]byte, plain.Meta, error) {
	out, err := c.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &name})
	if err != nil {
		return nil, plain.Meta{}, refusal(err)
	}
	defer out.Body.Close()
	b, err := io.ReadAll(out.Body)
	return b, plain.Meta{ETag: tag(out.ETag), Size: aws.ToInt64(out.ContentLength)}, err
}

func (c *s3Client) Head(ctx context.Context, bucket, name string, _ ...plain.Header) (plain.Meta, error) {
	out, err := c.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &name})
	if err != nil {
		return plain.Meta{}, refusal(err)
	}
	return plain.Meta{ETag: tag(out.ETag), Size: aws.ToInt64(out.ContentLength)}, nil
}

func (c *s3Client) Delete(ctx context.Context, bucket, name string, _ ...plain.Header) error {
	_, err := c.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &name})
	return refusal(err)
}

func (c *s3Client) List(ctx context.Context, bucket string, q plain.ListQuery) ([]plain.Entry, error) {
	var all []plain.Entry
	pages := s3.NewListObjectsV2Paginator(c.s3, &s3.ListObjectsV2Input{Bucket: &bucket, MaxKeys: aws.Int32(int32(q.PageSize))}) //nolint:gosec // small
	for pages.HasMorePages() {
		p, err := pages.NextPage(ctx)
		if err != nil {
			return nil, refusal(err)
		}
		for _, o := range p.Contents {
			all = append(all, plain.Entry{Name: *o.Key, Size: *o.Size})
		}
	}
	return all, nil
}

// TestLinearizableS3 lets 16 goroutines write, write on conditions, delete and read the same names in the S3 dialect through
// two gateways and a target, and finds an order for what they saw.
func TestLinearizableS3(t *testing.T) {
	ctx := context.Background()
	seed, dir := procs.Seed(t), procs.Dir(t)
	c := cluster.Start(t, cluster.Spec{Gateways: 2, Targets: 3, Mountpaths: 2})
	must(t, c.Clients()[0].CreateBucket(ctx, "linear-s3"))
	var cs []linear.Client
	for _, cl := range c.Clients()[:3] { // gateways come first
		cs = append(cs, newS3(cl.Endpoint()))
	}
	l := &linear.Load{Clients: cs, Bucket: "linear-s3", Names: linear.Names(40), Workers: 16, Ops: 120, Lists: true, Seed: seed, S3: true}
	h := l.Run(ctx)
	must(t, l.Audit(ctx))
	n := h.Count()
	t.Logf("%v", n)
	for _, o := range h.Ops() {
		if o.Err != "" && o.Result != linear.Absent && o.Result != linear.Failed {
			t.Errorf("failed: %v", o)
		}
	}
	if err := h.Check(); err != nil || t.Failed() {
		path := filepath.Join(dir, "history.jsonl")
		t.Errorf("history %s (%v): %.8000v", path, h.Save(path), err)
	}
}
