package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"

	"aistore/api/client"
	"aistore/cmd/ais/term"
	"aistore/cmd/ais/uri"
	"aistore/errs"
)

// The exit codes. They are documented in docs/cli.md and never change their meaning.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitPartial     = 4
	exitUnreachable = 5
	exitConflict    = 6
	exitDenied      = 7
	exitDamaged     = 8
	exitInterrupted = 130
)

// partialError ends a command on several objects of which some failed; each failure was reported when it happened.
type partialError struct {
	verb         string
	failed, done int64
	why          string // where the failures were not reported one by one
}

func (e partialError) Error() string {
	text := fmt.Sprintf("%s: %s failed, %s done", e.verb, term.Plural(e.failed, "object"), term.Count(e.done))
	if e.why != "" {
		text += ": " + e.why
	}
	return text
}

// unfitError ends a --dry-run that has found what would fail.
type unfitError struct{ partialError }

func (e unfitError) Error() string {
	return fmt.Sprintf("%s: %s would fail, %s would be done", e.verb, term.Plural(e.failed, "object"), term.Count(e.done))
}

// Unwrap gives the exit code.
func (e unfitError) Unwrap() error { return e.partialError }

func exitCode(err error) int {
	var partial partialError
	if errors.As(err, &partial) {
		return exitPartial
	}
	switch errs.KindOf(err) {
	case errs.Invalid, errs.Range:
		return exitUsage
	case errs.NotFound, errs.NoBucket:
		return exitNotFound
	case errs.Unavailable, errs.Busy, errs.NotPrimary, errs.Timeout, errs.StaleMap, errs.WrongOwner, errs.Mountpath:
		return exitUnreachable
	case errs.Exists, errs.Conflict, errs.Precondition:
		return exitConflict
	case errs.Unauthorized, errs.Forbidden:
		return exitDenied
	case errs.Checksum, errs.Corrupt:
		return exitDamaged
	}
	return exitFailed
}

// report writes what went wrong and what to do about it, and returns the exit code.
func (a *app) report(ctx context.Context, err error) int {
	code := exitCode(err)
	if ctx.Err() != nil {
		code = exitInterrupted
	}
	if a.out.JSON {
		a.out.Notef("%s", jsonError(err, code))
		return code
	}
	text := message(err)
	if code == exitInterrupted {
		text = "interrupted"
	}
	a.out.Notef("%s %s", a.out.PaintErr(term.Red, "ais:"), term.PrintableLines(text)) // names are in it
	if hint := hint(err); hint != "" && code != exitInterrupted {
		a.out.Notef("     %s", term.Printable(hint))
	}
	return code
}

// message is the error's text without the names of functions.
func message(err error) string {
	if found, ok := errors.AsType[checkError](err); ok {
		err = found.error
	}
	text := errs.Plain(err)
	if key, node := damaged(err); node != "" { // its store knows the object by its bucket's id
		text = regexp.MustCompile(": b[0-9]+/"+regexp.QuoteMeta(key)+": ").ReplaceAllLiteralString(text, ": ") + " (node " + node + ")"
	}
	return text
}

// damaged returns the name in its bucket of the object that err finds damaged, "" where it is something else, as a mountpath's index, and the node
// that said so, "" if none did.
func damaged(err error) (key, node string) {
	var named *errs.Error
	if !errs.Is(err, errs.Corrupt) || !errors.As(err, &named) {
		return "", ""
	}
	if storeName.MatchString(named.Name) { // read from a mountpath whose node is stopped
		_, key, _ = strings.Cut(named.Name, "/")
		return key, ""
	}
	u, bad := uri.Parse(named.Name)
	if bad != nil {
		return "", ""
	}
	var reply *client.ReplyError
	if errors.As(err, &reply) {
		node = reply.Node
	}
	return u.Key, node
}

// storeName is how a store calls an object.
var storeName = regexp.MustCompile(`^b[0-9]+/.`)

// checkError is what a check has found: its report says more than a hint could.
type checkError struct{ error }

// Unwrap gives the kind.
func (e checkError) Unwrap() error { return e.error }

// hint says what to do about an error, where that is not part of its text.
func hint(err error) string {
	if errors.As(err, new(checkError)) {
		return ""
	}
	switch errs.KindOf(err) {
	case errs.NotFound:
		var named *errs.Error
		if !errors.As(err, &named) || !uri.Is(named.Name) {
			return ""
		}
		if strings.Contains(named.Name, "*") {
			return "A name is taken as it is, '*' too: --prefix PREFIX selects by the beginning of names, --all all objects of a bucket."
		}
		if u, bad := uri.Parse(named.Name); bad == nil && strings.HasSuffix(u.Key, "/") {
			return "A name is taken as it is, its last '/' too: get, rm and cp take all objects below it with --prefix " + u.Key
		}
	case errs.NoBucket:
		return "`ais ls` lists the buckets, `ais bucket create` makes one."
	case errs.Corrupt:
		switch key, node := damaged(err); {
		case node != "":
			return "The damaged bytes were not delivered. `ais show cluster " + node + "` shows the node's disks; put the object again from another copy."
		case key != "":
			return "The damaged bytes were not delivered."
		}
	case errs.Mountpath:
		return "What lies there is not lost but out of reach, and no list is complete without it. `ais storage mountpath show` tells why it is out."
	case errs.NotPrimary, errs.StaleMap, errs.WrongOwner, errs.Busy:
		return "The cluster is changing or overloaded; the same command may succeed in a moment. If not, `ais show cluster` tells which nodes are offline."
	case errs.Unavailable, errs.Timeout:
		if ofNode(err) {
			return "`ais show cluster` tells which nodes are offline; the same command succeeds when what it needs is back."
		}
	}
	return ""
}

// ofNode reports whether err is what a node of a cluster answered, or that one broke off: of a cluster that cannot be reached at all, connect has
// said what to do.
func ofNode(err error) bool {
	return errors.As(err, new(*client.ReplyError)) || errors.As(err, new(*url.Error)) || errors.As(err, new(*net.OpError))
}

// jsonError is what --json writes to standard error.
func jsonError(err error, code int) string {
	b, _ := json.Marshal(map[string]any{ // strings and a number always have a JSON form
		"error": message(err), "kind": errs.KindOf(err).String(), "exit_code": code,
	})
	return string(b)
}
