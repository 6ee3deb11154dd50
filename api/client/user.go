package client

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"

	"aistore/api"
	"aistore/errs"
)

// KeyPair is what S3 requests are signed with.
type KeyPair struct{ Access, Secret string }

// String hides the secret.
func (p KeyPair) String() string { return p.Access }

// GoString hides the secret.
func (p KeyPair) GoString() string { return "client.KeyPair(" + p.Access + ")" }

// NewKeyPair makes a random pair: 20 upper-case letters and digits, and 40 of the characters of base64url (240 bits).
func NewKeyPair() KeyPair {
	const (
		upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
		any64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	)
	return KeyPair{Access: draw(upper, 20), Secret: draw(any64, 40)}
}

// draw returns n characters of alphabet, each as likely as any other.
func draw(alphabet string, n int) string {
	out := make([]byte, 0, n)
	var b [64]byte
	for fair := 256 - 256%len(alphabet); len(out) < n; {
		_, _ = rand.Read(b[:]) // never fails (crypto/rand)
		for _, x := range b {
			if int(x) < fair && len(out) < n {
				out = append(out, alphabet[int(x)%len(alphabet)])
			}
		}
	}
	return string(out)
}

// Auth manages who may sign S3 requests.
type Auth struct{ c *Client }

// Auth returns the handle of users and keys; making one asks no server.
func (c *Client) Auth() *Auth { return &Auth{c} }

// Users returns everyone who may sign S3 requests, ordered by name. No secret is among it.
func (a *Auth) Users(ctx context.Context) ([]api.User, error) {
	var us []api.User
	return us, a.c.json(ctx, a.c.control("client.Users", http.MethodGet, api.PathUsers), &us)
}

// User returns one user; kind NotFound if there is none.
func (a *Auth) User(ctx context.Context, name string) (*api.User, error) {
	var u api.User
	return &u, a.c.json(ctx, a.user("client.User", http.MethodGet, name), &u)
}

// AddUser adds a user, with a first key pair if m has one; kind Exists if name, id, e-mail address or key are taken.
func (a *Auth) AddUser(ctx context.Context, m api.AddUserMsg) error {
	q := a.c.control("client.AddUser", http.MethodPost, api.PathUsers)
	q.name, q.done = m.Name, errs.Exists
	if err := q.json(m); err != nil {
		return err
	}
	return a.c.forget(ctx, q)
}

// SetUser changes what m names.
func (a *Auth) SetUser(ctx context.Context, name string, m api.SetUserMsg) error {
	q := a.user("client.SetUser", http.MethodPut, name)
	if err := q.json(m); err != nil {
		return err
	}
	return a.c.forget(ctx, q)
}

// RemoveUser removes a user with its keys, of which no node accepts any when it returns. Kind Conflict: it is the
// last administrator.
func (a *Auth) RemoveUser(ctx context.Context, name string) error {
	q := a.user("client.RemoveUser", http.MethodDelete, name)
	q.done = errs.NotFound
	return a.c.forget(ctx, q)
}

// AddKey gives a user another pair, a random one if pair is zero, and returns it. The cluster tells its secret to
// nobody: keep it.
func (a *Auth) AddKey(ctx context.Context, user string, pair KeyPair) (KeyPair, error) {
	if pair == (KeyPair{}) {
		pair = NewKeyPair()
	}
	q := a.c.control("client.AddKey", http.MethodPost, api.PathKeys)
	q.name, q.done = user, errs.Exists
	if err := q.json(api.AddKeyMsg{User: user, Access: pair.Access, Secret: pair.Secret}); err != nil {
		return KeyPair{}, err
	}
	if err := a.c.forget(ctx, q); err != nil {
		return KeyPair{}, err
	}
	return pair, nil
}

// RemoveKey removes a pair, which no node accepts any more when it returns.
func (a *Auth) RemoveKey(ctx context.Context, access string) error {
	q := a.c.control("client.RemoveKey", http.MethodDelete, api.PathKeys+"/"+url.PathEscape(access))
	q.name, q.done = access, errs.NotFound
	return a.c.forget(ctx, q)
}

func (a *Auth) user(op, method, name string) *call {
	q := a.c.control(op, method, api.PathUsers+"/"+url.PathEscape(name))
	q.name = name
	return q
}
