package cluster

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"aistore/cksum"
	"aistore/errs"
)

var update = flag.Bool("update", false, "write the expected output of scripts, snapshots and vectors")

// script runs commands written as text against a Machine. Every step is also checked against the invariants,
// passed through the log's encoding, and repeated on a second Machine that is restored from a snapshot each time.
type script struct {
	t     *testing.T
	m     *Machine
	twin  *Machine
	index uint64
	now   time.Time
	out   strings.Builder
}

func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(b))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(b) {
				t.Errorf("differs (run with -update to accept):\n%s", firstDifference(string(b), got))
			}
		})
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		var a, b string
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			return fmt.Sprintf("line %d\nwant %s\ngot  %s", i+1, a, b)
		}
	}
	return ""
}

// runScript repeats the text with the output, which follows each command indented, made anew.
func runScript(t *testing.T, text string) string {
	s := &script{t: t, m: NewMachine(), twin: NewMachine(), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		if strings.HasPrefix(line, "  ") {
			continue
		}
		s.out.WriteString(line + "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		for _, l := range strings.Split(s.step(line), "\n") {
			s.out.WriteString("  " + l + "\n")
		}
	}
	return s.out.String()
}

func (s *script) step(line string) string {
	words := strings.Fields(line)
	args := map[string]string{}
	var plain []string
	for _, w := range words[1:] {
		if k, v, ok := strings.Cut(w, "="); ok {
			args[k] = v
		} else {
			plain = append(plain, w)
		}
	}
	switch words[0] {
	case "map":
		return showMap(s.m)
	case "buckets":
		return showBuckets(s.m.Buckets)
	case "users":
		return showUsers(s.m.Users)
	case "wait":
		d, err := time.ParseDuration(plain[0])
		if err != nil {
			s.t.Fatal(line, err)
		}
		s.now = s.now.Add(d)
		return "ok"
	case "longest-lease":
		return s.m.LongestLease(s.now).String()
	}
	cmd := s.command(words[0], plain, args)
	return s.apply(cmd, args["proposal"])
}

// apply runs cmd on both machines and checks what must always hold.
func (s *script) apply(cmd Command, id string) string {
	s.index++
	s.now = s.now.Add(time.Second)
	b, err := EncodeEntry(Entry{ID: id, Time: s.now, By: s.m.Map.Primary, Command: cmd})
	if err != nil {
		s.t.Fatal(err)
	}
	e, err := DecodeEntry(b)
	if err != nil {
		s.t.Fatal(err)
	}
	before := s.m.View()
	res, err := s.m.Apply(s.index, e)
	if err == nil && s.m.Index == s.index && res.Index != s.index {
		s.t.Errorf("%s: changed at %d, answered %d", cmd.Op(), s.index, res.Index)
	}
	if cerr := s.m.Check(); cerr != nil {
		s.t.Errorf("%s: %v", cmd.Op(), cerr)
	}
	if before.Map.UUID != "" {
		if ferr := before.Follows(s.m.View()); ferr != nil {
			s.t.Errorf("%s: %v", cmd.Op(), ferr)
		}
	}
	s.onTwin(e)
	if err != nil {
		return fmt.Sprintf("%v: %v", errs.KindOf(err), err)
	}
	if s.m.Index != s.index {
		return fmt.Sprintf("unchanged, as of %d", res.Index)
	}
	return fmt.Sprintf("ok, index %d, map v%d epoch %d, buckets v%d, config v%d", res.Index, s.m.Map.Version, s.m.Map.Epoch, s.m.Buckets.Version, s.m.Config.Version)
}

func (s *script) onTwin(e Entry) {
	_, _ = s.twin.Apply(s.index, e) // the same error as above
	a, err1 := s.m.Snapshot()
	b, err2 := s.twin.Snapshot()
	if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
		s.t.Errorf("replicas differ:\n%s\n%s", a, b)
	}
	var err error
	if s.twin, err = Restore(b); err != nil {
		s.t.Errorf("restore: %v", err)
	}
}

func testNode(id string, args map[string]string) Node {
	n := Node{ID: NodeID(id), Role: Role(args["role"]), IntraAddr: args["intra"], PublicURL: args["url"], Zone: args["zone"]}
	if n.Role == "" {
		n.Role = RoleTarget
	}
	if n.IntraAddr == "" {
		n.IntraAddr = id + ":10"
	}
	if n.PublicURL == "" {
		n.PublicURL = "http://" + id + ":80"
	}
	w, _ := strconv.Atoi(args["weight"])
	n.Weight = uint32(w)
	return n
}

func ids(list string) (all []NodeID) {
	for _, id := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' }) {
		all = append(all, NodeID(id))
	}
	return all
}

