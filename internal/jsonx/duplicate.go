package jsonx

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// maxDepth is how deep JSON may be nested: encoding/json and json-iterator refuse what is deeper.
const maxDepth = 10_000

// level is an object or a list that is open.
type level struct {
	keys   map[string]bool // nil in a list
	name   string          // the last key
	isName bool            // the next string is a key
}

// Duplicate returns the dotted name of the first key that stands twice in one object of data, at any depth; "" when none does,
// or when data is not JSON or deeper than its reader takes, which the reader will find. Readers take the last of several, silently
// (RFC 8259, section 4, leaves it open), so what a person or a signature meant may be the other.
//
// It looks at the bytes itself: the tokens of a json.Decoder took seconds for a message of some MiB, and as they have no limit of depth,
// a hundred times its size in memory for one that is all "[".
func Duplicate(data []byte) string {
	var open []level
	for i := 0; i < len(data); {
		top := len(open) - 1
		switch data[i] {
		case '{', '[':
			if len(open) == maxDepth {
				return ""
			}
			l := level{}
			if data[i] == '{' {
				l = level{keys: map[string]bool{}, isName: true}
			}
			open = append(open, l)
		case '}', ']':
			if top < 0 {
				return ""
			}
			open = open[:top]
		case ',':
			if top >= 0 {
				open[top].isName = open[top].keys != nil
			}
		case '"':
			end := stringEnd(data, i)
			if end < 0 {
				return ""
			}
			if top >= 0 && open[top].isName {
				l := &open[top]
				l.name, l.isName = keyOf(data[i:end]), false
				if l.keys[l.name] {
					return path(open)
				}
				l.keys[l.name] = true
			}
			i = end
			continue
		}
		i++
	}
	return ""
}

// stringEnd returns where the string that begins at data[i] has ended; -1 if it does not.
func stringEnd(data []byte, i int) int {
	for i++; i < len(data); i++ {
		switch data[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return -1
}

// keyOf returns what the string quoted means to its reader. One that is no string is its own text, and left to the reader.
func keyOf(quoted []byte) string {
	plain := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(plain, '\\') < 0 && utf8.Valid(plain) {
		return string(plain)
	}
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return string(plain)
	}
	return s
}

// path is the dotted name of the last key.
func path(open []level) string {
	var names []string
	for _, l := range open {
		if l.keys != nil {
			names = append(names, l.name)
		}
	}
	return strings.Join(names, ".")
}
