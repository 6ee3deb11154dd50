package s3

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// element is one element of a document: the names without their prefixes, and either text or children.
type element struct {
	name string
	typ  string // the type attribute (xsi:type of a grantee)
	text string
	kids []element
}

// Limits of every document, beside its length in bytes.
const (
	maxDepth    = 12
	maxElements = 120_000 // 10,000 parts with every checksum
)

// parseXML reads one document whose root has one of the names. No DTD, no entity but the five and references, nothing
// behind the root. Names and text without references are parts of the document, not copies.
func parseXML(doc []byte, roots ...string) (*element, error) {
	const op = "s3.parseXML"
	if !utf8.Valid(doc) {
		return nil, E(op, "request body", "MalformedXML", "")
	}
	x := xmlScanner{s: strings.TrimPrefix(string(doc), "\uFEFF")}
	root, ok := x.document()
	if !ok {
		return nil, E(op, "request body", "MalformedXML", "")
	}
	for _, r := range roots {
		if root.name == r {
			return root, nil
		}
	}
	return nil, E(op, root.name, "MalformedXML", "")
}

func malformed(what string) error { return E("s3.parseXML", what, "MalformedXML", "") }

// child returns the first child of the name, nil if there is none.
func (e *element) child(name string) *element {
	for i := range e.kids {
		if e.kids[i].name == name {
			return &e.kids[i]
		}
	}
	return nil
}

// value returns the trimmed text of the first child of the name.
func (e *element) value(name string) string {
	if c := e.child(name); c != nil {
		return strings.TrimSpace(c.text)
	}
	return ""
}

func (e *element) has(name string) bool { return e.child(name) != nil }

func (e *element) count(name string) (n int) {
	for i := range e.kids {
		if e.kids[i].name == name {
			n++
		}
	}
	return n
}

// only reports whether every child is one of the names.
func (e *element) only(names ...string) bool {
	for i := range e.kids {
		known := false
		for _, n := range names {
			known = known || e.kids[i].name == n
		}
		if !known {
			return false
		}
	}
	return true
}

// truthOf reads "true" or "false" in any case.
func (e *element) truthOf(name string) (value, ok truth) {
	switch strings.ToLower(e.value(name)) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	return false, truth(!e.has(name))
}

type xmlScanner struct {
	s     string
	pos   int
	count int
}

func (x *xmlScanner) document() (*element, bool) {
	if !x.misc() || !x.at("<") {
		return nil, false
	}
	var root element
	if !x.element(&root, 1) || !x.misc() {
		return nil, false
	}
	return &root, x.pos == len(x.s)
}

func (x *xmlScanner) at(prefix string) bool { return strings.HasPrefix(x.s[x.pos:], prefix) }

// misc skips white space, comments and processing instructions.
func (x *xmlScanner) misc() bool {
	for x.pos < len(x.s) {
		switch {
		case isSpace(x.s[x.pos]):
			x.pos++
		case x.at("<?"):
			if !x.skipPast("?>") {
				return false
			}
		case x.at("<!--"):
			if !x.skipPast("-->") {
				return false
			}
		default:
			return true
		}
	}
	return true
}

func (x *xmlScanner) skipPast(end string) bool {
	i := strings.Index(x.s[x.pos:], end)
	if i < 0 {
		return false
	}
	x.pos += i + len(end)
	return true
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func (x *xmlScanner) space() {
	for x.pos < len(x.s) && isSpace(x.s[x.pos]) {
		x.pos++
	}
}

// qname reads a name.
func (x *xmlScanner) qname() string {
	start := x.pos
	for x.pos < len(x.s) {
		c := x.s[x.pos]
		if isSpace(c) || c == '>' || c == '/' || c == '=' || c == '<' || c == '"' || c == '\'' || c == '&' {
			break
		}
		x.pos++
	}
	return x.s[start:x.pos]
}

func local(name string) string {
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		return name[i+1:]
	}
	return name
}

// element reads one element into e; the scanner stands at its "<".
func (x *xmlScanner) element(e *element, depth int) bool {
	if x.count++; x.count > maxElements || depth > maxDepth {
		return false
	}
	x.pos++
	full := x.qname()
	if e.name = local(full); e.name == "" || e.name[0] == '!' || e.name[0] == '?' {
		return false
	}
	for {
		x.space()
		switch {
		case x.at("/>"):
			x.pos += 2
			return true
		case x.at(">"):
			x.pos++
			return x.content(e, full, depth)
		case !x.attribute(e):
			return false
		}
	}
}

