package s3conf

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/minio/minio-go/v7"
)

func multipartChecks() []check {
	return []check{
		{"whole", multipartWhole}, {"complete twice", multipartTwice}, {"too small", multipartSmall}, {"wrong parts", multipartWrong}, {"part again", multipartAgain},
		{"abort", multipartAbort}, {"lists", multipartLists}, {"part number GET", multipartPartNumber}, {"overwrites", multipartOverwrites}, {"conditional complete", multipartConditional},
		{"64 parts at once", multipartParallel}, {"managers of the SDKs", multipartManagers}, {"unknown upload", multipartUnknown},
	}
}

const partSize = 5 << 20

type upload struct {
	e       *env
	b, k, i *string
	parts   []types.CompletedPart
}

func (e *env) upload(t *testing.T, b *string, key string) *upload {
	t.Helper()
	out := must[*s3.CreateMultipartUploadOutput](t)(e.s3.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{
		Bucket: b, Key: &key, Metadata: map[string]string{"m": "v"}, ContentType: aws.String("x/multi"),
	}))
	return &upload{e: e, b: b, k: &key, i: out.UploadId}
}

func (u *upload) put(t *testing.T, number int32, body []byte) {
	t.Helper()
	out := must[*s3.UploadPartOutput](t)(u.e.s3.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: u.b, Key: u.k, UploadId: u.i, PartNumber: &number, Body: bytes.NewReader(body)}))
	equal(t, "ETag of part", aws.ToString(out.ETag), `"`+md5hex(body)+`"`)
	u.parts = append(u.parts, types.CompletedPart{PartNumber: &number, ETag: out.ETag})
}

func (u *upload) complete(t *testing.T) (*s3.CompleteMultipartUploadOutput, error) {
	return u.e.s3.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: u.b, Key: u.k, UploadId: u.i, MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts},
	})
}

func etagOf(bodies ...[]byte) string {
	h := md5.New() //nolint:gosec // S3's ETag
	for _, b := range bodies {
		s := md5.Sum(b) //nolint:gosec // S3's ETag
		_, _ = h.Write(s[:])
	}
	return fmt.Sprintf(`"%x-%d"`, h.Sum(nil), len(bodies))
}

func multipartWhole(t *testing.T, e *env) {
	b := e.bucket(t)
	one, two := noise(1, partSize), noise(2, 1234)
	u := e.upload(t, b, "k")
	u.put(t, 1, one)
	_, err := e.s3.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: b, Key: u.k})
	wantStatus(t, err, 404)
	u.put(t, 2, two)
	out := must[*s3.CompleteMultipartUploadOutput](t)(u.complete(t))
	equal(t, "ETag", aws.ToString(out.ETag), etagOf(one, two))
	g := must[*s3.GetObjectOutput](t)(e.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: b, Key: u.k}))
	if read(t, g.Body) != string(one)+string(two) {
		t.Error("the content differs")
	}
	equal(t, "metadata", g.Metadata["m"]+" "+aws.ToString(g.ContentType), "v x/multi")
	r := must[*s3.GetObjectOutput](t)(e.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: b, Key: u.k, Range: aws.String("bytes=5242870-5242889")}))
	equal(t, "range over parts", read(t, r.Body), string(one[partSize-10:])+string(two[:10]))
}

func multipartTwice(t *testing.T, e *env) {
	b := e.bucket(t)
	u := e.upload(t, b, "k")
	u.put(t, 1, []byte("only"))
	first := must[*s3.CompleteMultipartUploadOutput](t)(u.complete(t))
	second := must[*s3.CompleteMultipartUploadOutput](t)(u.complete(t))
	equal(t, "ETag", aws.ToString(second.ETag), aws.ToString(first.ETag))
	u.parts[0].ETag = aws.String(`"00000000000000000000000000000000"`) // another request, not the same again
	_, err := u.complete(t)
	wantCode(t, err, "InvalidPart", 400)
	equal(t, "content", e.get(t, b, "k"), "only")
}

func multipartSmall(t *testing.T, e *env) {
	b := e.bucket(t)
	u := e.upload(t, b, "k")
	u.put(t, 1, []byte("small"))
	u.put(t, 2, []byte("small too"))
	_, err := u.complete(t)
	wantCode(t, err, "EntityTooSmall", 400)
}

