package store

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"aistore/cksum"
	"aistore/errs"
	"aistore/fs"
	"aistore/object"
)

// frameOf exports a key.
func frameOf(t testing.TB, s *Store, n object.Name) []byte {
	t.Helper()
	e, err := s.ExportKey(n)
	must(t, err)
	defer e.Close()
	b, err := e.AppendTo(nil)
	must(t, err)
	if int64(len(b)) != e.Len() {
		t.Fatalf("%v: the frame has %d bytes, Len said %d", n, len(b), e.Len())
	}
	return b
}

// move brings a key from one store to another.
func move(t testing.TB, from, to *Store, n object.Name) ImportResult {
	t.Helper()
	r := to.Import(t.Context(), [][]byte{frameOf(t, from, n)}, ImportOptions{})[0]
	must(t, r.Err)
	return r
}

// picture is all that a client can see of a key.
type picture struct {
	Versions []object.Info
	Data     []string
	Parts    [][]PartInfo
	Uploads  []Upload
	Under    [][]PartInfo
}

func pictureOf(t testing.TB, s *Store, n object.Name) (p picture) {
	t.Helper()
	must(t, s.ListVersions(t.Context(), VersionQuery{Bucket: n.Bucket, Prefix: n.Key}, func(i *object.Info) bool {
		if i.Key == n.Key {
			p.Versions = append(p.Versions, *i)
		}
		return true
	}))
	for i := range p.Versions {
		v := &p.Versions[i]
		id := v.VersionID
		if id == "" {
			id = object.NullVersion
		}
		o, err := s.OpenVersion(n, id)
		must(t, err)
		var b bytes.Buffer
		if !o.Info().DeleteMarker {
			must(t, o.WriteSpan(&b, object.Span{Length: o.Info().Size}))
			if got := cksum.Of(v.Checksum.Type, b.Bytes()); got != v.Checksum {
				t.Errorf("%v: content has checksum %v, should have %v", n, got, v.Checksum)
			}
		}
		p.Data = append(p.Data, b.String())
		p.Parts = append(p.Parts, o.Parts())
		o.Close()
	}
	must(t, s.ListUploads(t.Context(), UploadQuery{Bucket: n.Bucket, Prefix: n.Key}, func(u *Upload) bool {
		if u.Key == n.Key {
			p.Uploads = append(p.Uploads, *u)
		}
		return true
	}))
	for i := range p.Uploads {
		parts, _, err := s.ListParts(t.Context(), n, p.Uploads[i].ID, 0, 0)
		must(t, err)
		p.Under = append(p.Under, parts)
	}
	return p
}

func memStore(t testing.TB, node string, mountpaths int) *Store {
	var paths []string
	for i := range mountpaths {
		paths = append(paths, fmt.Sprintf("/mp%d", i+1))
	}
	return testStore(t, Config{FS: fs.NewMem(), Mountpaths: paths, NodeID: node, InlineMax: 1000, BlockSize: 4 << 10})
}

// history makes random changes of one key, and of another with which it shares content.
type history struct {
	t     testing.TB
	s     *Store
	rng   *rand.Rand
	n     object.Name
	epoch uint64
}

func (h *history) step() {
	ctx := h.t.Context()
	state := []Versioning{Unversioned, Versioned, Versioned, Suspended}[h.rng.IntN(4)]
	po := PutOptions{Epoch: h.epoch, Mark: h.epoch > 0, Versioning: state, Checksum: cksum.XXHash, Size: -1,
		Custom: map[string]string{"n": fmt.Sprint(h.rng.IntN(9))}, Tags: map[string]string{"t": "x"}}
	switch h.rng.IntN(10) {
	case 0, 1, 2:
		data := random([]int{0, 10, 999, 5000, 70_000}[h.rng.IntN(5)])
		_, err := h.s.PutStream(ctx, h.n, bytes.NewReader(data), po)
		must(h.t, err)
	case 3:
		_, err := h.s.Delete(ctx, h.n, DeleteOptions{Epoch: h.epoch, Mark: h.epoch > 0, Versioning: state})
		if !errs.Is(err, errs.NotFound) {
			must(h.t, err)
		}
	case 4:
		p := pictureOf(h.t, h.s, h.n)
		if len(p.Versions) > 0 {
			id := p.Versions[h.rng.IntN(len(p.Versions))].VersionID
			if id == "" {
				id = object.NullVersion
			}
			_, err := h.s.Delete(ctx, h.n, DeleteOptions{Epoch: h.epoch, Mark: h.epoch > 0, Versioning: state, VersionID: id})
			must(h.t, err)
		}
	case 5:
		_, err := h.s.Update(ctx, h.n, UpdateOptions{Epoch: h.epoch, Mark: h.epoch > 0, InPlace: h.rng.IntN(2) == 0}, func(i *object.Info) error {
			i.Tags = map[string]string{"u": fmt.Sprint(h.rng.IntN(9))}
			return nil
		})
		if !errs.Is(err, errs.NotFound) {
			must(h.t, err)
		}
	case 6:
		other := object.Name{Bucket: h.n.Bucket, Key: h.n.Key + "~"}
		from, to := h.n, other
		if h.rng.IntN(2) == 0 {
			from, to = to, from
		}
		_, err := h.s.Copy(ctx, from, "", to, po)
		if !errs.Is(err, errs.NotFound) {
			must(h.t, err)
		}
	default:
		h.upload(po)
	}
}

