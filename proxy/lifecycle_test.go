package proxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"aistore/api"
	"aistore/cluster"
)

// settle reports that every source has moved and swept, in the order that the state machine wants.
func (w *world) settle() {
	w.t.Helper()
	for _, stage := range []cluster.Stage{cluster.Moved, cluster.Swept} {
		m := w.plane.View().Map
		for _, n := range m.All() {
			s, ok := m.Sources[n.ID]
			if ok && !s.Keeps && (stage == cluster.Moved || s.Stage == cluster.Moved) {
				_, _ = w.plane.Propose(w.t.Context(), cluster.ReportSource{ID: n.ID, Epoch: m.Epoch, Stage: stage}) // those that keep refuse
			}
		}
	}
}

// populated starts a world of t1 (this process), t2 and t3, which hold a bucket, and s1, which stands by.
func populated(t *testing.T) *world {
	w := start(t)
	target := func(id cluster.NodeID, port string) {
		answers := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }))
		t.Cleanup(answers.Close)
		w.plane.must(t, cluster.Join{Node: cluster.Node{ID: id, Role: cluster.RoleTarget, PublicURL: "http://127.0.0.1:" + port, IntraAddr: answers.Listener.Addr().String()}})
		w.plane.must(t, cluster.SetAlive{Back: []cluster.NodeID{id}})
	}
	target("t2", "2")
	target("t3", "3")
	w.action(200, "POST", "/v1/buckets/bk", api.ActCreateBucket, nil)
	target("s1", "4")
	return w
}

// TestTransitions tries every action from every state that a node can be in, through the API.
func TestTransitions(t *testing.T) {
	actions := []string{api.ActStartMaintenance, api.ActStopMaintenance, api.ActShutdownNode, api.ActDecommissionNode, "join"}
	for _, c := range []struct {
		state string   // of t2, or s1
		steps []string // that lead there; "settle" ends the rebalance
		legal string   // actions that do something, by their first letters; "=" for one that changes nothing
	}{
		{"online", nil, "start stop= shutdown decommission join="},
		{"maintenance (migrating)", []string{api.ActStartMaintenance}, "start= stop shutdown decommission"},
		{"maintenance (done)", []string{api.ActStartMaintenance, "settle"}, "start= stop shutdown decommission"},
		{"maintenance (joining)", []string{api.ActStartMaintenance, "settle", api.ActStopMaintenance}, "start stop= shutdown decommission"},
		{"shutdown (migrating)", []string{api.ActShutdownNode}, "stop shutdown= decommission"},
		{"shutdown (done)", []string{api.ActShutdownNode, "settle"}, "stop shutdown= decommission"},
		{"decommissioned (migrating)", []string{api.ActDecommissionNode}, "stop decommission="},
		{"standby", []string{"standby"}, "decommission join"},
		{"standby (joining)", []string{"standby", "join"}, "decommission join="},
	} {
		for _, action := range actions {
			w := populated(t)
			id := "t2"
			for _, s := range c.steps {
				switch s {
				case "standby":
					id = "s1"
				case "settle":
					w.settle()
				default:
					if r := w.step(s, id); r.status != 200 {
						t.Fatalf("%s: %s: %s", c.state, s, r.body)
					}
				}
			}
			before := w.plane.View().Map
			if is := before.Nodes[cluster.NodeID(id)].Describe(); is != c.state {
				t.Fatalf("%q: the node is %s", c.state, is)
			}
			r := w.step(action, id)
			legal, changes := allowed(c.legal, action)
			after := w.plane.View().Map
			switch {
			case !legal && (r.status != 409 || !strings.Contains(r.fault.Message, c.state) || !strings.Contains(r.fault.Message, "only ")):
				t.Errorf("%s from %s: %d %s", action, c.state, r.status, r.body)
			case legal && r.status != 200:
				t.Errorf("%s from %s is refused: %s", action, c.state, r.body)
			case legal && changes != (after.Version > before.Version), !legal && after.Version != before.Version:
				t.Errorf("%s from %s: the map went from %d to %d", action, c.state, before.Version, after.Version)
			}
		}
	}
}

// allowed looks action up among the words of a table.
func allowed(legal, action string) (ok, changes bool) {
	for _, word := range strings.Fields(legal) {
		name, same := strings.CutSuffix(word, "=")
		if strings.HasPrefix(action, name) {
			return true, !same
		}
	}
	return false, false
}

