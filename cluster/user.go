package cluster

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"aistore/errs"
)

// UserRole says what a user may do before any policy or ACL is looked at.
type UserRole string

// The roles of users.
const (
	Admin    UserRole = "admin"    // everything, on every bucket
	Plain    UserRole = "user"     // own buckets, and what others grant
	ReadOnly UserRole = "readonly" // reads whatever is granted, writes nothing
)

// Bounds of the user map, which every node holds and receives whole.
const (
	MaxUsers = 1000
	MaxKeys  = 10 // of one user
)

// User is someone who signs S3 requests. Immutable once published in a View.
type User struct {
	Name    string      `json:"name"`
	ID      string      `json:"id,omitempty"`      // S3's canonical id: the first access key the user was given unless chosen; "" before that. It never changes
	Display string      `json:"display,omitempty"` // S3's DisplayName; the id unless chosen
	Email   string      `json:"email,omitempty"`
	Role    UserRole    `json:"role"`
	Created time.Time   `json:"created"`
	Keys    []AccessKey `json:"keys,omitempty"` // oldest first
}

// String returns the user's name.
func (u User) String() string { return u.Name }

// AccessKey is a pair that requests are signed with. Only JSON shows the secret: the log, snapshots and views
// need it, messages and logs do not get it.
type AccessKey struct {
	Access  string    `json:"access"`
	Secret  string    `json:"secret"`
	Created time.Time `json:"created,omitzero"`
}

// String returns the access key without its secret.
func (k AccessKey) String() string { return k.Access }

// GoString returns the access key without its secret.
func (k AccessKey) GoString() string { return "cluster.AccessKey(" + k.Access + ")" }

// UserMap holds every user by name. Immutable once published in a View.
type UserMap struct {
	Version uint64           `json:"version"`
	Users   map[string]*User `json:"users"`

	byAccess map[string]keyOf // these are built by freeze
	byID     map[string]*User
	byEmail  map[string]*User
}

type keyOf struct {
	user *User
	key  *AccessKey
}

func newUserMap() *UserMap { return (&UserMap{Users: map[string]*User{}}).freeze() }

// freeze builds the lookup tables unless they are there: views share a UserMap.
func (m *UserMap) freeze() *UserMap {
	if m.byAccess != nil {
		return m
	}
	m.byAccess, m.byID, m.byEmail = map[string]keyOf{}, map[string]*User{}, map[string]*User{}
	for _, u := range m.Users {
		for i := range u.Keys {
			m.byAccess[u.Keys[i].Access] = keyOf{u, &u.Keys[i]}
		}
		if u.ID != "" {
			m.byID[u.ID] = u
		}
		if u.Email != "" {
			m.byEmail[strings.ToLower(u.Email)] = u
		}
	}
	return m
}

// ByAccess returns whose access key it is, and the pair; nil when unknown.
func (m *UserMap) ByAccess(access string) (*User, *AccessKey) {
	k := m.byAccess[access]
	return k.user, k.key
}

// ByID returns the user with S3's canonical id, nil when unknown.
func (m *UserMap) ByID(id string) *User { return m.byID[id] }

// ByEmail returns the user with the address, in whatever case; nil when unknown.
func (m *UserMap) ByEmail(email string) *User { return m.byEmail[strings.ToLower(email)] }

// List returns all users ordered by name.
func (m *UserMap) List() []*User {
	us := make([]*User, 0, len(m.Users))
	for _, u := range m.Users {
		us = append(us, u)
	}
	sort.Slice(us, func(i, j int) bool { return us[i].Name < us[j].Name })
	return us
}

// admins counts the administrators that can sign a request.
func (m *UserMap) admins() int {
	n := 0
	for _, u := range m.Users {
		if u.Role == Admin && len(u.Keys) > 0 {
			n++
		}
	}
	return n
}

