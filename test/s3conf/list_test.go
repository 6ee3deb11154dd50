package s3conf

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/minio/minio-go/v7"
)

func listChecks() []check {
	return []check{
		{"order", listOrder}, {"prefix and delimiter", listDelimiter}, {"long delimiter", listLongDelimiter}, {"pages v2", listPages}, {"pages v1", listPagesV1},
		{"common prefixes count", listPrefixesCount}, {"max-keys zero", listZero}, {"url encoding", listEncoding}, {"start-after", listStartAfter}, {"marker in a group", listMarkerInGroup},
		{"bad arguments", listBad}, {"owner", listOwner}, {"minio client", listMinio},
	}
}

func (e *env) names(t *testing.T, b *string, names ...string) {
	for _, n := range names {
		e.put(t, b, n, n)
	}
}

func listOrder(t *testing.T, e *env) {
	b := e.bucket(t)
	e.names(t, b, "foo/", "foo+1/", "foo", "é", "a", "B", "foo-1", "zz")
	l := must[*s3.ListObjectsV2Output](t)(e.s3.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: b}))
	equal(t, "keys", keysOf(l.Contents), "B a foo foo+1/ foo-1 foo/ zz é")
	equal(t, "count", aws.ToInt32(l.KeyCount), 8)
	o := l.Contents[1]
	if aws.ToInt64(o.Size) != 1 || aws.ToString(o.ETag) != `"`+md5hex([]byte("a"))+`"` || o.StorageClass != types.ObjectStorageClassStandard || o.LastModified.IsZero() {
		t.Errorf("entry: %+v", o)
	}
}

func listDelimiter(t *testing.T, e *env) {
	b := e.bucket(t)
	e.names(t, b, "asdf", "boo/bar", "boo/baz/xyzzy", "cquux/thud", "cquux/bla")
	l := must[*s3.ListObjectsV2Output](t)(e.s3.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: b, Delimiter: aws.String("/")}))
	equal(t, "keys", keysOf(l.Contents), "asdf")
	equal(t, "prefixes", prefixesOf(l.CommonPrefixes), "boo/ cquux/")
	equal(t, "delimiter", aws.ToString(l.Delimiter), "/")
	l = must[*s3.ListObjectsV2Output](t)(e.s3.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: b, Delimiter: aws.String("/"), Prefix: aws.String("boo/")}))
	equal(t, "keys below boo/", keysOf(l.Contents), "boo/bar")
	equal(t, "prefixes below boo/", prefixesOf(l.CommonPrefixes), "boo/baz/")
	equal(t, "prefix", aws.ToString(l.Prefix), "boo/")
	l = must[*s3.ListObjectsV2Output](t)(e.s3.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: b, Prefix: aws.String("none")}))
	equal(t, "keys of no prefix", len(l.Contents), 0)
}

func listLongDelimiter(t *testing.T, e *env) {
	b := e.bucket(t)
	e.names(t, b, "a--1", "a--2", "b-x", "c--", "d日本e")
	l := must[*s3.ListObjectsOutput](t)(e.s3.ListObjects(t.Context(), &s3.ListObjectsInput{Bucket: b, Delimiter: aws.String("--")}))
	equal(t, "keys", keysOf(l.Contents), "b-x d日本e")
	equal(t, "prefixes", prefixesOf(l.CommonPrefixes), "a-- c--")
	l = must[*s3.ListObjectsOutput](t)(e.s3.ListObjects(t.Context(), &s3.ListObjectsInput{Bucket: b, Delimiter: aws.String("本")}))
	equal(t, "prefixes", prefixesOf(l.CommonPrefixes), "d日本")
}

func (e *env) many(t *testing.T, b *string, n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("k%03d", i)
	}
	e.names(t, b, names...)
	return strings.Join(names, " ")
}

func listPages(t *testing.T, e *env) {
	b := e.bucket(t)
	want := e.many(t, b, 23)
	var got []types.Object
	var token *string
	for page := 0; ; page++ {
		l := must[*s3.ListObjectsV2Output](t)(e.s3.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: b, MaxKeys: aws.Int32(5), ContinuationToken: token}))
		got = append(got, l.Contents...)
		equal(t, "echoed token", aws.ToString(l.ContinuationToken), aws.ToString(token))
		if !aws.ToBool(l.IsTruncated) {
			equal(t, "pages", page+1, 5)
			break
		}
		if token = l.NextContinuationToken; page > 10 || aws.ToString(token) == "" {
			t.Fatal("no end, or no token")
		}
	}
	equal(t, "keys", keysOf(got), want)
}

func listPagesV1(t *testing.T, e *env) {
	b := e.bucket(t)
	want := e.many(t, b, 12)
	var got []types.Object
	var marker *string
	for page := 0; page < 10; page++ {
		l := must[*s3.ListObjectsOutput](t)(e.s3.ListObjects(t.Context(), &s3.ListObjectsInput{Bucket: b, MaxKeys: aws.Int32(5), Marker: marker}))
		got = append(got, l.Contents...)
		equal(t, "echoed marker", aws.ToString(l.Marker), aws.ToString(marker))
		if l.NextMarker != nil {
			t.Error("NextMarker without a delimiter")
		}
		if !aws.ToBool(l.IsTruncated) {
			break
		}
		marker = l.Contents[len(l.Contents)-1].Key
	}
	equal(t, "keys", keysOf(got), want)
}

