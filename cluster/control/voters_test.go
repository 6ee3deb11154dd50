package control

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/raft"

	"aistore/cluster"
)

// parseBench reads "g1:v t1:v- t2 t3- g2:n x:v" : a node (g: gateway), ":v" votes, ":n" is a member without vote,
// "-" is lost, "--" lost for long, "!" barred, "?" has lost its log, "*" decommissioned, "~" in maintenance, "@" has moved. The first is the primary.
func parseBench(s string) bench {
	b := bench{m: &cluster.Map{Nodes: map[cluster.NodeID]*cluster.Node{}}}
	gone, barred, lost := map[cluster.NodeID]bool{}, map[cluster.NodeID]bool{}, map[raft.ServerID]bool{}
	for _, w := range strings.Fields(s) {
		name := strings.TrimRight(w, "-!?*@~")
		marks := w[len(name):]
		name, seat, _ := strings.Cut(name, ":")
		id := cluster.NodeID(name)
		if b.self == "" {
			b.self = id
		}
		n := &cluster.Node{ID: id, Role: cluster.RoleTarget, State: cluster.Online, IntraAddr: name + ":1"}
		if name[0] == 'g' {
			n.Role = cluster.RoleProxy
		}
		n.Alive = !strings.Contains(marks, "-")
		gone[id], barred[id] = strings.Contains(marks, "--"), strings.Contains(marks, "!")
		if strings.Contains(marks, "*") {
			n.State = cluster.Decommissioned
		}
		if strings.Contains(marks, "~") {
			n.State = cluster.Maintenance
		}
		srv := raft.Server{ID: raft.ServerID(name + ".log"), Address: raft.ServerAddress(n.IntraAddr)}
		lost[srv.ID] = strings.Contains(marks, "?")
		if strings.Contains(marks, "@") {
			srv.Address = "old:1"
		}
		switch seat {
		case "v":
			b.servers = append(b.servers, srv)
		case "n":
			srv.Suffrage = raft.Nonvoter
			b.servers = append(b.servers, srv)
		}
		if name[0] != 'x' { // x: not in the map
			b.m.Nodes[id] = n
		}
	}
	b.gone = func(id cluster.NodeID) bool { return gone[id] }
	b.barred = func(id cluster.NodeID) bool { return barred[id] }
	b.lostLog = func(id raft.ServerID) bool { return lost[id] }
	return b
}

func (s step) String() string {
	switch s.do {
	case stepPromote:
		return fmt.Sprintf("promote %s", s.node)
	case stepRemove:
		return fmt.Sprintf("remove %s", nodeOf(s.server))
	case stepReaddress:
		return fmt.Sprintf("readdress %s %s", nodeOf(s.server), s.addr)
	case stepHandOver:
		return "hand over"
	}
	return "-"
}

