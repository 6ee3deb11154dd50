package store

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"aistore/cksum"
	"aistore/errs"
	"aistore/object"
)

// modelVersion is a version as a list would hold it.
type modelVersion struct {
	id     string
	marker bool
	data   []byte
	parts  int
	tag    string
}

// model is a bucket with versions, by definition: each name has its versions, the newest first.
type model struct {
	t     *testing.T
	s     *Store
	rng   *rand.Rand
	state Versioning
	names map[string][]modelVersion
}

func (m *model) name() object.Name {
	return object.Name{Bucket: 99, Key: []string{"a", "a/b", "a/c", "old1", "old2", "old3", "old8", "z\x01"}[m.rng.IntN(8)]}
}

// add puts v on top.
func (m *model) add(key string, v modelVersion) {
	vs := m.names[key]
	switch m.state {
	case Unversioned:
		vs = nil
	case Suspended:
		vs = slices.DeleteFunc(slices.Clone(vs), func(x modelVersion) bool { return x.id == object.NullVersion })
	case Versioned:
	}
	if m.names[key] = slices.Insert(slices.Clone(vs), 0, v); m.state == Unversioned && v.marker {
		delete(m.names, key)
	}
}

func (m *model) idOf(info *object.Info) string {
	if info.VersionID == "" {
		return object.NullVersion
	}
	return info.VersionID
}

func (m *model) put() {
	n := m.name()
	data := random([]int{0, 10, 900, 1500, 20_000}[m.rng.IntN(5)])
	info, err := m.s.PutStream(m.t.Context(), n, bytes.NewReader(data), PutOptions{Versioning: m.state, Checksum: cksum.XXHash, Size: -1})
	must(m.t, err)
	if m.state == Versioned && info.VersionID != info.Version.String() || m.state == Suspended && info.VersionID != "null" || m.state == Unversioned && info.VersionID != "" {
		m.t.Fatalf("state %d gave version id %q", m.state, info.VersionID)
	}
	m.add(n.Key, modelVersion{id: m.idOf(&info), data: data})
}

func (m *model) upload() {
	n := m.name()
	u, err := m.s.CreateUpload(m.t.Context(), n, UploadOptions{})
	must(m.t, err)
	var named []CompletePart
	var data []byte
	for i := range 1 + m.rng.IntN(4) {
		part := random(m.rng.IntN(9000))
		p, err := m.s.PutPart(m.t.Context(), n, u.ID, 1+2*i, bytes.NewReader(part), PartOptions{Size: -1})
		must(m.t, err)
		if m.rng.IntN(4) == 0 {
			continue // not used
		}
		data = append(data, part...)
		named = append(named, CompletePart{Number: p.Number, ETag: p.ETag})
	}
	if len(named) == 0 {
		must(m.t, m.s.AbortUpload(m.t.Context(), n, u.ID, AbortOptions{}))
		return
	}
	info, err := m.s.CompleteUpload(m.t.Context(), n, u.ID, named, CompleteOptions{PutOptions: PutOptions{Versioning: m.state}})
	must(m.t, err)
	m.add(n.Key, modelVersion{id: m.idOf(&info), data: data, parts: len(named)})
}

func (m *model) copy() {
	from, to := m.name(), m.name()
	id, v := m.any(from.Key)
	info, err := m.s.Copy(m.t.Context(), from, id, to, PutOptions{Versioning: m.state})
	if v == nil || v.marker {
		if !errs.Is(err, errs.NotFound) {
			m.t.Fatalf("copy of nothing: %v", err)
		}
		return
	}
	must(m.t, err)
	m.add(to.Key, modelVersion{id: m.idOf(&info), data: v.data, parts: v.parts, tag: v.tag})
}

// any chooses a version id, "" at times, and what it stands for.
func (m *model) any(key string) (id string, v *modelVersion) {
	vs := m.names[key]
	switch i := m.rng.IntN(len(vs) + 2); {
	case i < len(vs):
		return vs[i].id, &vs[i]
	case i == len(vs):
		if len(vs) > 0 {
			v = &vs[0]
		}
		return "", v
	}
	if i := slices.IndexFunc(vs, func(v modelVersion) bool { return v.id == object.NullVersion }); i >= 0 {
		return object.NullVersion, &vs[i]
	}
	return []string{object.NullVersion, "1.2", "nonsense"}[m.rng.IntN(3)], nil
}

