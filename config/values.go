package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"aistore/errs"
)

// Size is a number of bytes that people write as 64MiB.
type Size int64

// Units of Size.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
	TiB Size = 1 << 40
)

// ParseSize reads a number of bytes: digits, perhaps with a fraction, and a unit. KiB, MiB, GiB, TiB
// and their first letters alone are powers of 1024; kB, MB, GB, TB are powers of 1000, as is the
// field's habit; B or nothing is bytes. Case does not matter.
func ParseSize(s string) (Size, error) {
	number := strings.TrimRight(strings.TrimSpace(s), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	unit := strings.ToLower(strings.TrimSpace(s)[len(number):])
	factor, known := map[string]float64{
		"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
		"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
	}[unit]
	if n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64); err == nil && factor == 1 && n >= 0 {
		return Size(n), nil // exact beyond 2^53
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if !known || err != nil || v < 0 || math.IsNaN(v) || v*factor >= math.MaxInt64 {
		return 0, errs.F("config.ParseSize", nil, errs.Invalid, "%q is no size: write it as 1048576, 64MiB or 1.5GB", s)
	}
	return Size(math.Round(v * factor)), nil
}

// String prints s exactly, in the largest unit that divides it.
func (s Size) String() string {
	for _, u := range []struct {
		unit Size
		name string
	}{{TiB, "TiB"}, {GiB, "GiB"}, {MiB, "MiB"}, {KiB, "KiB"}} {
		if s != 0 && s%u.unit == 0 {
			return strconv.FormatInt(int64(s/u.unit), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// Toggle is a switch that may also be left alone.
type Toggle int8

// The positions of a Toggle.
const (
	Unset Toggle = iota
	On
	Off
)

// On reports whether t is switched on; Unset is not.
func (t Toggle) On() bool { return t == On }

// The types below set one field from text, for the file, the environment and flags alike; they are
// flag.Values. An error says what would be right and leaves naming the field to the caller.

type stringValue struct{ p *string }

func (v stringValue) Set(s string) error { *v.p = strings.TrimSpace(s); return nil }
func (v stringValue) String() string {
	if v.p == nil {
		return ""
	}
	return *v.p
}

type numberValue[T int | uint32] struct{ p *T }

func (v numberValue[T]) Set(s string) error {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 31)
	if err != nil || n == 0 { // 0 would quietly mean the default
		return fmt.Errorf("%q is no whole number above 0", s)
	}
	*v.p = T(n)
	return nil
}

func (v numberValue[T]) String() string {
	if v.p == nil || *v.p == 0 {
		return ""
	}
	return fmt.Sprint(*v.p)
}

// A portValue is a port that may be switched off with 0.
type portValue struct{ p *int }

func (v portValue) Set(s string) error {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 16)
	if err != nil {
		return fmt.Errorf("%q is no port: use 1..65535, or 0 for off", s)
	}
	*v.p = int(n)
	return nil
}

func (v portValue) String() string {
	if v.p == nil || *v.p == 0 {
		return ""
	}
	return strconv.Itoa(*v.p)
}

type sizeValue struct{ p *Size }

func (v sizeValue) Set(s string) error {
	n, err := ParseSize(s)
	if err == nil && n == 0 {
		err = fmt.Errorf("%q is no size above 0", s)
	}
	if err == nil {
		*v.p = n
	}
	return err
}

func (v sizeValue) String() string {
	if v.p == nil || *v.p == 0 {
		return ""
	}
	return v.p.String()
}

type toggleValue struct{ p *Toggle }

func (v toggleValue) Set(s string) error {
	on, err := strconv.ParseBool(strings.TrimSpace(s))
	switch {
	case err != nil:
		return fmt.Errorf("%q is neither true nor false", s)
	case on:
		*v.p = On
	default:
		*v.p = Off
	}
	return nil
}

func (v toggleValue) String() string {
	if v.p == nil || *v.p == Unset {
		return ""
	}
	return strconv.FormatBool(v.p.On())
}

// IsBoolFlag lets --bootstrap stand without a value.
func (v toggleValue) IsBoolFlag() bool { return true }

// A listValue replaces the list of an earlier source at its first Set and appends at later ones, so
// that a flag may be repeated.
type listValue struct {
	p   *[]string
	set bool
}

// Set takes items separated by commas.
func (v *listValue) Set(s string) error {
	var items []string
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	v.add(items)
	return nil
}

func (v *listValue) add(items []string) {
	if !v.set {
		*v.p = nil
	}
	v.set = true
	*v.p = append(*v.p, items...)
}

func (v *listValue) String() string {
	if v == nil || v.p == nil {
		return ""
	}
	return strings.Join(*v.p, ",")
}
