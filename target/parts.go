package target

import (
	"io"

	"aistore/httpx"
	"aistore/object"
	"aistore/store"
)

// SendParts serves several ranges as multipart/byteranges (RFC 9110 section 14.6), in the order asked, and closes the object. It
// sets the status and the Content-Type.
func (t *Target) SendParts(c *httpx.Ctx, obj *store.Object, spans []object.Span) error {
	info := obj.Info()
	p := &parts{obj: obj, spans: spans, heads: make([][]byte, len(spans))}
	boundary := "ais-" + info.Version.String() + "-" + c.RequestID()
	contentType := contentTypeOf(info)
	var size int64
	for i, sp := range spans {
		h := append(append([]byte("\r\n--"), boundary...), "\r\n"...)
		h = httpx.AppendHeader(h, "Content-Type", contentType)
		h = httpx.AppendHeader(h, "Content-Range", sp.ContentRange(info.Size))
		p.heads[i] = append(h, "\r\n"...)
		size += int64(len(p.heads[i])) + sp.Length
	}
	p.end = "\r\n--" + boundary + "--\r\n"
	c.Status(206)
	c.SetHeader("Content-Type", "multipart/byteranges; boundary="+boundary)
	return t.send(c, obj, size+int64(len(p.end)), p)
}

type parts struct {
	obj   *store.Object
	spans []object.Span
	heads [][]byte
	end   string
}

// WriteBody implements httpx.Source.
func (p *parts) WriteBody(w io.Writer) error {
	for i, sp := range p.spans {
		if _, err := w.Write(p.heads[i]); err != nil {
			return err
		}
		if err := p.obj.WriteSpan(w, sp); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, p.end)
	return err
}

// Close implements httpx.Source.
func (p *parts) Close() { p.obj.Close() }
