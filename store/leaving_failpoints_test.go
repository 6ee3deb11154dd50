//go:build failpoints

package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aistore/fs"
	"aistore/internal/failpoint"
	"aistore/object"
)

// A mountpath that is detached, released and attached again is nothing that a client could notice. Whatever an operation was doing with
// it when it went, its name has a home.

// TestLeavesAtAnyMoment: each operation is held at each of its looks at the mountpaths, and one of them leaves for good right then, as far
// as it can before the operation goes on. The client notices nothing.
func TestLeavesAtAnyMoment(t *testing.T) {
	for kind, op := range leavingOps() {
		for _, emptied := range []bool{true, false} { // whether it waits but for its release
			t.Run(fmt.Sprintf("%s emptied=%v", kind, emptied), func(t *testing.T) {
				t.Cleanup(failpoint.Disarm)
				s := testStore(t, crashConfig(fs.NewMem(), []string{"/a", "/b"}))
				nth := 1
				for ; leavesAt(t, s, op, nth, emptied) && !t.Failed(); nth++ {
				}
				t.Logf("%d looks at the mountpaths", nth-1)
			})
		}
	}
}

// leavesAt is the test at one look; false when the operation has ended before.
func leavesAt(t *testing.T, s *Store, op func(context.Context, *Store, object.Name) error, nth int, emptied bool) bool {
	ctx := t.Context()
	if !slices.ContainsFunc(s.Mountpaths(), func(i fs.Info) bool { return i.Path == "/b" }) {
		must(t, second(s.Attach(ctx, "/b")))
		settleStore(t, s)
	}
	if emptied {
		must(t, s.Detach(ctx, "/b", false))
		for found := 1; found > 0; {
			var err error
			_, found, err = onePass(ctx, s)
			must(t, err)
		}
	}
	must(t, failpoint.Arm(fmt.Sprintf("layout.loaded=pause:%d", nth)))
	done := make(chan error, 1)
	go func() { done <- op(ctx, s, object.Name{Bucket: uint64(10 + nth), Key: fmt.Sprint("k", nth)}) }()
	for len(failpoint.Waiting()) == 0 {
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("undisturbed: %v", err)
			}
			failpoint.Disarm()
			return false
		default:
			runtime.Gosched()
		}
	}
	var held atomic.Bool // the operation keeps it from being released
	left := make(chan error, 1)
	go func() { left <- leaveNow(ctx, s, emptied, &held) }()
	var gone error
	for ended := false; !ended && !held.Load() && !waits("store.leaveNow"); runtime.Gosched() {
		select {
		case gone = <-left:
			left <- gone
			ended = true
		default:
		}
	}
	failpoint.Release("layout.loaded")
	if err := <-done; err != nil {
		t.Errorf("at look %d: %v", nth, err)
	}
	if err := <-left; err != nil {
		t.Errorf("at look %d: it does not leave: %v", nth, err)
	}
	return true
}

