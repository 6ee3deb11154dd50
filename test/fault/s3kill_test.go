package fault

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"aistore/deploy/local"
	"aistore/internal/failpoint"
	"aistore/test/procs"
	"aistore/test/value"
)

// TestKillAtS3Failpoints kills a target at every point between two durable steps of multipart uploads, copies and versions, in the
// middle of the requests that pass it, and starts it again. Each request that was interrupted is then made once more and the work
// it belongs to is finished.
func TestKillAtS3Failpoints(t *testing.T) {
	points, err := failpoint.Scan(os.DirFS("../.."))
	must(t, err)
	var names []string
	for _, p := range points {
		for _, prefix := range []string{"part.", "parts.", "complete.", "copy.", "upload.", "version."} {
			if strings.HasPrefix(p.Name, prefix) {
				names = append(names, p.Name)
			}
		}
	}
	if len(names) == 0 {
		t.Fatal("the source has no failpoints in the paths of uploads, copies and versions")
	}
	names = asked(t, names, itself)
	ctx := context.Background()
	c := procs.Start(t, local.Options{Gateways: 1, Targets: 2, Mountpaths: 2, Binary: procs.Node(t, "failpoints")})
	k := newS3Killer(t, c, procs.Seed(t))
	visited := map[string]int{}
	for _, point := range names {
		first, works := 0, len(k.works())
		if !long() { // other work each run
			first = k.rnd.IntN(works)
		}
		for i := first; i < first+works; i++ {
			if k.kill(ctx, point, i%works) {
				visited[point]++
				if !long() {
					break
				}
			}
		}
		if visited[point] == 0 {
			t.Errorf("failpoint %s was never reached: no request of this test passes it", point)
		}
	}
	must(t, c.Restart(ctx, victim))
	k.audit(ctx)
	t.Logf("%d points, deaths by point: %v", len(names), visited)
	k.removeAll(ctx)
}

// s3Killer makes single S3 requests for keys of the victim.
type s3Killer struct {
	*killer
	s3      *s3.Client
	armed   string // what the victim was started with
	own     *held  // an object in parts of the victim
	other   *held  // and one of another target
	held    []*held
	uploads []*upload
}

const (
	plainBucket = "plain"
	versions    = "versions"
	partSize    = 5 << 20 // the least that S3 allows but for the last
)

func newS3Killer(t *testing.T, c *procs.Cluster, seed uint64) *s3Killer {
	t.Helper()
	ctx := context.Background()
	n, err := c.Node(victim)
	must(t, err)
	gw := c.Client("g1")
	k := &s3Killer{
		killer: &killer{t: t, c: c, gw: gw, url: n.URL(), rnd: rand.New(rand.NewPCG(seed, 7)), values: seed << 32},
		s3:     newS3(gw.Endpoint()),
	}
	for _, b := range []string{plainBucket, versions} {
		_, err := k.s3.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &b})
		must(t, err)
	}
	_, err = k.s3.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
		Bucket: aws.String(versions), VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	})
	must(t, err)
	t2, err := c.Node("t2")
	must(t, err)
	k.own = k.hold(plainBucket, "source")
	k.other = k.holdAt(t2.URL(), plainBucket, "source")
	for _, h := range []*held{k.own, k.other} {
		must(t, (&work{k: k, steps: k.multi(h, k.begin(h))}).run(ctx))
	}
	return k
}

func (k *s3Killer) hold(bucket, prefix string) *held { return k.holdAt(k.url, bucket, prefix) }

// holdAt returns a key that the node at url owns.
func (k *s3Killer) holdAt(url, bucket, prefix string) *held {
	h := &held{c: k.s3, bucket: bucket, key: ownedBy(k.t, k.gw, url, bucket, prefix, 1)[0], versioned: bucket == versions}
	k.held = append(k.held, h)
	return h
}

func (k *s3Killer) begin(h *held) *upload {
	u := &upload{h: h}
	k.uploads = append(k.uploads, u)
	return u
}

func (k *s3Killer) value(size int64) content {
	k.values++
	return content{value.Value{ID: k.values, Size: size}}
}

// work is a sequence of requests. Each can be repeated when it was interrupted, after all keys and uploads were settled.
type work struct {
	k     *s3Killer
	steps []step
	next  int
}

type step func(context.Context) error

// run makes the requests that are left, up to one that fails.
func (w *work) run(ctx context.Context) error {
	for ; w.next < len(w.steps); w.next++ {
		rctx, cancel := context.WithTimeout(ctx, procs.Patience)
		err := w.steps[w.next](rctx)
		cancel()
		if err != nil {
			return fmt.Errorf("step %d of %d: %w", w.next+1, len(w.steps), err)
		}
	}
	return nil
}

// works are the sequences that may meet a failpoint.
func (k *s3Killer) works() []func(name string) []step {
	return []func(string) []step{
		k.uploadTwice, k.uploadOver, k.partCopies, k.aborted, k.left, k.copies, k.copiesBetween, k.overwriteVersions, k.deleteVersions, k.deleteParts,
	}
}

