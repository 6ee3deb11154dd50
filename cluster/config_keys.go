package cluster

import (
	"encoding"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"aistore/errs"
)

// Keys returns every setting by its dotted json name, with its value as text: what With takes.
func (c *Config) Keys() map[string]string {
	all := map[string]string{}
	walkConfig(reflect.ValueOf(c).Elem(), "", func(key string, v reflect.Value) {
		if t, ok := v.Interface().(encoding.TextMarshaler); ok {
			b, _ := t.MarshalText() // Duration's never fails
			all[key] = string(b)
			return
		}
		all[key] = fmt.Sprint(v.Interface())
	})
	return all
}

// CountsBytes reports whether a setting is a number of bytes. With takes it as a plain number; how people write it is for others to read.
func CountsBytes(key string) bool {
	yes := false
	walkConfig(reflect.ValueOf(&Config{}).Elem(), "", func(k string, v reflect.Value) {
		yes = yes || k == key && v.Type() == reflect.TypeFor[int64]()
	})
	return yes
}

// With returns a valid copy with the settings changed, or an error that names every wrong key.
func (c *Config) With(set map[string]string) (*Config, error) {
	const op = "cluster.Config"
	next := *c
	left := maps.Clone(set)
	var faults []error
	walkConfig(reflect.ValueOf(&next).Elem(), "", func(key string, v reflect.Value) {
		text, ok := set[key]
		if !ok {
			return
		}
		delete(left, key)
		if err := setValue(v, text); err != nil {
			faults = append(faults, errs.F(op, key, errs.Invalid, "%q: %w", text, err))
		}
	})
	for _, key := range slices.Sorted(maps.Keys(left)) {
		faults = append(faults, errs.E(op, key, errs.Invalid, "no such setting"))
	}
	if len(faults) == 0 {
		faults = append(faults, next.Validate())
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return &next, nil
}

// walkConfig visits the settings in the order of the structs; version is not a setting.
func walkConfig(v reflect.Value, prefix string, visit func(key string, v reflect.Value)) {
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		f := v.Field(i)
		switch {
		case prefix == "" && name == "version":
		case f.Kind() == reflect.Struct:
			walkConfig(f, prefix+name+".", visit)
		default:
			visit(prefix+name, f)
		}
	}
}

func setValue(v reflect.Value, text string) error {
	if t, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return t.UnmarshalText([]byte(text))
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
		return nil
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return errors.New("is not a whole number")
		}
		v.SetInt(n)
		return nil
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return errors.New("is not true or false")
		}
		v.SetBool(b)
		return nil
	}
	return fmt.Errorf("BUG: settings of kind %v cannot be set", v.Kind())
}
