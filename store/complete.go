package store

import (
	"context"
	"crypto/md5" //nolint:gosec // the ETag that S3 prescribes
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"aistore/cksum"
	"aistore/cluster"
	"aistore/errs"
	"aistore/internal/failpoint"
	"aistore/object"
	"aistore/store/format"
)

// CompletePart names a part as the client knows it.
type CompletePart struct {
	Number int
	ETag   string        // without quotes; "" = not compared
	Sums   []cksum.Value // compared with the part's; one that the part has not got is a fault
}

// CompleteOptions of a CompleteUpload. Checksum, Expect, Size and Also of PutOptions mean nothing here: no byte is read. Metadata
// that is nil is the upload's; ETag "" is the MD5 of the parts' MD5s and their number.
type CompleteOptions struct {
	PutOptions
	MinPart int64 // bytes that every part but the last must have
}

// PartFault is why an upload could not be completed, inside an error of kind Invalid; errors.As finds it.
type PartFault struct {
	Number int
	Why    PartFaultKind
	Size   int64 // of the part, for PartSmall
}

// PartFaultKind says what is wrong with a part.
type PartFaultKind uint8

// What can be wrong with a part.
const (
	PartMissing PartFaultKind = iota // no such part, or another ETag
	PartOrder                        // numbers do not grow
	PartSmall                        // below the least size
	PartSum                          // another checksum
	PartNone                         // no part is named
)

// Error says it in words.
func (f *PartFault) Error() string {
	switch f.Why {
	case PartOrder:
		return fmt.Sprintf("part %d does not follow the part before it: name parts by growing numbers", f.Number)
	case PartSmall:
		return fmt.Sprintf("part %d has only %d bytes: only the last part may be so small", f.Number, f.Size)
	case PartSum:
		return fmt.Sprintf("part %d has another checksum than the request says", f.Number)
	case PartNone:
		return "no part is named: give at least one"
	case PartMissing:
	}
	return fmt.Sprintf("part %d was not uploaded, or has another ETag", f.Number)
}

// CompleteUpload makes the parts named the content of n without copying a byte, and removes the others. Repeated after success it
// returns the same Info, as long as the upload is remembered (SweepUploads).
//
// One batch at the home of n makes the object and ends the upload, and says which parts became the object; the references of
// their blobs are already there. The rest is removing entries, and parts that are not used: a crash leaves it to Run.
func (s *multipart) CompleteUpload(ctx context.Context, n object.Name, id string, parts []CompletePart, o CompleteOptions) (info object.Info, err error) {
	const op = "store.CompleteUpload"
	if err := errors.Join(ctx.Err(), s.live(op, n)); err != nil {
		return info, errs.E(op, n, err)
	}
	uid, ok := format.ParseUploadID(id)
	if !ok {
		return info, noUpload(op, n, id)
	}
	l := s.uploads.of(uid)
	l.Lock()
	defer l.Unlock()
	u, err := s.findUpload(n, uid)
	if err == nil && (u == nil || u.State == format.UploadAborted) {
		err = noUpload(op, n, id)
	}
	if err != nil {
		return info, errs.E(op, n, err)
	}
	if u.State == format.UploadCompleted {
		if !u.Clean {
			s.clean(u)
		}
		if info, err = u.result(); err == nil && !repeats(parts, info.ETag) {
			return object.Info{}, errs.E(op, n, errs.Invalid, &PartFault{Number: parts[0].Number, Why: PartMissing})
		}
		return info, err
	}
	if info, err = s.complete(op, u, parts, &o); err != nil {
		return object.Info{}, errs.E(op, n, err)
	}
	return info, nil
}

// result is what the upload was completed as.
func (u *upload) result() (info object.Info, err error) {
	var r format.Record
	if err := format.DecodeRecord(&r, u.Result, []byte(u.n.Key)); err != nil {
		return info, err
	}
	r.Info(&info, u.n.Key)
	return info, u.vol.settle()
}

