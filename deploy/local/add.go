package local

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"aistore/errs"
)

// retired reports whether the node was decommissioned: it leaves this file in its directory, and is never started again.
func (n Node) retired() bool {
	if n.Retired {
		return true
	}
	_, err := os.Lstat(filepath.Join(n.state(), "decommissioned"))
	return err == nil
}

// noteRetired keeps in cluster.json who was decommissioned: the node's own word goes with its directory.
func (c *Cluster) noteRetired() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	news := false
	for i := range c.file.Nodes {
		if n := &c.file.Nodes[i]; !n.Retired && n.retired() {
			n.Retired, news = true, true
		}
	}
	if !news {
		return nil
	}
	return c.file.write(c.dir)
}

// More says what Add adds.
type More struct {
	Count      int      // of nodes; 0 = 1
	Mountpaths int      // of each, which only targets have; 0 = as many as the target with the most has
	Env        []string // added to their environment at this start alone
}

// Add makes more nodes of a role, starts them, and returns when all are alive in the cluster map.
func (c *Cluster) Add(ctx context.Context, role Role, more More) ([]Node, error) {
	const op = "local.Add"
	if !slices.ContainsFunc(c.Nodes(), func(n Node) bool { _, runs := runningProcess(n); return runs }) {
		return nil, errs.F(op, "", errs.Conflict, "the cluster is not running, and nodes join one that does: start it with `ais dev up --dir %s` first", c.dir)
	}
	nodes, err := c.extend(role, max(1, more.Count), more.Mountpaths)
	if err != nil {
		return nil, errs.E(op, string(role), err)
	}
	for _, n := range nodes {
		if _, err := c.start(n, more.Env); err != nil {
			return nodes, err
		}
	}
	return nodes, until(ctx, nodes, c.waitNode)
}

// extend adds nodes to cluster.json. Their ids go on from the greatest that there ever was; mountpaths is 0 for as many as others have.
func (c *Cluster) extend(role Role, count, mountpaths int) ([]Node, error) {
	letter := map[Role]string{RoleProxy: "g", RoleTarget: "t"}[role]
	if letter == "" || count < 1 {
		return nil, errs.F("local.extend", "role", errs.Invalid, "%d nodes of role %q cannot be added: use proxy or target", count, role)
	}
	if mountpaths < 0 || mountpaths > 0 && role != RoleTarget {
		return nil, errs.F("local.extend", "mountpaths", errs.Invalid, "%d of a node of role %q: targets have them, at least 1", mountpaths, role)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	number, port, most := 0, 0, 0
	for _, n := range c.file.Nodes {
		if num, err := strconv.Atoi(strings.TrimPrefix(n.ID, letter)); err == nil {
			number = max(number, num)
		}
		port = max(port, slices.Max(n.publicPorts()))
		most = max(most, len(n.Mountpaths))
	}
	if mountpaths == 0 {
		mountpaths = most
	}
	for i := range c.file.Nodes {
		c.file.Nodes[i].Retired = c.file.Nodes[i].retired()
	}
	var added []Node
	for range count {
		number++
		for port++; portFree(port) != nil; port++ {
			if port > 65534 {
				return nil, errs.E("local.extend", "port", errs.Conflict, "no free port is left")
			}
		}
		n := Node{ID: letter + strconv.Itoa(number), Role: role, Port: port}
		n.Dir = filepath.Join(c.dir, n.ID)
		for i := range mountpaths {
			if role == RoleTarget {
				n.Mountpaths = append(n.Mountpaths, filepath.Join(n.Dir, "mp"+strconv.Itoa(i+1)))
			}
		}
		if c.file.Nodes[0].TLSPort != 0 {
			port++
			n.TLSPort = port
		}
		added = append(added, n)
	}
	if err := assignIntraPorts(c.dir, c.file.Nodes, added); err != nil {
		return nil, err
	}
	c.file.Nodes = append(c.file.Nodes, added...)
	return added, c.file.write(c.dir)
}