func TestVoterSteps(t *testing.T) {
	for _, c := range []struct{ have, want string }{
		// how many
		{"g1:v", "-"},
		{"g1:v t1", "-"}, // two voters would survive no more than one
		{"g1:v t1 t2", "promote t1"},
		{"g1:v t1:v t2", "promote t2"},
		{"g1:v t1:v t2:v t3", "-"},
		{"g1:v t1:v t2:v t3 t4", "promote t3"},
		{"g1:v t1:v t2:v t3:v t4", "promote t4"},
		{"g1:v t1:v t2:v t3:v t4:v t5", "-"},
		// who
		{"g1:v t1 t2 g2", "promote g2"},
		{"g1:v t1- t2", "promote t2"},
		{"g1:v t1! t2", "promote t2"},
		{"g1:v t1! t2-", "-"},
		{"g1:v t1:v t2:v g2", "promote g2"}, // in place of a target
		{"g1:v t1:v t2:v g2:v", "remove t2"},
		{"t1:v g1:v g2:v g3", "-"}, // the primary keeps its seat
		{"t1:v g1 g2", "promote g1"},
		// half-way
		{"g1:v t1 t2:n", "promote t2"},
		{"g1:v t1:n t2:n", "remove t2"},
		{"g1:v t1:n- t2", "remove t1"},
		{"g1:v t1:n", "remove t1"}, // of two one votes
		{"g1:v t1:v", "remove t1"},
		// losses
		{"g1:v t1:v- t2:v t3", "-"}, // it may be back in a moment
		{"g1:v t1:v-- t2:v t3", "promote t3"},
		{"g1:v t1:v-- t2:v t3:v", "remove t1"},
		{"g1:v t1:v-- t2:v", "-"}, // nobody to replace it
		{"g1:v t1:v-- t2:v t3-", "-"},
		{"g1:v t1:v-- t2:v-- t3:v t4:v t5", "promote t5"},
		{"g1:v t1:v-- t2:v-- t3:v t4:v t5:v", "remove t2"},
		{"g1:v t1:v- t2:v- t3", "-"}, // no majority: nothing can be changed
		{"g1:v t1:v-- t2:v-- t3", "-"},
		// going
		{"g1:v t1:v* t2:v", "remove t1"},
		{"g1:v x1:v t2:v", "remove x1"},
		{"g1:v x1:n", "remove x1"},
		{"g1:v* t1:v t2:v", "hand over"},
		{"g1:v* t1", "promote t1"}, // first another
		{"g1:v* t1:v", "hand over"},
		{"g1:v*", "-"},
		{"g1:v t1:v* t2:v t3", "promote t3"},
		{"g1:v t1:v* t2:v t3:v", "remove t1"},
		{"g1:v t1:v*- t2:v- t3", "-"}, // no majority
		{"g1:v t1:v~ t2:v t3", "promote t3"},
		{"g1:v t1:v~ t2:v t3:v", "remove t1"},
		{"g1:v t1:v~ t2:v", "-"}, // nobody to replace it
		{"g1:v t1:v~ t2:v t3~", "-"},
		{"g1:v~ t1:v t2:v t3", "promote t3"},
		{"g1:v~ t1:v t2:v t3:v", "hand over"},
		{"g1:v t1:v~ t2:v~ t3:v~ t4:v", "remove t3"}, // all three may be off together
		{"g1:v t1:v~- t2:v~ t3:v~ t4:v", "remove t1"},
		{"g1:v t1:v~ t2:v~ t3:v~ t4:v t5", "promote t5"}, // first another
		{"g1:v t1:v~ t2:v~ t3:v", "remove t2"},
		{"g1:v t1:v~ t2:v~ t3:v t4:v", "-"}, // the others are a majority
		{"g1:v t1:v~ t2:v-", "-"},           // what lives would be none any more
		{"g1:v~ t1:v~ t2:v", "remove t1"},
		{"g1:v~ t2:v", "hand over"},
		{"g1:v t1:v? t2:v", "remove t1"},
		{"g1:v t1:v@ t2:v", "readdress t1 t1:1"},
		{"g1:v@", "readdress g1 g1:1"},
		{"g1:v t1:v@- t2:v", "-"},
	} {
		if got := parseBench(c.have).next().String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.have, got, c.want)
		}
	}
}

// TestVotersSettle applies the steps until there is none left: that must end, with the voters wanted.
func TestVotersSettle(t *testing.T) {
	for _, c := range []struct {
		have string
		want int
	}{
		{"g1:v", 1}, {"g1:v t1:n", 1}, {"g1:v t1:v", 1}, {"g1:v t1 t2", 3}, {"t1:v t2 t3 t4 g1 g2 g3", 5}, {"t1:v t2:v t3:v g1 g2 g3", 5},
		{"t1:v t2:v t3:v g1", 3}, {"g1:v t1:v-- t2:v t3", 3}, {"g1:v t1:v? t2:v t3:n t4:n", 5}, {"g1:v t1:v t2:v t3:v t4:v* x:v g2", 5},
		{"g1:v g2 t1:v t2:v t3:v-- t4:v g3 t5", 5}, {"g1:v t1:v~ t2:v t3 t4", 5}, {"g1:v t1:v~ t2:v~ t3 t4 t5", 5}, {"g1:v t1:v~ t2:v", 3},
		{"g1:v t1:v* t2:v", 1}, {"g1:v t1:v~ t2:v~ t3:v~ t4:v", 3}, {"g1:v t1:v~ t2:v~", 1},
	} {
		b := parseBench(c.have)
		steps := 0
		for s := b.next(); s.do != stepNone; s = b.next() {
			if steps++; steps > 30 {
				t.Fatalf("%s: no end: %v", c.have, s)
			}
			b.servers = take(b.servers, s)
		}
		voters, others := b.split()
		if len(voters) != c.want || len(others) != 0 {
			t.Errorf("%s: ends with %d voters, %d others: %v", c.have, len(voters), len(others), b.servers)
		}
	}
}

// take does what a step says.
func take(servers []raft.Server, s step) []raft.Server {
	var next []raft.Server
	for _, srv := range servers {
		switch {
		case s.do == stepRemove && srv.ID == s.server, s.do == stepPromote && nodeOf(srv.ID) == s.node:
			continue
		case s.do == stepReaddress && srv.ID == s.server:
			srv.Address = raft.ServerAddress(s.addr)
		}
		next = append(next, srv)
	}
	if s.do == stepPromote {
		next = append(next, raft.Server{ID: raft.ServerID(string(s.node) + ".new"), Address: raft.ServerAddress(string(s.node) + ":1")})
	}
	return next
}