func (w *world) step(action string, ids ...string) *reply {
	w.t.Helper()
	if action == "join" {
		return w.do("POST", api.PathJoin, api.NodesMsg{Nodes: ids})
	}
	m, err := api.NewAction(action, "", api.NodesMsg{Nodes: ids})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.do("PUT", "/v1/cluster", m)
}

// TestSeveralNodes takes nodes out by one change of the map and one rebalance, whose id is the reply.
func TestSeveralNodes(t *testing.T) {
	w := populated(t)
	before := w.plane.View().Map
	r := w.step(api.ActStartMaintenance, "t[t2]", "t3", "t2")
	m := w.plane.View().Map
	if r.status != 200 || r.body != m.Generation() || r.header.Get(api.HeaderXactionID) != r.body || m.Epoch != before.Epoch+1 || m.Version != before.Version+1 {
		t.Errorf("%d %q %v; epoch %d -> %d, version %d -> %d", r.status, r.body, r.header, before.Epoch, m.Epoch, before.Version, m.Version)
	}
	if again := w.step(api.ActStartMaintenance, "t2"); again.body != r.body {
		t.Errorf("asked again: %q, first %q", again.body, r.body)
	}
	if r := w.step(api.ActStopMaintenance, "t2", "t9"); r.status != 404 || w.plane.View().Map.Version != m.Version {
		t.Errorf("one of two is unknown: %d %s", r.status, r.body)
	}
	// The whole in AIStore's words: one node, and no others by mistake.
	if r := w.do("PUT", "/v1/cluster", `{"action":"stop-maintenance","value":{"sid":"t2"}}`); r.status != 200 {
		t.Error(r.body)
	}
	for _, value := range []string{`{}`, `null`, `{"nodes":[]}`, `{"sid":""}`} {
		if r := w.do("PUT", "/v1/cluster", `{"action":"start-maintenance","value":`+value+`}`); r.status != 400 {
			t.Errorf("%s: %d", value, r.status)
		}
	}
}

// TestSkipRebalance changes who owns what and moves nothing until it is started.
func TestSkipRebalance(t *testing.T) {
	w := populated(t)
	w.action(200, "PUT", "/v1/cluster", api.ActStartMaintenance, api.NodesMsg{SID: "t2", SkipRebalance: true})
	m := w.plane.View().Map
	if !m.Paused || !m.Rebalancing() || m.Nodes["t2"].InService() {
		t.Errorf("paused %v, rebalancing %v", m.Paused, m.Rebalancing())
	}
	r := w.action(200, "PUT", "/v1/cluster", api.ActStart, api.JobQuery{Kind: api.KindRebalance})
	if w.plane.View().Map.Paused || r.body != m.Generation() {
		t.Errorf("started: %q, paused %v", r.body, w.plane.View().Map.Paused)
	}
	w.action(200, "PUT", "/v1/cluster", api.ActStop, api.JobQuery{ID: m.Generation()})
	if !w.plane.View().Map.Paused {
		t.Error("not stopped")
	}
	for _, msg := range []api.NodesMsg{{SID: "t3", SkipRebalance: true}, {SID: "t3", NoShutdown: true}} {
		if r := w.action(map[bool]int{true: 501, false: 400}[msg.NoShutdown], "PUT", "/v1/cluster", api.ActDecommissionNode, msg); r.fault.Message == "" {
			t.Error(r.body)
		}
	}
}

