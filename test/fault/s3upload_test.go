package fault

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aistore/deploy/local"
	"aistore/test/procs"
	"aistore/test/value"
)

// TestPartAcrossRestart restarts the owner in the middle of a part: the part is sent again and the upload completes.
func TestPartAcrossRestart(t *testing.T) {
	ctx := context.Background()
	c := procs.Start(t, local.Options{Gateways: 1, Targets: 2, Mountpaths: 2})
	k := newS3Killer(t, c, procs.Seed(t))
	restarts := map[string]func() error{"killed": func() error { return errors.Join(c.Kill(ctx, victim), c.Start(ctx, victim)) }}
	if long() { // draining waits for the part as long as it may
		restarts["drained"] = func() error { return c.Restart(ctx, victim) }
	}
	for name, restart := range restarts {
		h := k.hold(plainBucket, name)
		u := k.begin(h)
		first, second := k.value(partSize), k.value(partSize)
		must(t, u.create(ctx))
		must(t, u.send(ctx, 1, first))
		status := make(chan int, 1)
		body, half := io.Pipe()
		go func() { status <- u.stream(ctx, 2, partSize, body) }()
		_, err := half.Write(second.bytes()[:partSize/2]) // all of it was taken when Write returns
		must(t, err)
		must(t, restart())
		_ = half.CloseWithError(errors.New("the client gives up"))
		if got := <-status; got == http.StatusOK {
			t.Fatalf("%s: half a part was acknowledged", name)
		}
		u.number, u.part = 2, second
		must(t, u.settle(ctx))
		if len(u.parts) != 1 {
			t.Fatalf("%s: parts %v", name, u.parts)
		}
		for _, s := range []step{func(ctx context.Context) error { return u.send(ctx, 2, second) }, u.complete, u.again} {
			must(t, s(ctx))
		}
	}
	k.audit(ctx)
	k.removeAll(ctx)
}

// presigned returns the URL of a part for the node at endpoint.
func (u *upload) presigned(ctx context.Context, endpoint string, number int) (string, error) {
	p, err := s3.NewPresignClient(newS3(endpoint)).PresignUploadPart(ctx, &s3.UploadPartInput{
		Bucket: &u.h.bucket, Key: &u.h.key, UploadId: &u.id, PartNumber: aws.Int32(int32(number)), //nolint:gosec // small
	})
	if err != nil {
		return "", err
	}
	return p.URL, nil
}

// stream sends a part to a URL of its own and returns the status, 0 for none.
func (u *upload) stream(ctx context.Context, number int, size int64, body io.Reader) int {
	link, err := u.presigned(ctx, *u.h.c.Options().BaseEndpoint, number)
	if err != nil {
		return 0
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, link, body)
	if err != nil {
		return 0
	}
	req.ContentLength = size
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// TestMemoryOfParallelParts sends the parts of one large object all at once through a gateway: neither it nor the owner keeps much
// of them in memory.
func TestMemoryOfParallelParts(t *testing.T) {
	const (
		parts = 16
		size  = 64 << 20
		bound = 80 << 20
	)
	ctx := context.Background()
	c := procs.Start(t, local.Options{Gateways: 1, Targets: 1, Mountpaths: 2})
	s := newS3(c.Client("g1").Endpoint())
	h := &held{c: s, bucket: plainBucket, key: "large"}
	_, err := s.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &h.bucket})
	must(t, err)
	u := &upload{h: h}
	must(t, u.create(ctx))
	must(t, u.send(ctx, parts+1, content{value.Value{ID: 1, Size: small}})) // connections and caches are there
	nodes := []string{"g1", victim}
	before, most := map[string]int64{}, map[string]int64{}
	for _, id := range nodes {
		before[id] = c.RSS(id)
	}
	var sending sync.WaitGroup
	done := make(chan struct{})
	for n := 1; n <= parts; n++ {
		sending.Go(func() {
			if status := u.stream(ctx, n, size, value.Value{ID: uint64(n), Size: size}.Reader()); status != http.StatusOK { //nolint:gosec // small
				t.Errorf("part %d: %d", n, status)
			}
		})
	}
	go func() { sending.Wait(); close(done) }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for sampling := true; sampling; {
		select {
		case <-done:
			sampling = false
		case <-tick.C:
		}
		for _, id := range nodes {
			most[id] = max(most[id], c.RSS(id))
		}
	}
	for _, id := range nodes {
		grown := most[id] - before[id]
		t.Logf("%s: %d MiB resident, at most %d MiB more during %d parts of %d MiB", id, before[id]>>20, grown>>20, parts, size>>20)
		if grown > bound {
			t.Errorf("%s grew by %d MiB", id, grown>>20)
		}
	}
	list, err := u.list(ctx)
	must(t, err)
	for n := 1; n <= parts; n++ {
		if want := (content{value.Value{ID: uint64(n), Size: size}}).etag(); list[n] != want { //nolint:gosec // small
			t.Errorf("part %d has ETag %q, not %s", n, list[n], want)
		}
	}
	must(t, u.abort(ctx))
}
