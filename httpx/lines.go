package httpx

import (
	"bytes"

	"aistore/errs"
)

// checkLines looks at a request's head before it is parsed, for the parser is lenient where RFC 9112 lets a server refuse, and another server on the
// way may not read the same: lines that end with a mere LF, lines that continue the one before, and blanks in names. What keeps the rest of
// the head from arriving is left for the parser to find.
func (cn *connection) checkLines() error {
	const op = "httpx.checkLines"
	begun := false // the request line was seen
	for from := 0; ; {
		head, err := cn.br.Peek(cn.br.Buffered())
		for err == nil {
			n := bytes.IndexByte(head[from:], '\n')
			if n < 0 {
				break
			}
			line := head[from : from+n]
			from += n + 1
			if n == 0 || line[n-1] != '\r' {
				return errs.E(op, "request header", errs.Invalid, "a line ends with LF and not with CRLF")
			}
			line = line[:n-1]
			switch {
			case len(line) == 0 && begun:
				return nil
			case len(line) == 0: // before the request
			case !begun:
				begun = true
			case line[0] == ' ' || line[0] == '\t':
				return errs.E(op, "request header", errs.Invalid, "a line is folded: it begins with a blank")
			default:
				if name, _, ok := bytes.Cut(line, colon); ok && bytes.IndexByte(name, ' ') >= 0 {
					return errs.F(op, "request header", errs.Invalid, "%q is no name", name)
				}
			}
		}
		if len(head) == cn.br.Size() {
			return nil
		}
		if _, err := cn.br.Peek(len(head) + 1); err != nil {
			return nil //nolint:nilerr // the parser meets it again
		}
	}
}

var colon = []byte(":")

// routeOfUnread returns the route of a request whose head could not be read, as far as its first line tells: who words the error.
func (cn *connection) routeOfUnread() *route {
	if cn.br == nil {
		return nil
	}
	head, _ := cn.br.Peek(cn.br.Buffered())
	line, _, _ := bytes.Cut(bytes.TrimLeft(head, "\r\n"), []byte("\n"))
	method, rest, ok := bytes.Cut(line, []byte(" "))
	if !ok || len(rest) == 0 || rest[0] != '/' {
		return nil
	}
	target, _, _ := bytes.Cut(rest, []byte(" "))
	path, _, _ := bytes.Cut(target, []byte("?"))
	rt, _, _ := cn.s.router.find(cn.s.cfg.Listener, string(method), string(path))
	return rt
}
