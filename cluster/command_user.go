package cluster

import (
	"slices"

	"aistore/errs"
)

// AddUser adds a user, with a first key or without any.
type AddUser struct {
	Name    string   `json:"name"`
	Role    UserRole `json:"role"`
	ID      string   `json:"id,omitempty"`      // "" = the first access key
	Display string   `json:"display,omitempty"` // "" = the id
	Email   string   `json:"email,omitempty"`
	Access  string   `json:"access,omitempty"` // "" = no key yet
	Secret  string   `json:"secret,omitempty"`
}

// SetUser changes what is not "" or nil.
type SetUser struct {
	Name    string   `json:"name"`
	Role    UserRole `json:"role,omitempty"`
	Display *string  `json:"display,omitempty"` // "" = the id
	Email   *string  `json:"email,omitempty"`
}

// RemoveUser removes a user with its keys. What it owns keeps its id as owner.
type RemoveUser struct {
	Name string `json:"name"`
}

// AddKey gives a user another pair. Access keys are unique over all users.
type AddKey struct {
	User   string `json:"user"`
	Access string `json:"access"`
	Secret string `json:"secret"`
}

// RemoveKey removes a pair.
type RemoveKey struct {
	Access string `json:"access"`
}

// SetBucketOwner gives a bucket to the user with an id.
type SetBucketOwner struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	ID        uint64 `json:"id,omitempty"` // if not 0 the bucket must have it
	Owner     string `json:"owner"`        // "" = nobody's
}

// Op implements Command.
func (AddUser) Op() string { return "add-user" }

// Op implements Command.
func (SetUser) Op() string { return "set-user" }

// Op implements Command.
func (RemoveUser) Op() string { return "remove-user" }

// Op implements Command.
func (AddKey) Op() string { return "add-key" }

// Op implements Command.
func (RemoveKey) Op() string { return "remove-key" }

// Op implements Command.
func (SetBucketOwner) Op() string { return "set-bucket-owner" }

func (a AddUser) apply(c *change) error {
	const op = "cluster.AddUser"
	u := &User{Name: a.Name, ID: a.ID, Display: a.Display, Email: a.Email, Role: a.Role, Created: c.now}
	if err := u.validate(); err != nil {
		return err
	}
	if c.Users.Users[u.Name] != nil {
		return errs.E(op, u.Name, errs.Exists, "the user exists already")
	}
	if len(c.Users.Users) >= MaxUsers {
		return errs.F(op, u.Name, errs.Conflict, "the cluster has %d users, which is the limit", MaxUsers)
	}
	if err := c.emailFree(op, u, u.Email); err != nil {
		return err
	}
	if other := c.Users.ByID(u.ID); other != nil {
		return errs.F(op, u.ID, errs.Exists, "is the id of user %s", other.Name)
	}
	if a.Access != "" || a.Secret != "" {
		if err := c.giveKey(op, u, AccessKey{Access: a.Access, Secret: a.Secret, Created: c.now}); err != nil {
			return err
		}
	}
	u.named()
	c.editUsers().Users[u.Name] = u
	return nil
}

// named gives u the display name it has unless another was chosen.
func (u *User) named() {
	if u.Display == "" {
		u.Display = u.ID
	}
}

func (c *change) emailFree(op string, u *User, email string) error {
	if other := c.Users.ByEmail(email); other != nil && other.Name != u.Name {
		return errs.F(op, email, errs.Exists, "is the e-mail address of user %s", other.Name)
	}
	return nil
}

// giveKey appends k to u's keys and, with the first one, settles u's id.
func (c *change) giveKey(op string, u *User, k AccessKey) error {
	if err := k.Validate(); err != nil {
		return err
	}
	if other, _ := c.Users.ByAccess(k.Access); other != nil {
		return errs.F(op, k.Access, errs.Exists, "is an access key of user %s", other.Name)
	}
	if len(u.Keys) >= MaxKeys {
		return errs.F(op, u.Name, errs.Conflict, "has %d keys, which is the limit: remove one first", MaxKeys)
	}
	u.Keys = append(slices.Clone(u.Keys), k)
	if u.ID != "" {
		return nil
	}
	u.ID = k.Access
	if other := c.Users.ByID(u.ID); other != nil {
		return errs.F(op, k.Access, errs.Exists, "is the id of user %s: use another access key, or add the user with an id", other.Name)
	}
	return u.validate() // an access key may have characters that an id may not
}

