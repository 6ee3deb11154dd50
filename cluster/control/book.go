package control

import (
	"sync"

	"github.com/hashicorp/raft"

	"aistore/cluster"
	"aistore/errs"
)

// book knows where nodes are reached. What a node itself said last counts more than the cluster map: voters
// that were all restarted at new addresses must find each other before they can commit those.
type book struct {
	self cluster.Node
	view func() *cluster.View

	mu   sync.Mutex
	said map[cluster.NodeID]said
}

type said struct {
	addr   string
	mapped string // what the map said then; once it says something else, that is newer
}

// learn notes that a node gave addr as its own.
func (b *book) learn(id cluster.NodeID, addr string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.said == nil {
		b.said = map[cluster.NodeID]said{}
	}
	if mapped := b.mapped(id); mapped != addr {
		b.said[id] = said{addr, mapped}
	} else {
		delete(b.said, id)
	}
}

func (b *book) mapped(id cluster.NodeID) string {
	if v := b.view(); v != nil && v.Map.Nodes[id] != nil {
		return v.Map.Nodes[id].IntraAddr
	}
	return ""
}

// addr returns where the node is reached, "" if that is not known.
func (b *book) addr(id cluster.NodeID) string {
	if id == b.self.ID {
		return b.self.IntraAddr
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	mapped := b.mapped(id)
	if s, ok := b.said[id]; ok && s.mapped == mapped {
		return s.addr
	}
	return mapped
}

// ServerAddr implements raft.ServerAddressProvider.
func (b *book) ServerAddr(id raft.ServerID) (raft.ServerAddress, error) {
	if a := b.addr(nodeOf(id)); a != "" {
		return raft.ServerAddress(a), nil
	}
	return "", errs.E("control.ServerAddr", string(id), errs.NotFound, "no address is known")
}