func (h *history) upload(po PutOptions) {
	ctx := h.t.Context()
	marked := h.epoch > 0
	ups := pictureOf(h.t, h.s, h.n).Uploads
	if len(ups) == 0 || h.rng.IntN(3) == 0 {
		u, err := h.s.CreateUpload(ctx, h.n, UploadOptions{Epoch: h.epoch, Mark: marked, Custom: map[string]string{"c": "d"}})
		must(h.t, err)
		ups = append(ups, u)
	}
	u := ups[h.rng.IntN(len(ups))]
	for range 1 + h.rng.IntN(3) {
		_, err := h.s.PutPart(ctx, h.n, u.ID, 1+h.rng.IntN(5), bytes.NewReader(random(h.rng.IntN(9000))), PartOptions{Size: -1, Epoch: h.epoch, Mark: marked})
		must(h.t, err)
	}
	parts, _, err := h.s.ListParts(ctx, h.n, u.ID, 0, 0)
	must(h.t, err)
	switch h.rng.IntN(3) {
	case 0:
		must(h.t, h.s.AbortUpload(ctx, h.n, u.ID, AbortOptions{Epoch: h.epoch, Mark: marked}))
	case 1:
		var named []CompletePart
		for _, p := range parts[:1+h.rng.IntN(len(parts))] {
			named = append(named, CompletePart{Number: p.Number, ETag: p.ETag})
		}
		_, err := h.s.CompleteUpload(ctx, h.n, u.ID, named, CompleteOptions{PutOptions: po})
		must(h.t, err)
	}
}

// TestWholeKeysMove makes random histories on two stores in turn: what moves is seen as it was, what is less changes nothing.
func TestWholeKeysMove(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 7))
			stores := []*Store{memStore(t, "n1", 1+int(seed%3)), memStore(t, "n2", 1+int(seed/3%3))}
			h := &history{t: t, rng: rng, n: object.Name{Bucket: 5, Key: "dir/key"}}
			if seed%5 == 4 { // where the key is on a former mountpath already
				stores[1], h.n = unsettled(t, Config{InlineMax: 1000, BlockSize: 4 << 10}), object.Name{Bucket: 99, Key: fmt.Sprintf("old%d", seed)}
			}
			if _, err := stores[0].ExportKey(h.n); !errs.Is(err, errs.NotFound) {
				t.Fatalf("export of nothing: %v", err)
			}
			var old [][]byte
			for turn := range 6 {
				at, to := stores[turn%2], stores[1-turn%2]
				h.s, h.epoch = at, uint64(turn)
				for range rng.IntN(15) {
					h.step()
				}
				state, err := at.KeyState(h.n)
				must(t, err)
				if !state.Exists && state.Authority == 0 {
					continue
				}
				want := pictureOf(t, at, h.n)
				frame := frameOf(t, at, h.n)
				before, err := to.KeyState(h.n)
				must(t, err)
				held := pictureOf(t, to, h.n)
				r := to.Import(t.Context(), [][]byte{frame}, ImportOptions{})[0]
				must(t, r.Err)
				if state.Compare(before) <= 0 {
					state, want = before, held
				}
				if applied := state != before; applied != (r.Outcome == Applied) {
					t.Fatalf("turn %d: %+v on %+v: %+v", turn, state, before, r)
				}
				if got, err := to.KeyState(h.n); err != nil || got != state || r.State != state {
					t.Fatalf("turn %d: state %+v, result %+v, want %+v, %v", turn, got, r.State, state, err)
				}
				if got := pictureOf(t, to, h.n); !reflect.DeepEqual(got, want) {
					t.Fatalf("turn %d:\n%+v\nwas\n%+v", turn, got.Versions, want.Versions)
				}
				for _, f := range append(old, frame) { // again, and reordered
					r := to.Import(t.Context(), [][]byte{f}, ImportOptions{})[0]
					if r.Err != nil || r.Outcome != Had && r.Outcome != Lower || r.State != state {
						t.Fatalf("turn %d, repeated: %+v", turn, r)
					}
				}
				if got := pictureOf(t, to, h.n); !reflect.DeepEqual(got, want) {
					t.Fatalf("turn %d: changed by what is less", turn)
				}
				old = append(old, frame)
			}
			for _, s := range stores {
				checkWhole(t, s)
			}
		})
	}
}

// checkWhole tidies, closes and checks a store in memory: nothing may be left over.
func checkWhole(t *testing.T, s *Store) {
	t.Helper()
	s.tidy(t.Context())
	var paths []string
	for _, m := range s.Mountpaths() {
		paths = append(paths, m.Path)
	}
	must(t, s.Close())
	for _, p := range paths {
		o, err := OpenOffline(context.WithoutCancel(t.Context()), OfflineConfig{FS: s.cfg.FS, Mountpath: p})
		must(t, err)
		_, err = o.Check(t.Context(), func(f Fault) { t.Errorf("%s: %+v", p, f) })
		must(t, err)
		must(t, o.Close())
	}
}