// complete ends an upload that is under way; the caller holds its lock.
func (s *multipart) complete(op string, u *upload, named []CompletePart, o *CompleteOptions) (info object.Info, err error) {
	home, err := s.home(u.n)
	if err != nil {
		return info, err
	}
	if err := home.space.admit(int64(4096 + 100*len(named))); err != nil {
		return info, err
	}
	have, err := s.partsOf(u)
	if err != nil {
		return info, err
	}
	parts, err := choose(named, have, o.MinPart)
	if err != nil {
		var f *PartFault
		if errors.As(err, &f) && f.Why == PartMissing {
			if out := s.allUsable(); out != nil { // the part may be where nobody can look
				err = out
			}
		}
		return info, err
	}
	po := o.PutOptions
	po.fromUpload(u)
	w := write{op: op, name: u.n, vol: home, o: &po}
	ended := &upload{Upload: u.Upload, vol: home, id: u.id, n: u.n}
	ended.Unsynced = false // its record says so
	for i := range parts {
		w.rec.Size += parts[i].Size
		ended.Use(parts[i].Number)
	}
	w.sum = wholeSum(po.Checksum, parts)
	if po.ETag == "" {
		po.ETag = uploadETag(parts)
	}
	if po.Finish != nil {
		if err := po.finish(w.rec.Size, nil, partInfos(parts)); err != nil {
			return info, err
		}
	}
	w.rec.One[0] = format.Content{Kind: format.RefTable, Length: w.rec.Size, Blob: format.BlobID(u.id), Total: int64(len(parts))}
	w.rec.Parts = w.rec.One[:1]
	if o.Durability == cluster.Volatile {
		w.rec.SetUnsynced()
	} else if u.Unsynced {
		if err := s.syncParts(u.n, parts); err != nil {
			return info, err
		}
	}
	w.also = func(b *pebble.Batch) error {
		key := format.IDKey(nil, format.FamTable, u.n.Bucket, u.n.Key, u.id)
		if err := b.Set(key, format.AppendTable(nil, parts, key), nil); err != nil {
			return err
		}
		ended.State, ended.Ended = format.UploadCompleted, time.Now().UnixNano()
		ended.Result = format.AppendRecord(nil, &w.rec, u.n.Key)
		key = ended.key()
		return b.Set(key, format.AppendUpload(nil, &ended.Upload, key), nil)
	}
	if info, err = s.commitWrite(&w); err != nil {
		return info, err
	}
	home, ended.vol = w.vol, w.vol             // the home may have changed
	_ = failpoint.Hit("complete.after-commit") // past the commit: only a kill matters
	if u.vol != home {
		if err := u.forget(); err != nil {
			return info, err
		}
	}
	s.clean(ended)
	return info, nil
}

// fromUpload fills what o leaves open from the upload.
func (o *PutOptions) fromUpload(u *upload) {
	o.Expect = nil
	if o.Durability == cluster.Volatile { // the parts' entries are durable; so must be what removes them
		o.Durability = cluster.Local
	}
	if o.Custom == nil {
		o.Custom = format.DecodeMap(u.Custom)
	}
	if o.System == nil {
		o.System = format.DecodeMap(u.System)
	}
	if o.Tags == nil {
		o.Tags = format.DecodeMap(u.Tags)
	}
}

// choose finds the parts that the client names and checks them.
func choose(named []CompletePart, have map[int]format.Part, least int64) ([]format.Part, error) {
	fault := func(number int, why PartFaultKind, size int64) error {
		return errs.E("store.choose", "parts", errs.Invalid, &PartFault{Number: number, Why: why, Size: size})
	}
	if len(named) == 0 {
		return nil, fault(0, PartNone, 0)
	}
	parts := make([]format.Part, 0, len(named))
	last := 0
	for i := range named {
		c := &named[i]
		if c.Number <= last {
			return nil, fault(c.Number, PartOrder, 0)
		}
		last = c.Number
		p, ok := have[c.Number]
		if !ok || c.ETag != "" && c.ETag != p.ETag() {
			return nil, fault(c.Number, PartMissing, 0)
		}
		for _, want := range c.Sums {
			if !slices.Contains(p.Sums, want) {
				return nil, fault(c.Number, PartSum, 0)
			}
		}
		parts = append(parts, p)
	}
	for i := range parts[:len(parts)-1] {
		if parts[i].Size < least {
			return nil, fault(parts[i].Number, PartSmall, parts[i].Size)
		}
	}
	return parts, nil
}

// wholeSum is the checksum of the whole where it follows from those of the parts.
func wholeSum(t cksum.Type, parts []format.Part) (whole cksum.Value) {
	if !t.Combinable() {
		return cksum.Value{}
	}
	for i := range parts {
		info := partInfo(&parts[i])
		v, ok := info.Sum(t)
		if !ok {
			return cksum.Value{}
		}
		if i == 0 {
			whole = v
			continue
		}
		var err error
		if whole, err = cksum.Combine(whole, v, parts[i].Size); err != nil {
			return cksum.Value{}
		}
	}
	return whole
}

// uploadETag is the MD5 of the parts' MD5s and how many there are.
func uploadETag(parts []format.Part) string {
	h := md5.New() //nolint:gosec // see import
	for i := range parts {
		_, _ = h.Write(parts[i].MD5[:]) // never fails
	}
	return hex.EncodeToString(h.Sum(nil)) + "-" + strconv.Itoa(len(parts))
}

// repeats reports whether a completion names the parts that the one with the ETag was made of. Another must not be told that what it
// asked for is there.
func repeats(named []CompletePart, etag string) bool {
	h := md5.New() //nolint:gosec // see import
	for i := range named {
		sum, err := hex.DecodeString(named[i].ETag)
		if err != nil || len(sum) != md5.Size {
			return len(named) == 0 || named[i].ETag == "" // says nothing
		}
		_, _ = h.Write(sum) // never fails
	}
	return len(named) == 0 || hex.EncodeToString(h.Sum(nil))+"-"+strconv.Itoa(len(named)) == etag
}

// allUsable is nil when every mountpath can be used.
func (s *places) allUsable() (err error) {
	for _, v := range s.volumes() {
		err = errors.Join(err, v.err())
	}
	return err
}
