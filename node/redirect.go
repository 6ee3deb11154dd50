package node

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
)

// A redirect is signed so that a target can trust that a gateway has let the request pass: HMAC-SHA256 with
// the cluster's secret over method, bucket id, epoch, expiry and name, truncated to 128 bits. It binds
// nothing else: ranges, conditions and checksums are the client's to choose.

// redirectLife is how long a signature is good for. Clients follow at once; the rest is for clocks that differ.
const redirectLife = 5 * time.Minute

const signatureLen = 16

// signer makes and checks signatures; hashes keyed with the secret are pooled, because keying one costs
// more than the signature.
type signer struct {
	secret []byte
	pool   sync.Pool
}

// signers keeps the signer of the present secret, which never changes in the life of a cluster.
type signers struct{ p atomic.Pointer[signer] }

func (ss *signers) of(v *cluster.View) *signer {
	if s := ss.p.Load(); s != nil && bytes.Equal(s.secret, v.Secret) {
		return s
	}
	s := &signer{secret: v.Secret}
	s.pool.New = func() any { return &hashState{h: hmac.New(sha256.New, s.secret)} }
	ss.p.Store(s)
	return s
}

type hashState struct {
	h   hash.Hash
	msg []byte
	sum []byte
}

// append adds the base64url signature to b.
func (s *signer) append(b []byte, method string, bucket, epoch uint64, expiry int64, key string) []byte {
	st, _ := s.pool.Get().(*hashState)
	m := append(append(st.msg[:0], method...), '\n')
	m = binary.BigEndian.AppendUint64(m, bucket)
	m = binary.BigEndian.AppendUint64(m, epoch)
	m = binary.BigEndian.AppendUint64(m, uint64(expiry)) //nolint:gosec // a bit pattern to be signed
	m = append(m, key...)
	st.h.Reset()
	_, _ = st.h.Write(m) // a hash never fails
	st.msg, st.sum = m, st.h.Sum(st.sum[:0])
	b = base64.RawURLEncoding.AppendEncode(b, st.sum[:signatureLen])
	s.pool.Put(st)
	return b
}

// passMethod begins what is signed for S3 in place of a method. No method has a space in it, so that nothing signed for the native API,
// where clients choose the key, is ever a pass.
const passMethod = "s3 "

// SignPass signs that this cluster knows who makes a request of S3: text holds all that is to be believed.
func (n *Node) SignPass(v *cluster.View, method string, bucket uint64, expiry int64, text string) string {
	return string(n.signers.of(v).append(nil, passMethod+method, bucket, 0, expiry, text))
}

// RedirectURL returns where the client is to go: the owner's public URL with the request's own query behind
// what is signed.
func (n *Node) RedirectURL(c *httpx.Ctx, o *Object) string {
	epoch, expiry := o.View.Map.Epoch, time.Now().Add(redirectLife).Unix()
	b := make([]byte, 0, 256+len(o.Key)+len(c.RawQuery()))
	b = append(append(append(b, o.Owner.PublicURL...), api.PathObjects...), '/')
	b = append(append(b, o.Bucket.Name...), '/')
	b = httpx.AppendPath(b, o.Key)
	b = strconv.AppendUint(append(b, "?"+api.QueryRedirEpoch+"="...), epoch, 10)
	b = strconv.AppendUint(append(b, "&"+api.QueryRedirBucket+"="...), o.Bucket.ID, 10)
	b = strconv.AppendInt(append(b, "&"+api.QueryRedirExpiry+"="...), expiry, 10)
	b = append(b, "&"+api.QueryRedirSign+"="...)
	b = n.signers.of(o.View).append(b, c.Method(), o.Bucket.ID, epoch, expiry, o.Key)
	if q := c.RawQuery(); q != "" {
		b = append(append(b, '&'), q...)
	}
	return string(b)
}

// Routing is what a request tells about how it came here.
type Routing struct {
	Epoch      uint64 // of the map by which it was routed; 0: not known
	MapVersion uint64 // of the client's own map; 0: the client has none and follows redirects
	Signed     bool   // by a gateway of this cluster
}

// NewerThan reports whether the request was routed by a newer map than v's.
func (r Routing) NewerThan(v *cluster.View) bool {
	return r.Epoch > v.Map.Epoch || r.MapVersion > v.Map.Version
}

// ReadRouting checks the signature of a redirected request, if it has one.
func (n *Node) ReadRouting(c *httpx.Ctx, o *Object) (Routing, error) {
	const op = "node.ReadRouting"
	var r Routing
	if v := c.Header(api.HeaderMapVersion); v != "" {
		var err error
		if r.MapVersion, err = strconv.ParseUint(v, 10, 64); err != nil {
			return r, errs.F(op, api.HeaderMapVersion, errs.Invalid, "%q is not a number", v)
		}
	}
	if c.RawQuery() == "" {
		return r, nil
	}
	sig := c.Query(api.QueryRedirSign)
	if sig == "" {
		return r, nil
	}
	epoch, err1 := strconv.ParseUint(c.Query(api.QueryRedirEpoch), 10, 64)
	bucket, err2 := strconv.ParseUint(c.Query(api.QueryRedirBucket), 10, 64)
	expiry, err3 := strconv.ParseInt(c.Query(api.QueryRedirExpiry), 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return r, errs.E(op, "redirect", errs.Unauthorized, "the signed part of the URL is incomplete: ask a gateway again")
	}
	var buf [32]byte
	want := n.signers.of(o.View).append(buf[:0], c.Method(), bucket, epoch, expiry, o.Key)
	switch {
	case subtle.ConstantTimeCompare(want, []byte(sig)) != 1:
		return r, errs.E(op, "redirect", errs.Unauthorized, "the URL's signature does not fit: ask a gateway again")
	case time.Now().Unix() > expiry:
		return r, errs.E(op, "redirect", errs.Unauthorized, "the URL has expired: ask a gateway again")
	case bucket != o.Bucket.ID: // who routed it, without a lease, or this node knows one of that name that is no more
		return r, errs.E(op, o.Bucket.String(), errs.StaleMap, "is not the bucket that the request was routed by: ask a gateway again")
	}
	r.Epoch, r.Signed = epoch, true
	return r, nil
}
