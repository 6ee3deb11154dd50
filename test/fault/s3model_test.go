package fault

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // the ETag that S3 prescribes
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"aistore/test/value"
)

// newS3 returns AWS's SDK without retries.
func newS3(endpoint string) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: &endpoint, Region: "us-east-1", UsePathStyle: true, RetryMaxAttempts: 1, HTTPClient: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}},
		Credentials:                credentials.NewStaticCredentialsProvider("aisadmin", "aisadmin-secret", ""),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
	})
}

// statusOf is the status of a reply that is an error, 0 when there was none.
func statusOf(err error) int {
	var r interface{ HTTPStatusCode() int }
	if errors.As(err, &r) {
		return r.HTTPStatusCode()
	}
	return 0
}

// content is an object's or a part's: values one behind the other.
type content []value.Value

func (c content) bytes() []byte {
	var b []byte
	for _, v := range c {
		b = append(b, v.Bytes()...)
	}
	return b
}

func (c content) sum() [md5.Size]byte { return md5.Sum(c.bytes()) } //nolint:gosec // see import

func (c content) etag() string {
	sum := c.sum()
	return hex.EncodeToString(sum[:])
}

// state is one state of a key: an object or a delete marker.
type state struct {
	id     string // of its version; "" when it is not known yet, or the bucket has none
	marker bool
	parts  []content // one, or those of an upload
	multi  bool
}

func (s *state) etag() string {
	if !s.multi {
		return s.parts[0].etag()
	}
	var all []byte
	for _, p := range s.parts {
		sum := p.sum()
		all = append(all, sum[:]...)
	}
	sum := md5.Sum(all) //nolint:gosec // see import
	return hex.EncodeToString(sum[:]) + "-" + strconv.Itoa(len(s.parts))
}

func (s *state) bytes() []byte { return slices.Concat(s.parts...).bytes() }

// held is a key and what was acknowledged of it.
type held struct {
	c         *s3.Client
	bucket    string
	key       string
	versioned bool
	states    []state // oldest first; at most one in a bucket without versions

	pending []state // what an interrupted request would have made of states
	open    bool    // there is such a request
	landed  bool    // it took effect, as was seen afterwards
}

// change makes a request that turns the states into next. Of a request that took effect although it was interrupted, no more
// is made. The last of next gets the id that do returns.
func (h *held) change(ctx context.Context, next []state, do func(context.Context) (id string, err error)) error {
	if h.landed {
		h.landed = false
		return nil
	}
	id, err := do(ctx)
	if err != nil {
		h.pending, h.open = next, true
		return err
	}
	if len(next) > 0 && next[len(next)-1].id == "" {
		next[len(next)-1].id = id
	}
	h.states = next
	return nil
}

// with returns the states after s was written.
func (h *held) with(s state) []state {
	if !h.versioned {
		return []state{s}
	}
	return append(slices.Clone(h.states), s)
}

// settle finds out whether an interrupted change took effect: it did, or did not, whole.
func (h *held) settle(ctx context.Context) error {
	before := h.verify(ctx, h.states)
	if !h.open {
		return before
	}
	h.open = false
	if before == nil {
		return nil
	}
	if err := h.verify(ctx, h.pending); err != nil {
		return fmt.Errorf("%s/%s is neither as before the request that was interrupted (%w) nor as after it (%w)", h.bucket, h.key, before, err)
	}
	h.states, h.landed = h.pending, true
	return nil
}

// verify compares what is in the cluster with want, to the last byte, and learns the id of a version that want does not know.
func (h *held) verify(ctx context.Context, want []state) error {
	if h.versioned {
		if err := h.verifyVersions(ctx, want); err != nil {
			return err
		}
		for i := range want {
			if err := h.read(ctx, &want[i], want[i].id); err != nil {
				return err
			}
		}
	}
	current := &state{marker: true} // which reads like nothing
	if len(want) > 0 {
		current = &want[len(want)-1]
	}
	return h.read(ctx, current, "")
}

