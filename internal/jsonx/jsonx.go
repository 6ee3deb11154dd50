// Package jsonx reads and writes the JSON of requests and replies.
//
// It is the only importer of json-iterator, which here means what encoding/json means (jsonx_test.go holds it to that): equal values
// have equal text, what is no UTF-8 becomes U+FFFD, and fields that are not known are skipped. UnmarshalStrict, for what people write,
// uses encoding/json for its exact errors: they name the field, say what was expected, and are of kind Invalid.
//
// Start at Marshal and UnmarshalStrict.
package jsonx

import (
	jsoniter "github.com/json-iterator/go"

	"aistore/errs"
)

// codec is immutable once made, and shared because it caches the encoder of each type.
var codec = newCodec() //nolint:gochecknoglobals // a constant in all but syntax

func newCodec() jsoniter.API {
	c := jsoniter.Config{EscapeHTML: true, SortMapKeys: true, ValidateJsonRawMessage: true}.Froze()
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

// Unmarshal reads data, one JSON value, into v; unknown fields are skipped. An error is of kind Invalid.
func Unmarshal(data []byte, v any) error {
	if err := codec.Unmarshal(data, v); err != nil {
		return errs.E("jsonx.Unmarshal", nil, errs.Invalid, err)
	}
	return nil
}
