package s3conf

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/minio/minio-go/v7"
)

func multiDeleteChecks() []check {
	return []check{{"many", multiDeleteMany}, {"quiet", multiDeleteQuiet}, {"limit", multiDeleteLimit}, {"minio client", multiDeleteMinio}}
}

func ids(keys ...string) *types.Delete {
	d := &types.Delete{}
	for _, k := range keys {
		d.Objects = append(d.Objects, types.ObjectIdentifier{Key: aws.String(k)})
	}
	return d
}

func multiDeleteMany(t *testing.T, e *env) {
	b := e.bucket(t)
	e.names(t, b, "a", "b", "sp ace", "<&>", "kept")
	for range 2 { // the second time nothing is there, which is success too
		out := must[*s3.DeleteObjectsOutput](t)(e.s3.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: b, Delete: ids("a", "b", "sp ace", "<&>", "never")}))
		equal(t, "deleted", len(out.Deleted), 5)
		equal(t, "errors", len(out.Errors), 0)
	}
	l := must[*s3.ListObjectsV2Output](t)(e.s3.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: b}))
	equal(t, "left", keysOf(l.Contents), "kept")
}

func multiDeleteQuiet(t *testing.T, e *env) {
	b := e.bucket(t)
	e.names(t, b, "a")
	d := ids("a")
	d.Quiet = aws.Bool(true)
	out := must[*s3.DeleteObjectsOutput](t)(e.s3.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: b, Delete: d}))
	equal(t, "deleted", len(out.Deleted), 0)
}

func multiDeleteLimit(t *testing.T, e *env) {
	b := e.bucket(t)
	keys := make([]string, 1001)
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
	}
	_, err := e.s3.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: b, Delete: ids(keys...)})
	wantCode(t, err, "MalformedXML", 400)
	out := must[*s3.DeleteObjectsOutput](t)(e.s3.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: b, Delete: ids(keys[:1000]...)}))
	equal(t, "deleted", len(out.Deleted), 1000)
}

func multiDeleteMinio(t *testing.T, e *env) {
	b := e.bucket(t)
	e.names(t, b, "x", "y")
	ch := make(chan minio.ObjectInfo, 2)
	ch <- minio.ObjectInfo{Key: "x"}
	ch <- minio.ObjectInfo{Key: "y"}
	close(ch)
	for err := range e.minio.RemoveObjects(t.Context(), *b, ch, minio.RemoveObjectsOptions{}) {
		t.Error(err.Err)
	}
	l := must[*s3.ListObjectsV2Output](t)(e.s3.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: b}))
	equal(t, "left", len(l.Contents), 0)
}
