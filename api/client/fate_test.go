package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"aistore/cluster"
	"aistore/errs"
)

// failingAt is content that cannot be read from some byte on.
type failingAt struct {
	good int64
	err  error
}

func (f failingAt) ReadAt(p []byte, off int64) (int, error) {
	if off >= f.good {
		return 0, f.err
	}
	return int(min(int64(len(p)), f.good-off)), nil
}

// TestContentFails: content that cannot be read is no lost node. Nothing is sent again, the node stays in use, and the error is the content's.
func TestContentFails(t *testing.T) {
	f := newFake(t, 1, 1)
	c := f.client(nil)
	b := c.Bucket("bkt")
	broken := errors.New("the disk is broken")
	refused := errs.E("x", "", errs.Unavailable, "what the content comes from is away")
	const size = 3 << 20
	for name, body := range map[string]Body{
		"file":               ReaderAt(failingAt{size / 2, broken}, size),
		"stream":             Stream(io.MultiReader(bytes.NewReader(make([]byte, size/2)), iotest.ErrReader(broken)), size),
		"stream, length":     Stream(io.MultiReader(bytes.NewReader(make([]byte, size/2)), iotest.ErrReader(broken)), -1),
		"of another cluster": ReaderAt(failingAt{0, refused}, 10),
	} {
		var n atomic.Int64
		key := name // of its own: a request that was given up may be seen late
		f.setFault("t0", func(_ http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/"+key) {
				n.Add(1)
			}
			return false
		})
		_, err := b.Put(t.Context(), key, body, PutOptions{})
		if !errors.Is(err, broken) && !errors.Is(err, refused) || n.Load() > 1 || strings.Contains(err.Error(), "attempts") {
			t.Errorf("%s: sent %d times: %v", name, n.Load(), err)
		}
		if name != "of another cluster" && errs.Is(err, errs.Unavailable) {
			t.Errorf("%s: kind %v", name, errs.KindOf(err))
		}
		if c.routes.isDown(f.nodes["t0"].srv.URL, time.Now()) {
			t.Errorf("%s: the node counts as lost", name)
		}
		if _, err := b.Head(t.Context(), key, GetOptions{}); !errs.Is(err, errs.NotFound) {
			t.Errorf("%s: something was stored: %v", name, err)
		}
	}
}

// TestLeft: a caller that goes away learns that the request may have been carried out, where that matters, and says nothing of the node.
func TestLeft(t *testing.T) {
	f := newFake(t, 1, 1)
	c := f.client(nil)
	b := c.Bucket("bkt")
	if _, err := c.View(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func(context.Context) error{
		"conditional put": func(ctx context.Context) error {
			return second(b.Put(ctx, "k", Bytes([]byte("1")), PutOptions{If: Conditions{IfNoneMatch: []string{"*"}}}))
		},
		"rename": func(ctx context.Context) error { return b.Rename(ctx, "k", "l") },
		"get":    func(ctx context.Context) error { return second(b.Get(ctx, "k", GetOptions{})) },
	} {
		ctx, leave := context.WithCancel(t.Context())
		f.setFault("t0", func(_ http.ResponseWriter, r *http.Request) bool {
			_, _ = io.Copy(io.Discard, r.Body)
			leave()
			<-r.Context().Done()
			return true
		})
		err := do(ctx)
		if !errs.Is(err, errs.Canceled) || strings.Contains(err.Error(), "may have been carried out") != (name != "get") {
			t.Errorf("%s: %v", name, err)
		}
		if c.routes.isDown(f.nodes["t0"].srv.URL, time.Now()) {
			t.Errorf("%s: the node counts as lost", name)
		}
	}
}

// TestLastAttempt: who repeats nothing is told so, too.
func TestLastAttempt(t *testing.T) {
	f := newFake(t, 1, 1)
	b := f.client(func(o *Options) { o.Retry.Attempts = 1 }).Bucket("bkt")
	f.before("t0", 1)
	_, err := b.Put(t.Context(), "k", Bytes([]byte("1")), PutOptions{Once: true})
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "may have been carried out") {
		t.Errorf("%v", err)
	}
}

// TestDeletingJobOnce: of two jobs that delete, the first would still run when the second has ended.
func TestDeletingJobOnce(t *testing.T) {
	f := newFake(t, 1, 1)
	b := f.client(nil).Bucket("bkt")
	seen := f.afterwards("g0", 1)
	if _, err := b.DeletePrefix(t.Context(), "a/"); seen.Load() != 1 || !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "may have been carried out") {
		t.Errorf("sent %d times: %v", seen.Load(), err)
	}
	f.before("g0", 0)
	if _, err := b.DeletePrefix(t.Context(), "a/"); err != nil {
		t.Error(err)
	}
}

// hung are nodes that answer nothing until the caller gives up, as after 5 s.
func hung(rounds *atomic.Int64, nodes ...string) *routes {
	return &routes{endpoints: nodes, ask: func(ctx context.Context, url string) (*cluster.View, error) {
		if url == nodes[0] {
			rounds.Add(1)
		}
		return nil, errs.E("test", url, sleep(ctx, fetchTimeout), errs.Timeout)
	}}
}

// TestFetchShared: the callers that wait for the map while nobody answers learn that together, not one after the other.
func TestFetchShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rounds atomic.Int64
		rt := hung(&rounds, "a", "b")
		began := time.Now()
		done := make(chan error)
		for range 50 {
			go func() { done <- rt.fetch(t.Context()) }()
		}
		for range 50 {
			if err := <-done; !errs.Is(err, errs.Unavailable) {
				t.Errorf("%v", err)
			}
		}
		if took := time.Since(began); rounds.Load() != 2 || took != 2*2*fetchTimeout {
			t.Errorf("%d rounds in %v", rounds.Load(), took)
		}
	})
}

// TestFetchLeft: who waits for another's question goes when its context ends; and when the one who asks goes away, who waits asks himself.
func TestFetchLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rounds atomic.Int64
		rt := hung(&rounds, "a")
		ctx, leave := context.WithCancel(t.Context())
		first, second, third := make(chan error, 1), make(chan error, 1), make(chan error, 1)
		go func() { first <- rt.fetch(ctx) }()
		synctest.Wait()
		brief, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		go func() { second <- rt.fetch(brief) }()
		go func() { third <- rt.fetch(t.Context()) }()
		if err := <-second; !errs.Is(err, errs.Timeout) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		leave()
		if err := <-first; err == nil {
			t.Error("an answer from nobody")
		}
		if err := <-third; !errs.Is(err, errs.Unavailable) || errors.Is(err, context.Canceled) || rounds.Load() != 2 {
			t.Errorf("%v after %d rounds", err, rounds.Load())
		}
	})
}
