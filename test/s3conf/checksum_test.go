package s3conf

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func checksumChecks() []check {
	return []check{{"every algorithm", checksumAll}, {"wrong value", checksumWrong}, {"not on ranges", checksumRange}, {"composite", checksumComposite}, {"full object", checksumFull}, {"attributes", checksumAttributes}, {"of another algorithm", checksumOther}, {"of another type", checksumOtherType}, {"unannounced", checksumUnannounced}}
}

func algorithms() []types.ChecksumAlgorithm {
	return []types.ChecksumAlgorithm{
		types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmCrc32c, types.ChecksumAlgorithmCrc64nvme, types.ChecksumAlgorithmSha1, types.ChecksumAlgorithmSha256,
	}
}

func sumsOf(h *s3.HeadObjectOutput) map[types.ChecksumAlgorithm]string {
	m := map[types.ChecksumAlgorithm]string{}
	for a, v := range map[types.ChecksumAlgorithm]*string{
		types.ChecksumAlgorithmCrc32: h.ChecksumCRC32, types.ChecksumAlgorithmCrc32c: h.ChecksumCRC32C, types.ChecksumAlgorithmCrc64nvme: h.ChecksumCRC64NVME,
		types.ChecksumAlgorithmSha1: h.ChecksumSHA1, types.ChecksumAlgorithmSha256: h.ChecksumSHA256,
	} {
		if v != nil {
			m[a] = *v
		}
	}
	return m
}

func checksumAll(t *testing.T, e *env) {
	b, ctx := e.bucket(t), t.Context()
	known := map[types.ChecksumAlgorithm]string{ // of "Hello world"
		types.ChecksumAlgorithmCrc32: "i9aeUg==", types.ChecksumAlgorithmCrc32c: "crUfeA==", types.ChecksumAlgorithmCrc64nvme: "OOJZ0D8xKts=",
		types.ChecksumAlgorithmSha1: "e1AsOh9IyGCa4hLN+2Od7jlnP14=", types.ChecksumAlgorithmSha256: "ZOyIygCyaOW6GjVnihtTFtIS9PNmskdyMlNKiuyjfzw=",
	}
	for _, a := range algorithms() {
		k := aws.String("k-" + string(a))
		must[*s3.PutObjectOutput](t)(e.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: k, Body: strings.NewReader("Hello world"), ChecksumAlgorithm: a}))
		h := must[*s3.HeadObjectOutput](t)(e.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: b, Key: k, ChecksumMode: types.ChecksumModeEnabled}))
		equal(t, string(a), fmt.Sprint(sumsOf(h)), fmt.Sprint(map[types.ChecksumAlgorithm]string{a: known[a]}))
		equal(t, "type", h.ChecksumType, types.ChecksumTypeFullObject)
		h = must[*s3.HeadObjectOutput](t)(e.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: b, Key: k}))
		equal(t, "unasked checksums", len(sumsOf(h)), 0)
		body := noise(1, 300_000)
		must[*s3.PutObjectOutput](t)(e.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: k, Body: bytes.NewReader(body), ChecksumAlgorithm: a}))
		equal(t, "content", e.get(t, b, *k), string(body)) // the SDK verifies the checksum it is given
	}
}

func checksumWrong(t *testing.T, e *env) {
	b, k := e.bucket(t), aws.String("k")
	_, err := e.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: b, Key: k, Body: strings.NewReader("Hello world"), ChecksumSHA256: aws.String("AAAAygCyaOW6GjVnihtTFtIS9PNmskdyMlNKiuyjfzw=")})
	wantCode(t, err, "BadDigest", 400)
	_, err = e.s3.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: b, Key: k})
	wantStatus(t, err, 404)
}

func checksumRange(t *testing.T, e *env) {
	b, k := e.bucket(t), aws.String("k")
	must[*s3.PutObjectOutput](t)(e.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: b, Key: k, Body: strings.NewReader("Hello world"), ChecksumAlgorithm: types.ChecksumAlgorithmSha256}))
	g := must[*s3.GetObjectOutput](t)(e.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: b, Key: k, Range: aws.String("bytes=0-4"), ChecksumMode: types.ChecksumModeEnabled}))
	equal(t, "body", read(t, g.Body), "Hello")
	if g.ChecksumSHA256 != nil {
		t.Error("the checksum of the whole came with a part of it")
	}
}

