package s3

import (
	"strconv"
	"time"
	"unicode/utf8"
)

const (
	xmlHeader = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	xmlns     = ` xmlns="http://s3.amazonaws.com/doc/2006-03-01/"`
)

// AppendXMLText appends s with everything escaped that XML text may not carry. Control characters are written as references, as AWS does. XML 1.0
// has no place for most of them even so, and a document at whose end s is appended becomes one of XML 1.1, which has. What neither
// can hold, and bytes that are not UTF-8, become U+FFFD.
func AppendXMLText(b []byte, s string) []byte {
	last := 0
	for i := 0; i < len(s); {
		c := s[i]
		if xmlPlain[c] {
			i++
			continue
		}
		if c >= 0x80 {
			text, n := wideRune(s[i:])
			if text != "" {
				b = append(append(b, s[last:i]...), text...)
				last = i + n
			}
			i += n
			continue
		}
		esc := ""
		switch {
		case c == '&':
			esc = "&amp;"
		case c == '<':
			esc = "&lt;"
		case c == '>':
			esc = "&gt;"
		case c == '"':
			esc = "&quot;"
		case c == '\'':
			esc = "&#39;"
		case c == 0:
			esc = "\uFFFD"
		case c < ' ' || c == 0x7f:
			if noText(rune(c)) {
				needVersion11(b)
			}
			b = append(b, s[last:i]...)
			b = append(strconv.AppendUint(append(b, "&#x"...), uint64(c), 16), ';')
			i++
			last = i
			continue
		}
		b = append(append(b, s[last:i]...), esc...)
		i++
		last = i
	}
	return append(b, s[last:]...)
}

// xmlPlain are the bytes that XML text has as they are.
var xmlPlain = func() (plain [256]bool) {
	for c := ' '; c < 0x7f; c++ {
		plain[c] = c != '&' && c != '<' && c != '>' && c != '"' && c != '\''
	}
	return plain
}()

// wideRune returns the length of the rune beyond ASCII that s begins with, and what is written in its place, "" = itself.
func wideRune(s string) (instead string, n int) {
	r, n := utf8.DecodeRuneInString(s)
	switch {
	case r == utf8.RuneError && n <= 1, r == '\uFFFE', r == '\uFFFF':
		return "\uFFFD", n
	case r < 0xa0: // XML 1.1 wants references here
		return "&#x" + strconv.FormatUint(uint64(r), 16) + ";", n //nolint:gosec // positive
	}
	return "", n
}

// noText reports whether XML 1.0 has no place for a character, even as a reference.
func noText(r rune) bool {
	return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == '\uFFFE' || r == '\uFFFF'
}

// needVersion11 makes a document that begins with xmlHeader one of XML 1.1.
func needVersion11(doc []byte) {
	const at = len(`<?xml version="1.`)
	if len(doc) >= len(xmlHeader) && string(doc[:len(xmlHeader)]) == xmlHeader {
		doc[at] = '1'
	}
}

func appendText(b []byte, name, text string) []byte {
	b = append(append(append(b, '<'), name...), '>')
	b = AppendXMLText(b, text)
	return append(append(append(b, "</"...), name...), '>')
}

// appendSome is appendText for what is left out when empty.
func appendSome(b []byte, name, text string) []byte {
	if text == "" {
		return b
	}
	return appendText(b, name, text)
}

func appendInt(b []byte, name string, n int64) []byte {
	b = append(append(append(b, '<'), name...), '>')
	b = strconv.AppendInt(b, n, 10)
	return append(append(append(b, "</"...), name...), '>')
}

func appendTruth(b []byte, name string, v truth) []byte {
	b = append(append(append(b, '<'), name...), '>')
	if v {
		b = append(b, "true"...)
	} else {
		b = append(b, "false"...)
	}
	return append(append(append(b, "</"...), name...), '>')
}

type truth bool

// TimeFormat is how documents write times: UTC with milliseconds.
const TimeFormat = "2006-01-02T15:04:05.000Z"

func appendTime(b []byte, name string, t time.Time) []byte {
	b = append(append(append(b, '<'), name...), '>')
	b = AppendTime(b, t)
	return append(append(append(b, "</"...), name...), '>')
}

// AppendTime appends t as documents write it.
func AppendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	y, mo, d := t.Date()
	h, mi, s := t.Clock()
	if y < 0 || y > 9999 {
		return t.AppendFormat(b, TimeFormat)
	}
	b = digits(digits(b, y/100), y%100)
	b = digits(append(b, '-'), int(mo))
	b = digits(append(b, '-'), d)
	b = digits(append(b, 'T'), h)
	b = digits(append(b, ':'), mi)
	b = digits(append(b, ':'), s)
	ms := t.Nanosecond() / 1e6
	b = append(b, '.', byte('0'+ms/100))
	return append(digits(b, ms%100), 'Z')
}

func digits(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }

// Owner is how lists and ACLs name a user.
type Owner struct{ ID, Display string }

func appendOwner(b []byte, name string, o Owner) []byte {
	b = append(append(append(b, '<'), name...), '>')
	b = appendText(b, "ID", o.ID)
	b = appendText(b, "DisplayName", o.Display)
	return append(append(append(b, "</"...), name...), '>')
}