// TestTheDeadStay refuses to leave names, or the cluster's requests, to nodes that are down.
func TestTheDeadStay(t *testing.T) {
	w := populated(t)
	w.plane.must(t, cluster.SetAlive{Lost: []cluster.NodeID{"t1", "t3"}})
	before := w.plane.View().Map.Version
	for _, action := range []string{api.ActStartMaintenance, api.ActShutdownNode, api.ActDecommissionNode} {
		for _, ids := range [][]string{{"t2"}, {"t2", "t3"}} {
			if r := w.step(action, ids...); r.status != 409 || !strings.Contains(r.fault.Message, "t1") || !strings.Contains(r.fault.Message, "no other target") {
				t.Errorf("%s of %v: %d %s", action, ids, r.status, r.body)
			}
		}
	}
	if r := w.do("DELETE", api.PathRemove+"/t2", nil); r.status != 409 || !strings.Contains(r.fault.Message, "does not answer") {
		t.Errorf("removed: %d %s", r.status, r.body)
	}
	if v := w.plane.View().Map.Version; v != before {
		t.Errorf("the map went from %d to %d", before, v)
	}
	if r := w.step(api.ActStartMaintenance, "t3"); r.status != 200 {
		t.Errorf("one that is down itself: %s", r.body)
	}
	w.plane.must(t, cluster.SetAlive{Back: []cluster.NodeID{"t1"}})
	if r := w.step(api.ActStartMaintenance, "t2"); r.status != 200 {
		t.Errorf("t1 is back: %s", r.body)
	}
}

