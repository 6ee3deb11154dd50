package sigv4

import (
	"crypto/sha256"
	"strings"
	"sync"
)

// A hmacKey is a key of HMAC-SHA256, padded once: two plain hashes then make a signature, and nothing is allocated.
type hmacKey struct {
	inner, outer [sha256.BlockSize]byte
}

func newHMACKey(secret []byte) hmacKey {
	var k hmacKey
	if len(secret) > sha256.BlockSize {
		sum := sha256.Sum256(secret)
		secret = sum[:]
	}
	copy(k.inner[:], secret)
	copy(k.outer[:], secret)
	for i := range k.inner {
		k.inner[i] ^= 0x36
		k.outer[i] ^= 0x5c
	}
	return k
}

// sum returns the HMAC of message, which must begin with sha256.BlockSize spare bytes.
func (k *hmacKey) sum(message []byte) [sha256.Size]byte {
	copy(message, k.inner[:])
	in := sha256.Sum256(message)
	var out [sha256.BlockSize + sha256.Size]byte
	copy(out[:], k.outer[:])
	copy(out[sha256.BlockSize:], in[:])
	return sha256.Sum256(out[:])
}

// spare is what sum wants in front of a message.
const spare = "________________________________________________________________"

func (k *hmacKey) sumText(text string) [sha256.Size]byte {
	return k.sum([]byte(spare + text))
}

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
		sum := k.sumText(step)
		k = newHMACKey(sum[:])
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
