package cluster

import (
	"bytes"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"aistore/cksum"
	"aistore/errs"
)

// sample is a state with something in every field.
func sample(t testing.TB) *Machine {
	m := NewMachine()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	lossy := DefaultBucketProps()
	lossy.Checksum, lossy.Durability = cksum.MD5, Volatile
	withS3 := DefaultBucketProps()
	withS3.S3 = S3Props{Versioning: VersioningEnabled, Policy: `{"Version":"2012-10-17"}`, Lifecycle: "<x/>", MultiRange: true}
	zone := "z1"
	for i, cmd := range []Command{
		Found{UUID: "6f1e0000-0000-4000-8000-000000000001", Secret: bytes.Repeat([]byte{7}, 32),
			Node: Node{ID: "g1", Role: RoleProxy, IntraAddr: "10.0.0.1:18080", PublicURL: "http://10.0.0.1:8080", RaftID: "g1.00"},
			Root: AccessKey{Access: "rootaccess", Secret: "root-secret"}},
		Join{Node: Node{ID: "t1", Role: RoleTarget, IntraAddr: "10.0.0.2:18080", PublicURL: "http://10.0.0.2:8080", Zone: "a"}},
		Join{Node: Node{ID: "t2", Role: RoleTarget, IntraAddr: "10.0.0.3:18080", PublicURL: "http://10.0.0.3:8080"}},
		SetVoters{Voters: map[NodeID]string{"g1": "g1.00", "t1": "t1.01"}},
		MoveNodes{IDs: []NodeID{"t2"}, Step: DecommissionNode},
		ReportSource{ID: "t2", Epoch: 2, Stage: Wiped},
		CreateBucket{Name: "first"},
		CreateBucket{Namespace: "team", Name: "second", Props: lossy},
		RenameBucket{Name: "first", To: "renamed"},
		SetBucketProps{Namespace: "team", Name: "second", Props: DefaultBucketProps()},
		Join{Node: Node{ID: "t3", Role: RoleTarget, IntraAddr: "10.0.0.4:18080", PublicURL: "http://10.0.0.4:8080"}},
		SetAlive{Lost: []NodeID{"t3"}},
		SetNode{ID: "t1", Zone: &zone},
		SetConfig{Set: map[string]string{"timeout.lease": "9s"}},
		CreateBucket{Name: "doomed"},
		DestroyBucket{Name: "doomed"},
		SetPrimary{ID: "t1"},
		AddUser{Name: "ann", Role: Plain, ID: "ann-id", Display: "Ann O.", Email: "ann@example.org"},
		AddKey{User: "ann", Access: "ANNACCESS1", Secret: "ann-secret-1"},
		AddKey{User: "ann", Access: "ANNACCESS2", Secret: "ann-secret-2"},
		AddUser{Name: "bob", Role: ReadOnly, Access: "BOBACCESS", Secret: "bob-secret"},
		RemoveKey{Access: "BOBACCESS"},
		CreateBucket{Name: "owned", Owner: "ann-id", Props: withS3},
		SetBucketOwner{Namespace: "team", Name: "second", Owner: "BOBACCESS"},
	} {
		e := Entry{Time: at.Add(time.Duration(i) * time.Second), By: "g1", Command: cmd}
		if i == 15 || i == 16 {
			e.ID = "proposal-" + cmd.Op()
		}
		if _, err := m.Apply(uint64(10+i), e); err != nil {
			t.Fatal(cmd.Op(), err)
		}
	}
	return m
}

// TestGolden pins the formats on disk: what an earlier version wrote must read as it did.
func TestGolden(t *testing.T) {
	m := sample(t)
	snap, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	view, err := EncodeView(m.View())
	if err != nil {
		t.Fatal(err)
	}
	for file, got := range map[string][]byte{"testdata/snapshot-v1.json": snap, "testdata/view-v1.json": view} {
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: the format has changed:\n%s\n%s", file, want, got)
		}
	}
	back, err := Restore(snap)
	if err != nil || !reflect.DeepEqual(back, m) {
		t.Errorf("restore: %v\n%+v\n%+v", err, back, m)
	}
	v, err := DecodeView(view)
	if err != nil || !reflect.DeepEqual(v, m.View()) {
		t.Errorf("view: %v", err)
	}
}

