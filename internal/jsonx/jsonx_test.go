package jsonx

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"aistore/errs"
)

type sample struct {
	Name   string            `json:"name"`
	Count  int32             `json:"count,omitempty"`
	Size   uint64            `json:"size"`
	Parts  []string          `json:"parts"`
	Meta   map[string]string `json:"meta,omitempty"`
	Inner  *inner            `json:"inner,omitempty"`
	At     time.Time         `json:"at"`
	Until  time.Time         `json:"until,omitzero"`
	Spare  inner             `json:"spare,omitzero"`
	Level  *int              `json:"level,omitzero"`
	Tags   []string          `json:"tags,omitzero"`
	Hidden int               `json:"-"`
}

type inner struct {
	On    bool    `json:"on"`
	Ratio float64 `json:"ratio"`
}

func full() sample {
	zero := 0
	return sample{
		Name: "a<b>&é\u2028\x01", Count: -3, Size: 1<<64 - 1, Parts: []string{"x", ""},
		Meta:  map[string]string{"z": "1", "a": "2", "m": "3"},
		Inner: &inner{On: true, Ratio: 0.1}, At: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		Until: time.Date(2027, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600)), Spare: inner{Ratio: 1}, Level: &zero, Tags: []string{},
	}
}

// TestSameAsStandard holds json-iterator to encoding/json, whose meaning clients rely on.
func TestSameAsStandard(t *testing.T) {
	for _, v := range []any{full(), sample{}, &sample{}, struct{ sample }{full()}, map[string]any{"b": 1.5, "a": nil, "c": []int{1}}, "x", "no \xff UTF-8", []byte("bytes"), json.RawMessage(`{"a": 1}`), 1e21, 5 * time.Second} {
		ours, err := Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		want, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var a, b any
		if err := json.Unmarshal(ours, &a); err != nil {
			t.Fatalf("%s: %v", ours, err)
		}
		if err := json.Unmarshal(want, &b); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(a, b) {
			t.Errorf("Marshal gave %s, encoding/json %s", ours, want)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	text, err := Marshal(full())
	if err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]func([]byte, any) error{"Unmarshal": Unmarshal, "UnmarshalStrict": UnmarshalStrict} {
		var got sample
		if err := read(text, &got); err != nil || !reflect.DeepEqual(norm(got), norm(full())) {
			t.Errorf("%s: %v, %+v", name, err, got)
		}
	}
}

func TestEqualValuesEqualText(t *testing.T) {
	m := map[string]int{}
	for _, k := range strings.Split("q w e r t y u i o p a s d f g h", " ") {
		m[k] = len(k)
	}
	first, err := Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if again, err := Marshal(m); err != nil || !bytes.Equal(first, again) {
			t.Fatalf("%s, then %s (%v)", first, again, err)
		}
	}
}

func TestLenient(t *testing.T) {
	var got sample
	if err := Unmarshal([]byte(`{"name":"a","from_the_future":{"x":[1]}}`), &got); err != nil || got.Name != "a" {
		t.Errorf("%v, %+v", err, got)
	}
	for name, text := range map[string]string{"wrong type": `{"count":"three"}`, "cut short": `{"name":"a"`, "more behind it": `{"name":"a"}x`} {
		if err := Unmarshal([]byte(text), &got); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStrictNamesTheFault(t *testing.T) {
	for _, c := range []struct {
		text, name, says string
		kind             errs.Kind
	}{
		{`{"name":"a","count":7} `, "", "", 0},
		{`{"nam":"a"}`, "nam", "no such field", errs.Invalid},
		{`{"inner":{"off":true}}`, "off", "no such field", errs.Invalid},
		{`{"count":"three"}`, "count", "want a whole number of 32 bits, not string", errs.Invalid},
		{`{"count":3000000000}`, "count", "want a whole number of 32 bits, not number 3000000000", errs.Invalid},
		{`{"size":-1}`, "size", "want a whole number >= 0 of 64 bits, not number -1", errs.Invalid},
		{`{"inner":{"on":1}}`, "inner.on", "want true or false, not number", errs.Invalid},
		{`{"inner":{"ratio":"x"}}`, "inner.ratio", "want a number, not string", errs.Invalid},
		{`{"parts":"x"}`, "parts", "want a list, not string", errs.Invalid},
		{`{"meta":[]}`, "meta", "want an object, not array", errs.Invalid},
		{`{"name":{}}`, "name", "want a string, not object", errs.Invalid},
		{`[1]`, "JSON", "want an object, not array", errs.Invalid},
		{`{"name":"a",}`, "", "not JSON: ", errs.Invalid},
		{`{"name":"a"`, "", "ends too early", errs.Invalid},
		{`{"name":"a"} {}`, "", "text after the JSON value at byte 13", errs.Invalid},
		{`{"at":"yesterday"}`, "", "yesterday", errs.Invalid},
		{``, "", "no JSON", errs.Invalid},
		{"  \n", "", "no JSON", errs.Invalid},
	} {
		var got sample
		err := UnmarshalStrict([]byte(c.text), &got)
		if c.kind == errs.Other {
			if err != nil || got.Count != 7 {
				t.Errorf("%s: %v, %+v", c.text, err, got)
			}
			continue
		}
		var e *errs.Error
		if !errors.As(err, &e) || e.Kind != c.kind || e.Name != c.name || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.30s: got %v, want kind %v, name %q, text %q", c.text, err, c.kind, c.name, c.says)
		}
	}
}

func FuzzDecode(f *testing.F) {
	whole, _ := Marshal(full())
	f.Add(string(whole))
	f.Add(`{"inner":null,"meta":{"a":1}}`)
	f.Fuzz(func(t *testing.T, text string) {
		var got sample
		if err := UnmarshalStrict([]byte(text), &got); err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Fatalf("%v", err)
			}
			return
		}
		again, err := Marshal(got)
		if err != nil {
			t.Skip() // such as a year that RFC 3339 cannot hold
		}
		var back sample
		if err := Unmarshal(again, &back); err != nil {
			t.Fatalf("%s became %s: %v", text, again, err)
		}
		if !reflect.DeepEqual(norm(got), norm(back)) {
			t.Fatalf("%s: %+v, then %+v", text, got, back)
		}
	})
}

