package api

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"

	"aistore/errs"
)

// ListPage is one page of a listing. On the wire it is JSON (as in AIStore's HTTP documentation) or msgpack
// (maps with the short keys that AIStore's SDK decodes).
type ListPage struct {
	UUID         string      `json:"uuid"`
	Continuation string      `json:"continuation_token"` // "" = the last page
	Entries      []ListEntry `json:"entries"`
	Flags        uint32      `json:"flags"`
}

// ListEntry is one object, or with EntryIsDir one group of names.
type ListEntry struct {
	Name     string `json:"name"`
	Checksum string `json:"checksum,omitempty"`
	Atime    string `json:"atime,omitempty"`
	Version  string `json:"version,omitempty"`
	Location string `json:"location,omitempty"`
	Custom   string `json:"custom,omitempty"`
	Size     int64  `json:"size,string,omitempty"`
	Copies   uint16 `json:"copies,omitempty"`
	Flags    uint16 `json:"flags,omitempty"`
}

// Bits of ListEntry.Flags. Bits 0-4 are a status and always 0, which is "good"; that and the bit of cached objects are as the
// published Python SDK 2.0.0 reads them (BucketEntry.is_ok, is_cached). It knows groups by no bit, only by their names.
const (
	EntryIsCached = 1 << 6 // present in the cluster: every object here
	EntryIsDir    = 1 << 8 // a group; its name ends with the delimiter
)

// IsDir reports whether e stands for a group of names.
func (e *ListEntry) IsDir() bool { return e.Flags&EntryIsDir != 0 }

// AppendMsg adds the msgpack form.
func (p *ListPage) AppendMsg(b []byte) []byte {
	b = msgp.AppendMapHeader(b, 4)
	b = msgp.AppendString(b, "UUID")
	b = msgp.AppendString(b, p.UUID)
	b = msgp.AppendString(b, "ContinuationToken")
	b = msgp.AppendString(b, p.Continuation)
	b = msgp.AppendString(b, "Flags")
	b = msgp.AppendUint32(b, p.Flags)
	b = msgp.AppendString(b, "Entries")
	if p.Entries == nil {
		return msgp.AppendNil(b)
	}
	b = msgp.AppendArrayHeader(b, uint32(len(p.Entries)))
	for i := range p.Entries {
		b = p.Entries[i].appendMsg(b)
	}
	return b
}

// key adds a one-letter (fixstr) key or "cs".
func key(b []byte, k string) []byte { return append(append(b, 0xa0|byte(len(k))), k...) }

func (e *ListEntry) appendMsg(b []byte) []byte {
	head := len(b)
	b = append(b, 0)
	n := byte(1)
	b = msgp.AppendString(key(b, "n"), e.Name)
	for _, f := range [...]struct{ k, v string }{{"cs", e.Checksum}, {"a", e.Atime}, {"v", e.Version}, {"t", e.Location}, {"m", e.Custom}} {
		if f.v != "" {
			n++
			b = msgp.AppendString(key(b, f.k), f.v)
		}
	}
	if e.Size != 0 {
		n++
		b = msgp.AppendInt64(key(b, "s"), e.Size)
	}
	if e.Copies != 0 {
		n++
		b = msgp.AppendUint16(key(b, "c"), e.Copies)
	}
	if e.Flags != 0 {
		n++
		b = msgp.AppendUint16(key(b, "f"), e.Flags)
	}
	b[head] = 0x80 | n // fixmap: at most 15 entries
	return b
}

// maxEntries bounds what a decoded page may announce, so that a short message cannot ask for much memory.
const maxEntries = 1 << 20

// DecodeMsg reads the msgpack form; unknown keys are skipped. Nothing in p aliases b.
func (p *ListPage) DecodeMsg(b []byte) error {
	const op = "api.ListPage"
	*p = ListPage{}
	n, b, err := msgp.ReadMapHeaderBytes(b)
	for ; err == nil && n > 0; n-- {
		var k []byte
		if k, b, err = msgp.ReadStringZC(b); err != nil {
			break
		}
		switch string(k) {
		case "UUID":
			p.UUID, b, err = msgp.ReadStringBytes(b)
		case "ContinuationToken":
			p.Continuation, b, err = msgp.ReadStringBytes(b)
		case "Flags":
			p.Flags, b, err = msgp.ReadUint32Bytes(b)
		case "Entries":
			b, err = p.decodeEntries(b)
		default:
			b, err = msgp.Skip(b)
		}
	}
	if err != nil {
		return errs.E(op, "list page", errs.Invalid, err)
	}
	return nil
}

