package client

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
)

func TestNewKeyPair(t *testing.T) {
	seen := map[string]bool{}
	used := map[rune]bool{}
	for range 200 {
		p := NewKeyPair()
		if err := (cluster.AccessKey{Access: p.Access, Secret: p.Secret}).Validate(); err != nil || len(p.Access) != 20 || len(p.Secret) != 40 || seen[p.Access] {
			t.Fatalf("%s: %d and %d characters, %v", p, len(p.Access), len(p.Secret), err)
		}
		if strings.ToUpper(p.Access) != p.Access {
			t.Errorf("%s is not upper case", p)
		}
		for _, r := range p.Access {
			used[r] = true
		}
		seen[p.Access] = true
		if s := fmt.Sprintf("%v %+v %#v %s", p, p, p, p); strings.Contains(s, p.Secret) {
			t.Error("printing a pair shows its secret")
		}
	}
	if len(used) != 36 { // 4,000 draws: each of 36 is missed with a probability below 1e-48
		t.Errorf("%d different characters", len(used))
	}
}

// TestKeyIsAddedOnce loses the answer to a change that was made, and gets the refusal of its repetition.
func TestKeyIsAddedOnce(t *testing.T) {
	f := newFake(t, 1, 1)
	var bodies []string
	f.setFault("g0", func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != api.PathKeys && !strings.HasPrefix(r.URL.Path, api.PathUsers) {
			return false
		}
		body := make([]byte, 1000)
		n, _ := r.Body.Read(body)
		bodies = append(bodies, string(body[:n]))
		switch {
		case len(bodies) == 1:
			refuse(w, r, http.StatusServiceUnavailable, errs.Unavailable, "the primary went away")
		case r.Method == http.MethodDelete:
			refuse(w, r, http.StatusNotFound, errs.NotFound, "no such user")
		default:
			refuse(w, r, http.StatusConflict, errs.Exists, "is an access key of user ann")
		}
		return true
	})
	auth := f.client(nil).Auth()
	pair, err := auth.AddKey(t.Context(), "ann", KeyPair{})
	if err != nil || len(bodies) != 2 || bodies[0] != bodies[1] || !strings.Contains(bodies[0], pair.Access) || !strings.Contains(bodies[0], pair.Secret) {
		t.Errorf("%v, sent %d times", err, len(bodies))
	}
	if _, err := auth.AddKey(t.Context(), "ann", pair); !errs.Is(err, errs.Exists) || strings.Contains(err.Error(), pair.Secret) {
		t.Errorf("a key that was there before: %v", err)
	}
	if err := auth.RemoveUser(t.Context(), "ann"); !errs.Is(err, errs.NotFound) {
		t.Errorf("a user that was not there: %v", err)
	}
	bodies = nil
	if err := auth.RemoveUser(t.Context(), "ann"); err != nil || len(bodies) != 2 {
		t.Errorf("%v, asked %d times", err, len(bodies))
	}
}
