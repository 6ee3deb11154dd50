package cluster

import (
	"testing"
	"time"

	"aistore/errs"
)

// TestAcceptStart is a compare and set: a late word of an earlier process changes nothing, and one that is repeated does no harm.
func TestAcceptStart(t *testing.T) {
	m := NewMachine()
	apply := func(cmd Command) error {
		_, err := m.Apply(m.Index+1, Entry{Time: time.Unix(1, 0), Command: cmd})
		return err
	}
	node := func(id NodeID, r Role) Node {
		return Node{ID: id, Role: r, IntraAddr: string(id) + ":1", PublicURL: "http://" + string(id) + ":2"}
	}
	if err := apply(Found{UUID: "u", Secret: make([]byte, 32), Node: node("g", RoleProxy)}); err != nil {
		t.Fatal(err)
	}
	if err := apply(Join{Node: node("t", RoleTarget)}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cmd  AcceptStart
		kind errs.Kind
		want string // what is accepted then
	}{
		{AcceptStart{ID: "g", Boot: "1"}, errs.Invalid, ""},
		{AcceptStart{ID: "t"}, errs.Invalid, ""},
		{AcceptStart{ID: "x", Boot: "1"}, errs.NotFound, ""},
		{AcceptStart{ID: "t", Last: "0", Boot: "1"}, errs.Conflict, ""},
		{AcceptStart{ID: "t", Boot: "1"}, 0, "1"},
		{AcceptStart{ID: "t", Boot: "1"}, 0, "1"},
		{AcceptStart{ID: "t", Boot: "2"}, errs.Conflict, "1"}, // fresh disks, or an upgrade's word that comes late
		{AcceptStart{ID: "t", Last: "1", Boot: "3"}, 0, "3"},
		{AcceptStart{ID: "t", Last: "1", Boot: "2"}, errs.Conflict, "3"},
		{AcceptStart{ID: "t", Last: "1", Boot: "3"}, 0, "3"},
	} {
		if err := apply(c.cmd); c.kind == 0 && err != nil || c.kind != 0 && !errs.Is(err, c.kind) {
			t.Errorf("%+v: %v", c.cmd, err)
		}
		if got := m.Map.Nodes["t"].Boot; got != c.want {
			t.Errorf("after %+v: %q is accepted, not %q", c.cmd, got, c.want)
		}
	}
	if err := apply(Join{Node: node("t", RoleTarget)}); err != nil || m.Map.Nodes["t"].Boot != "3" {
		t.Errorf("announced anew: %q (%v)", m.Map.Nodes["t"].Boot, err)
	}
	b, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if back, err := Restore(b); err != nil || back.Map.Nodes["t"].Boot != "3" || !back.Map.Starts() {
		t.Errorf("restored: %v", err)
	}
	if err := apply(ForgetNode{ID: "t"}); err != nil {
		t.Fatal(err)
	}
	if err := apply(Join{Node: node("t", RoleTarget)}); err != nil || m.Map.Nodes["t"].Boot != "" || m.Map.Nodes["t"].Era != 1 {
		t.Errorf("as a new node: %+v (%v)", m.Map.Nodes["t"], err)
	}
}
