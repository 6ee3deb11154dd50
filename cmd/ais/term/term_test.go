package term

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"aistore/errs"
)

func noEnv(string) string { return "" }

func TestTable(t *testing.T) {
	var out bytes.Buffer
	o := New(nil, &out, nil, noEnv)
	tab := o.NewTable(Columns("NAME", "SIZE>", "STATE")...)
	for _, r := range [][]string{{"a", "1", "ok"}, {"日本", "12345", "bad"}, {"tab\tesc\x1b[2J", "", "x"}, {"gpj.\u202eexe", "1", "ok"}} {
		if err := tab.Add(r...); err != nil {
			t.Fatal(err)
		}
	}
	if err := tab.Flush(); err != nil {
		t.Fatal(err)
	}
	want := "NAME          SIZE  STATE\n" +
		"a                1  ok\n" +
		"日本         12345  bad\n" +
		"tab?esc?[2J         x\n" +
		"gpj.?exe         1  ok\n"
	if out.String() != want {
		t.Errorf("table is\n%s\nwant\n%s", out.String(), want)
	}

	out.Reset()
	o.NoHeaders = true
	tab = o.NewTable(Columns("NAME")...)
	for i := range 3*blockRows + 1 {
		if err := tab.Add(fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tab.Flush(); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); len(lines) != 3*blockRows+1 || lines[0] != "0" {
		t.Errorf("%d lines, first %q", len(lines), lines[0])
	}
}

func TestColour(t *testing.T) {
	for _, c := range []struct {
		on   bool
		want string
	}{{true, "\x1b[31mx\x1b[0m"}, {false, "x"}} {
		if got := (&Out{outColor: c.on}).Paint(Red, "x"); got != c.want {
			t.Errorf("%v: %q", c.on, got)
		}
	}
	if o := New(nil, &bytes.Buffer{}, &bytes.Buffer{}, noEnv); o.outColor || o.errColor {
		t.Error("colours without a terminal")
	}
}

func TestArray(t *testing.T) {
	for _, n := range []int{0, 1, 3} {
		var out bytes.Buffer
		add, end := New(nil, &out, nil, noEnv).Array()
		for i := range n {
			if err := add(map[string]any{"i": i, "s": "<&>"}); err != nil {
				t.Fatal(err)
			}
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		var back []map[string]any
		if err := json.Unmarshal(out.Bytes(), &back); err != nil || len(back) != n {
			t.Errorf("%d: %v in %q", n, err, out.String())
		}
	}
}

func TestConfirm(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		tty, yes     bool
		kind         errs.Kind
	}{
		{"yes flag", "", false, true, 0},
		{"no terminal", "y\n", false, false, errs.Invalid},
		{"y", "y\n", true, false, 0},
		{"YES", "YES\n", true, false, 0},
		{"n", "n\n", true, false, errs.Canceled},
		{"enter", "\n", true, false, errs.Canceled},
		{"end of input", "", true, false, errs.Canceled},
	} {
		o := &Out{in: strings.NewReader(c.answer), err: &bytes.Buffer{}, inTTY: c.tty, errTTY: c.tty, Yes: c.yes}
		if err := o.Confirm(t.Context(), "Delete %d?", 3); errs.KindOf(err) != c.kind {
			t.Errorf("%s: %v, want kind %v", c.name, err, c.kind)
		}
	}
}

// TestConfirmInterrupted: the end of the context ends a question that nobody answers.
func TestConfirmInterrupted(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	o := &Out{in: readFunc(func(p []byte) (int, error) {
		cancel() // asked, and waiting
		return r.Read(p)
	}), err: &bytes.Buffer{}, inTTY: true, errTTY: true}
	if err := o.Confirm(ctx, "Delete?"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

func TestBytes(t *testing.T) {
	for _, c := range []struct {
		n            int64
		iec, si, raw string
	}{
		{0, "0B", "0B", "0"},
		{999, "999B", "999B", "999"},
		{1000, "1000B", "1.00KB", "1000"},
		{1536, "1.50KiB", "1.54KB", "1536"},
		{1 << 30, "1.00GiB", "1.07GB", "1073741824"},
		{1<<63 - 1, "8.00EiB", "9.22EB", "9223372036854775807"},
	} {
		if got := IEC.Bytes(c.n); got != c.iec {
			t.Errorf("IEC %d: %s", c.n, got)
		}
		if got := SI.Bytes(c.n); got != c.si {
			t.Errorf("SI %d: %s", c.n, got)
		}
		if got := Raw.Bytes(c.n); got != c.raw {
			t.Errorf("raw %d: %s", c.n, got)
		}
	}
}

func TestParseBytes(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "1536": 1536, "64k": 65536, "1.5KiB": 1536, "10MB": 10_000_000, "1GiB": 1 << 30, " 2 mib ": 2 << 20, "7B": 7,
		"9223372036854775807": 1<<63 - 1,
		"":                    -1, "k": -1, "-1": -1, "1X": -1, "1KXB": -1, "1e3": -1, "9999999P": -1, "1.2.3": -1,
	} {
		got, err := ParseBytes("--length", in)
		if want < 0 {
			if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "--length") {
				t.Errorf("%q: %d %v", in, got, err)
			}
		} else if err != nil || got != want {
			t.Errorf("%q: %d %v, want %d", in, got, err, want)
		}
	}
}

func FuzzParseBytes(f *testing.F) {
	f.Add("1.5KiB")
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := ParseBytes("x", s); err == nil && n < 0 {
			t.Errorf("%q is %d", s, n)
		}
	})
}

func TestTimes(t *testing.T) {
	for d, want := range map[time.Duration]string{
		500 * time.Millisecond: "1s", 90 * time.Second: "1m30s", 3*time.Hour + 4*time.Minute: "3h4m", 76 * time.Hour: "3d4h",
	} {
		if got := Uptime(d); got != want {
			t.Errorf("Uptime(%v) = %s, want %s", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "-", 12: "12ns", 27100: "27.1us", 1200 * time.Microsecond: "1.2ms", 2 * time.Second: "2s"} {
		if got := Latency(d); got != want {
			t.Errorf("Latency(%d) = %s, want %s", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %s", n, got)
		}
	}
}

func TestProgressWithoutTerminal(t *testing.T) {
	var out bytes.Buffer
	o := New(nil, &out, &out, noEnv)
	p := o.StartProgress(t.Context(), Transfer{Objects: 2, Bytes: 1 << 30})
	if _, err := p.Writer(&bytes.Buffer{}).Write([]byte("12345")); err != nil {
		t.Fatal(err)
	}
	p.AddObject()
	p.Done()
	if objects, n := p.Counts(); objects != 1 || n != 5 || out.Len() != 0 {
		t.Errorf("counted %d objects, %d bytes, wrote %q", objects, n, out.String())
	}
}

// TestFrames: where output is no terminal a blank line stands between frames, and none before the first.
func TestFrames(t *testing.T) {
	var out bytes.Buffer
	o := New(nil, &out, nil, noEnv)
	for range 2 {
		if err := o.Frame(func() error { o.Printf("frame"); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if out.String() != "frame\n\nframe\n" {
		t.Errorf("%q", out.String())
	}
}
