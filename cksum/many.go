package cksum

import "aistore/cksum/lanes"

// Many computes checksums of several types in one pass: each chunk is in the processor's cache when the second type reads it.
// The zero value computes none.
type Many struct {
	all    []*Hash
	shared *lanes.Hash // the MD5 among them; nil = as the others
}

// NewMany returns running checksums of the types, each once; None is left out.
func NewMany(types ...Type) *Many {
	m := new(Many)
	m.Add(types...)
	return m
}

// Add adds types that are not there yet; nothing may have been written.
func (m *Many) Add(types ...Type) {
	for _, t := range types {
		if t != None && m.find(t) == nil {
			m.all = append(m.all, New(t))
		}
	}
}

func (m *Many) find(t Type) *Hash {
	for _, h := range m.all {
		if h.t == t {
			return h
		}
	}
	return nil
}

// Share lets an MD5 that is among them be computed together with others of the crew, for which Write may wait; nothing may have been
// written.
func (m *Many) Share(c *lanes.Crew) {
	if h := m.find(MD5); h != nil {
		m.shared = c.New()
		h.h = m.shared
	}
}

// Write adds p; it never fails.
func (m *Many) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		c := rest[:min(len(rest), manyChunk)]
		for _, h := range m.all {
			if m.shared == nil || h.t != MD5 {
				_, _ = h.h.Write(c) // never fails
			}
		}
		rest = rest[len(c):]
	}
	if m.shared != nil {
		_, _ = m.shared.Write(p) // the same
	}
	return len(p), nil
}

// manyChunk fits the first-level cache of every processor of the last decade, with room for tables.
const manyChunk = 16 << 10

// Sum returns the checksum of one of the types; that of another type is none.
func (m *Many) Sum(t Type) Value { return m.find(t).Sum() }

// Sums returns all checksums in the order the types were given.
func (m *Many) Sums() []Value {
	vs := make([]Value, len(m.all))
	for i, h := range m.all {
		vs[i] = h.Sum()
	}
	return vs
}
