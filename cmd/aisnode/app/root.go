package app

import (
	"context"
	"log/slog"

	"aistore/cluster"
	"aistore/config"
)

// rootKey is the pair that a cluster is founded with.
func rootKey(cfg *config.Node) cluster.AccessKey {
	return cluster.AccessKey{Access: cfg.Root.Access, Secret: cfg.Root.Secret}
}

// RootKey returns what may be printed of the pair that the node was configured with: nothing unless it is a user's,
// and the secret only if it is the default, which is no secret.
func (a *App) RootKey() (access, secret string) {
	v := a.control.View()
	if v == nil {
		return "", ""
	}
	user, key := v.Users.ByAccess(a.cfg.Root.Access)
	switch {
	case user == nil || key.Secret != a.cfg.Root.Secret:
		return "", ""
	case a.cfg.Root != config.DefaultRoot():
		return key.Access, ""
	}
	return key.Access, key.Secret
}

// watchRoot says once, when there are users, what an administrator should know of the pairs: of the node's own every node, of the default one the
// primary alone, so that a cluster that starts says it once.
func (a *App) watchRoot(ctx context.Context) error {
	var seen uint64
	for {
		if v := a.control.View(); v != nil {
			seen = v.Index
			if len(v.Users.Users) > 0 {
				break
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-a.control.Watch(seen):
		}
	}
	a.judgeRoot(a.control.View().Users)
	if a.control.AwaitReady(ctx) != nil {
		return nil // the node ends
	}
	if primary, _ := a.control.Primary(); primary == a.node.ID { // known, as it has accepted this node
		warnOfDefault(a.log, a.control.View().Users)
	}
	return nil
}

// warnOfDefault warns of the pair that everybody knows.
func warnOfDefault(log *slog.Logger, users *cluster.UserMap) {
	def := config.DefaultRoot()
	if _, key := users.ByAccess(def.Access); key != nil && key.Secret == def.Secret {
		log.Warn("S3 can be used with the default key pair, which everybody knows: add a key, then remove this one "+
			"(ais auth add key, ais auth rm key), or set AIS_ROOT_ACCESS_KEY and AIS_ROOT_SECRET_KEY before the first start", "access_key", def.Access)
	}
}

// judgeRoot warns of a pair of the node's own that is nobody's.
func (a *App) judgeRoot(users *cluster.UserMap) {
	if a.cfg.Root == config.DefaultRoot() {
		return
	}
	if _, key := users.ByAccess(a.cfg.Root.Access); key == nil || key.Secret != a.cfg.Root.Secret {
		a.log.Warn("AIS_ROOT_ACCESS_KEY and AIS_ROOT_SECRET_KEY are no key of this cluster: they count only while it has no users; use ais auth add key",
			"access_key", a.cfg.Root.Access)
	}
}