func multipartWrong(t *testing.T, e *env) {
	b := e.bucket(t)
	u := e.upload(t, b, "k")
	u.put(t, 1, noise(1, partSize))
	u.put(t, 2, []byte("x"))
	good := u.parts
	u.parts = []types.CompletedPart{good[0], {PartNumber: aws.Int32(9), ETag: good[1].ETag}}
	_, err := u.complete(t)
	wantCode(t, err, "InvalidPart", 400)
	u.parts = []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: aws.String(`"00000000000000000000000000000000"`)}}
	_, err = u.complete(t)
	wantCode(t, err, "InvalidPart", 400)
	u.parts = []types.CompletedPart{good[1], good[0]}
	_, err = u.complete(t)
	wantCode(t, err, "InvalidPartOrder", 400)
	_, err = e.s3.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: b, Key: u.k, UploadId: u.i, PartNumber: aws.Int32(10001), Body: strings.NewReader("x")})
	wantCode(t, err, "InvalidArgument", 400)
	u.parts = good
	must[*s3.CompleteMultipartUploadOutput](t)(u.complete(t))
}

func multipartAgain(t *testing.T, e *env) {
	b := e.bucket(t)
	u := e.upload(t, b, "k")
	u.put(t, 1, []byte("first"))
	u.parts = nil
	u.put(t, 1, []byte("second"))
	must[*s3.CompleteMultipartUploadOutput](t)(u.complete(t))
	equal(t, "content", e.get(t, b, "k"), "second")
}

func multipartAbort(t *testing.T, e *env) {
	b, ctx := e.bucket(t), t.Context()
	u := e.upload(t, b, "k")
	u.put(t, 1, []byte("x"))
	must[*s3.AbortMultipartUploadOutput](t)(e.s3.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: b, Key: u.k, UploadId: u.i}))
	_, err := u.complete(t)
	wantCode(t, err, "NoSuchUpload", 404)
	_, err = e.s3.ListParts(ctx, &s3.ListPartsInput{Bucket: b, Key: u.k, UploadId: u.i})
	wantCode(t, err, "NoSuchUpload", 404)
	l := must[*s3.ListMultipartUploadsOutput](t)(e.s3.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: b}))
	equal(t, "uploads left", len(l.Uploads), 0)
	must[*s3.DeleteBucketOutput](t)(e.s3.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: b}))
}

func multipartLists(t *testing.T, e *env) {
	b, ctx := e.bucket(t), t.Context()
	for _, k := range []string{"b", "a", "c/x", "c/y"} {
		e.upload(t, b, k)
	}
	l := must[*s3.ListMultipartUploadsOutput](t)(e.s3.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: b, Delimiter: aws.String("/")}))
	equal(t, "uploads", len(l.Uploads), 2)
	equal(t, "first", aws.ToString(l.Uploads[0].Key), "a")
	equal(t, "prefixes", prefixesOf(l.CommonPrefixes), "c/")
	var seen []string
	in := &s3.ListMultipartUploadsInput{Bucket: b, MaxUploads: aws.Int32(1)}
	for range 6 {
		p := must[*s3.ListMultipartUploadsOutput](t)(e.s3.ListMultipartUploads(ctx, in))
		for _, u := range p.Uploads {
			seen = append(seen, *u.Key)
		}
		if !aws.ToBool(p.IsTruncated) {
			break
		}
		in.KeyMarker, in.UploadIdMarker = p.NextKeyMarker, p.NextUploadIdMarker
	}
	equal(t, "pages of uploads", strings.Join(seen, " "), "a b c/x c/y")

	u := e.upload(t, b, "parts")
	for n := int32(1); n <= 5; n++ {
		u.put(t, n*2, []byte{byte(n)})
	}
	p := must[*s3.ListPartsOutput](t)(e.s3.ListParts(ctx, &s3.ListPartsInput{Bucket: b, Key: u.k, UploadId: u.i, MaxParts: aws.Int32(2), PartNumberMarker: aws.String("2")}))
	equal(t, "page of parts", fmt.Sprint(*p.Parts[0].PartNumber, *p.Parts[1].PartNumber, *p.IsTruncated)+" "+*p.NextPartNumberMarker, "4 6 true 6")
}