func (x *xmlScanner) attribute(e *element) bool {
	name := x.qname()
	x.space()
	if name == "" || !x.at("=") {
		return false
	}
	x.pos++
	x.space()
	if x.pos >= len(x.s) || x.s[x.pos] != '"' && x.s[x.pos] != '\'' {
		return false
	}
	quote := x.s[x.pos : x.pos+1]
	x.pos++
	start := x.pos
	if !x.skipPast(quote) {
		return false
	}
	v, ok := decodeText(x.s[start : x.pos-1])
	if !ok || strings.IndexByte(v, '<') >= 0 {
		return false
	}
	if local(name) == "type" {
		e.typ = v
	}
	return true
}

// content reads up to and including the end tag. Text beside children is dropped.
func (x *xmlScanner) content(e *element, full string, depth int) bool {
	var text pieces
	for {
		i := strings.IndexByte(x.s[x.pos:], '<')
		if i < 0 {
			return false
		}
		if i > 0 {
			t, ok := decodeText(x.s[x.pos : x.pos+i])
			if !ok {
				return false
			}
			text.add(t)
			x.pos += i
		}
		switch {
		case x.at("</"):
			x.pos += 2
			if x.qname() != full {
				return false
			}
			x.space()
			if !x.at(">") {
				return false
			}
			x.pos++
			if len(e.kids) == 0 {
				e.text = text.string()
			}
			return true
		case x.at("<!--"):
			if !x.skipPast("-->") {
				return false
			}
		case x.at("<?"):
			if !x.skipPast("?>") {
				return false
			}
		case x.at("<![CDATA["):
			x.pos += len("<![CDATA[")
			start := x.pos
			if !x.skipPast("]]>") {
				return false
			}
			text.add(x.s[start : x.pos-3])
		default:
			e.kids = append(e.kids, element{})
			if !x.element(&e.kids[len(e.kids)-1], depth+1) {
				return false
			}
		}
	}
}

// pieces is text that comments and the like may divide, into more pieces than could each be added to a copy of those before.
type pieces struct {
	first string // mostly all there is
	all   []byte // with more than one
}

func (p *pieces) add(t string) {
	switch {
	case p.all != nil:
		p.all = append(p.all, t...)
	case p.first == "":
		p.first = t
	default:
		p.all = append(append(p.all, p.first...), t...)
	}
}

func (p *pieces) string() string {
	if p.all != nil {
		return string(p.all)
	}
	return p.first
}

// decodeText resolves references and line ends (XML 1.0, 2.11).
func decodeText(s string) (string, bool) {
	if strings.IndexByte(s, '&') < 0 && strings.IndexByte(s, '\r') < 0 {
		return s, true
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\r':
			b = append(b, '\n')
			if i+1 < len(s) && s[i+1] == '\n' {
				i++
			}
		case '&':
			end := strings.IndexByte(s[i:], ';')
			if end < 2 || end > 12 {
				return "", false
			}
			var ok bool
			if b, ok = appendReference(b, s[i+1:i+end]); !ok {
				return "", false
			}
			i += end
		default:
			b = append(b, c)
		}
	}
	return string(b), true
}

func appendReference(b []byte, name string) ([]byte, bool) {
	switch name {
	case "amp":
		return append(b, '&'), true
	case "lt":
		return append(b, '<'), true
	case "gt":
		return append(b, '>'), true
	case "quot":
		return append(b, '"'), true
	case "apos":
		return append(b, '\''), true
	}
	if name[0] != '#' {
		return b, false
	}
	digits, base := name[1:], 10
	if strings.HasPrefix(digits, "x") || strings.HasPrefix(digits, "X") {
		digits, base = digits[1:], 16
	}
	r, err := strconv.ParseUint(digits, base, 32)
	if err != nil || r == 0 || r > utf8.MaxRune || !utf8.ValidRune(rune(r)) { //nolint:gosec // bounded just before
		return b, false
	}
	return utf8.AppendRune(b, rune(r)), true //nolint:gosec // bounded
}
