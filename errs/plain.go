package errs

import (
	"errors"
	"io/fs"
	"regexp"
	"slices"
	"strings"
)

// opSuffix is how Error ends: the name of a function of ours, or in a server's message of the server's. It may stand inside of parentheses, and
// in a server's message of several errors at the end of each line.
var opSuffix = regexp.MustCompile(`(?m)( \([a-z]+\.[A-Za-z.]+\))+(\)*(?:; gave up after [0-9]+ attempts)?)$`)

// Plain is the error's text for people who run a program: without the names of functions, and with what it is about named once. Errors that
// were joined have a line each.
func Plain(err error) string {
	//nolint:errorlint // the text of each link of the chain is wanted, not whether one is in it
	switch e := err.(type) {
	case *Error:
		return e.plain()
	case interface{ Unwrap() []error }:
		if err.Error() != errors.Join(e.Unwrap()...).Error() { // there is text around them
			break
		}
		var lines []string
		for _, one := range e.Unwrap() {
			lines = append(lines, Plain(one))
		}
		return strings.Join(lines, "\n")
	}
	text, before := err.Error(), ""
	for text != before { // what stands in parentheses has ends of its own
		text, before = opSuffix.ReplaceAllString(text, "$2"), text
	}
	return text
}

func (e *Error) plain() string {
	cause := strings.ReplaceAll(e.Kind.String(), "-", " ")
	if e.Err != nil {
		cause = Plain(e.Err)
	}
	//nolint:errorlint // one further down has its own name before it
	if p, ok := e.Err.(*fs.PathError); ok && p.Path == e.Name && slices.Contains([]string{"open", "stat", "lstat"}, p.Op) {
		cause = p.Err.Error()
	}
	if e.Name == "" {
		return cause
	}
	if _, rest, ok := strings.Cut(": "+cause, ": "+e.Name+": "); ok {
		for strings.HasPrefix(rest, e.Name+": ") { // of a server's message the links are not known
			rest = rest[len(e.Name)+2:]
		}
		return e.Name + ": " + rest
	}
	cause = oncePath(cause)
	if strings.HasPrefix(cause, e.Name+" ") {
		return cause
	}
	return e.Name + ": " + cause
}

// oncePath names what a server's message is about once.
func oncePath(text string) string {
	for {
		name, rest, ok := strings.Cut(text, ": ")
		if !ok || !strings.HasPrefix(rest, name+": ") && !strings.HasPrefix(rest, name+" ") {
			return text
		}
		text = rest
	}
}
