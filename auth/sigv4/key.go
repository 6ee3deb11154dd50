package sigv4

import (
	"crypto/sha256"
	"encoding"
	"hash"
	"strings"
	"sync"
)

// A hmacKey is a key of HMAC-SHA256: the states of the hash after the padded key. Signing goes on from them, which saves two of
// the dozen blocks that a request costs.
type hmacKey struct{ inner, outer []byte }

func newHMACKey(secret []byte) hmacKey {
	if len(secret) > sha256.BlockSize {
		sum := sha256.Sum256(secret)
		secret = sum[:]
	}
	state := func(mask byte) []byte {
		var pad [sha256.BlockSize]byte
		copy(pad[:], secret)
		for i := range pad {
			pad[i] ^= mask
		}
		h := sha256.New()
		h.Write(pad[:])
		b, err := h.(encoding.BinaryMarshaler).MarshalBinary()
		if err != nil {
			panic("BUG: the state of SHA-256: " + err.Error())
		}
		return b
	}
	return hmacKey{state(0x36), state(0x5c)}
}

// sum returns the HMAC of message in dst, which has room for it. It uses h, a SHA-256 in any state.
func (k *hmacKey) sum(h hash.Hash, dst, message []byte) []byte {
	restore(h, k.inner)
	h.Write(message)
	dst = h.Sum(dst[:0])
	restore(h, k.outer)
	h.Write(dst)
	return h.Sum(dst[:0])
}

func restore(h hash.Hash, state []byte) {
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state); err != nil {
		panic("BUG: the state of SHA-256: " + err.Error())
	}
}

func (k *hmacKey) sumText(text string) []byte { return k.sum(sha256.New(), nil, []byte(text)) }

// A scope is what a signing key is derived for.
type scope struct{ access, date, region string }

// A signingKey is the key derived from a secret for one scope.
type signingKey struct {
	hmacKey
	access string // the verifier's own copy
	secret string // it was derived from: a key whose secret has changed is of no use
}

const service = "s3"

func derive(sc scope, secret string) *signingKey {
	k := newHMACKey([]byte("AWS4" + secret))
	for _, step := range []string{sc.date, sc.region, service, "aws4_request"} {
		k = newHMACKey(k.sumText(step))
	}
	return &signingKey{hmacKey: k, access: strings.Clone(sc.access), secret: strings.Clone(secret)}
}

// keys is a bounded cache of derived keys. Only keys that have verified something are added, so
// that strangers cannot fill it.
type keys struct {
	mu  sync.RWMutex
	max int
	m   map[scope]*signingKey
}

// get returns the key of sc, or nil if it is unknown or its secret is another now.
func (c *keys) get(sc scope, secret string) *signingKey {
	c.mu.RLock()
	k := c.m[sc]
	c.mu.RUnlock()
	if k == nil || k.secret != secret {
		return nil
	}
	return k
}

func (c *keys) put(sc scope, k *signingKey) {
	sc = scope{k.access, strings.Clone(sc.date), strings.Clone(sc.region)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.m[sc]; !known && len(c.m) >= c.max {
		c.shed()
	}
	c.m[sc] = k
}

// shed drops half of the keys, whichever: yesterday's go with the rest, and to derive one again costs microseconds.
func (c *keys) shed() {
	left := len(c.m) / 2
	for sc := range c.m {
		if left == 0 {
			return
		}
		delete(c.m, sc)
		left--
	}
}
