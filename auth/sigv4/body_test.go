package sigv4

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"aistore/errs"
)

// A writer of aws-chunked bodies, written from the documentation and without anything of this package.
type chunkWriter struct {
	bytes.Buffer
	mode            Mode
	seed, key       string
	date, scopeText string
}

func mac(key, text string) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(text))
	return string(h.Sum(nil))
}

func sha(text string) string {
	s := sha256.Sum256([]byte(text))
	return hex.EncodeToString(s[:])
}

func newChunkWriter(mode Mode) *chunkWriter {
	w := &chunkWriter{mode: mode, seed: sha("seed"), date: "20130524T000000Z", scopeText: "20130524/eu-west-1/s3/aws4_request"}
	w.key = mac(mac(mac(mac("AWS4"+secret, "20130524"), "eu-west-1"), "s3"), "aws4_request")
	return w
}

func (w *chunkWriter) body(length int, trailer ...string) *Body {
	return &Body{Mode: w.mode, Seed: sha("seed"), Scope: w.scopeText, Date: w.date, Decoded: int64(length), Trailer: trailer}
}

func (w *chunkWriter) chunk(data string) {
	if w.mode == UnsignedTrailer {
		fmt.Fprintf(w, "%x\r\n", len(data))
	} else {
		w.seed = hex.EncodeToString([]byte(mac(w.key, "AWS4-HMAC-SHA256-PAYLOAD\n"+w.date+"\n"+w.scopeText+"\n"+w.seed+"\n"+sha("")+"\n"+sha(data))))
		fmt.Fprintf(w, "%x;chunk-signature=%s\r\n", len(data), w.seed)
	}
	w.WriteString(data)
	if data != "" {
		w.WriteString("\r\n")
	}
}

// end writes the last chunk and trailers (name, value, name, value ...).
func (w *chunkWriter) end(trailer ...string) {
	w.chunk("")
	canonical := ""
	for i := 0; i < len(trailer); i += 2 {
		fmt.Fprintf(w, "%s:%s\r\n", trailer[i], trailer[i+1])
		canonical += trailer[i] + ":" + trailer[i+1] + "\n"
	}
	if w.mode == ChunkedTrailer && len(trailer) > 0 {
		w.seed = hex.EncodeToString([]byte(mac(w.key, "AWS4-HMAC-SHA256-TRAILER\n"+w.date+"\n"+w.scopeText+"\n"+w.seed+"\n"+sha(canonical))))
		fmt.Fprintf(w, "x-amz-trailer-signature:%s\r\n", w.seed)
	}
	w.WriteString("\r\n")
}

const crc = "x-amz-checksum-crc32c"

// encode makes a body of chunks of the given size, with one trailer if the mode has any.
func encode(mode Mode, content string, size int) (string, *Body) {
	w := newChunkWriter(mode)
	for rest := content; rest != ""; {
		n := min(size, len(rest))
		w.chunk(rest[:n])
		rest = rest[n:]
	}
	if mode == Chunked {
		w.end()
		return w.String(), w.body(len(content))
	}
	w.end(crc, "sOO8/Q==")
	return w.String(), w.body(len(content), crc)
}

func decode(t *testing.T, r io.Reader, b *Body) (string, *BodyReader, error) {
	t.Helper()
	d, err := New().Reader(r, access, b, secrets)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(d)
	return string(got), d, err
}

func TestChunksOfAnySize(t *testing.T) {
	content := strings.Repeat("0123456789abcdef", 500)
	for _, mode := range []Mode{Chunked, ChunkedTrailer, UnsignedTrailer} {
		for _, size := range []int{1, 7, 4095, 4096, 4097, 7999, 8000, 1 << 20} {
			for name, wrap := range map[string]func(io.Reader) io.Reader{
				"whole": func(r io.Reader) io.Reader { return r }, "by bytes": iotest.OneByteReader, "halves": iotest.HalfReader, "data with EOF": iotest.DataErrReader,
			} {
				if size < 100 && name != "whole" {
					continue
				}
				text, b := encode(mode, content, size)
				got, d, err := decode(t, wrap(strings.NewReader(text)), b)
				if err != nil || got != content {
					t.Errorf("mode %d, chunks of %d, %s: %d bytes, %v", mode, size, name, len(got), err)
				}
				if sum, ok := d.Trailer(crc); ok != (mode != Chunked) || ok && sum != "sOO8/Q==" {
					t.Errorf("mode %d: trailer %q, %v", mode, sum, ok)
				}
				if _, err := d.Read(make([]byte, 1)); err != io.EOF {
					t.Errorf("after the end: %v", err)
				}
			}
		}
		text, b := encode(mode, "", 1)
		if got, _, err := decode(t, strings.NewReader(text), b); err != nil || got != "" {
			t.Errorf("mode %d, empty: %q, %v", mode, got, err)
		}
	}
}