func (m *model) delete() {
	n := m.name()
	had := m.names[n.Key]
	was, err := m.s.Delete(m.t.Context(), n, DeleteOptions{Versioning: m.state})
	if m.state == Unversioned {
		if (len(had) == 0) != errs.Is(err, errs.NotFound) {
			m.t.Fatalf("delete: %v", err)
		}
		delete(m.names, n.Key)
		return
	}
	must(m.t, err)
	if !was.Marker || was.VersionID == "" {
		m.t.Fatalf("delete made no marker: %+v", was)
	}
	m.add(n.Key, modelVersion{id: was.VersionID, marker: true})
}

func (m *model) deleteVersion() {
	n := m.name()
	id, v := m.any(n.Key)
	if id == "" {
		return
	}
	was, err := m.s.Delete(m.t.Context(), n, DeleteOptions{Versioning: m.state, VersionID: id})
	if v == nil {
		if !errs.Is(err, errs.NotFound) {
			m.t.Fatalf("delete of version %q, which is not there: %v", id, err)
		}
		return
	}
	must(m.t, err)
	if was.Marker != v.marker || was.VersionID != id {
		m.t.Fatalf("delete of %s %+v: %+v", id, v, was)
	}
	m.names[n.Key] = slices.DeleteFunc(slices.Clone(m.names[n.Key]), func(x modelVersion) bool { return x.id == id })
	if len(m.names[n.Key]) == 0 {
		delete(m.names, n.Key)
	}
}

func (m *model) update() {
	n := m.name()
	id, v := m.any(n.Key)
	tag := fmt.Sprint("t", m.rng.IntN(1000))
	before, _ := m.s.StatVersion(n, id)
	info, err := m.s.Update(m.t.Context(), n, UpdateOptions{VersionID: id, InPlace: m.rng.IntN(2) == 0}, func(i *object.Info) error {
		i.Tags = map[string]string{"t": tag}
		return nil
	})
	if v == nil || v.marker {
		if !errs.Is(err, errs.NotFound) {
			m.t.Fatalf("update of nothing: %v", err)
		}
		return
	}
	must(m.t, err)
	if info.VersionID != before.VersionID || info.ETag != before.ETag {
		m.t.Fatalf("update of %+v made %+v", before, info)
	}
	v.tag = tag
}