// read compares one version with s, the current one for "".
func (h *held) read(ctx context.Context, s *state, id string) error {
	if s.marker && id != "" {
		return nil // it is in the list of versions
	}
	in := &s3.GetObjectInput{Bucket: &h.bucket, Key: &h.key}
	if id != "" {
		in.VersionId = &id
	}
	out, err := h.c.GetObject(ctx, in)
	if s.marker && statusOf(err) == http.StatusNotFound {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s/%s version %q: %w", h.bucket, h.key, id, err)
	}
	defer out.Body.Close()
	if s.marker {
		return fmt.Errorf("%s/%s is there, and should be gone", h.bucket, h.key)
	}
	b, err := io.ReadAll(out.Body)
	if err != nil || !bytes.Equal(b, s.bytes()) {
		return fmt.Errorf("%s/%s version %q: %d bytes are not the %d written (%v)", h.bucket, h.key, id, len(b), len(s.bytes()), err) //nolint:errorlint // it may be nil
	}
	if e := strings.Trim(aws.ToString(out.ETag), `"`); e != s.etag() {
		return fmt.Errorf("%s/%s version %q: ETag %s, not %s", h.bucket, h.key, id, e, s.etag())
	}
	return nil
}

// verifyVersions compares the list of versions with want.
func (h *held) verifyVersions(ctx context.Context, want []state) error {
	out, err := h.c.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: &h.bucket, Prefix: &h.key})
	if err != nil {
		return err
	}
	have := map[string]bool{} // whether it is a marker
	latest := ""
	note := func(key, id *string, newest *bool, marker bool) {
		if *key != h.key {
			return
		}
		have[*id] = marker
		if aws.ToBool(newest) {
			latest = *id
		}
	}
	for _, v := range out.Versions {
		note(v.Key, v.VersionId, v.IsLatest, false)
	}
	for _, m := range out.DeleteMarkers {
		note(m.Key, m.VersionId, m.IsLatest, true)
	}
	if len(have) != len(want) {
		return fmt.Errorf("%s/%s has %d versions, not %d: %v", h.bucket, h.key, len(have), len(want), have)
	}
	rest := maps.Clone(have)
	for i := range want {
		delete(rest, want[i].id)
	}
	for i := range want {
		s := &want[i]
		if s.id == "" && len(rest) == 1 {
			s.id = slices.Collect(maps.Keys(rest))[0]
		}
		if marker, ok := have[s.id]; !ok || marker != s.marker {
			return fmt.Errorf("%s/%s: version %q (delete marker: %v) is not among %v", h.bucket, h.key, s.id, s.marker, have)
		}
	}
	if n := len(want); n > 0 && want[n-1].id != latest {
		return fmt.Errorf("%s/%s: the newest version is %q, not %q", h.bucket, h.key, latest, want[n-1].id)
	}
	return nil
}

// upload is one multipart upload and what was acknowledged of it.
type upload struct {
	h     *held
	id    string
	parts map[int]content
	over  bool // completed or aborted

	// The request that was interrupted.
	creating bool
	number   int // of the part; 0 = none
	part     content
	aborting bool
}

// create begins the upload.
func (u *upload) create(ctx context.Context) error {
	out, err := u.h.c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &u.h.bucket, Key: &u.h.key})
	if u.creating = err != nil; err != nil {
		return err
	}
	u.id, u.parts = *out.UploadId, map[int]content{}
	return nil
}

// put sends a part with do, which returns its ETag.
func (u *upload) put(number int, c content, do func() (etag *string, err error)) error {
	etag, err := do()
	if err != nil {
		u.number, u.part = number, c
		return err
	}
	if got := strings.Trim(aws.ToString(etag), `"`); got != c.etag() {
		return fmt.Errorf("part %d has ETag %s, not %s", number, got, c.etag())
	}
	u.parts[number] = c
	return nil
}

func (u *upload) send(ctx context.Context, number int, c content) error {
	return u.put(number, c, func() (*string, error) {
		out, err := u.h.c.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: &u.h.bucket, Key: &u.h.key, UploadId: &u.id, PartNumber: aws.Int32(int32(number)), Body: bytes.NewReader(c.bytes()), //nolint:gosec // small
		})
		if err != nil {
			return nil, err
		}
		return out.ETag, nil
	})
}

func (u *upload) copyFrom(ctx context.Context, number int, from *held) error {
	c := slices.Concat(from.states[0].parts...)
	return u.put(number, c, func() (*string, error) {
		out, err := u.h.c.UploadPartCopy(ctx, &s3.UploadPartCopyInput{
			Bucket: &u.h.bucket, Key: &u.h.key, UploadId: &u.id, PartNumber: aws.Int32(int32(number)), CopySource: aws.String(from.bucket + "/" + from.key), //nolint:gosec // small
		})
		if err != nil {
			return nil, err
		}
		return out.CopyPartResult.ETag, nil
	})
}