// TestEveryChangedByteIsSeen flips each byte of a body in turn. No change may yield the content in full without an error, unless it is
// one of case in hexadecimal numbers or of spaces that mean nothing.
func TestEveryChangedByteIsSeen(t *testing.T) {
	content := strings.Repeat("x", 100)
	for _, mode := range []Mode{Chunked, ChunkedTrailer} {
		text, b := encode(mode, content, 60)
		for i := range len(text) {
			for _, change := range []byte{0x01, 0x20, 0x80} {
				bad := []byte(text)
				bad[i] ^= change
				got, d, err := decode(t, bytes.NewReader(bad), b)
				if err == nil && (got != content || change != 0x20) {
					t.Errorf("mode %d, byte %d (%q for %q): %q", mode, i, bad[i], text[i], got)
				}
				if err != nil {
					if _, ok := d.Trailer(crc); ok {
						t.Errorf("a trailer of a body that was refused")
					}
					if _, again := d.Read(make([]byte, 1)); !errors.Is(again, err) {
						t.Errorf("%v, then %v", err, again)
					}
				}
			}
		}
	}
}

// TestCutBodies: whatever is cut off the end of a body, what is left is not complete, and the last byte of the content is not seen.
func TestCutBodies(t *testing.T) {
	content := strings.Repeat("x", 100)
	for _, mode := range []Mode{Chunked, ChunkedTrailer, UnsignedTrailer} {
		text, b := encode(mode, content, 60)
		for i := range len(text) - 2 { // the last end of line may be missing
			d, err := New().Reader(strings.NewReader(text[:i]), access, b, secrets)
			if err != nil {
				t.Fatal(err)
			}
			n, err := io.ReadFull(d, make([]byte, 100))
			if err == nil || n == 100 {
				t.Errorf("mode %d, cut to %d: %d bytes, %v", mode, i, n, err)
			}
		}
		if got, _, err := decode(t, iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(text))), b); !errors.Is(err, iotest.ErrTimeout) {
			t.Errorf("mode %d: the source's own error: %q, %v", mode, got, err)
		}
	}
}

