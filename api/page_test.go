package api

import (
	"encoding/json"
	"reflect"
	"testing"
)

func samplePages() []ListPage {
	return []ListPage{
		{},
		{UUID: "u", Continuation: "c", Entries: []ListEntry{}},
		{UUID: "u1", Entries: []ListEntry{
			{Name: "a", Size: 5, Flags: EntryIsCached},
			{Name: "Ünïcode/\"quoted\"\\<&>\u2028\n", Checksum: "00ff", Atime: "now", Version: "1.2", Location: "t[x]", Custom: "k=v", Size: 1 << 40, Copies: 2, Flags: EntryIsDir},
		}},
	}
}

func TestPageMsgRoundTrip(t *testing.T) {
	for i, p := range samplePages() {
		var got ListPage
		if err := got.DecodeMsg(p.AppendMsg(nil)); err != nil {
			t.Fatalf("page %d: %v", i, err)
		}
		if !reflect.DeepEqual(got, p) {
			t.Errorf("page %d: got %+v, want %+v", i, got, p)
		}
	}
}

// TestPageJSON holds the hand-written encoder to what encoding/json makes of the same page.
func TestPageJSON(t *testing.T) {
	for i, p := range samplePages() {
		want, err := json.Marshal(&p)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.AppendJSON(nil); string(got) != string(want) {
			t.Errorf("page %d:\n got %s\nwant %s", i, got, want)
		}
	}
}

func FuzzPageMsg(f *testing.F) {
	for _, p := range samplePages() {
		f.Add(p.AppendMsg(nil))
	}
	f.Add([]byte{0x81, 0xa7, 'E', 'n', 't', 'r', 'i', 'e', 's', 0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		var p, q ListPage
		if p.DecodeMsg(b) != nil {
			return
		}
		enc := p.AppendMsg(nil)
		if err := q.DecodeMsg(enc); err != nil {
			t.Fatalf("own encoding refused: %v", err)
		}
		if !reflect.DeepEqual(p, q) {
			t.Fatalf("%+v became %+v", p, q)
		}
	})
}

func BenchmarkPage1000(b *testing.B) {
	p := ListPage{Entries: make([]ListEntry, 1000)}
	for i := range p.Entries {
		p.Entries[i] = ListEntry{Name: "bench/object-000123", Size: 4096, Flags: EntryIsCached}
	}
	for name, enc := range map[string]func([]byte) []byte{"msg": p.AppendMsg, "json": p.AppendJSON} {
		b.Run(name, func(b *testing.B) {
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				buf = enc(buf[:0])
			}
		})
	}
}