func (s *script) command(op string, plain []string, args map[string]string) Command {
	arg := func(i int) string {
		if i < len(plain) {
			return plain[i]
		}
		return ""
	}
	num := func(key string) uint64 {
		n, _ := strconv.ParseUint(args[key], 10, 64)
		return n
	}
	switch op {
	case "found":
		n := testNode(arg(0), args)
		n.RaftID = args["raft"]
		return Found{UUID: "c-1", Secret: bytes.Repeat([]byte("s"), 32), Node: n, Root: AccessKey{Access: args["access"], Secret: args["secret"]}}
	case "join":
		return Join{UUID: args["uuid"], Node: testNode(arg(0), args)}
	case "alive":
		return SetAlive{Lost: ids(args["lost"]), Back: ids(args["back"])}
	case "voters":
		vs := map[NodeID]string{}
		for _, id := range ids(arg(0)) {
			vs[id] = string(id) + ".log"
		}
		return SetVoters{Voters: vs}
	case "primary":
		return SetPrimary{ID: NodeID(arg(0))}
	case "node":
		c := SetNode{ID: NodeID(arg(0)), Weight: uint32(num("weight"))}
		if z, ok := args["zone"]; ok {
			c.Zone = &z
		}
		return c
	case "move":
		return MoveNodes{IDs: ids(arg(0)), Step: Transition(arg(1)), KeepData: arg(2) == "keep-data", Still: arg(2) == "still"}
	case "report":
		epoch := s.m.Map.Epoch
		if e, ok := args["epoch"]; ok {
			epoch, _ = strconv.ParseUint(e, 10, 64)
		}
		return ReportSource{ID: NodeID(arg(0)), Stage: Stage(arg(1)), Epoch: epoch}
	case "forget":
		return ForgetNode{ID: NodeID(arg(0)), Supersede: true, Still: true}
	case "lose":
		return LoseDisk{ID: NodeID(arg(0))}
	case "rebalance":
		return SetRebalance{Run: arg(0) == "start"}
	case "create":
		return CreateBucket{Namespace: args["ns"], Name: arg(0), Props: s.props(args), Owner: args["owner"]}
	case "destroy":
		return DestroyBucket{Namespace: args["ns"], Name: arg(0), ID: num("id")}
	case "rename":
		return RenameBucket{Namespace: args["ns"], Name: arg(0), To: arg(1), ID: num("id")}
	case "props":
		return SetBucketProps{Namespace: args["ns"], Name: arg(0), Props: s.props(args), Version: num("version")}
	case "config":
		return SetConfig{Set: args}
	}
	return s.userCommand(op, arg, args)
}

func (s *script) userCommand(op string, arg func(int) string, args map[string]string) Command {
	text := func(key string) *string {
		if v, ok := args[key]; ok {
			return &v
		}
		return nil
	}
	switch op {
	case "add-user":
		role := Plain
		if r := text("role"); r != nil {
			role = UserRole(*r)
		}
		return AddUser{Name: arg(0), Role: role, ID: args["id"], Display: args["display"], Email: args["email"], Access: args["access"], Secret: args["secret"]}
	case "set-user":
		return SetUser{Name: arg(0), Role: UserRole(args["role"]), Display: text("display"), Email: text("email")}
	case "remove-user":
		return RemoveUser{Name: arg(0)}
	case "add-key":
		return AddKey{User: arg(0), Access: arg(1), Secret: args["secret"]}
	case "remove-key":
		return RemoveKey{Access: arg(0)}
	case "owner":
		return SetBucketOwner{Namespace: args["ns"], Name: arg(0), Owner: arg(1)}
	}
	s.t.Fatalf("the script says %q", op)
	return nil
}

func (s *script) props(args map[string]string) BucketProps {
	var p BucketProps
	if c := args["checksum"]; c != "" {
		p = DefaultBucketProps()
		var err error
		if p.Checksum, err = cksum.ParseType(c); err != nil {
			s.t.Fatal(err)
		}
	}
	if d := args["durability"]; d != "" {
		p.Checksum = cksum.XXHash
		p.Durability = Durability(d)
	}
	return p
}

func showMap(m *Machine) string {
	lines := []string{fmt.Sprintf("v%d epoch %d primary %s", m.Map.Version, m.Map.Epoch, m.Map.Primary)}
	for _, n := range m.Map.All() {
		l := fmt.Sprintf("%s %s %s weight %d %s", n.ID, n.Role, n.Describe(), n.Weight, n.IntraAddr)
		if s, ok := m.Map.Sources[n.ID]; ok {
			l += " source " + string(s.Stage)
			if s.Keeps {
				l += " keeps"
			}
		}
		if n.Manual {
			l += " manual"
		}
		if n.Era != 0 {
			l += fmt.Sprintf(" era %d", n.Era)
		}
		if n.Zone != "" {
			l += " zone " + n.Zone
		}
		if !n.Alive {
			l += " lost"
		}
		if n.Voter {
			l += " votes as " + n.RaftID
		}
		lines = append(lines, l)
	}
	for _, p := range m.Map.Former {
		lines = append(lines, fmt.Sprintf("until epoch %d: %v", p.Epoch, p.Targets))
	}
	if m.Map.Stage > 0 {
		lines = append(lines, fmt.Sprintf("stage %d settled %d paused %v", m.Map.Stage, m.Map.Settled, m.Map.Paused))
	}
	if len(m.Retired) > 0 {
		lines = append(lines, fmt.Sprintf("retired %v", m.Retired))
	}
	return strings.Join(lines, "\n")
}

func showUsers(m *UserMap) string {
	lines := []string{fmt.Sprintf("v%d", m.Version)}
	for _, u := range m.List() {
		l := fmt.Sprintf("%s %s id %q display %q email %q keys %v", u.Name, u.Role, u.ID, u.Display, u.Email, u.Keys)
		lines = append(lines, l)
	}
	return strings.Join(lines, "\n")
}

func showBuckets(m *BucketMap) string {
	lines := []string{fmt.Sprintf("v%d next id %d", m.Version, m.NextID)}
	for _, b := range m.List() {
		l := fmt.Sprintf("%v id %d seed %016x v%d %s %s", b, b.ID, b.Seed, b.Version, b.Props.Checksum, b.Props.Durability)
		if b.Owner != "" {
			l += " owner " + b.Owner
		}
		lines = append(lines, l)
	}
	return strings.Join(lines, "\n")
}