func (p *ListPage) decodeEntries(b []byte) ([]byte, error) {
	if msgp.IsNil(b) {
		return msgp.ReadNilBytes(b)
	}
	n, b, err := msgp.ReadArrayHeaderBytes(b)
	if err != nil {
		return b, err
	}
	if n > maxEntries || int(n) > len(b) {
		return b, errs.F("api.ListPage", "Entries", errs.Invalid, "announces %d entries in %d bytes", n, len(b))
	}
	p.Entries = make([]ListEntry, n)
	for i := range p.Entries {
		if b, err = p.Entries[i].decodeMsg(b); err != nil {
			return b, err
		}
	}
	return b, nil
}

func (e *ListEntry) decodeMsg(b []byte) ([]byte, error) {
	n, b, err := msgp.ReadMapHeaderBytes(b)
	for ; err == nil && n > 0; n-- {
		var k []byte
		if k, b, err = msgp.ReadStringZC(b); err != nil {
			break
		}
		switch string(k) {
		case "n":
			e.Name, b, err = msgp.ReadStringBytes(b)
		case "cs":
			e.Checksum, b, err = msgp.ReadStringBytes(b)
		case "a":
			e.Atime, b, err = msgp.ReadStringBytes(b)
		case "v":
			e.Version, b, err = msgp.ReadStringBytes(b)
		case "t":
			e.Location, b, err = msgp.ReadStringBytes(b)
		case "m":
			e.Custom, b, err = msgp.ReadStringBytes(b)
		case "s":
			e.Size, b, err = msgp.ReadInt64Bytes(b)
		case "c":
			e.Copies, b, err = msgp.ReadUint16Bytes(b)
		case "f":
			e.Flags, b, err = msgp.ReadUint16Bytes(b)
		default:
			b, err = msgp.Skip(b)
		}
	}
	return b, err
}

// AppendJSON adds the JSON form, which is what encoding/json makes of p.
func (p *ListPage) AppendJSON(b []byte) []byte {
	b = appendQuoted(append(b, `{"uuid":`...), p.UUID)
	b = appendQuoted(append(b, `,"continuation_token":`...), p.Continuation)
	b = append(b, `,"entries":`...)
	if p.Entries == nil {
		b = append(b, "null"...)
	} else {
		b = append(b, '[')
		for i := range p.Entries {
			if i > 0 {
				b = append(b, ',')
			}
			b = p.Entries[i].appendJSON(b)
		}
		b = append(b, ']')
	}
	b = strconv.AppendUint(append(b, `,"flags":`...), uint64(p.Flags), 10)
	return append(b, '}')
}

func (e *ListEntry) appendJSON(b []byte) []byte {
	b = appendQuoted(append(b, `{"name":`...), e.Name)
	for _, f := range [...]struct{ k, v string }{
		{`,"checksum":`, e.Checksum}, {`,"atime":`, e.Atime}, {`,"version":`, e.Version},
		{`,"location":`, e.Location}, {`,"custom":`, e.Custom},
	} {
		if f.v != "" {
			b = appendQuoted(append(b, f.k...), f.v)
		}
	}
	if e.Size != 0 {
		b = append(strconv.AppendInt(append(b, `,"size":"`...), e.Size, 10), '"')
	}
	if e.Copies != 0 {
		b = strconv.AppendUint(append(b, `,"copies":`...), uint64(e.Copies), 10)
	}
	if e.Flags != 0 {
		b = strconv.AppendUint(append(b, `,"flags":`...), uint64(e.Flags), 10)
	}
	return append(b, '}')
}

// appendQuoted adds s as a JSON string. Plain ASCII is copied; the rest is left to encoding/json.
func appendQuoted(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' || c >= utf8.RuneSelf {
			q, err := json.Marshal(s)
			if err != nil { // a string always has a JSON form
				q = []byte(`""`)
			}
			return append(b, q...)
		}
	}
	b = append(append(b, '"'), s...)
	return append(b, '"')
}
