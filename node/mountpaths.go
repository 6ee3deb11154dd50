package node

import (
	"context"
	"encoding/json"
	"path/filepath"

	"aistore/api"
	"aistore/errs"
	"aistore/fs"
	"aistore/httpx"
	"aistore/store"
)

// Mounts changes a target's mountpaths. *store.Store is the one real one.
type Mounts interface {
	Attach(ctx context.Context, path string) (fs.Info, error)
	Enable(ctx context.Context, path string) (fs.Info, error)
	Disable(path string) error
	Detach(ctx context.Context, path string, how store.Force) error
	Rescan(ctx context.Context) map[string]error
}

// mountpathRoutes let clients change the mountpaths. The action decides; AIStore's clients send each with a method of its own.
func (n *Node) mountpathRoutes(policy httpx.Policy) (rs []httpx.Route) {
	for _, method := range []string{"PUT", "POST", "DELETE"} {
		rs = append(rs, httpx.Route{Method: method, Path: api.PathMountpaths, Op: "mountpath", Policy: policy, Handler: n.changeMountpath})
	}
	return rs
}

// changeMountpath takes {"action":"attach-mp","value":PATH} and answers with the mountpaths as they are then. What must move moves
// afterwards.
func (n *Node) changeMountpath(c *httpx.Ctx) error {
	const op = "node.changeMountpath"
	if n.cfg.Mounts == nil {
		return errs.E(op, string(n.ID), errs.Invalid, "is a gateway and has no mountpaths")
	}
	body, ok := c.BodyBytes()
	var m api.ActionMsg
	if err := json.Unmarshal(body, &m); !ok || err != nil {
		return errs.E(op, "body", errs.Invalid, "is not an action such as {\"action\":\"attach-mp\",\"value\":\"/mnt/disk\"}")
	}
	var path string
	if len(m.Value) > 0 && json.Unmarshal(m.Value, &path) != nil || path == "" && m.Action != api.ActMountpathRescan {
		return errs.E(op, "value", errs.Invalid, "is not the path of a mountpath")
	}
	if path != "" && path[0] != '/' {
		return errs.F(op, path, errs.Invalid, "is not absolute")
	}
	if path != "" {
		path = filepath.Clean(path)
	}
	force := store.Force(isTrue(c.Query(api.QueryForce)))
	unused := map[string]string{}
	var err error
	switch m.Action {
	case api.ActMountpathAttach:
		_, err = n.cfg.Mounts.Attach(c.Context(), path)
	case api.ActMountpathEnable:
		_, err = n.cfg.Mounts.Enable(c.Context(), path)
	case api.ActMountpathDisable:
		err = n.cfg.Mounts.Disable(path)
	case api.ActMountpathDetach:
		err = n.cfg.Mounts.Detach(c.Context(), path, force)
	case api.ActMountpathRescan:
		for at, err := range n.cfg.Mounts.Rescan(c.Context()) {
			unused[at] = err.Error()
		}
	default:
		err = errs.F(op, "action", errs.Invalid, "%.60q is unknown here: use attach-mp, detach-mp, enable-mp, disable-mp or rescan-mp", m.Action)
	}
	if err != nil {
		return err
	}
	ms := n.mountpaths()
	ms.Unused = unused
	return c.JSON(ms)
}