// check compares all that can be seen with the model.
func (m *model) check() {
	m.t.Helper()
	var want, got []string
	for _, key := range sortedNames(m.names) {
		for i, v := range m.names[key] {
			want = append(want, fmt.Sprintf("%q %s %v %v %d", key, v.id, v.marker, i == 0, len(v.data)))
		}
	}
	q := VersionQuery{Bucket: 99, Limit: m.rng.IntN(4)} // in pages
	for {
		n := 0
		must(m.t, m.s.ListVersions(m.t.Context(), q, func(i *object.Info) bool {
			got = append(got, fmt.Sprintf("%q %s %v %v %d", i.Key, i.VersionID, i.DeleteMarker, i.Latest, i.Size))
			q.After, q.AfterVersion = i.Key, i.VersionID
			n++
			return true
		}))
		if q.Limit == 0 || n < q.Limit {
			break
		}
	}
	if !slices.Equal(got, want) {
		m.t.Fatalf("versions are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	var alive []string
	for _, key := range sortedNames(m.names) {
		vs := m.names[key]
		if !vs[0].marker {
			alive = append(alive, key)
			m.same(key, "", &vs[0])
		} else if _, err := m.s.Open(object.Name{Bucket: 99, Key: key}); !errs.Is(err, errs.NotFound) {
			m.t.Fatalf("%q is deleted: %v", key, err)
		}
		for i := range vs {
			m.same(key, vs[i].id, &vs[i])
		}
	}
	var listed []string
	must(m.t, m.s.List(m.t.Context(), ListQuery{Bucket: 99}, func(i *object.Info) bool { listed = append(listed, i.Key); return true }))
	if !slices.Equal(listed, alive) {
		m.t.Fatalf("listed %q, want %q", listed, alive)
	}
	empty, err := m.s.Empty(99)
	must(m.t, err)
	if empty != (len(m.names) == 0) {
		m.t.Fatalf("empty %v with %d names", empty, len(m.names))
	}
}

func (m *model) same(key, id string, v *modelVersion) {
	m.t.Helper()
	o, err := m.s.OpenVersion(object.Name{Bucket: 99, Key: key}, id)
	must(m.t, err)
	defer o.Close()
	if o.Info().DeleteMarker != v.marker || len(o.Parts()) != v.parts || o.Info().Tags["t"] != v.tag {
		m.t.Fatalf("%q %s: %+v with %d parts, want %+v", key, id, o.Info(), len(o.Parts()), v)
	}
	if v.marker {
		return
	}
	var b bytes.Buffer
	must(m.t, o.WriteSpan(&b, object.Span{Length: o.Info().Size}))
	if !bytes.Equal(b.Bytes(), v.data) {
		m.t.Fatalf("%q %s: wrong content", key, id)
	}
}

func sortedNames(m map[string][]modelVersion) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// TestVersionsModel does random work on a bucket whose versioning changes, and compares the store with a model of it.
func TestVersionsModel(t *testing.T) {
	forEachStore(t, func(t *testing.T, s *Store) {
		for seed := range uint64(3) {
			m := &model{t: t, s: s, rng: rand.New(rand.NewPCG(seed, 1)), names: map[string][]modelVersion{}}
			must(t, s.List(t.Context(), ListQuery{Bucket: 99}, func(i *object.Info) bool {
				m.names[i.Key] = []modelVersion{{id: "null", data: []byte("old")}}
				return true
			}))
			ops := []func(){m.put, m.put, m.put, m.upload, m.copy, m.delete, m.deleteVersion, m.deleteVersion, m.update}
			for i := range 250 {
				if i == 30 || i > 30 && m.rng.IntN(25) == 0 {
					m.state = []Versioning{Versioned, Suspended}[m.rng.IntN(2)]
				}
				ops[m.rng.IntN(len(ops))]()
				if i%5 == 0 {
					m.check()
				}
			}
			m.check()
			for key, vs := range m.names { // all of it can be removed
				for _, v := range vs {
					_, err := s.Delete(t.Context(), object.Name{Bucket: 99, Key: key}, DeleteOptions{VersionID: v.id, Versioning: m.state})
					must(t, err)
				}
				delete(m.names, key)
			}
			m.check()
			_, err := s.SweepUploads(t.Context(), time.Now().Add(time.Hour))
			must(t, err)
			nothingLeft(t, s, 99)
			if m.state = Unversioned; t.Failed() {
				return
			}
		}
	})
}

// nothingLeft checks that the indexes know nothing of a bucket and that there is no file.
func nothingLeft(t *testing.T, s *Store, bucket uint64) {
	t.Helper()
	for _, v := range s.volumes() {
		must(t, v.scan(context.Background(), []byte{1}, []byte{255}, func(key, _ []byte) {
			if key[0] != 'm' {
				t.Errorf("left in the index of %s: %q", v.mp.Path(), key)
			}
		}, func(_ []byte, err error) { t.Error(err) }))
	}
	if n := leftFiles(t, s); n != 0 {
		t.Errorf("%d files left", n)
	}
}

// TestVersionsInFormerHomes: what was written before the set of mountpaths grew stays where it is as a version, and is the current
// one again when what came later is removed.
func TestVersionsInFormerHomes(t *testing.T) {
	s := unsettledFrom(t, Config{}, [2]int{100, -1})
	for i := range 100 {
		n := object.Name{Bucket: 99, Key: fmt.Sprintf("old%d", i)}
		state := []Versioning{Versioned, Suspended}[i%4/2]
		info, err := s.Put(t.Context(), n, []byte("new"), PutOptions{Versioning: state})
		must(t, err)
		o, err := s.OpenVersion(n, object.NullVersion)
		must(t, err)
		got, err := io.ReadAll(o.Reader())
		must(t, err)
		o.Close()
		if want := map[Versioning]string{Versioned: "old", Suspended: "new"}[state]; string(got) != want {
			t.Fatalf("%v: the null version is %q, want %q", n, got, want)
		}
		must(t, second(s.Delete(t.Context(), n, DeleteOptions{Versioning: state, VersionID: info.VersionID})))
		if state == Suspended {
			if _, err := s.StatVersion(n, ""); !errs.Is(err, errs.NotFound) {
				t.Fatalf("%v: after all of it was removed: %v", n, err)
			}
		} else if string(get(t, s, n)) != "old" {
			t.Fatalf("%v: the former version is not the current one", n)
		}
	}
}