func (e *env) summed(t *testing.T, b *string, a types.ChecksumAlgorithm, ct types.ChecksumType, bodies ...[]byte) *s3.CompleteMultipartUploadOutput {
	t.Helper()
	ctx, k := t.Context(), aws.String("k")
	up := must[*s3.CreateMultipartUploadOutput](t)(e.s3.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: b, Key: k, ChecksumAlgorithm: a, ChecksumType: ct}))
	var parts []types.CompletedPart
	for i, body := range bodies {
		n := aws.Int32(int32(i + 1))
		p := must[*s3.UploadPartOutput](t)(e.s3.UploadPart(ctx, &s3.UploadPartInput{Bucket: b, Key: k, UploadId: up.UploadId, PartNumber: n, Body: bytes.NewReader(body), ChecksumAlgorithm: a}))
		parts = append(parts, types.CompletedPart{PartNumber: n, ETag: p.ETag, ChecksumSHA256: p.ChecksumSHA256, ChecksumCRC32: p.ChecksumCRC32})
	}
	return must[*s3.CompleteMultipartUploadOutput](t)(e.s3.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: b, Key: k, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	}))
}

func checksumComposite(t *testing.T, e *env) {
	b, one, two := e.bucket(t), noise(1, partSize), noise(2, 10)
	out := e.summed(t, b, types.ChecksumAlgorithmSha256, types.ChecksumTypeComposite, one, two)
	s1, s2 := sha256.Sum256(one), sha256.Sum256(two)
	whole := sha256.Sum256(append(s1[:], s2[:]...))
	want := base64.StdEncoding.EncodeToString(whole[:]) + "-2"
	equal(t, "checksum", aws.ToString(out.ChecksumSHA256), want)
	h := must[*s3.HeadObjectOutput](t)(e.s3.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: b, Key: aws.String("k"), ChecksumMode: types.ChecksumModeEnabled}))
	equal(t, "checksum of HEAD", aws.ToString(h.ChecksumSHA256)+" "+string(h.ChecksumType), want+" COMPOSITE")
}

func checksumFull(t *testing.T, e *env) {
	b, one, two := e.bucket(t), noise(1, partSize), noise(2, 10)
	out := e.summed(t, b, types.ChecksumAlgorithmCrc32, types.ChecksumTypeFullObject, one, two)
	want := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(append(append([]byte{}, one...), two...))))
	equal(t, "checksum", aws.ToString(out.ChecksumCRC32), want)
	equal(t, "content", e.get(t, b, "k"), string(one)+string(two))
}

func checksumAttributes(t *testing.T, e *env) {
	b := e.bucket(t)
	e.summed(t, b, types.ChecksumAlgorithmSha256, types.ChecksumTypeComposite, noise(1, partSize), noise(2, 10))
	a := must[*s3.GetObjectAttributesOutput](t)(e.s3.GetObjectAttributes(t.Context(), &s3.GetObjectAttributesInput{Bucket: b, Key: aws.String("k"), ObjectAttributes: []types.ObjectAttributes{
		types.ObjectAttributesEtag, types.ObjectAttributesChecksum, types.ObjectAttributesObjectParts, types.ObjectAttributesObjectSize, types.ObjectAttributesStorageClass,
	}}))
	equal(t, "size", aws.ToInt64(a.ObjectSize), partSize+10)
	if strings.Contains(aws.ToString(a.ETag), `"`) || !strings.HasSuffix(aws.ToString(a.ETag), "-2") {
		t.Errorf("ETag %q", aws.ToString(a.ETag))
	}
	if a.ObjectParts == nil || aws.ToInt32(a.ObjectParts.TotalPartsCount) != 2 || len(a.ObjectParts.Parts) != 2 || aws.ToInt64(a.ObjectParts.Parts[1].Size) != 10 || a.ObjectParts.Parts[0].ChecksumSHA256 == nil {
		t.Errorf("parts: %+v", a.ObjectParts)
	}
}