func TestEntryRoundTrip(t *testing.T) {
	zone := ""
	for _, cmd := range []Command{
		Found{UUID: "u", Secret: []byte{1}, Node: Node{ID: "a"}, Settings: map[string]string{"a": "b"}},
		Join{UUID: "u", Node: Node{ID: "a", Weight: 3}}, SetAlive{Lost: []NodeID{"a"}, Back: []NodeID{"b"}},
		SetVoters{Voters: map[NodeID]string{"a": "a.1"}}, SetPrimary{ID: "a"}, SetNode{ID: "a", Weight: 2, Zone: &zone},
		MoveNodes{IDs: []NodeID{"a", "b"}, Step: DecommissionNode, KeepData: true}, ReportSource{ID: "a", Epoch: 3, Stage: Moved}, ForgetNode{ID: "a"}, SetRebalance{Run: true}, CreateBucket{Namespace: "n", Name: "b", Props: DefaultBucketProps()}, DestroyBucket{Name: "b", ID: 4},
		RenameBucket{Name: "b", To: "c", ID: 1}, SetBucketProps{Name: "b", Props: DefaultBucketProps(), Version: 2},
		SetConfig{Set: map[string]string{"log.level": "info"}},
		Found{UUID: "u", Secret: []byte{1}, Node: Node{ID: "a"}, Root: AccessKey{Access: "aaa", Secret: "ssssssss"}},
		AddUser{Name: "n", Role: Plain, ID: "i", Display: "d", Email: "e@f", Access: "aaa", Secret: "ssssssss"},
		SetUser{Name: "n", Role: Admin, Display: &zone, Email: &zone}, RemoveUser{Name: "n"}, AddKey{User: "n", Access: "aaa", Secret: "ssssssss"},
		RemoveKey{Access: "aaa"}, SetBucketOwner{Namespace: "n", Name: "b", ID: 3, Owner: "o"},
		CreateBucket{Name: "b", Owner: "o", Props: BucketProps{S3: S3Props{ACL: "a", MultiRange: true}}},
	} {
		e := Entry{ID: "id", Time: time.Date(2026, 1, 1, 0, 0, 0, 5, time.UTC), By: "p", Command: cmd}
		b, err := EncodeEntry(e)
		if err != nil {
			t.Fatal(cmd.Op(), err)
		}
		got, err := DecodeEntry(b)
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Errorf("%s: %v\n%+v\n%+v", cmd.Op(), err, got, e)
		}
	}
	if _, err := EncodeEntry(Entry{}); err == nil {
		t.Error("an entry without command was encoded")
	}
}

func TestDecodersRefuse(t *testing.T) {
	snap, err := sample(t).Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	view, err := EncodeView(sample(t).View())
	if err != nil {
		t.Fatal(err)
	}
	entry, err := EncodeEntry(Entry{Command: SetPrimary{ID: "a"}})
	if err != nil {
		t.Fatal(err)
	}
	restore := func(b []byte) error { _, err := Restore(b); return err }
	decodeView := func(b []byte) error { _, err := DecodeView(b); return err }
	decodeEntry := func(b []byte) error { _, err := DecodeEntry(b); return err }
	for _, c := range []struct {
		what     string
		decode   func([]byte) error
		in       []byte
		old, new string
		kind     errs.Kind
	}{
		{"snapshot of a newer format", restore, snap, `"format":1`, `"format":2`, errs.Unsupported},
		{"snapshot with an unknown field", restore, snap, `"index"`, `"novelty":1,"index"`, errs.Corrupt},
		{"snapshot with a reused bucket id", restore, snap, `"next_id":5`, `"next_id":2`, errs.Corrupt},
		{"snapshot with a wrong node digest", restore, snap, `"digest":`, `"digest":1`, errs.Corrupt},
		{"snapshot with a bad setting", restore, snap, `"page_size":1000`, `"page_size":0`, errs.Corrupt},
		{"snapshot with an access key twice", restore, snap, `"access":"ANNACCESS2"`, `"access":"rootaccess"`, errs.Corrupt},
		{"snapshot with an id twice", restore, snap, `"id":"ann-id"`, `"id":"rootaccess"`, errs.Corrupt},
		{"snapshot with a short secret", restore, snap, `"secret":"ann-secret-1"`, `"secret":"x"`, errs.Corrupt},
		{"snapshot with a user under another name", restore, snap, `"name":"ann"`, `"name":"anne"`, errs.Corrupt},
		{"view with an unknown role", decodeView, view, `"role":"readonly"`, `"role":"king"`, errs.Corrupt},
		{"snapshot with a retired node", restore, snap, `"retired":["t2"]`, `"retired":["t1"]`, errs.Corrupt},
		{"snapshot and more", restore, snap, "}}\n", "}}{}", errs.Corrupt},
		{"snapshot of nothing", restore, []byte(`{"format":1,"machine":null}`), "", "", errs.Corrupt},
		{"no snapshot", restore, nil, "", "", errs.Corrupt},
		{"view of a newer format", decodeView, view, `"format":1`, `"format":2`, errs.Unsupported},
		{"view without buckets", decodeView, view, `"buckets":{"version"`, `"buckets":null,"map":{"version"`, errs.Corrupt},
		{"view without secret", decodeView, view, `"secret":"`, `"secret":"","x":"`, errs.Corrupt},
		{"view of nothing", decodeView, []byte(`{"format":1}`), "", "", errs.Corrupt},
		{"entry of a newer format", decodeEntry, entry, `"v":1`, `"v":2`, errs.Unsupported},
		{"entry with an unknown operation", decodeEntry, entry, `set-primary`, `set-prime`, errs.Unsupported},
		{"entry with an unknown field", decodeEntry, entry, `"id":"a"`, `"id":"a","b":1`, errs.Corrupt},
		{"entry with the wrong type", decodeEntry, entry, `"id":"a"`, `"id":1`, errs.Corrupt},
		{"no entry", decodeEntry, nil, "", "", errs.Corrupt},
	} {
		in := strings.Replace(string(c.in), c.old, c.new, 1)
		if c.old != "" && in == string(c.in) {
			t.Errorf("%s: nothing to replace", c.what)
		}
		if err := c.decode([]byte(in)); !errs.Is(err, c.kind) {
			t.Errorf("%s: %v, want kind %v", c.what, err, c.kind)
		}
	}
}

