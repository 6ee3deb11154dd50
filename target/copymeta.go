package target

import (
	"encoding/json"
	"io"
	"strconv"
	"unicode/utf8"

	"aistore/errs"
	"aistore/httpx"
	"aistore/node"
	"aistore/store/format"
)

// headerMeta carries on the intra-cluster listener what a copy must keep and clients may not set: a JSON nodeMeta.
const headerMeta = "Ais-Object-Meta"

// pathIntraCopies takes copies of which that is no text, or too long for a header: PUT pathIntraCopies + "/BUCKETID/KEY?head=N". The body begins with N
// bytes of JSON, a nodeBytes.
const pathIntraCopies = "/intra/copies"

const queryHead = "head"

// longestMeta is as much as a header may take of the 16 KiB that all have.
const longestMeta = 8 << 10

// nodeMeta is the content of headerMeta.
type nodeMeta struct {
	ETag   string            `json:"etag,omitempty"`
	Custom map[string]string `json:"custom,omitempty"`
	System map[string]string `json:"system,omitempty"`
	Tags   map[string]string `json:"tags,omitempty"`
}

// nodeBytes is a nodeMeta whose maps are encoded as in a record: JSON has no strings of any bytes.
type nodeBytes struct {
	ETag   string `json:"etag,omitempty"`
	Custom []byte `json:"custom,omitempty"`
	System []byte `json:"system,omitempty"`
	Tags   []byte `json:"tags,omitempty"`
}

// isText reports whether JSON can say m.
func (m *nodeMeta) isText() bool {
	for _, x := range [...]map[string]string{m.Custom, m.System, m.Tags} {
		for k, v := range x {
			if !utf8.ValidString(k) || !utf8.ValidString(v) {
				return false
			}
		}
	}
	return true
}

// addTo lets call, which sends a copy to dst, say m.
func (m *nodeMeta) addTo(call *httpx.Call, dst *node.Object) error {
	if m.isText() {
		text, err := json.Marshal(m)
		if err != nil {
			return err
		}
		if len(text) <= longestMeta {
			call.Headers = append(call.Headers, httpx.Header{Key: headerMeta, Value: string(text)})
			return nil
		}
	}
	head, err := json.Marshal(&nodeBytes{ETag: m.ETag, Custom: format.EncodeMap(m.Custom), System: format.EncodeMap(m.System), Tags: format.EncodeMap(m.Tags)})
	if err != nil {
		return err
	}
	call.URL = intraURL(pathIntraCopies, dst) + "&" + queryHead + "=" + strconv.Itoa(len(head))
	call.StreamLen += int64(len(head))
	data, source := call.Body, call.Source
	call.Body = nil
	call.Source = func(w io.Writer) error {
		_, err := w.Write(head)
		switch {
		case err != nil:
			return err
		case source != nil:
			return source(w)
		case len(data) > 0:
			_, err = w.Write(data)
		}
		return err
	}
	return nil
}

// copyFromNode takes a copy behind what must be kept of it.
func (t copies) copyFromNode(c *httpx.Ctx) error {
	const op = "target.copyFromNode"
	o, err := t.node.ResolveByID(c, c.Rest())
	if err != nil {
		return err
	}
	r := &request{Object: o, c: c, peer: true}
	if err := t.admitNode(c, &r.Object); err != nil {
		return err
	}
	if r.head, err = strconv.ParseInt(c.Query(queryHead), 10, 64); err != nil || r.head < 0 || r.head > min(c.BodyLen(), maxMessage) {
		return errs.F(op, queryHead, errs.Invalid, "%q is not the length of the body's head", c.Query(queryHead))
	}
	head := make([]byte, r.head)
	if _, err := io.ReadFull(c.Body(), head); err != nil {
		return err
	}
	var m nodeBytes
	if err := json.Unmarshal(head, &m); err != nil {
		return errs.E(op, "request body", errs.Invalid, err)
	}
	r.meta = &nodeMeta{ETag: m.ETag, Custom: format.DecodeMap(m.Custom), System: format.DecodeMap(m.System), Tags: format.DecodeMap(m.Tags)}
	_, err = t.serveOwned(r)
	return err
}