// check joins every broken invariant.
func (m *UserMap) check() error {
	var faults []error
	if len(m.Users) > MaxUsers {
		faults = append(faults, fmt.Errorf("%d users", len(m.Users)))
	}
	access, ids, emails := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for name, u := range m.Users {
		if u == nil || u.Name != name {
			faults = append(faults, fmt.Errorf("user %q is not under its name", name))
			continue
		}
		mail := strings.ToLower(u.Email)
		if u.ID != "" && ids[u.ID] || mail != "" && emails[mail] || len(u.Keys) > MaxKeys || u.ID == "" && len(u.Keys) > 0 {
			faults = append(faults, fmt.Errorf("user %s has another's id or e-mail address, %d keys, or no id", name, len(u.Keys)))
		}
		ids[u.ID], emails[mail] = true, true
		faults = append(faults, u.validate())
		for _, k := range u.Keys {
			if access[k.Access] {
				faults = append(faults, fmt.Errorf("access key %q is there twice", k.Access))
			}
			access[k.Access] = true
			faults = append(faults, k.Validate())
		}
	}
	return errors.Join(faults...)
}

// validate names every wrong field that is text.
func (u *User) validate() error {
	const op = "cluster.User"
	faults := []error{CheckUserName(u.Name)}
	if u.Role != Admin && u.Role != Plain && u.Role != ReadOnly {
		faults = append(faults, errs.F(op, "role", errs.Invalid, "%.60q is unknown: use admin, user or readonly", string(u.Role)))
	}
	if len(u.ID) > 128 || !token(u.ID, `/,"'\<>&*?`) {
		faults = append(faults, errs.F(op, "id", errs.Invalid, `%.130q: use at most 128 printable ASCII characters, no space and none of / , " ' \ < > & * ?`, u.ID))
	}
	if len(u.Display) > 256 || !utf8.ValidString(u.Display) || strings.ContainsFunc(u.Display, unicode.IsControl) {
		faults = append(faults, errs.F(op, "display", errs.Invalid, "%.60q: use at most 256 bytes of text without control characters", u.Display))
	}
	if u.Email != "" && (len(u.Email) > 254 || !token(u.Email, `,"'\<>&`) || !strings.Contains(u.Email, "@")) {
		faults = append(faults, errs.F(op, "email", errs.Invalid, "%.60q is no e-mail address", u.Email))
	}
	return errors.Join(faults...)
}

// CheckUserName accepts 1 to 64 letters, digits, '.', '_', '@' and '-'.
func CheckUserName(name string) error {
	const op = "cluster.CheckUserName"
	if name == "" || len(name) > 64 {
		return errs.F(op, "user name", errs.Invalid, "%.70q has %d characters: use 1 to 64", name, len(name))
	}
	for _, r := range name {
		if !strings.ContainsRune("._@-", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return errs.F(op, "user name", errs.Invalid, "%q: use letters, digits, '.', '_', '@' and '-'", name)
		}
	}
	return nil
}

// Validate names the wrong half of the pair, and never shows the secret.
func (k AccessKey) Validate() error {
	const op = "cluster.AccessKey"
	// What is refused would have to be quoted in the Authorization header, a query or a form, and some client does not.
	const refused = `/=,:;&%?#"'\<>`
	if len(k.Access) < 3 || len(k.Access) > 128 || !token(k.Access, refused) {
		return errs.F(op, "access key", errs.Invalid, `%.130q: use 3 to 128 printable ASCII characters, no space and none of / = , : ; & %% ? # " ' \ < >`, k.Access)
	}
	if len(k.Secret) < 8 || len(k.Secret) > 256 || !token(k.Secret, "") {
		return errs.F(op, "secret key", errs.Invalid, "of %s: use 8 to 256 printable ASCII characters without space", k.Access)
	}
	return nil
}

// token reports whether s is printable ASCII without space and without any of not.
func token(s, not string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || strings.IndexByte(not, s[i]) >= 0 {
			return false
		}
	}
	return true
}

// RootUser is the administrator that a cluster without users is given. Its name is the access key if that can
// be one, else "root".
func RootUser(key AccessKey) AddUser {
	name := key.Access
	if CheckUserName(name) != nil {
		name = "root"
	}
	return AddUser{Name: name, Role: Admin, Access: key.Access, Secret: key.Secret}
}
