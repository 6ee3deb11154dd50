package owner

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"testing"

	"aistore/object"
)

func FuzzSourceHead(f *testing.F) {
	head, err := json.Marshal(&sourceReply{sourceHead: sourceHead{Info: object.Info{Key: "k", Size: 3}, Span: object.Span{Length: 3}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(append(binary.AppendUvarint(nil, uint64(len(head))), head...), "abc"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s source
		if err := s.readHead(bytes.NewReader(b)); err == nil && (s.body == nil || s.Span.Length < 0) {
			t.Fatalf("%+v", s.sourceHead)
		}
	})
}
