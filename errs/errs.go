// Package errs holds the one error type of the project: an operation, a name, a kind and a cause.
//
// The kind is set once, where the fact is known, and crosses the wire; packages above decide with
// errs.Is(err, errs.NotFound) and never by text. Package errs knows nothing of HTTP: one table in
// package httpx maps kinds to status codes.
//
// Start at E and Is.
package errs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
)

// Kind says what sort of failure an error is, independent of where it happened.
type Kind uint8

// The kinds. Their names (Kind.String) are part of the wire format; never rename one.
const (
	Other        Kind = iota // unclassified: a fault of ours until proved otherwise
	Invalid                  // the request is wrong as written: name the field and the fix
	NotFound                 // the named thing does not exist
	NoBucket                 // the bucket does not exist
	Exists                   // the named thing exists already
	Conflict                 // the state does not allow this now (bucket not empty, append handle in use ...)
	Precondition             // an If-* condition of the request does not hold
	NotModified              // a conditional read found nothing newer
	Range                    // the byte range lies outside the object
	Checksum                 // the content does not match the checksum or length the client declared
	Unauthorized             // no or unusable credentials
	Forbidden                // credentials are fine, the act is not allowed
	TooLarge                 // a declared limit is exceeded
	Full                     // no space left on the disks that must take it
	Mountpath                // the mountpath that holds it is disabled or failed
	Corrupt                  // stored bytes do not match their checksum and nothing could repair them
	Unavailable              // the node or service that must answer cannot right now: retry later
	NotPrimary               // the node asked is not the primary; ask again elsewhere
	WrongOwner               // the node asked does not own the name in its newest map
	StaleMap                 // the request was routed with an older cluster map than the node's
	Busy                     // overload: retry after a while
	Timeout                  // a deadline passed
	Canceled                 // the caller went away
	Unsupported              // known, but not supported here
	kindCount
)

var kindNames = [kindCount]string{
	"other", "invalid", "not-found", "no-bucket", "exists", "conflict", "precondition", "not-modified", "range",
	"checksum", "unauthorized", "forbidden", "too-large", "full", "mountpath", "corrupt", "unavailable",
	"not-primary", "wrong-owner", "stale-map", "busy", "timeout", "canceled", "unsupported",
}

// String returns the wire name of k, such as "not-found".
func (k Kind) String() string {
	if k < kindCount {
		return kindNames[k]
	}
	return "other"
}

// ParseKind is the inverse of String; an unknown name (from a newer node) is Other.
func ParseKind(s string) Kind {
	for k, n := range kindNames {
		if n == s {
			return Kind(k)
		}
	}
	return Other
}

// Kinds lists every kind, for tables that must be complete.
func Kinds() []Kind {
	ks := make([]Kind, kindCount)
	for i := range ks {
		ks[i] = Kind(i)
	}
	return ks
}

// Retryable reports whether the same request may succeed later, perhaps at another node, with nothing changed by the caller.
func (k Kind) Retryable() bool {
	switch k {
	case Unavailable, NotPrimary, WrongOwner, StaleMap, Busy, Timeout:
		return true
	default:
		return false
	}
}

// Error is one failure. Zero fields are left out of the text.
type Error struct {
	Op   string // package.Func that found the fact
	Name string // what it was about: an object, bucket, node, field
	Kind Kind
	Err  error
}

// Error returns "name: cause (op)" so that a user reads the fact first.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Name != "" {
		b.WriteString(e.Name)
		b.WriteString(": ")
	}
	if e.Err != nil {
		b.WriteString(e.Err.Error())
	} else {
		b.WriteString(strings.ReplaceAll(e.Kind.String(), "-", " "))
	}
	if e.Op != "" {
		b.WriteString(" (")
		b.WriteString(e.Op)
		b.WriteByte(')')
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// E builds an error. op says where; name is what it is about (a string or fmt.Stringer, "" or nil for none).
// With no explicit kind, the kind of err is kept: that of a wrapped *Error, or what the operating
// system or context says (ErrNotExist, ENOSPC, deadline ...).
func E(op string, name any, args ...any) error {
	e := &Error{Op: op}
	switch n := name.(type) {
	case nil:
	case string:
		e.Name = n
	case fmt.Stringer:
		e.Name = n.String()
	default:
		e.Name = fmt.Sprint(n)
	}
	for _, a := range args {
		switch v := a.(type) {
		case Kind:
			e.Kind = v
		case error:
			e.Err = v
		case string:
			e.Err = errors.New(v)
		case nil:
		default:
			panic(fmt.Sprintf("BUG: errs.E called with %T", a))
		}
	}
	if e.Kind == Other && e.Err != nil {
		e.Kind = KindOf(e.Err)
	}
	return e
}

// F is E with a kind and a formatted cause; %w works.
func F(op string, name any, kind Kind, format string, args ...any) error {
	return E(op, name, kind, fmt.Errorf(format, args...))
}

// KindOf returns the kind of the outermost *Error in err's chain that has one, else what the cause itself tells.
func KindOf(err error) Kind {
	for cur := err; cur != nil; {
		var e *Error
		if !errors.As(cur, &e) {
			break
		}
		if e.Kind != Other {
			return e.Kind
		}
		cur = e.Err
	}
	switch {
	case err == nil:
		return Other
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return Full
	case errors.Is(err, syscall.EIO), errors.Is(err, syscall.EROFS):
		return Mountpath
	case errors.Is(err, fs.ErrNotExist):
		return NotFound
	case errors.Is(err, fs.ErrExist):
		return Exists
	}
	return Other
}

// Is reports whether err is of one of the kinds.
func Is(err error, kinds ...Kind) bool {
	if err == nil {
		return false
	}
	k := KindOf(err)
	for _, want := range kinds {
		if k == want {
			return true
		}
	}
	return false
}
