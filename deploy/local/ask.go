package local

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// asker asks nodes over HTTP.
type asker struct{ client *http.Client }

// clusterMap is what a gateway says of the cluster's nodes.
type clusterMap struct {
	Gateways map[string]member `json:"pmap"`
	Targets  map[string]member `json:"tmap"`
}

// member is a node in a clusterMap.
type member struct {
	Alive *bool  `json:"alive"`
	Flags uint64 `json:"flags"` // bit 0: does not vote
	State string `json:"state"`
	Phase string `json:"phase"`
}

// leaving reports whether the node is out of service, or on its way.
func (n *member) leaving() bool {
	return n.Phase != "joining" && (n.State == "maintenance" || n.State == "shutdown" || n.State == "decommissioned")
}

func (m *clusterMap) member(id string) (n member, ok bool) {
	if n, ok = m.Gateways[id]; !ok {
		n, ok = m.Targets[id]
	}
	return n, ok
}

// mapOf asks a gateway for its cluster map.
func (a asker) mapOf(ctx context.Context, viewer Node) (m clusterMap, err error) {
	body, err := a.get(ctx, viewer.URL()+"/v1/daemon?what=smap")
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return m, fmt.Errorf("%s answers with a cluster map that does not parse: %w", viewer.ID, err)
	}
	return m, nil
}

// shows checks the viewer's cluster map. A member without the "alive" field counts as alive. Asked for all nodes, it
// also wants the voters that a cluster of this size has: with two of them, as for a moment after the founding, the loss
// of either would stop control changes. Nodes that are out of service may have given up their votes.
func (m *clusterMap) shows(viewer Node, nodes []Node, all bool) error {
	voters, stay := map[string]bool{}, map[string]bool{}
	for _, n := range nodes {
		for _, part := range []struct {
			in      map[string]member
			wanted  bool
			purpose string
		}{{m.Gateways, n.Role != RoleTarget, "gateway"}, {m.Targets, n.Role != RoleProxy, "target"}} {
			got, ok := part.in[n.ID]
			if part.wanted && !ok {
				return fmt.Errorf("%s does not yet know %s as a %s", viewer.ID, n.ID, part.purpose)
			}
			if part.wanted && got.Alive != nil && !*got.Alive {
				return fmt.Errorf("%s does not see %s alive", viewer.ID, n.ID)
			}
			if part.wanted && got.Flags&1 == 0 {
				voters[n.ID] = true
			}
			if part.wanted && !got.leaving() {
				stay[n.ID] = true
			}
		}
	}
	if size := len(stay); all && len(voters) < min(5, (size-1)/2*2+1) {
		return fmt.Errorf("%s knows of %d voters among %d nodes", viewer.ID, len(voters), size)
	}
	return nil
}

func (a asker) get(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s: %.200s", url, resp.Status, body)
	}
	return body, err
}
