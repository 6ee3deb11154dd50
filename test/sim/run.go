package sim

import (
	"math/rand/v2"
	"strings"
	"time"

	"aistore/cluster"
)

// Run simulates one cluster from its founding to its rest.
func Run(opt Options) Outcome {
	w := &world{opt: opt, rng: rand.New(rand.NewPCG(opt.Seed, 0x5eed))}
	w.net = network{slow: 0.01, cut: map[link]int{}}
	w.mood = w.newMood()
	w.found()
	w.chaos = true
	newNemesis(w).noise()
	for range 6 {
		c := &client{}
		c.endpoint = endpoint{w: w, name: "client", up: true}
		w.clients = append(w.clients, c)
		c.next()
	}
	w.watch()
	w.run(w.now+w.between(3*time.Second, 7*time.Second), nil)
	w.heal()
	w.finalReads()
	w.checkRest()
	if opt.Seed%16 == 0 && !w.broken(BucketIDReused) { // that one is beside the log
		w.checkLog()
	}
	out := Outcome{Ops: w.hist.ops, Events: w.events, Epochs: w.ctl.m.Map.Epoch, Losses: w.hist.losses}
	out.Histories = w.judge()
	out.Violations = w.violations
	return out
}

// found makes a cluster of two gateways, four targets and three buckets, and lets it come up.
func (w *world) found() {
	w.ctl = newControl(w)
	must := func(cmd cluster.Command) {
		if _, err := w.ctl.commit(cmd); err != nil {
			panic(err) // the same for every seed
		}
	}
	gate := func(id string) cluster.Node {
		return cluster.Node{ID: cluster.NodeID(id), Role: cluster.RoleProxy, IntraAddr: id + ":1", PublicURL: "http://" + id + ":2"}
	}
	must(cluster.Found{UUID: "sim", Secret: []byte(strings.Repeat("s", 32)), Node: gate("g1")})
	must(cluster.Join{Node: gate("g2")})
	for _, id := range []string{"g1", "g2"} {
		g := &gateway{}
		g.endpoint = endpoint{w: w, name: id, up: true}
		w.gates = append(w.gates, g)
	}
	for _, id := range []cluster.NodeID{"t1", "t2", "t3", "t4"} {
		w.addNode(id).start()
	}
	w.run(500*time.Millisecond, nil)
	must(cluster.CreateBucket{Name: "aaa"})
	must(cluster.CreateBucket{Name: "vvv"})
	must(cluster.CreateBucket{Name: "bbb"})
	w.hist.add("aaa", false, "a", "b", "c", "d")
	w.hist.add("vvv", true, "a", "b", "c", "d")
	w.hist.add("bbb", false, "a", "b", "c")
	w.run(time.Second, nil)
}

// watch does what goes on beside everything else: copies of disks are made, nodes that were shut down end.
func (w *world) watch() {
	if !w.chaos {
		return
	}
	for _, n := range w.nodes {
		if n.accepted && n.up && w.chance(0.05) {
			n.old = append(n.old, n.disk.synced.clone())
		}
		mn := w.ctl.m.Map.Nodes[n.id]
		if mn != nil && mn.State == cluster.Shutdown && mn.Phase == cluster.Drained && running(n) && w.chance(0.3) {
			n.tell("ends, as it was told")
			n.stop()
		}
	}
	w.after(100*time.Millisecond, w.watch)
}

// heal ends all trouble, has everybody come back, and waits for rest.
func (w *world) heal() {
	w.tell("all trouble ends")
	w.chaos = false
	w.mood.pace, w.mood.lag = 4*time.Millisecond, 0
	w.net.drop, w.net.repeat, w.net.slow = 0, 0, 0.001
	clear(w.net.cut)
	if !w.ctl.up {
		w.run(w.now+time.Second, nil)
	}
	for _, n := range w.nodes {
		n.wake()
	}
	for range 3 { // who was forgotten starts again; so does who is being forgotten
		for _, n := range w.nodes {
			if n.up && w.ctl.m.Map.Nodes[n.id] == nil {
				n.crash()
			}
			n.start()
		}
		w.run(w.now+1300*time.Millisecond, nil)
	}
	_, _ = w.ctl.commit(cluster.SetRebalance{Run: true})
	if w.chance(0.7) {
		for _, n := range w.ctl.m.Map.All() {
			step := cluster.StopMaintenance
			if n.State == cluster.Standby {
				step = cluster.JoinNode
			}
			if n.State != cluster.Decommissioned {
				_, _ = w.ctl.commit(cluster.MoveNodes{IDs: []cluster.NodeID{n.ID}, Step: step}) // not all can
			}
		}
	}
	if w.ctl.view.Buckets.Get("", "bbb") == nil {
		_, _ = w.ctl.commit(cluster.CreateBucket{Name: "bbb"})
	}
	why := "?"
	w.run(w.now+40*time.Second, func() bool {
		if w.events%64 != 0 {
			return false
		}
		for _, c := range w.clients {
			if !c.idle {
				return false
			}
		}
		why = w.restless()
		return why == ""
	})
	if why != "" {
		w.violate("does not come to rest: %s", why)
	}
}