// multi uploads two parts, the second twice, and completes twice.
func (k *s3Killer) multi(h *held, u *upload) []step {
	first, former, last := k.value(partSize), k.value(large), k.value(large)
	return []step{
		u.create,
		func(ctx context.Context) error { return u.send(ctx, 1, first) },
		func(ctx context.Context) error { return u.send(ctx, 2, former) },
		func(ctx context.Context) error { return u.send(ctx, 2, last) },
		u.settle, u.complete, u.again,
		func(ctx context.Context) error { return h.verify(ctx, h.states) },
	}
}

func (k *s3Killer) put(h *held, c content) step {
	return func(ctx context.Context) error {
		return h.change(ctx, h.with(state{parts: []content{c}}), func(ctx context.Context) (string, error) {
			out, err := k.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: &h.bucket, Key: &h.key, Body: bytes.NewReader(c.bytes())})
			if err != nil {
				return "", err
			}
			return aws.ToString(out.VersionId), nil
		})
	}
}

// remove deletes an object, or puts a delete marker.
func (k *s3Killer) remove(h *held) step {
	return func(ctx context.Context) error {
		var next []state
		if h.versioned {
			next = h.with(state{marker: true})
		}
		return h.change(ctx, next, func(ctx context.Context) (string, error) {
			out, err := k.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &h.bucket, Key: &h.key})
			if err != nil {
				return "", err
			}
			return aws.ToString(out.VersionId), nil
		})
	}
}

// removeVersion deletes the i-th version, counted from the end below zero.
func (k *s3Killer) removeVersion(h *held, i int) step {
	return func(ctx context.Context) error {
		var id string
		var next []state
		if !h.landed {
			at := (i + len(h.states)) % len(h.states)
			id, next = h.states[at].id, slices.Delete(slices.Clone(h.states), at, at+1)
		}
		return h.change(ctx, next, func(ctx context.Context) (string, error) {
			_, err := k.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &h.bucket, Key: &h.key, VersionId: &id})
			return "", err
		})
	}
}

func (k *s3Killer) copy(from, to *held) step {
	return func(ctx context.Context) error {
		return to.change(ctx, to.with(state{parts: from.states[0].parts, multi: from.states[0].multi}), func(ctx context.Context) (string, error) {
			out, err := k.s3.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &to.bucket, Key: &to.key, CopySource: aws.String(from.bucket + "/" + from.key)})
			if err != nil {
				return "", err
			}
			return aws.ToString(out.VersionId), nil
		})
	}
}

func (k *s3Killer) uploadTwice(name string) []step {
	h := k.hold(plainBucket, name)
	return k.multi(h, k.begin(h))
}

// uploadOver replaces an object in parts by another.
func (k *s3Killer) uploadOver(name string) []step {
	h := k.hold(plainBucket, name)
	return append(k.multi(h, k.begin(h)), k.multi(h, k.begin(h))...)
}

// partCopies makes an object of the victim's and another target's.
func (k *s3Killer) partCopies(name string) []step {
	h := k.hold(plainBucket, name)
	u := k.begin(h)
	return []step{
		u.create,
		func(ctx context.Context) error { return u.copyFrom(ctx, 1, k.other) },
		func(ctx context.Context) error { return u.copyFrom(ctx, 2, k.own) },
		u.complete, u.again,
	}
}

func (k *s3Killer) aborted(name string) []step {
	h := k.hold(plainBucket, name)
	u, c := k.begin(h), k.value(small)
	steps := append([]step{k.put(h, c)}, k.multi(h, u)[:5]...)
	return append(steps, u.abort, u.settle)
}

// left leaves an upload under way until all is over.
func (k *s3Killer) left(name string) []step {
	h := k.hold(plainBucket, name)
	return k.multi(h, k.begin(h))[:5]
}

// copies copies within the victim, and over a copy.
func (k *s3Killer) copies(name string) []step {
	h := k.hold(plainBucket, name)
	return []step{k.copy(k.own, h), k.copy(k.own, h), k.copy(k.own, k.hold(versions, name))}
}

// copiesBetween copies from another target, over a copy of its own, and to the other.
func (k *s3Killer) copiesBetween(name string) []step {
	h := k.hold(plainBucket, name)
	t2, err := k.c.Node("t2")
	must(k.t, err)
	return []step{k.copy(k.own, h), k.copy(k.other, h), k.copy(k.own, k.holdAt(t2.URL(), plainBucket, name))}
}

// overwriteVersions puts versions and a delete marker on top of each other.
func (k *s3Killer) overwriteVersions(name string) []step {
	h := k.hold(versions, name)
	steps := append([]step{k.put(h, k.value(small))}, k.multi(h, k.begin(h))...)
	return append(steps, k.put(h, k.value(large)), k.remove(h), k.put(h, k.value(small)))
}

// deleteVersions takes versions and a marker away, below and on top.
func (k *s3Killer) deleteVersions(name string) []step {
	h := k.hold(versions, name)
	steps := append([]step{k.put(h, k.value(large))}, k.multi(h, k.begin(h))...)
	return append(steps, k.put(h, k.value(small)), k.remove(h), k.removeVersion(h, 1), k.removeVersion(h, -1), k.removeVersion(h, 0))
}