func listPrefixesCount(t *testing.T, e *env) {
	b := e.bucket(t)
	e.names(t, b, "a/1", "a/2", "b", "c/1", "d")
	l := must[*s3.ListObjectsV2Output](t)(e.s3.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: b, Delimiter: aws.String("/"), MaxKeys: aws.Int32(2)}))
	equal(t, "first page", keysOf(l.Contents)+"|"+prefixesOf(l.CommonPrefixes), "b|a/")
	equal(t, "count", aws.ToInt32(l.KeyCount), 2)
	l = must[*s3.ListObjectsV2Output](t)(e.s3.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: b, Delimiter: aws.String("/"), ContinuationToken: l.NextContinuationToken}))
	equal(t, "second page", keysOf(l.Contents)+"|"+prefixesOf(l.CommonPrefixes), "d|c/")
}

func listZero(t *testing.T, e *env) {
	b := e.bucket(t)
	e.names(t, b, "a", "b")
	l := must[*s3.ListObjectsV2Output](t)(e.s3.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: b, MaxKeys: aws.Int32(0)}))
	if len(l.Contents) != 0 || aws.ToBool(l.IsTruncated) {
		t.Errorf("%d keys, truncated %v", len(l.Contents), aws.ToBool(l.IsTruncated))
	}
}

func listEncoding(t *testing.T, e *env) {
	b := e.bucket(t)
	e.names(t, b, "a b/+", "a b/x&y", "ü")
	l := must[*s3.ListObjectsV2Output](t)(e.s3.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: b, EncodingType: types.EncodingTypeUrl}))
	equal(t, "encoded", keysOf(l.Contents), "a%20b/%2B a%20b/x%26y %C3%BC")
	equal(t, "encoding", l.EncodingType, types.EncodingTypeUrl)
}

func listStartAfter(t *testing.T, e *env) {
	b := e.bucket(t)
	e.names(t, b, "a", "b", "c")
	l := must[*s3.ListObjectsV2Output](t)(e.s3.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: b, StartAfter: aws.String("aa")}))
	equal(t, "keys", keysOf(l.Contents), "b c")
	equal(t, "echo", aws.ToString(l.StartAfter), "aa")
}

func listBad(t *testing.T, e *env) {
	b := e.bucket(t)
	_, err := e.s3.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: b, MaxKeys: aws.Int32(-1)})
	wantCode(t, err, "InvalidArgument", 400)
	_, err = e.s3.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: b, ContinuationToken: aws.String("%%%no token")})
	wantCode(t, err, "InvalidArgument", 400)
}

func listOwner(t *testing.T, e *env) {
	b := e.bucket(t)
	e.names(t, b, "a")
	l := must[*s3.ListObjectsV2Output](t)(e.s3.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: b}))
	if l.Contents[0].Owner != nil {
		t.Error("an owner that was not asked for")
	}
	l = must[*s3.ListObjectsV2Output](t)(e.s3.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: b, FetchOwner: aws.Bool(true)}))
	if l.Contents[0].Owner == nil || aws.ToString(l.Contents[0].Owner.ID) == "" {
		t.Error("no owner")
	}
}

func listMinio(t *testing.T, e *env) {
	b := e.bucket(t)
	e.names(t, b, "a b", "d/x", "d/y")
	var got []string
	for o := range e.minio.ListObjects(t.Context(), *b, minio.ListObjectsOptions{}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		got = append(got, o.Key)
	}
	equal(t, "keys", strings.Join(got, "|"), "a b|d/")
}

// listMarkerInGroup: a common prefix that does not come behind the marker is left out, whatever keys it has behind it.
func listMarkerInGroup(t *testing.T, e *env) {
	b, ctx := e.bucket(t), t.Context()
	e.names(t, b, "a/1", "a/2", "b/1", "c")
	for _, m := range []string{"a/", "a/1"} {
		l1 := must[*s3.ListObjectsOutput](t)(e.s3.ListObjects(ctx, &s3.ListObjectsInput{Bucket: b, Delimiter: aws.String("/"), Marker: &m}))
		l2 := must[*s3.ListObjectsV2Output](t)(e.s3.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: b, Delimiter: aws.String("/"), StartAfter: &m}))
		lv := must[*s3.ListObjectVersionsOutput](t)(e.s3.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: b, Delimiter: aws.String("/"), KeyMarker: &m}))
		for _, ps := range [][]types.CommonPrefix{l1.CommonPrefixes, l2.CommonPrefixes, lv.CommonPrefixes} {
			if len(ps) != 1 || aws.ToString(ps[0].Prefix) != "b/" {
				t.Errorf("behind %q: %d prefixes", m, len(ps))
			}
		}
	}
}
