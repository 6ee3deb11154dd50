package node

import (
	"aistore/errs"
	"aistore/httpx"
)

// PathEnd is the intra-cluster route by which a gateway has other nodes end: POST Ending.
const PathEnd = "/intra/end"

// Ending is how a process is to end.
type Ending struct {
	Cluster string `json:"cluster"` // uuid: no other cluster's node obeys
	Wipe    bool   `json:"wipe"`    // everything that the node has of the cluster goes, objects too
}

// End begins the end of this node's process. What is being answered is answered first.
func (n *Node) End(e Ending) error {
	const op = "node.End"
	v, err := n.View()
	if err != nil {
		return err
	}
	if e.Cluster != v.Map.UUID {
		return errs.F(op, string(n.ID), errs.Forbidden, "belongs to cluster %s, not %.60q", v.Map.UUID, e.Cluster)
	}
	if n.cfg.End == nil {
		return errs.E(op, string(n.ID), errs.Unsupported, "its process is not ended from outside")
	}
	n.cfg.End(e)
	return nil
}

func (n *Node) postEnd(c *httpx.Ctx) error {
	var e Ending
	if err := c.ReadJSON(4096, &e); err != nil {
		return err
	}
	return n.End(e)
}