func FuzzRestore(f *testing.F) {
	b, err := sample(f).Snapshot()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"format":1,"machine":{"index":0,"map":{},"buckets":{},"config":{},"secret":null}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Restore(b)
		if err != nil {
			return
		}
		again, err := m.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := Restore(again); err != nil {
			t.Fatalf("its own snapshot: %v\n%s", err, again)
		} else if v := back.View(); v.Map.UUID != m.Map.UUID {
			t.Fatal("another cluster")
		}
	})
}

func FuzzDecodeView(f *testing.F) {
	b, err := EncodeView(sample(f).View())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := DecodeView(b)
		if err != nil {
			return
		}
		for _, bk := range v.Buckets.List() {
			_ = v.Ranked(bk, "key", 3)
			if v.BucketByID(bk.ID) != bk {
				t.Fatal("lookup by id")
			}
		}
		if _, err := EncodeView(v); err != nil {
			t.Fatal(err)
		}
	})
}

// TestBeforeUsers loads what releases wrote that knew no users and no S3 settings.
func TestBeforeUsers(t *testing.T) {
	read := func(name string) []byte {
		b, err := os.ReadFile(name)
		if err != nil || bytes.Contains(b, []byte(`"users"`)) {
			t.Fatal(name, err)
		}
		return b
	}
	m, err := Restore(read("testdata/snapshot-before-users.json"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := DecodeView(read("testdata/view-before-users.json"))
	if err != nil {
		t.Fatal(err)
	}
	if u := m.View().Update(v.Since()); u.Users != nil || u.Config != nil {
		t.Errorf("snapshot and view of one state differ: %+v", u)
	}
	if v.Config.S3 != DefaultConfig().S3 || m.Config.S3 != DefaultConfig().S3 {
		t.Errorf("settings %+v, %+v", v.Config.S3, m.Config.S3)
	}
	for _, old := range []string{
		`{"v":1,"time":"2026-01-01T00:00:00Z","op":"create-bucket","cmd":{"name":"old","props":{"checksum":"xxhash","durability":"local","validate_on_get":false}}}`,
		`{"v":1,"time":"2026-01-01T00:00:00Z","op":"set-config","cmd":{"set":{"list.page_size":"5"}}}`,
	} {
		e, err := DecodeEntry([]byte(old))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Apply(m.Index+1, e); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.Apply(m.Index+1, Entry{Command: RootUser(AccessKey{Access: "first", Secret: "first-secret"})}); err != nil {
		t.Fatal(err)
	}
	next, err := v.With(m.View().Update(v.Since()))
	if err != nil {
		t.Fatal(err)
	}
	if u, k := next.Users.ByAccess("first"); u == nil || u.Role != Admin || u.ID != "first" || k.Secret != "first-secret" {
		t.Errorf("user %+v", u)
	}
}

// FuzzApply applies any entry that decodes to a state with nodes and buckets.
func FuzzApply(f *testing.F) {
	for _, cmd := range []Command{
		Join{Node: Node{ID: "t9", Role: RoleAll, IntraAddr: "h:1", PublicURL: "http://h:2"}}, SetNode{ID: "t1", Weight: 9},
		CreateBucket{Name: "more"}, DestroyBucket{Name: "renamed"}, SetConfig{Set: map[string]string{"log.level": "warn"}},
		SetVoters{Voters: map[NodeID]string{"t3": "t3.1"}}, ForgetNode{ID: "t3"}, SetAlive{Back: []NodeID{"t3"}},
		AddUser{Name: "cyd", Role: Admin, Email: "c@d", Access: "CYDACCESS", Secret: "cyd-secret"}, SetUser{Name: "rootaccess", Role: Plain},
		RemoveUser{Name: "rootaccess"}, AddKey{User: "bob", Access: "ann-id", Secret: "bob-secret"}, RemoveKey{Access: "rootaccess"},
		SetBucketOwner{Name: "owned", Owner: "rootaccess"}, CreateBucket{Name: "mine", Owner: "ann-id"},
	} {
		b, err := EncodeEntry(Entry{ID: "x", By: "g1", Command: cmd})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := DecodeEntry(b)
		if err != nil {
			return
		}
		m := sample(t)
		before := m.View()
		if _, err := m.Apply(1000, e); err != nil && m.Index != before.Index {
			t.Fatal("an error, and a change")
		}
		if err := m.Check(); err != nil {
			t.Fatal(err)
		}
		if err := before.Follows(m.View()); err != nil {
			t.Fatal(err)
		}
	})
}
