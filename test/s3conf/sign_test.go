package s3conf

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// clockedSigner presigns with a clock of its own.
type clockedSigner struct {
	*v4.Signer
	when time.Time
}

// PresignHTTP implements s3.HTTPPresignerV4.
func (c clockedSigner) PresignHTTP(ctx context.Context, cr aws.Credentials, r *http.Request, hash, service, region string, _ time.Time, opts ...func(*v4.SignerOptions)) (string, http.Header, error) {
	return c.Signer.PresignHTTP(ctx, cr, r, hash, service, region, c.when, opts...)
}

// v4req is the header of a signed request.
type v4req struct{ header map[string]string }

// signed signs a request whose body is promised by its SHA-256, with further headers as pairs of name and value.
func signed(t *testing.T, e *env, method, target, body string, header ...string) (*v4req, error) {
	req, err := http.NewRequestWithContext(t.Context(), method, e.endpoint+target, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(body))
	hash := hex.EncodeToString(sum[:])
	req.Header.Set("X-Amz-Content-Sha256", hash)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	cr := aws.Credentials{AccessKeyID: e.main.access, SecretAccessKey: e.main.secret}
	if err := v4.NewSigner().SignHTTP(t.Context(), cr, req, hash, "s3", "us-east-1", time.Now(), func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }); err != nil {
		return nil, err
	}
	h := map[string]string{}
	for k, v := range req.Header {
		h[k] = v[0]
	}
	return &v4req{h}, nil
}
