package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"aistore/cksum"
	"aistore/errs"
	"aistore/object"
)

// What the crash test does with multipart uploads and versions. Uploads go to the names that porcupine judges; of the uploads
// themselves, and of versions, which are never overwritten, it is enough to look at each alone.

// crashPart is a part that was sent.
type crashPart struct {
	number int
	etag   string
	ret    int64
}

// crashUpload is an upload and what was done to it, as times of the clock; 0 = not.
type crashUpload struct {
	name            object.Name
	id              string
	begun           int64 // CreateUpload had returned
	endCall, endRet int64 // of CompleteUpload or AbortUpload
	complete        []CompletePart
	etag            string // of the whole
	parts           []crashPart
	partCalls       int64 // the last PutPart began
}

// crashVersion is a version that was written to the bucket with versions.
type crashVersion struct {
	key             string
	id              string // once it is known
	content         string // "" = a delete marker
	call, ret       int64
	delCall, delRet int64
}

const versionedBucket = 2

// crashSources are what is copied: a blob, and an object in parts.
var crashSources = [2]string{"src", "multisrc"}

// multipartSource makes the second of crashSources.
func (w *workload) multipartSource(t *testing.T) {
	n := object.Name{Bucket: 1, Key: crashSources[1]}
	id := createUpload(t, w.s, n)
	var named []CompletePart
	var whole []byte
	for i := range 4 {
		data := bytes.Repeat([]byte{byte(i)}, 5000)
		whole = append(whole, data...)
		named = append(named, CompletePart{Number: i + 1, ETag: putPart(t, w.s, n, id, i+1, data).ETag})
	}
	info, err := w.s.CompleteUpload(t.Context(), n, id, named, CompleteOptions{PutOptions: PutOptions{Epoch: 1}})
	must(t, err)
	w.datas[n.Key], w.ids[info.ETag] = whole, n.Key
}

