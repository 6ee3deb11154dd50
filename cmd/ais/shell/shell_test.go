package shell

import (
	"reflect"
	"testing"
)

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		line string
		ws   []string
		raw  string
	}{
		{"ais ", []string{"ais", ""}, ""},
		{"ais l", []string{"ais", "l"}, "l"},
		{`ais ls  ais://b/a\ b`, []string{"ais", "ls", "ais://b/a b"}, `ais://b/a\ b`},
		{`ais ls "ais://b/a b`, []string{"ais", "ls", "ais://b/a b"}, `"ais://b/a b`},
		{`ais ls 'a"b' "c'd\"" e`, []string{"ais", "ls", `a"b`, `c'd"`, "e"}, "e"},
		{"cd x; ais l", []string{"ais", "l"}, "l"},
		{"x | ais l", []string{"ais", "l"}, "l"},
	} {
		ws, raw := Split(c.line)
		if !reflect.DeepEqual(ws, c.ws) || raw != c.raw {
			t.Errorf("%q: %q %q, want %q %q", c.line, ws, raw, c.ws, c.raw)
		}
	}
}

func TestBashReply(t *testing.T) {
	for _, c := range []struct {
		c         Word
		raw, want string
	}{
		{Word{Text: "ls"}, "l", "ls "},
		{Word{Text: "ais://b/x"}, "ai", "ais://b/x "},
		{Word{Text: "ais://b/x"}, "ais:", "//b/x "},
		{Word{Text: "ais://b/a b:c"}, "ais://b/a", `//b/a\ b:c `},
		{Word{Text: "ais://b/a b:c"}, `ais://b/a\ b:`, `c `},
		{Word{Text: "ais://b/d/", Open: true}, "ais://b/", "//b/d/"},
		{Word{Text: "ais://b/a b"}, `"ais://b/`, "ais://b/a b"},
		{Word{Text: "k=v"}, "k=", "v "},
	} {
		if got := BashReply(c.c, c.raw); got != c.want {
			t.Errorf("%+v for %q is %q, want %q", c.c, c.raw, got, c.want)
		}
	}
}
