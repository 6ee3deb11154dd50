package sigv4

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsv4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// TestAgainstSDK signs the same requests with the AWS SDK's signer, over midnight.
func TestAgainstSDK(t *testing.T) {
	cred := Credentials{AccessKey: "AKIDEXAMPLE", SecretKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", Region: "eu-west-3"}
	s := New(cred)
	sdk := awsv4.NewSigner(func(o *awsv4.SignerOptions) { o.DisableURIPathEscaping = true })
	for _, at := range []time.Time{
		time.Date(2026, 3, 1, 23, 59, 59, 0, time.UTC), time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC),
	} {
		for _, r := range []Request{
			{"GET", "127.0.0.1:9000", "/bucket/load/00000001", ""},
			{"PUT", "s3.example.org", "/bucket/a%20b%2Bc/%C3%A9", ""},
			{"GET", "127.0.0.1:9000", "/bucket", "continuation-token=a%2Fb%3D&list-type=2&max-keys=1000&prefix="},
			{"DELETE", "127.0.0.1:9000", "/bucket/x", ""},
		} {
			u, err := url.Parse("http://" + r.Host + r.Path + "?" + r.Query)
			if err != nil {
				t.Fatal(err)
			}
			req := &http.Request{Method: r.Method, URL: u, Host: r.Host, Header: http.Header{}}
			req.Header.Set("X-Amz-Content-Sha256", unsigned)
			err = sdk.SignHTTP(t.Context(), aws.Credentials{AccessKeyID: cred.AccessKey, SecretAccessKey: cred.SecretKey}, req, unsigned, "s3", cred.Region, at)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for line := range strings.SplitSeq(strings.TrimSuffix(string(s.Append(nil, r, at)), "\r\n"), "\r\n") {
				k, v, _ := strings.Cut(line, ": ")
				got[http.CanonicalHeaderKey(k)] = v
			}
			for _, h := range []string{"Authorization", "X-Amz-Date", "X-Amz-Content-Sha256"} {
				if got[h] != req.Header.Get(h) {
					t.Errorf("%s %s: %s is\n%q, the SDK says\n%q", r.Method, r.Path, h, got[h], req.Header.Get(h))
				}
			}
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	s := New(Credentials{AccessKey: "AKIDEXAMPLE", SecretKey: "secret", Region: "us-east-1"})
	var head []byte
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		head = s.Append(head[:0], Request{"GET", "127.0.0.1:9000", "/bucket/load/00000001", ""}, now)
	}
}
