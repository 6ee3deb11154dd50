package api

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"time"

	"aistore/cluster"
	"aistore/errs"
)

// User is someone who signs S3 requests, as PathUsers shows it: without secrets.
type User struct {
	Name    string           `json:"name"`
	ID      string           `json:"id,omitempty"` // S3's canonical id; "" until the user has a key
	Display string           `json:"display,omitempty"`
	Email   string           `json:"email,omitempty"`
	Role    cluster.UserRole `json:"role"`
	Created time.Time        `json:"created"`
	Keys    []UserKey        `json:"keys"`
}

// UserKey is the public half of a pair.
type UserKey struct {
	Access  string    `json:"access"`
	Created time.Time `json:"created"`
}

// UserOf renders u.
func UserOf(u *cluster.User) User {
	keys := make([]UserKey, len(u.Keys))
	for i, k := range u.Keys {
		keys[i] = UserKey{k.Access, k.Created}
	}
	return User{Name: u.Name, ID: u.ID, Display: u.Display, Email: u.Email, Role: u.Role, Created: u.Created, Keys: keys}
}

// AddUserMsg is the body of POST PathUsers.
type AddUserMsg struct {
	Name    string           `json:"name"`
	Role    cluster.UserRole `json:"role,omitempty"`    // "" = user
	ID      string           `json:"id,omitempty"`      // "" = the first access key
	Display string           `json:"display,omitempty"` // "" = the id
	Email   string           `json:"email,omitempty"`
	Access  string           `json:"access,omitempty"` // a first pair; both or neither
	Secret  string           `json:"secret,omitempty"`
}

// SetUserMsg is the body of PUT PathUsers/NAME; what is left out stays as it is.
type SetUserMsg struct {
	Role    cluster.UserRole `json:"role,omitempty"`
	Display *string          `json:"display,omitempty"` // "" = the id
	Email   *string          `json:"email,omitempty"`   // "" = none
}

// AddKeyMsg is the body of POST PathKeys.
type AddKeyMsg struct {
	User   string `json:"user"`
	Access string `json:"access"`
	Secret string `json:"secret"`
}

// UnmarshalStrict is Unmarshal that refuses fields it does not know, and anything behind the value.
func UnmarshalStrict(what string, data []byte, v any) error {
	const op = "api.Unmarshal"
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err == io.EOF {
		return errs.E(op, what, errs.Invalid, "is empty: want a JSON object")
	} else if err != nil {
		if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			return errs.F(op, what, errs.Invalid, "has the unknown field %s", field)
		}
		return errs.F(op, what, errs.Invalid, "%s", jsonFault(err))
	}
	if _, err := d.Token(); err != io.EOF {
		return errs.E(op, what, errs.Invalid, "goes on behind its JSON value")
	}
	return nil
}
