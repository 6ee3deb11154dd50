package s3conf

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func rangeChecks() []check {
	return []check{{"single", rangeSingle}, {"not satisfiable", rangeUnsatisfiable}, {"several", rangeSeveral}, {"empty object", rangeEmpty}, {"If-Range", rangeIf}}
}

func rangeSingle(t *testing.T, e *env) {
	b := e.bucket(t)
	for _, n := range []int{100, 600_000} {
		body := string(noise(n, n))
		e.put(t, b, "k", body)
		for _, c := range []struct {
			header    string
			from, end int
		}{{"bytes=4-7", 4, 8}, {"bytes=4-", 4, n}, {"bytes=-7", n - 7, n}, {"bytes=0-0", 0, 1}, {fmt.Sprintf("bytes=%d-%d", n-1, n+50), n - 1, n}, {fmt.Sprintf("bytes=-%d", n+9), 0, n}} {
			g, err := e.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: b, Key: aws.String("k"), Range: &c.header})
			if err != nil {
				t.Errorf("%s: %v", c.header, err)
				continue
			}
			if got := read(t, g.Body); got != body[c.from:c.end] {
				t.Errorf("%s of %d: %d bytes that are not those asked for", c.header, n, len(got))
			}
			equal(t, c.header, aws.ToString(g.ContentRange), fmt.Sprintf("bytes %d-%d/%d", c.from, c.end-1, n))
		}
	}
}

func rangeUnsatisfiable(t *testing.T, e *env) {
	b := e.bucket(t)
	e.put(t, b, "k", "testcontent")
	_, err := e.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: b, Key: aws.String("k"), Range: aws.String("bytes=40-50")})
	wantCode(t, err, "InvalidRange", 416)
}

func rangeSeveral(t *testing.T, e *env) {
	b := e.bucket(t)
	e.put(t, b, "k", "testcontent")
	g := must[*s3.GetObjectOutput](t)(e.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: b, Key: aws.String("k"), Range: aws.String("bytes=0-1,4-5")}))
	equal(t, "body", read(t, g.Body), "testcontent")
}

func rangeEmpty(t *testing.T, e *env) {
	b := e.bucket(t)
	e.put(t, b, "k", "")
	_, err := e.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: b, Key: aws.String("k"), Range: aws.String("bytes=0-5")})
	wantCode(t, err, "InvalidRange", 416)
}

func rangeIf(t *testing.T, e *env) {
	b := e.bucket(t)
	e.put(t, b, "k", "testcontent")
	p, err := s3.NewPresignClient(e.s3).PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: b, Key: aws.String("k")})
	if err != nil {
		t.Fatal(err)
	}
	target := p.URL[len(e.endpoint):]
	for tag, want := range map[string]int{`"` + md5hex([]byte("testcontent")) + `"`: 206, `"another"`: 200} {
		equal(t, "status with "+tag, e.raw(t, "GET", target, map[string]string{"Range": "bytes=0-3", "If-Range": tag}, nil).StatusCode, want)
	}
}
