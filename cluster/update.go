package cluster

import "aistore/errs"

// Since says which view a follower has; the zero value is none.
type Since struct {
	Index, Map, Buckets, Config, Users uint64
}

// Since returns what v is, to ask for what is newer.
func (v *View) Since() Since {
	if v == nil {
		return Since{}
	}
	return Since{v.Index, v.Map.Version, v.Buckets.Version, v.Config.Version, v.Users.Version}
}

// Update is the difference between two views: the parts that changed, whole. Versions identify content, so
// a part of equal version is left out.
type Update struct {
	Index   uint64     `json:"index"`
	UUID    string     `json:"uuid"`
	Map     *Map       `json:"map,omitempty"`
	Buckets *BucketMap `json:"buckets,omitempty"`
	Config  *Config    `json:"config,omitempty"`
	Users   *UserMap   `json:"users,omitempty"`
	Secret  []byte     `json:"secret,omitempty"`
}

// Update returns what brings a follower from its view to v.
func (v *View) Update(from Since) Update {
	u := Update{Index: v.Index, UUID: v.Map.UUID}
	if from.Index == 0 || from.Map != v.Map.Version {
		u.Map = v.Map
	}
	if from.Index == 0 || from.Buckets != v.Buckets.Version {
		u.Buckets = v.Buckets
	}
	if from.Index == 0 || from.Config != v.Config.Version {
		u.Config = v.Config
	}
	if from.Index == 0 || from.Users != v.Users.Version {
		u.Users = v.Users
	}
	if from.Index == 0 {
		u.Secret = v.Secret
	}
	return u
}

// With returns the view after u; v may be nil. An update that is not newer returns v itself.
func (v *View) With(u Update) (*View, error) {
	const op = "cluster.With"
	if v == nil {
		v = &View{Map: u.Map, Buckets: u.Buckets, Config: u.Config, Users: u.Users, Secret: u.Secret}
	} else if u.Index <= v.Index {
		return v, nil
	} else if u.UUID != v.Map.UUID {
		return nil, errs.F(op, "view", errs.Forbidden, "is of cluster %s, this node belongs to %s", u.UUID, v.Map.UUID)
	}
	if u.Map != nil && u.Map.UUID != u.UUID {
		return nil, errs.F(op, "view", errs.Corrupt, "is of cluster %s, its map of %s", u.UUID, u.Map.UUID)
	}
	next := &View{Index: u.Index, Map: v.Map, Buckets: v.Buckets, Config: v.Config, Users: v.Users, Secret: v.Secret}
	if u.Map != nil {
		next.Map = u.Map
	}
	if u.Buckets != nil {
		next.Buckets = u.Buckets
	}
	if u.Config != nil {
		next.Config = u.Config
	}
	if u.Users != nil {
		next.Users = u.Users
	}
	if u.Secret != nil {
		next.Secret = u.Secret
	}
	if u.Config != nil {
		next.Config, next.Users = completed(next.Config, next.Users)
	}
	if err := next.check(); err != nil {
		return nil, errs.E(op, "view", errs.Corrupt, err)
	}
	return next.Freeze(), nil
}