func TestRefusedBodies(t *testing.T) {
	for _, c := range []struct {
		name, want string
		mode       Mode
		write      func(w *chunkWriter)
		length     int
		announced  []string
	}{
		{"longer than declared", codeIncomplete, Chunked, func(w *chunkWriter) { w.chunk("aaa"); w.end() }, 2, nil},
		{"shorter than declared", codeIncomplete, Chunked, func(w *chunkWriter) { w.chunk("aaa"); w.end() }, 4, nil},
		{"a chunk out of order", codeMismatch, Chunked, func(w *chunkWriter) {
			w.chunk("a")
			first := w.String()
			w.Reset()
			w.chunk("b")
			second := w.String()
			w.Reset()
			w.WriteString(second + first)
			w.end()
		}, 2, nil},
		{"no signature", codeInvalidRequest, Chunked, func(w *chunkWriter) { w.WriteString("1\r\na\r\n0\r\n\r\n") }, 1, nil},
		{"bad size", codeInvalidRequest, UnsignedTrailer, func(w *chunkWriter) { w.WriteString("x\r\na\r\n") }, 1, nil},
		{"negative size", codeInvalidRequest, UnsignedTrailer, func(w *chunkWriter) { w.WriteString("-1\r\na\r\n") }, 1, nil},
		{"huge size", codeInvalidRequest, UnsignedTrailer, func(w *chunkWriter) { w.WriteString("ffffffffffffffff\r\na\r\n") }, 1, nil},
		{"line without end", codeInvalidRequest, UnsignedTrailer, func(w *chunkWriter) { w.WriteString(strings.Repeat("0", 2*lineSize)) }, 1, nil},
		{"chunk longer than it says", codeInvalidRequest, UnsignedTrailer, func(w *chunkWriter) { w.WriteString("1\r\nabc\r\n0\r\n\r\n") }, 3, nil},
		{"more behind the end", codeInvalidRequest, Chunked, func(w *chunkWriter) { w.chunk("a"); w.end(); w.WriteString("more") }, 1, nil},
		{"endless ends of lines", codeInvalidRequest, Chunked, func(w *chunkWriter) { w.chunk("a"); w.end(); w.WriteString(strings.Repeat("\r\n", 20*lineSize)) }, 1, nil},
		{"trailer missing", codeTrailer, UnsignedTrailer, func(w *chunkWriter) { w.chunk("a"); w.end() }, 1, []string{crc}},
		{"one of two trailers missing", codeTrailer, UnsignedTrailer, func(w *chunkWriter) { w.chunk("a"); w.end(crc, "x") }, 1, []string{crc, "x-amz-checksum-sha1"}},
		{"trailer not announced", codeTrailer, UnsignedTrailer, func(w *chunkWriter) { w.chunk("a"); w.end(crc, "x", "x-amz-checksum-sha1", "y") }, 1, []string{"x-amz-checksum-sha1"}},
		{"trailer twice", codeTrailer, UnsignedTrailer, func(w *chunkWriter) { w.chunk("a"); w.end(crc, "x", crc, "x") }, 1, []string{crc, "x-amz-checksum-sha1"}},
		{"trailer without colon", codeTrailer, UnsignedTrailer, func(w *chunkWriter) { w.WriteString("0\r\nnothing\r\n\r\n") }, 0, []string{crc}},
		{"signed trailer missing", codeTrailer, ChunkedTrailer, func(w *chunkWriter) { w.chunk("a"); w.end() }, 1, []string{crc}},
		{"trailer's signature missing", codeTrailer, ChunkedTrailer, func(w *chunkWriter) {
			w.chunk("a")
			w.chunk("")
			w.WriteString(crc + ":x\r\n\r\n")
		}, 1, []string{crc}},
		{"trailer behind the signature", codeTrailer, ChunkedTrailer, func(w *chunkWriter) {
			w.chunk("a")
			w.end(crc, "x")
			w.Truncate(w.Len() - 2)
			w.WriteString("x-amz-checksum-sha1:y\r\n\r\n")
		}, 1, []string{crc, "x-amz-checksum-sha1"}},
		{"trailer's signature is another", codeMismatch, ChunkedTrailer, func(w *chunkWriter) {
			w.chunk("a")
			w.chunk("")
			w.WriteString(crc + ":x\r\nx-amz-trailer-signature:" + sha("x") + "\r\n\r\n")
		}, 1, []string{crc}},
		{"unsigned trailer with a signature", codeTrailer, UnsignedTrailer, func(w *chunkWriter) {
			w.WriteString("0\r\n" + crc + ":x\r\nx-amz-trailer-signature:" + sha("x") + "\r\n\r\n")
		}, 0, []string{crc, "x-amz-checksum-sha1"}},
	} {
		w := newChunkWriter(c.mode)
		c.write(w)
		got, _, err := decode(t, bytes.NewReader(w.Bytes()), w.body(c.length, c.announced...))
		if codeOf(err) != c.want {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
}

func TestTolerated(t *testing.T) {
	for name, text := range map[string]string{
		"bare ends of lines":        "3\nabc\n0\nx-amz-checksum-crc32c:x\n\n",
		"nothing behind":            "3\r\nabc\r\n0\r\nx-amz-checksum-crc32c:x\r\n",
		"an empty line too many":    "3\r\nabc\r\n0\r\nx-amz-checksum-crc32c:x\n\r\n\r\n",
		"spaces, another case":      "3\r\nabc\r\n0\r\nX-Amz-Checksum-CRC32C: x \r\n\r\n",
		"extension, leading zeros":  "000003;x=y\r\nabc\r\n0;x=y\r\nx-amz-checksum-crc32c:x\r\n\r\n",
		"empty line before trailer": "3\r\nabc\r\n0\r\n\r\nx-amz-checksum-crc32c:x\r\n\r\n",
	} {
		got, d, err := decode(t, strings.NewReader(text), &Body{Mode: UnsignedTrailer, Decoded: 3, Trailer: []string{crc}})
		if err != nil || got != "abc" {
			t.Errorf("%s: %q, %v", name, got, err)
			continue
		}
		if sum, ok := d.Trailer(crc); !ok || sum != "x" {
			t.Errorf("%s: trailer %q, %v", name, sum, ok)
		}
	}
	got, _, err := decode(t, strings.NewReader("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), &Body{Mode: UnsignedTrailer, Decoded: -1})
	if err != nil || got != "abcde" {
		t.Errorf("unknown length: %q, %v", got, err)
	}
}

func TestHashedBody(t *testing.T) {
	content := strings.Repeat("abc", 5000)
	for name, c := range map[string]struct {
		body string
		b    Body
		want string
	}{
		"right":            {content, Body{Mode: Hashed, SHA256: sha(content), Decoded: 15000}, ""},
		"right, no length": {content, Body{Mode: Hashed, SHA256: sha(content), Decoded: -1}, ""},
		"wrong":            {content, Body{Mode: Hashed, SHA256: sha("x"), Decoded: 15000}, codeSHA256},
		"wrong, no length": {content, Body{Mode: Hashed, SHA256: sha("x"), Decoded: -1}, codeSHA256},
		"short":            {content[1:], Body{Mode: Hashed, SHA256: sha(content[1:]), Decoded: 15000}, codeIncomplete},
		"long":             {content + "a", Body{Mode: Hashed, SHA256: sha(content + "a"), Decoded: 15000}, codeIncomplete},
		"empty":            {"", Body{Mode: Hashed, SHA256: emptySHA256, Decoded: 0}, ""},
		"not empty":        {"", Body{Mode: Hashed, SHA256: sha("x"), Decoded: 0}, codeSHA256},
		"as it is, short":  {content[1:], Body{Mode: Unsigned, Decoded: 15000}, codeIncomplete},
		"as it is":         {content, Body{Mode: Unsigned, Decoded: 15000}, ""},
	} {
		for _, wrap := range []func(io.Reader) io.Reader{iotest.DataErrReader, iotest.HalfReader} {
			got, d, err := decode(t, wrap(strings.NewReader(c.body)), &c.b)
			if codeOf(err) != c.want || err == nil && got != c.body {
				t.Errorf("%s: %d bytes, %v", name, len(got), err)
			}
			if err != nil && c.b.Decoded >= 0 && len(got) >= 15000 {
				t.Errorf("%s: all of the content was handed out before the fault", name)
			}
			d.Close()
			d.Close()
			if _, err := d.Read(make([]byte, 1)); !errors.Is(err, errClosed) {
				t.Errorf("%s: read after close: %v", name, err)
			}
		}
	}
	if _, err := New().Reader(nil, access, &Body{Mode: Hashed, SHA256: "zz"}, secrets); codeOf(err) != codeArgument {
		t.Error(err)
	}
	if _, err := New().Reader(nil, "nobody", newChunkWriter(Chunked).body(0), secrets); codeOf(err) != codeInvalidAccess {
		t.Error(err)
	}
}

func TestBodyText(t *testing.T) {
	for text, b := range map[string]Body{
		"0;-1;;;;":                   {Decoded: -1},
		"1;7;" + emptySHA256 + ";;;": {Mode: Hashed, SHA256: emptySHA256, Decoded: 7},
		"3;9;;ab;20130524T000000Z;20130524/r/s3/aws4_request;x-amz-checksum-sha1,x-amz-checksum-crc32": {
			Mode: ChunkedTrailer, Seed: "ab", Date: "20130524T000000Z", Scope: "20130524/r/s3/aws4_request", Decoded: 9,
			Trailer: []string{"x-amz-checksum-sha1", "x-amz-checksum-crc32"},
		},
	} {
		if got := string(b.Append(nil)); got != text {
			t.Errorf("%+v: %s", b, got)
		}
		got, err := ParseBody(text)
		if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", b) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0;0", "5;0;;;;", "x;0;;;;", "0;x;;;;", "0;-2;;;;", "0;0;;;;;;"} {
		if _, err := ParseBody(text); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestReaderAllocates: a body costs the same whether it has one chunk or a thousand.
func TestReaderAllocates(t *testing.T) {
	v := New()
	content := strings.Repeat("x", 64<<10)
	buf := make([]byte, 32<<10)
	count := func(size int) float64 {
		text, b := encode(Chunked, content, size)
		src := strings.NewReader(text)
		return testing.AllocsPerRun(20, func() {
			src.Reset(text)
			d, err := v.Reader(src, access, b, secrets)
			if err != nil {
				t.Fatal(err)
			}
			for err == nil {
				_, err = d.Read(buf)
			}
			if err != io.EOF {
				t.Fatal(err)
			}
			d.Close()
		})
	}
	count(64 << 10) // the first body leaves its key in the cache
	one, many := count(64<<10), count(64)
	if many > one+2 || one > 8 {
		t.Errorf("%v allocations for one chunk, %v for a thousand", one, many)
	}
}

func TestRandomSplits(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		mode := []Mode{Chunked, ChunkedTrailer, UnsignedTrailer}[rng.IntN(3)]
		w := newChunkWriter(mode)
		var content strings.Builder
		for range rng.IntN(6) {
			part := strings.Repeat(string(rune('a'+rng.IntN(26))), 1+rng.IntN(9000))
			content.WriteString(part)
			w.chunk(part)
		}
		w.end()
		d, err := New().Reader(iotest.HalfReader(bytes.NewReader(w.Bytes())), access, w.body(content.Len()), secrets)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for err == nil {
			var n int
			p := make([]byte, rng.IntN(5000))
			n, err = d.Read(p)
			got.Write(p[:n])
		}
		if err != io.EOF || got.String() != content.String() {
			t.Fatalf("mode %d: %d of %d bytes, %v", mode, got.Len(), content.Len(), err)
		}
	}
}
