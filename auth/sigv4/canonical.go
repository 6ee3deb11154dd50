package sigv4

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"slices"
	"strings"
)

// scratch is the memory of one verification, used again by later ones.
type scratch struct {
	headers []header
	params  []param
	query   []byte // escaped keys and values that params point into
	request []byte // the canonical request
	text    []byte // the string to sign
	hash    hash.Hash
	sum     [sha256.Size]byte
}

// A header is one as received; its strings belong to the request.
type header struct {
	name, value string
	signed      bool
}

// A param is one of the query: query[from:mid] is the key, query[mid:to] the value, both escaped as AWS does.
type param struct{ from, mid, to int }

// keepScratch is the largest buffer worth keeping for the next request.
const keepScratch = 64 << 10

func (v *Verifier) getScratch() *scratch {
	if s, ok := v.scratch.Get().(*scratch); ok {
		return s
	}
	return &scratch{hash: sha256.New()}
}

func (v *Verifier) putScratch(s *scratch) {
	if cap(s.query)+cap(s.request)+cap(s.text) > keepScratch {
		return
	}
	clear(s.headers) // they pin the request's memory
	s.headers, s.params = s.headers[:0], s.params[:0]
	v.scratch.Put(s)
}

// load takes the headers and the query of r apart.
func (s *scratch) load(r *Request) {
	s.headers = s.headers[:0]
	r.Each(func(name, value string) { s.headers = append(s.headers, header{name: name, value: value}) })
	s.params, s.query = s.params[:0], s.query[:0]
	for rest := r.RawQuery; rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, "&")
		if part == "" {
			continue
		}
		key, value, _ := strings.Cut(part, "=")
		p := param{from: len(s.query)}
		s.query = appendEscaped(s.query, key, queryText)
		p.mid = len(s.query)
		s.query = appendEscaped(s.query, value, queryText)
		p.to = len(s.query)
		s.params = append(s.params, p)
	}
}

// header returns the first value of a header (lower-case name), trimmed.
func (s *scratch) header(name string) (string, bool) {
	for i := range s.headers {
		if equalLower(s.headers[i].name, name) {
			return trim(s.headers[i].value), true
		}
	}
	return "", false
}

// param returns the first value of a query parameter, unescaped.
func (s *scratch) param(key string) (string, bool) {
	for _, p := range s.params {
		if string(s.query[p.from:p.mid]) == key {
			return unescape(s.query[p.mid:p.to]), true
		}
	}
	return "", false
}

// build makes the canonical request. skip is the query parameter that holds the signature itself.
func (s *scratch) build(r *Request, path, skip, signedHeaders, payload string) {
	b := append(s.request[:0], r.Method...)
	b = append(b, '\n')
	b = append(b, path...)
	b = append(b, '\n')
	b = s.appendQuery(b, skip)
	b = append(b, '\n')
	for rest := signedHeaders; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, ";")
		b = s.appendHeader(b, r, name)
	}
	b = append(b, '\n')
	b = append(b, signedHeaders...)
	b = append(b, '\n')
	b = append(b, payload...)
	s.request = b
}

// sortParams brings the parameters into the order in which they are signed.
func (s *scratch) sortParams() {
	slices.SortFunc(s.params, func(x, y param) int {
		if c := bytes.Compare(s.query[x.from:x.mid], s.query[y.from:y.mid]); c != 0 {
			return c
		}
		return bytes.Compare(s.query[x.mid:x.to], s.query[y.mid:y.to])
	})
}

func (s *scratch) appendQuery(b []byte, skip string) []byte {
	s.sortParams()
	first := true
	for _, p := range s.params {
		key := s.query[p.from:p.mid]
		if skip != "" && string(key) == skip {
			continue
		}
		if !first {
			b = append(b, '&')
		}
		first = false
		b = append(b, key...)
		b = append(b, '=')
		b = append(b, s.query[p.mid:p.to]...)
	}
	return b
}

// appendHeader appends one line of the canonical headers: all values in order, each trimmed and with inner spaces
// collapsed. A header that was signed and is not there has no value, so that the signature does not match.
func (s *scratch) appendHeader(b []byte, r *Request, name string) []byte {
	b = append(b, name...)
	b = append(b, ':')
	if name == "host" && r.Host != "" {
		b = appendValue(b, r.Host)
		return append(b, '\n')
	}
	first := true
	for i := range s.headers {
		h := &s.headers[i]
		if !equalLower(h.name, name) {
			continue
		}
		h.signed = true
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendValue(b, h.value)
	}
	return append(b, '\n')
}

// sign returns the signature of the canonical request under k; it is valid until the next one.
func (s *scratch) sign(k *signingKey, stamp, scopeText string) []byte {
	s.hash.Reset()
	s.hash.Write(s.request)
	t := append(s.text[:0], "AWS4-HMAC-SHA256\n"...)
	t = append(t, stamp...)
	t = append(t, '\n')
	t = append(t, scopeText...)
	t = append(t, '\n')
	s.text = hex.AppendEncode(t, s.hash.Sum(s.sum[:0]))
	return k.sum(s.hash, s.sum[:], s.text)
}

// unsigned returns the first x-amz-* header that the signature does not cover, of those a signer knows about.
func (s *scratch) unsigned() (string, bool) {
	for i := range s.headers {
		h := &s.headers[i]
		// The payload's hash is in every canonical request as its last line.
		if !h.signed && len(h.name) > 6 && equalLower(h.name[:6], "x-amz-") && !equalLower(h.name, "x-amz-content-sha256") {
			return h.name, true
		}
	}
	return "", false
}
