package errs

import (
	"context"
	"errors"
	"fmt"
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