func multipartPartNumber(t *testing.T, e *env) {
	b := e.bucket(t)
	one, two := noise(1, partSize), noise(2, 777)
	u := e.upload(t, b, "k")
	u.put(t, 3, one)
	u.put(t, 7, two)
	must[*s3.CompleteMultipartUploadOutput](t)(u.complete(t))
	g := must[*s3.GetObjectOutput](t)(e.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: b, Key: u.k, PartNumber: aws.Int32(7)}))
	equal(t, "parts", aws.ToInt32(g.PartsCount), 2)
	equal(t, "second part", read(t, g.Body), string(two))
}

func multipartOverwrites(t *testing.T, e *env) {
	b := e.bucket(t)
	e.put(t, b, "k", "old")
	u := e.upload(t, b, "k")
	u.put(t, 1, []byte("new"))
	equal(t, "before", e.get(t, b, "k"), "old")
	must[*s3.CompleteMultipartUploadOutput](t)(u.complete(t))
	equal(t, "after", e.get(t, b, "k"), "new")
}

func multipartConditional(t *testing.T, e *env) {
	b := e.bucket(t)
	e.put(t, b, "k", "old")
	u := e.upload(t, b, "k")
	u.put(t, 1, []byte("new"))
	_, err := e.s3.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: b, Key: u.k, UploadId: u.i, MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts}, IfNoneMatch: aws.String("*"),
	})
	wantCode(t, err, "PreconditionFailed", 412)
	equal(t, "content", e.get(t, b, "k"), "old")
}

func multipartParallel(t *testing.T, e *env) {
	b := e.bucket(t)
	u := e.upload(t, b, "k")
	bodies, tags := make([][]byte, 64), make([]types.CompletedPart, 64)
	for i := range bodies { // the last may be short; the others share their bytes to keep the check small
		bodies[i] = noise(i, partSize)
		if i == len(bodies)-1 {
			bodies[i] = noise(i, 99)
		}
	}
	var wg sync.WaitGroup
	for i, body := range bodies {
		wg.Go(func() {
			out, err := e.s3.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: b, Key: u.k, UploadId: u.i, PartNumber: aws.Int32(int32(i + 1)), Body: bytes.NewReader(body)})
			if err != nil {
				t.Error(err)
				return
			}
			tags[i] = types.CompletedPart{PartNumber: aws.Int32(int32(i + 1)), ETag: out.ETag}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	u.parts = tags
	out := must[*s3.CompleteMultipartUploadOutput](t)(u.complete(t))
	equal(t, "ETag", aws.ToString(out.ETag), etagOf(bodies...))
	g := must[*s3.GetObjectOutput](t)(e.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: b, Key: u.k}))
	defer g.Body.Close()
	for i, body := range bodies {
		got := make([]byte, len(body))
		if _, err := io.ReadFull(g.Body, got); err != nil || !bytes.Equal(got, body) {
			t.Fatalf("part %d differs: %v", i+1, err)
		}
	}
}

func multipartManagers(t *testing.T, e *env) {
	b, body := e.bucket(t), noise(9, 17<<20)
	up := manager.NewUploader(e.s3)
	if _, err := up.Upload(t.Context(), &s3.PutObjectInput{Bucket: b, Key: aws.String("aws"), Body: bytes.NewReader(body)}); err != nil {
		t.Fatal(err)
	}
	w := manager.NewWriteAtBuffer(nil)
	if _, err := manager.NewDownloader(e.s3).Download(t.Context(), w, &s3.GetObjectInput{Bucket: b, Key: aws.String("aws")}); err != nil || !bytes.Equal(w.Bytes(), body) {
		t.Errorf("aws: %d bytes: %v", len(w.Bytes()), err)
	}
	if _, err := e.minio.PutObject(t.Context(), *b, "minio", bytes.NewReader(body), -1, minio.PutObjectOptions{PartSize: partSize}); err != nil {
		t.Fatal(err)
	}
	if e.get(t, b, "minio") != string(body) {
		t.Error("minio: the content differs")
	}
}

func multipartUnknown(t *testing.T, e *env) {
	b := e.bucket(t)
	_, err := e.s3.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: b, Key: aws.String("k"), UploadId: aws.String("56788"), PartNumber: aws.Int32(1), Body: strings.NewReader("x")})
	wantCode(t, err, "NoSuchUpload", 404)
	_, err = e.s3.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: b, Key: aws.String("k"), UploadId: aws.String("56788")})
	wantCode(t, err, "NoSuchUpload", 404)
	u := e.upload(t, b, "k")
	_, err = u.complete(t)
	wantCode(t, err, "MalformedXML", 400)
}
