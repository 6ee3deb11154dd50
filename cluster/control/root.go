package control

import (
	"context"
	"time"

	"aistore/cluster"
)

// rootless reports whether the cluster lacks the administrator that this node can give it: it was founded by a
// release that knew no users. Later there is always one, since the last one cannot be removed.
func (r *reign) rootless(mach *cluster.Machine) bool {
	return len(mach.Users.Users) == 0 && r.c.cfg.Root.Access != ""
}

// giveRoot adds the administrator once all nodes run this release: an older voter would stop at the command,
// and an older follower would lose the users that the view brings.
func (r *reign) giveRoot(ctx context.Context, v *cluster.View) {
	for _, h := range r.led.health(v.Map, time.Now()) {
		if n := v.Map.Nodes[h.ID]; (n.Alive || n.Voter) && h.Version != r.c.cfg.Version {
			r.c.log.Debug("no administrator is added while a node runs another release", "node", h.ID, "version", h.Version)
			return
		}
	}
	if _, err := r.commit(ctx, "", cluster.RootUser(r.c.cfg.Root)); err != nil {
		r.c.log.Warn("cannot add the first administrator", "err", err)
		return
	}
	r.c.log.Info("the cluster had no users: an administrator was added", "access_key", r.c.cfg.Root.Access)
}