// deleteParts deletes an object in parts, and a copy that shares them.
func (k *s3Killer) deleteParts(name string) []step {
	h, further := k.hold(plainBucket, name), k.hold(plainBucket, name+"-copy")
	return append(k.multi(h, k.begin(h)), k.copy(h, further), k.remove(further), k.remove(h))
}

// kill starts the victim with point armed and does the work numbered i; if the victim dies of it, it is started again, everything
// is compared with what was acknowledged, and the work is finished. It reports whether the victim died.
func (k *s3Killer) kill(ctx context.Context, point string, i int) bool {
	k.t.Helper()
	if k.armed != point {
		must(k.t, k.c.Restart(ctx, victim, "AIS_FAILPOINTS="+point+"=kill"))
		k.armed = point
	}
	k.round++
	held, uploads := len(k.held), len(k.uploads)
	w := &work{k: k, steps: k.works()[i](fmt.Sprintf("r%d-%d", k.round, i))}
	err := w.run(ctx)
	if !k.died(ctx, false) {
		if err != nil {
			k.t.Errorf("%s armed, work %d: %v", point, i, err)
		}
		return false
	}
	must(k.t, k.c.Start(ctx, victim))
	k.armed = ""
	k.settle(ctx, k.held[held:], k.uploads[uploads:])
	if e := w.run(ctx); e != nil {
		k.t.Errorf("killed at %s, work %d (%v): not finished afterwards: %v", point, i, err, e)
	}
	k.settle(ctx, k.held[held:], k.uploads[uploads:])
	return true
}

// settle compares keys and uploads with what was acknowledged.
func (k *s3Killer) settle(ctx context.Context, hs []*held, us []*upload) {
	k.t.Helper()
	for _, h := range hs {
		if err := h.settle(ctx); err != nil {
			k.t.Errorf("round %d: %v", k.round, err)
		}
	}
	for _, u := range us {
		if err := u.settle(ctx); err != nil {
			k.t.Errorf("round %d: %v", k.round, err)
		}
	}
}

// audit looks at everything once more, and for what nobody wrote.
func (k *s3Killer) audit(ctx context.Context) {
	k.settle(ctx, k.held, k.uploads)
	known := map[string]int{}
	for _, h := range k.held {
		known[h.bucket+"/"+h.key] += len(h.states)
	}
	for key, n := range k.list(ctx) {
		if known[key] != n {
			k.t.Errorf("%s is listed %d times, not %d", key, n, known[key])
		}
		delete(known, key)
	}
	for key, n := range known {
		if n > 0 {
			k.t.Errorf("%s is not listed", key)
		}
	}
	k.t.Logf("%d keys and %d uploads are as acknowledged", len(k.held), len(k.uploads))
}

// list counts the versions of every key.
func (k *s3Killer) list(ctx context.Context) map[string]int {
	counts := map[string]int{}
	for _, b := range []string{plainBucket, versions} {
		pages := s3.NewListObjectVersionsPaginator(k.s3, &s3.ListObjectVersionsInput{Bucket: &b})
		for pages.HasMorePages() {
			p, err := pages.NextPage(ctx)
			must(k.t, err)
			for _, v := range p.Versions {
				counts[b+"/"+*v.Key]++
			}
			for _, m := range p.DeleteMarkers {
				counts[b+"/"+*m.Key]++
			}
		}
	}
	return counts
}

// removeAll ends uploads, deletes versions, waits until the mountpaths hold nothing, and deletes the buckets.
func (k *s3Killer) removeAll(ctx context.Context) {
	for _, u := range k.uploads {
		must(k.t, u.abort(ctx))
	}
	for _, h := range k.held {
		for _, s := range h.states {
			in := &s3.DeleteObjectInput{Bucket: &h.bucket, Key: &h.key}
			if h.versioned {
				in.VersionId = aws.String(s.id)
			}
			_, err := k.s3.DeleteObject(ctx, in)
			must(k.t, err)
		}
	}
	for _, n := range k.c.Nodes() { // a start begins with a sweep
		if n.Role == local.RoleTarget {
			must(k.t, k.c.Restart(ctx, n.ID))
		}
	}
	procs.Eventually(k.t, procs.Patience, func(context.Context) error {
		work, blobs := 0, 0
		for _, n := range k.c.Nodes() {
			for _, mp := range n.Mountpaths {
				work += workFiles(k.t, mp)
				blobs += countFiles(k.t, filepath.Join(mp, "blobs"))
			}
		}
		if work+blobs != 0 {
			return fmt.Errorf("%d work files and %d blobs are left of nothing", work, blobs)
		}
		return nil
	})
	for _, b := range []string{plainBucket, versions} {
		_, err := k.s3.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &b})
		must(k.t, err)
		if _, err := k.s3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &b}); statusOf(err) != http.StatusNotFound {
			k.t.Errorf("bucket %s was deleted: %v", b, err)
		}
	}
	k.t.Log("nothing is left")
}
