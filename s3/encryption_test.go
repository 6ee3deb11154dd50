package s3

import (
	"encoding/base64"
	"testing"
)

// TestEncryptionAsked: nothing is encrypted here, and what AWS would not do either is refused with its code.
func TestEncryptionAsked(t *testing.T) {
	const sse, kms = "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id"
	const algorithm, key, digest = sse + "-customer-algorithm", sse + "-customer-key", sse + "-customer-key-md5"
	const good, of = "pO3upElrwuEXSoFwCfnZPdSsmt/xWeFa0N9KgDijwVs=", "DWygnHRtgiJ77HCm+1rvHw=="
	for _, c := range []struct {
		op      Op
		headers []string
		code    string
	}{
		{PutObject, []string{sse, "AES256"}, "NotImplemented"},
		{CopyObject, []string{sse, "aws:kms"}, "NotImplemented"},
		{CreateMultipartUpload, []string{sse, "aws:kms:dsse", kms, "k"}, "NotImplemented"},
		{PutObject, []string{sse, "aws:kms", sse + "-bucket-key-enabled", "true"}, "NotImplemented"},
		{PutObject, []string{sse, ""}, "NotImplemented"},
		{PutObject, []string{sse, "AES192"}, "InvalidArgument"},
		{PutObject, []string{sse, "AES256", kms, "k"}, "InvalidArgument"},
		{PutObject, []string{kms, "k"}, "InvalidArgument"},
		{GetObject, []string{sse, "aws:kms", kms, "k"}, "InvalidArgument"},
		{HeadObject, []string{sse, "AES256"}, "InvalidArgument"},
		{UploadPart, []string{sse, "AES256"}, "InvalidArgument"},
		{PutObject, []string{algorithm, "AES256", key, good, digest, of}, "NotImplemented"},
		{GetObject, []string{algorithm, "AES256", key, good, digest, of}, "NotImplemented"},
		{UploadPart, []string{algorithm, "AES256", key, good, digest, of}, "NotImplemented"},
		{PutObject, []string{sse, "AES256", algorithm, "AES256", key, good, digest, of}, "InvalidArgument"},
		{PutObject, []string{key, good, digest, of}, "InvalidArgument"},
		{PutObject, []string{algorithm, "AES192", key, good, digest, of}, "InvalidEncryptionAlgorithmError"},
		{PutObject, []string{algorithm, "AES256", digest, of}, "InvalidArgument"},
		{PutObject, []string{algorithm, "AES256", key, good}, "InvalidArgument"},
		{PutObject, []string{algorithm, "AES256", key, good, digest, "AAAAAAAAAAAAAAAAAAAAAA=="}, "InvalidArgument"},
		{PutObject, []string{algorithm, "AES256", key, base64.StdEncoding.EncodeToString([]byte("short")), digest, "x"}, "InvalidArgument"},
	} {
		if err := headersOf(c.headers...).CheckServed(c.op); !IsCode(err, c.code) {
			t.Errorf("%v %q: %v, want %s", c.op, c.headers, err, c.code)
		}
	}
	if err := headersOf("x-amz-meta-a", "b").CheckServed(PutObject); err != nil {
		t.Error(err)
	}
}
