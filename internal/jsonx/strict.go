package jsonx

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"aistore/errs"
)

// UnmarshalStrict reads data, one JSON value and nothing after it, into v. A field that v does not
// have, or of another type, is an error of kind Invalid with the field as its name.
func UnmarshalStrict(data []byte, v any) error {
	const op = "jsonx.UnmarshalStrict"
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return explain(op, err)
	}
	rest := bytes.TrimLeft(data[d.InputOffset():], " \t\r\n")
	if len(rest) > 0 {
		return errs.F(op, nil, errs.Invalid, "text after the JSON value at byte %d", len(data)-len(rest))
	}
	return nil
}

// explain says in the user's terms what encoding/json found.
func explain(op string, err error) error {
	var wrongType *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &wrongType):
		name := wrongType.Field
		if name == "" {
			name = "JSON"
		}
		return errs.F(op, name, errs.Invalid, "want %s, not %s (at byte %d)", want(wrongType.Type), wrongType.Value, wrongType.Offset)
	case errors.As(err, &syntax):
		return errs.F(op, nil, errs.Invalid, "not JSON: %w (at byte %d)", err, syntax.Offset)
	case errors.Is(err, io.EOF):
		return errs.E(op, nil, errs.Invalid, "no JSON where some is required")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errs.E(op, nil, errs.Invalid, "not JSON: it ends too early")
	}
	if quoted, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		if name, uerr := strconv.Unquote(quoted); uerr == nil {
			return errs.E(op, name, errs.Invalid, "no such field")
		}
	}
	return errs.E(op, nil, errs.Invalid, err)
}

// want names the JSON shape that fits t.
func want(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return fmt.Sprintf("a whole number of %d bits", t.Bits())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return fmt.Sprintf("a whole number >= 0 of %d bits", t.Bits())
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "an object"
	default:
		return t.String()
	}
}
