// Package jsonx reads and writes the project's JSON.
//
// It is the only importer of json-iterator, which writes and leniently reads what nodes say to each
// other (fields of a newer node are skipped). What people write goes through Decode or
// UnmarshalStrict, which use encoding/json for its exact errors: they name the field, say what was
// expected, and are of kind Invalid. Map keys are sorted, so equal values have equal text; HTML is not
// escaped. Tags are those of encoding/json.
//
// Start at Marshal and Decode.
package jsonx

import (
	"io"

	jsoniter "github.com/json-iterator/go"

	"aistore/errs"
)

// codec is immutable once made, and shared because it caches the encoder of each type.
var codec = newCodec() //nolint:gochecknoglobals // a constant in all but syntax

func newCodec() jsoniter.API {
	c := jsoniter.Config{SortMapKeys: true, ValidateJsonRawMessage: true}.Froze()
	c.RegisterExtension(&omitZero{})
	return c
}

// Marshal returns v as JSON.
func Marshal(v any) ([]byte, error) {
	b, err := codec.Marshal(v)
	if err != nil {
		return nil, errs.E("jsonx.Marshal", nil, err)
	}
	return b, nil
}

// MarshalIndent returns v as JSON for people: two blanks a level, and a newline at the end.
func MarshalIndent(v any) ([]byte, error) {
	b, err := codec.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, errs.E("jsonx.MarshalIndent", nil, err)
	}
	return append(b, '\n'), nil
}

// Encode writes v and a newline to w.
func Encode(w io.Writer, v any) error {
	if err := codec.NewEncoder(w).Encode(v); err != nil {
		return errs.E("jsonx.Encode", nil, err)
	}
	return nil
}

// Unmarshal reads data, one JSON value, into v; unknown fields are skipped. For what nodes and SDKs
// write. An error is of kind Invalid.
func Unmarshal(data []byte, v any) error {
	if err := codec.Unmarshal(data, v); err != nil {
		return errs.E("jsonx.Unmarshal", nil, errs.Invalid, err)
	}
	return nil
}
