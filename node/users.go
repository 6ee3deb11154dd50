package node

import (
	"strings"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
)

// users serves api.PathUsers and api.PathKeys: who may sign S3 requests. A secret comes in with a pair and is in no reply.
type users struct{ *Node }

func (u *users) routes(p httpx.Policy) []httpx.Route {
	return []httpx.Route{
		{Method: "GET", Path: api.PathUsers, Op: "list-users", Policy: p, Handler: u.list},
		{Method: "POST", Path: api.PathUsers, Op: "add-user", Policy: p, Handler: u.add},
		{Method: "GET", Path: api.PathUsers + "/*", Op: "get-user", Policy: p, Handler: u.get},
		{Method: "PUT", Path: api.PathUsers + "/*", Op: "set-user", Policy: p, Handler: u.set},
		{Method: "DELETE", Path: api.PathUsers + "/*", Op: "remove-user", Policy: p, Handler: u.remove},
		{Method: "POST", Path: api.PathKeys, Op: "add-key", Policy: p, Handler: u.addKey},
		{Method: "DELETE", Path: api.PathKeys + "/*", Op: "remove-key", Policy: p, Handler: u.removeKey},
	}
}

// maxUserBody bounds a message about one user.
const maxUserBody = 16 << 10

func (u *users) propose(c *httpx.Ctx, cmd cluster.Command) error {
	if u.cfg.Propose == nil {
		return errs.E("node.users", string(u.ID), errs.Unsupported, "this node proposes no changes")
	}
	_, err := u.cfg.Propose(c.Context(), cmd)
	return err
}

// read decodes the body strictly: a misspelt field must not be a silent default.
func (u *users) read(c *httpx.Ctx, into any) error {
	b, err := c.ReadAll(maxUserBody)
	if err != nil {
		return err
	}
	return api.UnmarshalStrict("the message", b, into)
}

func (u *users) list(c *httpx.Ctx) error {
	v, err := u.control.Latest(c.Context())
	if err != nil {
		return err
	}
	all := []api.User{}
	for _, user := range v.Users.List() {
		all = append(all, api.UserOf(user))
	}
	return c.JSON(all)
}

func (u *users) get(c *httpx.Ctx) error { return u.show(c, c.Rest()) }

// show answers with a user as it is now.
func (u *users) show(c *httpx.Ctx, name string) error {
	v, err := u.control.Latest(c.Context())
	if err != nil {
		return err
	}
	user := v.Users.Users[name]
	if user == nil {
		return errs.E("node.getUser", name, errs.NotFound, "no such user")
	}
	return c.JSON(api.UserOf(user))
}

func (u *users) add(c *httpx.Ctx) error {
	var m api.AddUserMsg
	if err := u.read(c, &m); err != nil {
		return err
	}
	if m.Role == "" {
		m.Role = cluster.Plain
	}
	err := u.propose(c, cluster.AddUser{
		Name: m.Name, Role: m.Role, ID: m.ID, Display: m.Display, Email: m.Email, Access: m.Access, Secret: m.Secret,
	})
	if err != nil {
		return err
	}
	return u.show(c, m.Name)
}

func (u *users) set(c *httpx.Ctx) error {
	var m api.SetUserMsg
	if err := u.read(c, &m); err != nil {
		return err
	}
	if err := u.propose(c, cluster.SetUser{Name: c.Rest(), Role: m.Role, Display: m.Display, Email: m.Email}); err != nil {
		return err
	}
	return u.show(c, c.Rest())
}

func (u *users) remove(c *httpx.Ctx) error {
	return u.propose(c, cluster.RemoveUser{Name: strings.TrimSuffix(c.Rest(), "/")})
}

func (u *users) addKey(c *httpx.Ctx) error {
	var m api.AddKeyMsg
	if err := u.read(c, &m); err != nil {
		return err
	}
	if err := u.propose(c, cluster.AddKey{User: m.User, Access: m.Access, Secret: m.Secret}); err != nil {
		return err
	}
	return u.show(c, m.User)
}

func (u *users) removeKey(c *httpx.Ctx) error {
	return u.propose(c, cluster.RemoveKey{Access: c.Rest()})
}