// checksumOther sends checksums of algorithms that the request or the upload does not name.
func checksumOther(t *testing.T, e *env) {
	b, k, ctx := e.bucket(t), aws.String("k"), t.Context()
	up := must[*s3.CreateMultipartUploadOutput](t)(e.s3.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: b, Key: k, ChecksumAlgorithm: types.ChecksumAlgorithmSha256}))
	_, err := e.s3.UploadPart(ctx, &s3.UploadPartInput{Bucket: b, Key: k, UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("x"), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32})
	wantCode(t, err, "InvalidRequest", 400)
	for _, header := range [][]string{
		{"x-amz-sdk-checksum-algorithm", "SHA1"}, // and no checksum
		{"x-amz-sdk-checksum-algorithm", "SHA1", "x-amz-checksum-crc32", "i9aeUg=="},
		{"x-amz-checksum-crc31", "i9aeUg=="},
	} {
		req := must[*v4req](t)(signed(t, e, "PUT", "/"+*b+"/k", "Hello world", header...))
		resp := e.raw(t, "PUT", "/"+*b+"/k", req.header, []byte("Hello world"))
		if body := read(t, resp.Body); resp.StatusCode != 400 || !strings.Contains(body, "<Code>InvalidRequest</Code>") {
			t.Errorf("%q: status %d, %s", header, resp.StatusCode, body)
		}
	}
	_, err = e.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: b, Key: k})
	wantStatus(t, err, 404)
}

// checksumOtherType completes an upload as if it had another type of checksum.
func checksumOtherType(t *testing.T, e *env) {
	b, k, ctx := e.bucket(t), aws.String("k"), t.Context()
	up := must[*s3.CreateMultipartUploadOutput](t)(e.s3.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: b, Key: k, ChecksumAlgorithm: types.ChecksumAlgorithmCrc32, ChecksumType: types.ChecksumTypeComposite}))
	p := must[*s3.UploadPartOutput](t)(e.s3.UploadPart(ctx, &s3.UploadPartInput{Bucket: b, Key: k, UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("x"), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32}))
	complete := func(ct types.ChecksumType) error {
		_, err := e.s3.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: b, Key: k, UploadId: up.UploadId, ChecksumType: ct, MultipartUpload: &types.CompletedMultipartUpload{
			Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: p.ETag, ChecksumCRC32: p.ChecksumCRC32}},
		}})
		return err
	}
	wantCode(t, complete(types.ChecksumTypeFullObject), "InvalidRequest", 400)
	if err := complete(types.ChecksumTypeComposite); err != nil {
		t.Error(err)
	}
}

// checksumUnannounced completes uploads that were begun without a checksum: what the parts' own checksums tell is compared, anything else is ignored.
func checksumUnannounced(t *testing.T, e *env) {
	b, ctx := e.bucket(t), t.Context()
	complete := func(k string, part *s3.UploadPartInput, whole s3.CompleteMultipartUploadInput) error {
		up := must[*s3.CreateMultipartUploadOutput](t)(e.s3.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: b, Key: &k}, plain))
		part.Bucket, part.Key, part.UploadId, part.PartNumber, part.Body = b, &k, up.UploadId, aws.Int32(1), strings.NewReader("Hello world")
		p := must[*s3.UploadPartOutput](t)(e.s3.UploadPart(ctx, part, plain))
		whole.Bucket, whole.Key, whole.UploadId = b, &k, up.UploadId
		whole.MultipartUpload = &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: p.ETag}}}
		_, err := e.s3.CompleteMultipartUpload(ctx, &whole, plain)
		return err
	}
	if err := complete("none", &s3.UploadPartInput{}, s3.CompleteMultipartUploadInput{ChecksumCRC32: aws.String("i9aeUg==")}); err != nil {
		t.Errorf("of parts without checksums: %v", err)
	}
	if err := complete("sha", &s3.UploadPartInput{ChecksumAlgorithm: types.ChecksumAlgorithmSha256}, s3.CompleteMultipartUploadInput{ChecksumSHA256: aws.String("ZOyIygCyaOW6GjVnihtTFtIS9PNmskdyMlNKiuyjfzw=")}); err != nil {
		t.Errorf("of the whole, which is one part: %v", err)
	}
	equal(t, "content", e.get(t, b, "sha"), "Hello world")
}

// plain makes the SDK send no checksum that it is not asked for.
func plain(o *s3.Options) { o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired }
