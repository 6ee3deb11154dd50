// Package sigv4 verifies AWS Signature Version 4: of requests (header and presigned query), of their bodies (all
// five declarations of x-amz-content-sha256) and of POST forms, whose policies may also be signed the V2 way.
//
// It is pure: the caller gives the time, the headers as they came and the secret of an access key. It does
// not know users or permissions, only whether the holder of the secret said this; what a signer
// may do is package auth/policy's.
//
// Start at (*Verifier).Verify for requests, (*Verifier).Reader for bodies, (*Verifier).VerifyForm for forms.
// Sources: "Authenticating Requests (AWS Signature Version 4)" and "Browser-Based Uploads Using POST" of the
// Amazon S3 API reference.
package sigv4
