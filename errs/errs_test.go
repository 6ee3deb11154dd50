package errs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"
)

func TestKindIsKeptThroughWrapping(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Kind
	}{
		{E("a.B", "x", NotFound), NotFound},
		{E("a.B", "x", E("c.D", "y", Full, "no room")), Full},
		{fmt.Errorf("outer: %w", E("a.B", "x", Corrupt)), Corrupt},
		{E("a.B", "x", Conflict, E("c.D", "y", NotFound)), Conflict},
		{E("a.B", nil, fmt.Errorf("w: %w", syscall.ENOSPC)), Full},
		{E("a.B", nil, syscall.EIO), Mountpath},
		{context.DeadlineExceeded, Timeout},
		{E("a.B", nil, context.Canceled), Canceled},
		{errors.New("?"), Other},
		{nil, Other},
	} {
		if got := KindOf(c.err); got != c.want {
			t.Errorf("KindOf(%v) = %v, want %v", c.err, got, c.want)
		}
	}
	if Is(nil, Other) {
		t.Error("nil is of a kind")
	}
}

func TestKindNamesRoundTrip(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Kinds() {
		if s := k.String(); s == "" || seen[s] || ParseKind(s) != k {
			t.Errorf("kind %d: name %q is empty, doubled or does not parse back", k, s)
		} else {
			seen[s] = true
		}
	}
	if ParseKind("from-the-future") != Other {
		t.Error("unknown kind is not Other")
	}
}

func TestTextNamesTheThingFirst(t *testing.T) {
	got := E("store.Open", "ais://b/o", NotFound).Error()
	if want := "ais://b/o: not found (store.Open)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestPlain: facts first, each once, and no names of functions.
func TestPlain(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("plain"), "plain"},
		{errors.New("x: gone (store.Open) (httpx.Do)"), "x: gone"},
		{errors.New("gone (since today)"), "gone (since today)"},
		{errors.New("x: gone (store.Open); gave up after 2 attempts"), "x: gone; gave up after 2 attempts"},
		{errors.New("t2: start it first (refused (httpx.Do)) (proxy.step)"), "t2: start it first (refused)"},
		{errors.New("x: many (cluster.Config)\ny: gone (cluster.Config) (httpx.Do)\nz: few"), "x: many\ny: gone\nz: few"},
		{E("a.B", "x", &fs.PathError{Op: "stat", Path: "x", Err: fs.ErrNotExist}), "x: file does not exist"},
		{E("a.B", "x", &fs.PathError{Op: "mkdir", Path: "x", Err: fs.ErrExist}), "x: mkdir x: file already exists"},
		{E("a.B", "x", &fs.PathError{Op: "open", Path: "y", Err: fs.ErrNotExist}), "x: open y: file does not exist"},
		{E("a.B", "x", NotFound), "x: not found"},
		{E("a.B", "x", E("c.D", "x", NotFound, "gone")), "x: gone"},
		{E("a.B", "ais://b/o", E("c.D", "disk", Full, "no space")), "ais://b/o: disk: no space"},
		{E("a.B", "ais://b", errors.New("127.0.0.1:1: ais://b: exists (x.Y)")), "ais://b: exists"},
		{E("a.B", "c", errors.New("the directory: there")), "c: the directory: there"},
		{E("a.B", "ais://b", errors.New("ais://b is full")), "ais://b is full"},
		{E("a.B", "ais://b", errors.New("ais://b/o: is there")), "ais://b: ais://b/o: is there"},
		{E("a.B", "mountpaths", E("c.D", "/x", Full, "no room")), "mountpaths: /x: no room"},
		{errors.Join(E("a.B", "port", Invalid, "too great"), E("a.B", "id", Invalid, "has a blank")), "port: too great\nid: has a blank"},
		{E("a.B", "dir", errors.Join(errors.New("x (a.B)"), errors.New("y (a.B)"))), "dir: x\ny"},
		{fmt.Errorf("one %w, two %w", E("", "x", NotFound), E("", "y", Full)), "one x: not found, two y: full"},
	} {
		if got := Plain(c.err); got != c.want {
			t.Errorf("Plain is %q, want %q", got, c.want)
		}
	}
}