// user returns a copy of the named user to change.
func (c *change) user(op, name string) (*User, error) {
	u := c.Users.Users[name]
	if u == nil {
		return nil, errs.E(op, name, errs.NotFound, "no such user")
	}
	next := *u
	return &next, nil
}

// keepAdmin refuses a change after which nobody could manage the cluster over S3 any more.
func (c *change) keepAdmin(op, name string, before *UserMap) error {
	if before.admins() > 0 && c.Users.admins() == 0 {
		return errs.E(op, name, errs.Conflict, "is the last administrator with a key: give another one first")
	}
	return nil
}

func (s SetUser) apply(c *change) error {
	const op = "cluster.SetUser"
	u, err := c.user(op, s.Name)
	if err != nil {
		return err
	}
	if s.Role != "" {
		u.Role = s.Role
	}
	if s.Display != nil {
		u.Display = *s.Display
		u.named()
	}
	if s.Email != nil {
		u.Email = *s.Email
	}
	if err := u.validate(); err != nil {
		return err
	}
	if err := c.emailFree(op, u, u.Email); err != nil {
		return err
	}
	before := c.Users
	if old := before.Users[u.Name]; old.Role == u.Role && old.Display == u.Display && old.Email == u.Email {
		return nil
	}
	c.editUsers().Users[u.Name] = u
	return c.keepAdmin(op, u.Name, before)
}

func (r RemoveUser) apply(c *change) error {
	const op = "cluster.RemoveUser"
	if _, err := c.user(op, r.Name); err != nil {
		return err
	}
	before := c.Users
	delete(c.editUsers().Users, r.Name)
	return c.keepAdmin(op, r.Name, before)
}

func (a AddKey) apply(c *change) error {
	const op = "cluster.AddKey"
	u, err := c.user(op, a.User)
	if err != nil {
		return err
	}
	if err := c.giveKey(op, u, AccessKey{Access: a.Access, Secret: a.Secret, Created: c.now}); err != nil {
		return err
	}
	u.named()
	c.editUsers().Users[u.Name] = u
	return nil
}

func (r RemoveKey) apply(c *change) error {
	const op = "cluster.RemoveKey"
	owner, _ := c.Users.ByAccess(r.Access)
	if owner == nil {
		return errs.E(op, r.Access, errs.NotFound, "no such access key")
	}
	before := c.Users
	u := *owner
	u.Keys = slices.DeleteFunc(slices.Clone(u.Keys), func(k AccessKey) bool { return k.Access == r.Access })
	if len(u.Keys) == 0 {
		u.Keys = nil // as it reads from a snapshot
	}
	c.editUsers().Users[u.Name] = &u
	return c.keepAdmin(op, r.Access, before)
}

// checkOwner accepts the id of a user, and "".
func (c *change) checkOwner(op, id string) error {
	if id != "" && c.Users.ByID(id) == nil {
		return errs.F(op, "owner", errs.NotFound, "no user has the id %.130q", id)
	}
	return nil
}

func (s SetBucketOwner) apply(c *change) error {
	const op = "cluster.SetBucketOwner"
	b, err := c.bucket(op, s.Namespace, s.Name, s.ID)
	if err != nil {
		return err
	}
	if err := c.checkOwner(op, s.Owner); err != nil {
		return err
	}
	c.result.Bucket = b
	if b.Owner == s.Owner {
		return nil
	}
	m := c.editBuckets()
	nb := *b
	nb.Owner, nb.Version = s.Owner, m.Version
	m.Buckets[nb.Key()] = &nb
	c.result.Bucket = &nb
	return nil
}