// leaveNow lets /b leave.
func leaveNow(ctx context.Context, s *Store, detached bool, held *atomic.Bool) error {
	if !detached {
		if err := s.Detach(ctx, "/b", false); err != nil {
			return err
		}
	}
	for turn := 0; s.Unsettled() && ctx.Err() == nil; turn++ {
		if turn > 10 { // what is to be moved is in use
			held.Store(true)
		}
		p, found, err := onePass(ctx, s)
		if err == nil && found == 0 {
			var again bool
			if again, err = p.End(ctx); again {
				held.Store(true)
			}
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// onePass moves what a pass finds.
func onePass(ctx context.Context, s *Store) (p *Pass, found int, err error) {
	p = s.BeginPass()
	for lane := range p.Lanes() {
		err := p.Each(ctx, lane, func(int) {}, func(m Move) error {
			found++
			_, err := m.Run(ctx)
			return err
		})
		if err != nil {
			return p, found, err
		}
	}
	return p, found, nil
}

// waits reports whether the goroutine that runs a function waits for a lock of ours, or for those who are inside an index.
func waits(function string) bool {
	buf := make([]byte, 1<<20)
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, function+"(") {
			head, _, _ := strings.Cut(g, "\n")
			return strings.Contains(g, "Gate).Drain(") || strings.Contains(head, "Mutex.") && !strings.Contains(g, "pebble")
		}
	}
	return false
}

// leavingOps are operations of all kinds, each on names of its own. An error is one that a client would get.
func leavingOps() map[string]func(ctx context.Context, s *Store, n object.Name) error {
	big := random(9000)
	return map[string]func(ctx context.Context, s *Store, n object.Name) error{
		"blob": func(ctx context.Context, s *Store, n object.Name) error {
			if _, err := s.PutStream(ctx, n, bytes.NewReader(big), PutOptions{Size: int64(len(big))}); err != nil {
				return err
			}
			return readBack(s, n, big)
		},
		"inline": func(ctx context.Context, s *Store, n object.Name) error {
			if _, err := s.Put(ctx, n, big[:100], PutOptions{}); err != nil {
				return err
			}
			for range 20 { // often enough to be kept in memory
				if err := readBack(s, n, big[:100]); err != nil {
					return err
				}
			}
			_, err := s.Update(ctx, n, UpdateOptions{}, func(i *object.Info) error { i.Custom = map[string]string{"a": "b"}; return nil })
			if err != nil {
				return err
			}
			to := object.Name{Bucket: n.Bucket, Key: n.Key + "copy"}
			if _, err := s.Copy(ctx, n, "", to, PutOptions{}); err != nil {
				return err
			}
			return second(s.Delete(ctx, n, DeleteOptions{}))
		},
		"versions": func(ctx context.Context, s *Store, n object.Name) error {
			info, err := s.PutStream(ctx, n, bytes.NewReader(big), PutOptions{Size: int64(len(big)), Versioning: Versioned})
			if err != nil {
				return err
			}
			st, err := s.StatVersion(n, "")
			if err == nil && (!st.Latest || st.VersionID != info.VersionID) {
				err = fmt.Errorf("the latest version is %q, latest %v, want %q", st.VersionID, st.Latest, info.VersionID)
			}
			if err != nil {
				return err
			}
			o, err := s.OpenVersion(n, info.VersionID)
			if err != nil {
				return err
			}
			o.Close()
			found := false
			err = s.ListVersions(ctx, VersionQuery{Bucket: n.Bucket, Prefix: n.Key}, func(i *object.Info) bool { found = found || i.VersionID == info.VersionID; return true })
			if err == nil && !found {
				err = errors.New("a version is not listed")
			}
			if err != nil {
				return err
			}
			return second(s.Delete(ctx, n, DeleteOptions{VersionID: info.VersionID, Versioning: Versioned}))
		},
		"parts": func(ctx context.Context, s *Store, n object.Name) error {
			u, err := s.CreateUpload(ctx, n, UploadOptions{})
			if err != nil {
				return err
			}
			var named []CompletePart
			for i := range 4 {
				p, err := s.PutPart(ctx, n, u.ID, i+1, bytes.NewReader(big), PartOptions{Size: int64(len(big))})
				if err != nil {
					return err
				}
				named = append(named, CompletePart{Number: i + 1, ETag: p.ETag})
			}
			if _, err := s.Upload(n, u.ID); err != nil {
				return err
			}
			if parts, _, err := s.ListParts(ctx, n, u.ID, 0, 0); err != nil || len(parts) != 4 {
				return fmt.Errorf("%d parts are listed: %w", len(parts), err)
			}
			found := false
			if err := s.ListUploads(ctx, UploadQuery{Bucket: n.Bucket}, func(x *Upload) bool { found = found || x.ID == u.ID; return true }); err != nil || !found {
				return fmt.Errorf("the upload is listed: %v %w", found, err)
			}
			if _, err := s.CompleteUpload(ctx, n, u.ID, named, CompleteOptions{}); err != nil {
				return err
			}
			if err := readBack(s, n, bytes.Repeat(big, 4)); err != nil {
				return err
			}
			if u, err = s.CreateUpload(ctx, n, UploadOptions{}); err != nil {
				return err
			}
			return s.AbortUpload(ctx, n, u.ID, AbortOptions{})
		},
		"list": func(ctx context.Context, s *Store, n object.Name) error {
			if err := s.List(ctx, ListQuery{Bucket: n.Bucket, Limit: 10}, func(*object.Info) bool { return true }); err != nil {
				return err
			}
			empty, err := s.Empty(n.Bucket + 1000)
			if err == nil && !empty {
				err = errors.New("a bucket that never was is not empty")
			}
			_, berr := s.Buckets()
			_, lerr := s.Leftovers()
			return errors.Join(err, berr, lerr, s.cleanUploads(ctx), second(s.SweepUploads(ctx, time.Time{})))
		},
		"append": func(ctx context.Context, s *Store, n object.Name) error {
			h, err := s.BeginAppend(ctx, n)
			if err != nil {
				return err
			}
			if h, err = s.Append(ctx, n, h, bytes.NewReader(big)); err != nil {
				return err
			}
			if has, err := s.HasAppend(n, h); err != nil || !has {
				return fmt.Errorf("the session is there: %v %w", has, err)
			}
			if _, err = s.FlushAppend(ctx, n, h, PutOptions{}); err != nil {
				return err
			}
			return readBack(s, n, big)
		},
		"keys": func(ctx context.Context, s *Store, n object.Name) error {
			if _, err := s.PutStream(ctx, n, bytes.NewReader(big), PutOptions{Size: int64(len(big)), Mark: true, Epoch: 7}); err != nil {
				return err
			}
			if k, err := s.PeekKey(n); err != nil || k.Authority != 7 || !k.Exists {
				return fmt.Errorf("peeked %+v: %w", k, err)
			}
			if m, err := s.Mark(n); err != nil || m != 7 {
				return fmt.Errorf("mark %d: %w", m, err)
			}
			e, err := s.ExportKey(n)
			if err != nil {
				return err
			}
			var frame bytes.Buffer
			_, err = e.WriteTo(&frame)
			e.Close()
			if err != nil {
				return err
			}
			if err := second(s.Delete(ctx, n, DeleteOptions{})); err != nil {
				return err
			}
			if err := s.Import(ctx, [][]byte{frame.Bytes()}, ImportOptions{})[0].Err; err != nil {
				return err
			}
			err = s.Marks(ctx, n.Bucket, "", "", false, func(string, uint64) bool { return true })
			_, derr := s.DropMarks(ctx, 3)
			_, eerr := s.Era()
			return errors.Join(err, derr, eerr, s.SetEra(3))
		},
		"destroy": func(ctx context.Context, s *Store, n object.Name) error {
			if _, err := s.PutStream(ctx, n, bytes.NewReader(big), PutOptions{Size: int64(len(big))}); err != nil {
				return err
			}
			return s.DestroyBucket(ctx, n.Bucket)
		},
	}
}

func readBack(s *Store, n object.Name, want []byte) error {
	if _, err := s.Stat(n); err != nil {
		return err
	}
	o, err := s.Open(n)
	if err != nil {
		return err
	}
	defer o.Close()
	var b bytes.Buffer
	if err := o.WriteSpan(&b, object.Span{Length: o.Info().Size}); err != nil {
		return err
	}
	if !bytes.Equal(b.Bytes(), want) {
		return errors.New("it reads as something else")
	}
	return nil
}