// upload makes one upload of 1 to 4 parts, some of them sent twice, and completes it, aborts it or leaves it.
func (w *workload) upload(t *testing.T, rng *rand.Rand, n object.Name) {
	u, err := w.s.CreateUpload(t.Context(), n, UploadOptions{})
	if err != nil {
		t.Errorf("create upload: %v", err)
		return
	}
	cu := &crashUpload{name: n, id: u.ID, begun: w.clock.Add(1)}
	w.mu.Lock()
	w.uploads = append(w.uploads, cu)
	w.mu.Unlock()
	var whole []byte
	var sums []byte
	var wg sync.WaitGroup
	for i := range 1 + rng.IntN(4) {
		datas := make([][]byte, 1+rng.IntN(5)/4)
		for j := range datas {
			datas[j] = make([]byte, rng.IntN(9000))
			for k := range datas[j] {
				datas[j][k] = byte(rng.Uint32())
			}
		}
		last := datas[len(datas)-1]
		sum := cksum.Of(cksum.MD5, last)
		if rng.IntN(5) > 0 {
			whole, sums = append(whole, last...), append(sums, sum.Raw()...)
			cu.complete = append(cu.complete, CompletePart{Number: i + 1, ETag: sum.Value})
		}
		wg.Go(func() {
			for _, data := range datas {
				w.mu.Lock()
				cu.partCalls = w.clock.Add(1)
				w.mu.Unlock()
				p, err := w.s.PutPart(t.Context(), n, u.ID, i+1, bytes.NewReader(data), PartOptions{Size: int64(len(data))})
				if err != nil {
					t.Errorf("part: %v", err)
				}
				w.mu.Lock()
				cu.parts = append(cu.parts, crashPart{i + 1, p.ETag, w.clock.Add(1)})
				w.mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(cu.complete) == 0 || rng.IntN(6) == 0 {
		if rng.IntN(2) == 0 {
			return // left under way
		}
		w.mu.Lock()
		cu.endCall, cu.complete = w.clock.Add(1), nil
		w.mu.Unlock()
		if err := w.s.AbortUpload(t.Context(), n, u.ID, AbortOptions{}); err != nil {
			t.Errorf("abort: %v", err)
		}
		w.mu.Lock()
		cu.endRet = w.clock.Add(1)
		w.mu.Unlock()
		return
	}
	etag := fmt.Sprintf("%s-%d", cksum.Of(cksum.MD5, sums).Value, len(cu.complete))
	id := fmt.Sprintf("u%d", w.clock.Add(1))
	w.mu.Lock()
	if have := w.ids[etag]; have == "" { // of two empty parts there is but one
		w.datas[id], w.ids[etag] = whole, id
	} else {
		id = have
	}
	cu.etag = etag
	w.mu.Unlock()
	st := w.begin(n.Key, 'p', id)
	w.mu.Lock()
	cu.endCall = st.call
	w.mu.Unlock()
	info, err := w.s.CompleteUpload(t.Context(), n, u.ID, cu.complete, CompleteOptions{PutOptions: PutOptions{Epoch: 1}})
	if err != nil || info.ETag != etag {
		t.Errorf("complete: %+v %v", info, err)
	}
	w.end(st, "")
	w.mu.Lock()
	cu.endRet = w.clock.Add(1)
	w.mu.Unlock()
}

// versioned writes a version, a delete marker, a copy, or removes a version.
func (w *workload) versioned(t *testing.T, rng *rand.Rand) {
	key := "v" + strconv.Itoa(rng.IntN(3))
	n := object.Name{Bucket: versionedBucket, Key: key}
	o := PutOptions{Epoch: 1, Checksum: cksum.XXHash, Versioning: Versioned, Size: -1}
	var done *crashVersion
	switch rng.IntN(8) {
	case 0, 1, 2, 3:
		id, data := w.content(rng, rng.IntN(2)*crashInline+rng.IntN(6000))
		done = w.beginVersion(key, id)
		info, err := w.s.PutStream(t.Context(), n, bytes.NewReader(data), o)
		w.endVersion(t, done, info.VersionID, err)
	case 4:
		done = w.beginVersion(key, "")
		was, err := w.s.Delete(t.Context(), n, DeleteOptions{Epoch: 1, Versioning: Versioned})
		w.endVersion(t, done, was.VersionID, err)
	case 5:
		src := crashSources[rng.IntN(2)]
		done = w.beginVersion(key, src)
		o.Checksum = 0
		info, err := w.s.Copy(t.Context(), object.Name{Bucket: 1, Key: src}, "", n, o)
		w.endVersion(t, done, info.VersionID, err)
	default:
		v := w.someVersion(rng, key)
		if v == nil {
			return
		}
		_, err := w.s.Delete(t.Context(), n, DeleteOptions{Epoch: 1, Versioning: Versioned, VersionID: v.id})
		if err != nil {
			t.Errorf("delete of version %s: %v", v.id, err)
		}
		w.mu.Lock()
		v.delRet = w.clock.Add(1)
		w.mu.Unlock()
	}
}

func (w *workload) beginVersion(key, content string) *crashVersion {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := &crashVersion{key: key, content: content, call: w.clock.Add(1)}
	w.versions = append(w.versions, v)
	return v
}

func (w *workload) endVersion(t *testing.T, v *crashVersion, id string, err error) {
	if err != nil || id == "" {
		t.Errorf("version of %s: %q %v", v.key, id, err)
	}
	w.mu.Lock()
	v.id, v.ret = id, w.clock.Add(1)
	w.mu.Unlock()
}

// someVersion chooses a version that is there, for its removal.
func (w *workload) someVersion(rng *rand.Rand, key string) *crashVersion {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, i := range rng.Perm(len(w.versions)) {
		if v := w.versions[i]; v.key == key && v.id != "" && v.delCall == 0 {
			v.delCall = w.clock.Add(1)
			return v
		}
	}
	return nil
}

// tidy does what Run does when the store starts.
func (w *workload) tidy(t *testing.T, s *Store) {
	t.Helper()
	must(t, s.cleanUploads(t.Context()))
	for _, v := range s.volumes() {
		must(t, s.finishGone(v))
		must(t, second(v.sweepBlobs(t.Context())))
	}
}

// explainVersions checks that versions acknowledged and not removed are there, that removed ones are not, and that the current
// one is the newest.
func (w *workload) explainVersions(t *testing.T, c crash, s *Store) {
	t.Helper()
	found := map[string]string{} // key and id -> content
	top := map[string]string{}
	must(t, s.ListVersions(t.Context(), VersionQuery{Bucket: versionedBucket}, func(i *object.Info) bool {
		n := object.Name{Bucket: versionedBucket, Key: i.Key}
		content := ""
		if !i.DeleteMarker {
			o, err := s.OpenVersion(n, i.VersionID)
			if err != nil {
				t.Errorf("crash at sync of %s: version listed, but %v", c.file, err)
				return true
			}
			content = w.verify(t, o)
			o.Close()
		}
		found[i.Key+" "+i.VersionID] = content
		if i.Latest {
			top[i.Key] = content
		}
		return true
	}))
	for key, content := range top {
		o, err := s.Open(object.Name{Bucket: versionedBucket, Key: key})
		switch {
		case err == nil:
			if got := w.verify(t, o); got != content {
				t.Errorf("crash at sync of %s: %s is %q, the newest version %q", c.file, key, got, content)
			}
			o.Close()
		case content != "" || !errs.Is(err, errs.NotFound):
			t.Errorf("crash at sync of %s: %s: %v, the newest version is %q", c.file, key, err, content)
		}
	}
	for _, v := range w.versions {
		if v.id == "" {
			continue
		}
		at := v.key + " " + v.id
		content, there := found[at]
		delete(found, at)
		removed := v.delRet != 0 && v.delRet < c.before
		mayBeRemoved := v.delCall != 0 && v.delCall < c.after
		written := v.ret < c.before
		mayBeWritten := v.call < c.after
		if there && (removed || !mayBeWritten || content != v.content) || !there && written && !mayBeRemoved {
			t.Errorf("crash at sync of %s: version %+v: there %v as %q; the crash was at %d to %d", c.file, *v, there, content, c.before, c.after)
		}
	}
	for at := range found {
		t.Errorf("crash at sync of %s: version %s was never written", c.file, at)
	}
}

// explainUploads checks that uploads under way are whole, that those aborted are gone, and that completing again works.
func (w *workload) explainUploads(t *testing.T, c crash, s *Store) {
	t.Helper()
	for _, u := range w.uploads {
		if u.begun >= c.before {
			continue
		}
		_, err := s.Upload(u.name, u.id)
		switch {
		case u.endCall == 0 || u.endCall >= c.after:
			if err != nil {
				t.Errorf("crash at sync of %s: upload under way: %v", c.file, err)
				continue
			}
			w.explainParts(t, c, s, u)
		case u.endRet != 0 && u.endRet < c.before && !errs.Is(err, errs.NotFound):
			t.Errorf("crash at sync of %s: upload ended: %v", c.file, err)
		case u.complete == nil:
		case errs.Is(err, errs.NotFound) || u.endRet != 0 && u.endRet < c.before:
			info, err := s.CompleteUpload(t.Context(), u.name, u.id, u.complete, CompleteOptions{})
			if err != nil || info.ETag != u.etag {
				t.Errorf("crash at sync of %s: completed once more: %+v %v", c.file, info, err)
			}
		}
	}
}

func (w *workload) explainParts(t *testing.T, c crash, s *Store, u *crashUpload) {
	t.Helper()
	infos, _, err := s.ListParts(t.Context(), u.name, u.id, 0, 0)
	if err != nil {
		t.Error(err)
		return
	}
	found := map[int]string{}
	for _, p := range infos {
		found[p.Number] = p.ETag
	}
	acked := map[int]bool{}
	may := map[int]map[string]bool{}
	for _, p := range u.parts { // in the order they were sent, by number
		if may[p.number] == nil {
			may[p.number] = map[string]bool{"": true}
		}
		if p.ret < c.before {
			acked[p.number], may[p.number] = true, map[string]bool{}
		}
		may[p.number][p.etag] = true
	}
	for number, etags := range may {
		if !etags[found[number]] {
			t.Errorf("crash at sync of %s: part %d of %s is %q, may be %v", c.file, number, u.id, found[number], etags)
		}
	}
}

// removeAll removes all that there is after a crash; nothing may be left then.
func (w *workload) removeAll(t *testing.T, c crash, paths []string) {
	t.Helper()
	s, err := Open(t.Context(), crashConfig(c.mem, paths))
	if err != nil {
		t.Error(err)
		return
	}
	for _, bucket := range []uint64{1, versionedBucket} {
		var all []object.Info
		must(t, s.ListVersions(t.Context(), VersionQuery{Bucket: bucket}, func(i *object.Info) bool { all = append(all, *i); return true }))
		for i := range all {
			n := object.Name{Bucket: bucket, Key: all[i].Key}
			if _, err := s.Delete(t.Context(), n, DeleteOptions{VersionID: all[i].VersionID}); err != nil {
				t.Errorf("removal of %v %s: %v", n, all[i].VersionID, err)
			}
		}
	}
	must(t, second(s.SweepUploads(t.Context(), time.Now().Add(time.Hour))))
	must(t, second(s.SweepUploads(t.Context(), time.Now().Add(time.Hour))))
	w.tidy(t, s)
	for _, bucket := range []uint64{1, versionedBucket} {
		nothingLeft(t, s, bucket)
	}
	if t.Failed() {
		t.Logf("the crash was at a sync of %s", c.file)
	}
	must(t, s.Close())
}
