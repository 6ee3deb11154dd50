package jsonx

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Duplicate returns the dotted name of the first key that stands twice in one object of data, at any depth; "" when none does,
// or when data is not JSON, which its reader will find. Readers take the last of several, silently (RFC 8259, section 4,
// leaves it open), so what a person or a signature meant may be the other.
func Duplicate(data []byte) string {
	type level struct {
		keys   map[string]bool // nil in a list
		name   string
		isName bool // the next token is a key
	}
	var at []level
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	for {
		tok, err := d.Token()
		if err != nil {
			return ""
		}
		top := len(at) - 1
		if key, ok := tok.(string); ok && top >= 0 && at[top].isName {
			at[top].name, at[top].isName = key, false
			if at[top].keys[key] {
				var path []string
				for _, l := range at {
					if l.keys != nil {
						path = append(path, l.name)
					}
				}
				return strings.Join(path, ".")
			}
			at[top].keys[key] = true
			continue
		}
		switch tok {
		case json.Delim('{'):
			at = append(at, level{keys: map[string]bool{}, isName: true})
			continue
		case json.Delim('['):
			at = append(at, level{})
			continue
		case json.Delim('}'), json.Delim(']'):
			at = at[:top]
			top--
		}
		if top >= 0 { // a value has ended
			at[top].isName = at[top].keys != nil
		}
	}
}