// TestLastLiveGateway stays when the other is down.
func TestLastLiveGateway(t *testing.T) {
	w := populated(t)
	w.plane.must(t, cluster.Join{Node: cluster.Node{ID: "g2", Role: cluster.RoleProxy, PublicURL: "http://127.0.0.1:6", IntraAddr: "127.0.0.1:6"}})
	w.plane.must(t, cluster.SetAlive{Lost: []cluster.NodeID{"g2"}})
	w.plane.must(t, cluster.SetPrimary{ID: "t2"})
	if r := w.step(api.ActStartMaintenance, "t1"); r.status != 409 || !strings.Contains(r.fault.Message, "g2") || !strings.Contains(r.fault.Message, "no other gateway") {
		t.Errorf("%d %s", r.status, r.body)
	}
	w.plane.must(t, cluster.SetAlive{Back: []cluster.NodeID{"g2"}})
	if r := w.step(api.ActStartMaintenance, "t1"); r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// TestDecommissionData keeps objects unless their removal is asked for.
func TestDecommissionData(t *testing.T) {
	w := populated(t)
	w.action(200, "PUT", "/v1/cluster", api.ActDecommissionNode, api.NodesMsg{SID: "t2"})
	w.action(200, "PUT", "/v1/cluster", api.ActDecommissionNode, api.NodesMsg{SID: "t3", RmUserData: true})
	m := w.plane.View().Map
	if !m.Nodes["t2"].KeepData || m.Nodes["t3"].KeepData {
		t.Errorf("t2 %+v, t3 %+v", m.Nodes["t2"], m.Nodes["t3"])
	}
	if r := w.step(api.ActDecommissionNode, "t1"); r.status != 409 {
		t.Errorf("the last one: %d %s", r.status, r.body)
	}
	// Who asks once more, and for something else, gets that, as long as nothing has been decided by it.
	epoch := m.Epoch
	w.action(200, "PUT", "/v1/cluster", api.ActDecommissionNode, api.NodesMsg{SID: "t3"})
	w.action(200, "PUT", "/v1/cluster", api.ActDecommissionNode, api.NodesMsg{SID: "t2", RmUserData: true})
	m = w.plane.View().Map
	if m.Nodes["t2"].KeepData || !m.Nodes["t3"].KeepData || m.Epoch != epoch {
		t.Errorf("t2 %+v, t3 %+v, epoch %d, was %d", m.Nodes["t2"], m.Nodes["t3"], m.Epoch, epoch)
	}
	w.settle()
	w.action(200, "PUT", "/v1/cluster", api.ActDecommissionNode, api.NodesMsg{SID: "t2", RmUserData: true})
	if r := w.action(409, "PUT", "/v1/cluster", api.ActDecommissionNode, api.NodesMsg{SID: "t2"}); !strings.Contains(r.fault.Message, "is decided") {
		t.Error(r.body)
	}
}

// TestNamesOfRoles refuses a name that is wrong about the node's role.
func TestNamesOfRoles(t *testing.T) {
	w := populated(t)
	for _, action := range []string{api.ActStartMaintenance, "join"} {
		if r := w.step(action, "p[t2]"); r.status != 404 || !strings.Contains(r.fault.Message, "t[t2]") {
			t.Errorf("%s: %d %s", action, r.status, r.body)
		}
	}
	if r := w.do("DELETE", api.PathRemove+"/p[t2]", nil); r.status != 404 || !strings.Contains(r.fault.Message, "t[t2]") || w.plane.View().Map.Nodes["t2"] == nil {
		t.Errorf("removed: %d %s", r.status, r.body)
	}
}

// TestForget removes a node from the map.
func TestForget(t *testing.T) {
	w := populated(t)
	if r := w.do("DELETE", api.PathRemove+"/t3", nil); r.status != 200 || r.body != w.plane.View().Map.Generation() {
		t.Errorf("%d %q", r.status, r.body)
	}
	if w.plane.View().Map.Nodes["t3"] != nil {
		t.Error("it is still there")
	}
	if r := w.do("DELETE", api.PathRemove+"/t3", nil); r.status != 404 {
		t.Errorf("again: %d %s", r.status, r.body)
	}
	if r := w.do("DELETE", api.PathRemove+"/", nil); r.status != 400 {
		t.Errorf("none: %d %s", r.status, r.body)
	}
}

// TestRebalanceAsJob shows a rebalance among the jobs and waits for it.
func TestRebalanceAsJob(t *testing.T) {
	w := populated(t)
	status := func(q api.JobQuery, want int) (s api.JobStatus) {
		t.Helper()
		r := w.do("GET", "/v1/cluster?what=status", q)
		if r.status != want {
			t.Fatalf("%+v: %d %s", q, r.status, r.body)
		}
		if want == 200 {
			if err := json.Unmarshal([]byte(r.body), &s); err != nil {
				t.Fatal(err)
			}
		}
		return s
	}
	for _, q := range []api.JobQuery{{ID: w.plane.View().Map.Generation()}, {Kind: api.KindRebalance}} { // the nodes came before there was a bucket
		var snaps map[string][]api.JobSnap
		if r := w.do("GET", "/v1/cluster?what=qryxstats", q); json.Unmarshal([]byte(r.body), &snaps) != nil || len(snaps) > 0 {
			t.Errorf("%+v, though no rebalance was needed: %s", q, r.body)
		}
	}
	if r := w.do("GET", "/v1/cluster?what=rebalance&id=g99", nil); r.status != 404 || !strings.Contains(r.body, `"g99: there was none yet`) {
		t.Errorf("%d %s", r.status, r.body)
	}
	id := w.step(api.ActStartMaintenance, "t3").body
	for _, q := range []api.JobQuery{{ID: id}, {Kind: api.KindRebalance}} {
		if s := status(q, 200); s.Kind != api.KindRebalance || s.EndTime != 0 {
			t.Errorf("%+v: %+v", q, s)
		}
	}
	if s := status(api.JobQuery{ID: "g1"}, 200); s.UUID != "g1" || s.EndTime == 0 || s.Aborted {
		t.Errorf("an earlier one: %+v", s)
	}
	status(api.JobQuery{ID: "g99"}, 404)
	status(api.JobQuery{ID: "garbage", Kind: api.KindRebalance}, 400)
	if r := w.do("GET", "/v1/cluster?what=running_all", api.JobQuery{Kind: api.KindRebalance}); r.body != `["rebalance[`+id+`]"]` {
		t.Error(r.body)
	}
	var snaps map[string][]api.JobSnap
	if r := w.do("GET", "/v1/cluster?what=qryxstats", api.JobQuery{ID: id}); json.Unmarshal([]byte(r.body), &snaps) != nil || len(snaps["t3"]) != 1 || !snaps["t3"][0].Running() {
		t.Errorf("%s", r.body)
	}
	var reb api.Rebalance
	if r := w.do("GET", "/v1/cluster?what=rebalance", nil); json.Unmarshal([]byte(r.body), &reb) != nil || reb.ID != id || !reb.Running || len(reb.Missing) == 0 {
		t.Errorf("%s", r.body)
	}
	if r := w.action(409, "PUT", "/v1/cluster", api.ActStop, api.JobQuery{ID: "g1"}); !strings.Contains(r.fault.Message, id) {
		t.Error(r.body)
	}
	for bad, want := range map[string]int{"garbage": 400, "G2": 400, "g": 400, "-1": 400, "g99": 404} {
		if r := w.action(want, "PUT", "/v1/cluster", api.ActStop, api.JobQuery{ID: bad, Kind: api.KindRebalance}); !strings.Contains(r.fault.Message, id) {
			t.Error(r.body)
		}
		if w.plane.View().Map.Paused {
			t.Fatalf("%q stopped %s", bad, id)
		}
	}
	for q, want := range map[string]int{"garbage": 400, "g99": 404, "g1": 404} { // nobody remembers g1 here
		if r := w.do("GET", "/v1/cluster?what=rebalance&id="+q, nil); r.status != want || !strings.Contains(r.body, id) {
			t.Errorf("%s: %d %s", q, r.status, r.body)
		}
	}
	if r := w.do("GET", "/v1/cluster?what=rebalance&id="+id, nil); r.status != 200 || !strings.Contains(r.body, `"id":"`+id+`"`) {
		t.Errorf("%d %s", r.status, r.body)
	}
	for _, run := range []bool{false, true} {
		w.plane.must(t, cluster.SetRebalance{Run: run})
		if s := status(api.JobQuery{ID: id}, 200); s.Paused == run {
			t.Errorf("started %t: %+v", run, s)
		}
	}
	w.settle()
	if s := status(api.JobQuery{ID: id}, 200); s.EndTime == 0 {
		t.Errorf("%+v", s)
	}
	if r := w.action(409, "PUT", "/v1/cluster", api.ActStop, api.JobQuery{Kind: api.KindRebalance}); !strings.Contains(r.fault.Message, "none is running: "+id+" has ended") {
		t.Error(r.body)
	}
	if r := w.do("GET", "/v1/cluster?what=running_all", api.JobQuery{Kind: api.KindRebalance}); r.body != `[]` {
		t.Error(r.body)
	}
	if n := w.plane.View().Map.Nodes["t3"]; n.Describe() != "maintenance (done)" {
		t.Errorf("t3 is %s", n.Describe())
	}
	id = w.step(api.ActDecommissionNode, "t2").body
	m := w.plane.View().Map
	w.plane.must(t, cluster.ReportSource{ID: "t2", Epoch: m.Epoch, Stage: cluster.Moved, Moved: &cluster.Tally{Objects: 7}})
	w.plane.must(t, cluster.ForgetNode{ID: "t2"})
	clear(snaps)
	if r := w.do("GET", "/v1/cluster?what=qryxstats", api.JobQuery{ID: id}); json.Unmarshal([]byte(r.body), &snaps) != nil || len(snaps["t2"]) != 1 || snaps["t2"][0].Stats.Objects != 7 {
		t.Errorf("what a target moved that has left: %s", r.body)
	}
}

// TestSuperseded: a rebalance in the middle of which another begins is over, and says which one goes on with it.
func TestSuperseded(t *testing.T) {
	w := populated(t)
	status := func(id string) (s api.JobStatus) {
		t.Helper()
		if r := w.do("GET", "/v1/cluster?what=status", api.JobQuery{ID: id}); r.status != 200 || json.Unmarshal([]byte(r.body), &s) != nil {
			t.Fatalf("%d %s", r.status, r.body)
		}
		return s
	}
	first := w.step(api.ActStartMaintenance, "t3").body
	second := w.step(api.ActStartMaintenance, "t2").body
	if s := status(first); s.Superseded != second || !s.Aborted || s.EndTime == 0 || !strings.Contains(s.Err, second) {
		t.Errorf("%s while %s goes on: %+v", first, second, s)
	}
	if s := status(second); s.Superseded != "" || s.EndTime != 0 {
		t.Errorf("%+v", s)
	}
	w.settle()
	for _, id := range []string{first, second} {
		if s := status(id); s.Superseded != "" || s.Aborted || s.EndTime == 0 {
			t.Errorf("%s when nothing has to move any more: %+v", id, s)
		}
	}
	third := w.step(api.ActStopMaintenance, "t2").body
	if s := status(second); s.Superseded != "" || s.Aborted || s.EndTime == 0 {
		t.Errorf("%s had ended before %s began: %+v", second, third, s)
	}
}

// TestEndOfAll refuses to destroy or to stop the cluster by accident.
func TestEndOfAll(t *testing.T) {
	w := populated(t)
	for _, value := range []string{`"garbage"`, `7`, `[]`, `{"garbage":1}`, `{"nodes":["t1"]}`, `{"sid":"t1"}`, `{"rm_user_data":true}`, `{"rm_user_data":"x"}`} {
		for _, action := range []string{api.ActShutdownCluster, "shutdown"} {
			if r := w.do("PUT", "/v1/cluster", `{"action":"`+action+`","value":`+value+`}`); r.status != 400 || !strings.Contains(r.body, "value") {
				t.Errorf("%s of %s: %d %s", action, value, r.status, r.body)
			}
		}
	}
	for _, action := range []string{api.ActDecommissionCluster, "decommission"} {
		if r := w.action(400, "PUT", "/v1/cluster", action, nil); !strings.Contains(r.fault.Message, "destroys every bucket") {
			t.Error(r.body)
		}
	}
}

// TestHealth: a node's state and that it does not answer are both told, and without a primary nothing is said of the others.
func TestHealth(t *testing.T) {
	w := populated(t)
	if r := w.step(api.ActStartMaintenance, "t3"); r.status != 200 {
		t.Fatal(r.body)
	}
	w.plane.must(t, cluster.SetAlive{Lost: []cluster.NodeID{"t2", "t3"}})
	for _, c := range []struct {
		blind bool
		want  string
	}{
		{false, "s1 standby true, t1 online true, t2 offline false, t3 maintenance (migrating), offline false"},
		{true, "s1 standby, unknown false, t1 online true, t2 unknown false, t3 maintenance (migrating), unknown false"},
	} {
		w.plane.blind = c.blind
		var infos []api.NodeInfo
		if err := json.Unmarshal([]byte(w.do("GET", "/v1/cluster?what=nodes", nil).body), &infos); err != nil {
			t.Fatal(err)
		}
		var is []string
		for _, i := range infos {
			is = append(is, fmt.Sprintf("%s %s %t", i.ID, i.Health, i.Alive))
		}
		if got := strings.Join(is, ", "); got != c.want {
			t.Errorf("blind %t: %s", c.blind, got)
		}
	}
}

// TestJoinOfWhoHasEnded: the map does not know yet that a node has ended, and it is not taken back.
func TestJoinOfWhoHasEnded(t *testing.T) {
	w := populated(t)
	w.plane.must(t, cluster.Join{Node: cluster.Node{ID: "t4", Role: cluster.RoleTarget, PublicURL: "http://127.0.0.1:5", IntraAddr: "127.0.0.1:5"}})
	w.plane.must(t, cluster.SetAlive{Back: []cluster.NodeID{"t4"}})
	if r := w.step("join", "t4"); r.status != 409 || !strings.Contains(r.body, "t4") || !strings.Contains(r.body, "start it first") {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// TestBackOfWhoEnds: a node answers when it is asked whether it can be taken back, and ends before it has seen that it was. Whoever asked for it is told.
func TestBackOfWhoEnds(t *testing.T) {
	w := populated(t)
	var asked atomic.Int32
	ends := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) > 1 {
			w.WriteHeader(503)
		}
		_, _ = w.Write([]byte("{}"))
	}))
	t.Cleanup(ends.Close)
	w.plane.must(t, cluster.Join{Node: cluster.Node{ID: "t4", Role: cluster.RoleTarget, PublicURL: "http://127.0.0.1:5", IntraAddr: ends.Listener.Addr().String()}})
	w.plane.must(t, cluster.SetAlive{Back: []cluster.NodeID{"t4"}})
	if r := w.step("join", "t4"); r.status != 409 || !strings.Contains(r.body, "t4: is in service again, and its process has ended meanwhile: start it") {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// TestWaitsForSweeper: a node that is lost before it has removed what it moved is what the rebalance waits for; one that keeps it is not.
func TestWaitsForSweeper(t *testing.T) {
	w := populated(t)
	if r := w.step(api.ActStartMaintenance, "t2"); r.status != 200 {
		t.Fatal(r.body)
	}
	lost := []cluster.NodeID{"t2", "t3"}
	for _, id := range lost {
		w.plane.must(t, cluster.ReportSource{ID: id, Epoch: w.plane.View().Map.Epoch, Stage: cluster.Moved})
	}
	w.plane.must(t, cluster.SetAlive{Lost: lost})
	if r := w.do("GET", "/v1/cluster?what=rebalance", nil); !strings.Contains(r.body, `"waiting":["t3"]`) {
		t.Errorf("%d %s", r.status, r.body)
	}
}
