package sigv4

import "sync"

// cachedKeys bounds the derived keys a Verifier keeps: a few hundred bytes each, one per access key, day and region.
const cachedKeys = 4096

// A Verifier checks signatures. It keeps derived signing keys; it is safe for concurrent use.
type Verifier struct {
	keys    keys
	scratch sync.Pool // *scratch
	bodies  sync.Pool // *BodyReader
}

// New returns a Verifier.
func New() *Verifier {
	return &Verifier{keys: keys{max: cachedKeys, m: make(map[scope]*signingKey)}}
}

// key returns the signing key of sc; fresh says that it is not in the cache yet.
func (v *Verifier) key(sc scope, secret string) (k *signingKey, fresh bool) {
	if k := v.keys.get(sc, secret); k != nil {
		return k, false
	}
	return derive(sc, secret), true
}