// norm removes what JSON cannot tell apart: empty and absent, and the pointer inside a time.
func norm(s sample) sample {
	if len(s.Meta) == 0 {
		s.Meta = nil
	}
	s.At, s.Until = s.At.UTC(), s.Until.UTC()
	return s
}

func BenchmarkMarshal(b *testing.B) {
	v := full()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Marshal(&v); err != nil {
			b.Fatal(err)
		}
	}
}

func TestDuplicate(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":1,"b":2}`:                      "",
		`{"a":1,"a":1}`:                      "a",
		`{"a":{"b":1},"c":{"b":1}}`:          "",
		`{"a":{"x":"a"},"b":"a"}`:            "",
		`{"v":{"w":[{"k":1},{"k":2}]}}`:      "",
		`{"v":{"w":[{"k":1,"j":[],"k":2}]}}`: "v.w.k",
		`{"v":[[],{}],"w":{},"v":null}`:      "v",
		`{"a":1,"\u0061":2}`:                 "a",
		`["a","a"]`:                          "",
		`"a"`:                                "",
		``:                                   "",
		`{"a":1,`:                            "",
		`{"a":1,}}`:                          "",
		`{"a\"b":1,"a":2,"a\\":3}`:           "",
		`{"a\\":1,"a\\":2}`:                  `a\`,
		"{\"\xff\":1,\"\xfe\":2}":            "\ufffd",
		`{"a":"b","b":"\\"}`:                 "",
		`{"a":"`:                             "",
		`{"a":"\`:                            "",
		`}{"a":1,"a":2}`:                     "",
		strings.Repeat(`{"a":`, 10_000) + `{"b":1,"b":2}`: "", // deeper than its reader goes
	} {
		if got := Duplicate([]byte(text)); got != want {
			t.Errorf("%.80s: %.80q, want %q", text, got, want)
		}
	}
}

// TestDuplicateHoldsLittle: a message of nothing but "[" must not take a hundred times its size.
func TestDuplicateHoldsLittle(t *testing.T) {
	data := bytes.Repeat([]byte("["), 4<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	Duplicate(data)
	runtime.ReadMemStats(&after)
	allocated := after.TotalAlloc - before.TotalAlloc
	if allocated > uint64(len(data)) {
		t.Errorf("%d bytes allocated for %d", allocated, len(data))
	}
}

// byTokens finds duplicates by encoding/json's tokens: what Duplicate is held to.
func byTokens(data []byte) string {
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
				return path(at)
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

// FuzzDuplicate: of all that a reader takes Duplicate says what encoding/json's tokens say, and of anything else it says something.
func FuzzDuplicate(f *testing.F) {
	for _, s := range []string{`{"a":1,"a":1}`, `{"v":{"w":[{"k":1,"j":[],"k":2}]}}`, `{"a":1,"\u0061":2}`, `{"a\\":1,"a\\":2}`, "{\"\xff\":1,\"\xfe\":2}", `[1e5,true,null,{"x":"{"}]`, `"`, `{"a":"\`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got := Duplicate(data)
		if !json.Valid(data) {
			return
		}
		if want := byTokens(data); got != want {
			t.Errorf("%.200q: %q, want %q", data, got, want)
		}
	})
}
