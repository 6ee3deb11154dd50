package jsonx

import (
	"reflect"
	"slices"
	"strings"
	"unsafe"

	jsoniter "github.com/json-iterator/go"
	"github.com/modern-go/reflect2"
)

// omitZero teaches json-iterator the tag option "omitzero", which encoding/json has known since Go
// 1.24: it shows such a field to the library as "omitempty" and answers the question itself.
type omitZero struct{ jsoniter.DummyExtension }

// UpdateStructDescriptor is called once for each struct type, before its tags are read.
func (*omitZero) UpdateStructDescriptor(d *jsoniter.StructDescriptor) {
	for _, b := range d.Fields {
		tag := b.Field.Tag().Get("json")
		if slices.Contains(strings.Split(tag, ",")[1:], "omitzero") {
			b.Encoder = zeroIsEmpty{b.Encoder, b.Field.Type().Type1()}
			b.Field = retagged{b.Field, reflect.StructTag(`json:"` + tag + `,omitempty"`)}
		}
	}
}

// retagged is a field with another tag.
type retagged struct {
	reflect2.StructField
	tag reflect.StructTag
}

func (r retagged) Tag() reflect.StructTag { return r.tag }

// zeroIsEmpty writes as its encoder does and takes for empty what omitzero omits.
type zeroIsEmpty struct {
	jsoniter.ValEncoder
	typ reflect.Type
}

func (e zeroIsEmpty) IsEmpty(p unsafe.Pointer) bool {
	v := reflect.NewAt(e.typ, p)
	if z, ok := v.Interface().(interface{ IsZero() bool }); ok && e.typ.Kind() != reflect.Pointer {
		return z.IsZero()
	}
	return v.Elem().IsZero()
}