// request is Complete of all parts.
func (u *upload) request(ctx context.Context) (etag, version string, err error) {
	var parts []types.CompletedPart
	for _, n := range slices.Sorted(maps.Keys(u.parts)) {
		parts = append(parts, types.CompletedPart{PartNumber: aws.Int32(int32(n)), ETag: aws.String(u.parts[n].etag())}) //nolint:gosec // small
	}
	out, err := u.h.c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &u.h.bucket, Key: &u.h.key, UploadId: &u.id, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	if err != nil {
		return "", "", err
	}
	return strings.Trim(aws.ToString(out.ETag), `"`), aws.ToString(out.VersionId), nil
}

func (u *upload) complete(ctx context.Context) error {
	s := state{multi: true}
	for _, n := range slices.Sorted(maps.Keys(u.parts)) {
		s.parts = append(s.parts, u.parts[n])
	}
	err := u.h.change(ctx, u.h.with(s), func(ctx context.Context) (string, error) {
		_, version, err := u.request(ctx)
		return version, err
	})
	u.over = err == nil
	return err
}

// again repeats Complete, which must be answered alike.
func (u *upload) again(ctx context.Context) error {
	etag, version, err := u.request(ctx)
	if err != nil {
		return err
	}
	if s := u.h.states[len(u.h.states)-1]; etag != s.etag() || version != s.id {
		return fmt.Errorf("a repeated Complete says ETag %s, version %q, not %s, %q", etag, version, s.etag(), s.id)
	}
	return nil
}

func (u *upload) abort(ctx context.Context) error {
	if u.over {
		return nil
	}
	_, err := u.h.c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &u.h.bucket, Key: &u.h.key, UploadId: &u.id})
	u.over, u.aborting = err == nil, err != nil
	return err
}

// settle compares the upload with what was acknowledged of it; the key is settled already.
func (u *upload) settle(ctx context.Context) error {
	open, err := u.listed(ctx)
	if err != nil {
		return err
	}
	if u.id == "" {
		if !u.creating {
			return nil
		}
		for _, id := range open { // it was begun without an answer, perhaps: nobody has its id
			if _, err := u.h.c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &u.h.bucket, Key: &u.h.key, UploadId: &id}); err != nil {
				return err
			}
		}
		if len(open) > 1 {
			return fmt.Errorf("one Create began uploads %q", open)
		}
		return nil
	}
	parts, err := u.list(ctx)
	gone := statusOf(err) == http.StatusNotFound
	if err != nil && !gone {
		return err
	}
	if is := slices.Contains(open, u.id); is == gone {
		return fmt.Errorf("upload %s of %s is listed: %v; its parts are not to be found: %v", u.id, u.h.key, is, gone)
	}
	if u.aborting && gone {
		u.over = true
	}
	u.aborting = false
	if ended := u.over || u.h.landed; gone != ended {
		return fmt.Errorf("upload %s of %s has ended: %v; acknowledged, or seen in the object: %v", u.id, u.h.key, gone, ended)
	}
	if gone {
		return nil
	}
	return u.compare(parts)
}

// compare finds the parts acknowledged in the list, and of the one under way its former or its new content.
func (u *upload) compare(parts map[int]string) error {
	want := map[int]string{}
	for n, c := range u.parts {
		want[n] = c.etag()
	}
	if n := u.number; n > 0 && parts[n] != want[n] && parts[n] == u.part.etag() {
		want[n] = u.part.etag()
	}
	u.number = 0
	if !maps.Equal(parts, want) {
		return fmt.Errorf("upload %s of %s: parts %v, not %v", u.id, u.h.key, parts, want)
	}
	return nil
}

// list returns the ETags of the parts in the cluster.
func (u *upload) list(ctx context.Context) (map[int]string, error) {
	out, err := u.h.c.ListParts(ctx, &s3.ListPartsInput{Bucket: &u.h.bucket, Key: &u.h.key, UploadId: &u.id})
	if err != nil {
		return nil, err
	}
	parts := map[int]string{}
	for _, p := range out.Parts {
		parts[int(*p.PartNumber)] = strings.Trim(*p.ETag, `"`)
	}
	return parts, nil
}

// listed returns the ids of the key's uploads under way.
func (u *upload) listed(ctx context.Context) (ids []string, err error) {
	out, err := u.h.c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &u.h.bucket, Prefix: &u.h.key})
	if err != nil {
		return nil, err
	}
	for _, x := range out.Uploads {
		if *x.Key == u.h.key {
			ids = append(ids, *x.UploadId)
		}
	}
	return ids, nil
}
