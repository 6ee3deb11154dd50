package cluster

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"aistore/cksum"
	"aistore/errs"
)

// TestUpdates sends every change of a machine to followers as differences, one of which misses some.
func TestUpdates(t *testing.T) {
	m := sample(t)
	var steady, lazy *View
	follow := func(v, to *View) *View {
		u := to.Update(v.Since())
		b, err := json.Marshal(u)
		if err != nil {
			t.Fatal(err)
		}
		var got Update
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		next, err := v.With(got)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(next, to) {
			t.Fatalf("a follower at %+v came to %+v, not %+v", v.Since(), next.Since(), to.Since())
		}
		return next
	}
	for i, cmd := range []Command{
		CreateBucket{Name: "aa"}, SetAlive{Back: []NodeID{"t3"}}, SetConfig{Set: map[string]string{"list.page_size": "7"}},
		SetBucketProps{Name: "aa", Props: BucketProps{Checksum: cksum.None, Durability: Volatile}}, SetPrimary{ID: "g1"}, DestroyBucket{Name: "aa"},
		AddUser{Name: "eve", Role: Admin, Access: "EVEACCESS", Secret: "eve-secret"}, RemoveKey{Access: "ANNACCESS1"},
	} {
		if _, err := m.Apply(m.Index+1, Entry{Time: time.Unix(int64(i), 0).UTC(), Command: cmd}); err != nil {
			t.Fatal(err)
		}
		steady = follow(steady, m.View())
		if i%3 == 0 {
			lazy = follow(lazy, m.View())
		}
	}
	last := m.View()
	if u := last.Update(steady.Since()); u.Map != nil || u.Buckets != nil || u.Config != nil || u.Users != nil || u.Secret != nil {
		t.Error("parts are sent that the follower has")
	}
	if same, err := steady.With(lazy.Update(Since{})); err != nil || same != steady {
		t.Error("an old update replaced a newer view", err)
	}
	foreign := last.Update(Since{})
	foreign.UUID, foreign.Index = "another", last.Index+1
	if _, err := steady.With(foreign); !errs.Is(err, errs.Forbidden) {
		t.Error("a view of another cluster:", err)
	}
	var none *View
	if _, err := none.With(Update{Index: 3, UUID: "u"}); !errs.Is(err, errs.Corrupt) {
		t.Error("half a view:", err)
	}
}

// TestViewsAreFrozen keeps every view of a history and compares each with its first encoding at the end.
func TestViewsAreFrozen(t *testing.T) {
	m := sample(t)
	type kept struct {
		v *View
		b string
	}
	var all []kept
	keep := func() {
		b, err := EncodeView(m.View())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, kept{m.View(), string(b)})
	}
	for i := range 20 {
		keep()
		for _, cmd := range []Command{
			CreateBucket{Name: fmt.Sprintf("b-%d", i)}, SetAlive{Lost: []NodeID{"t1"}}, SetAlive{Back: []NodeID{"t1"}},
			RenameBucket{Name: fmt.Sprintf("b-%d", i), To: fmt.Sprintf("c-%d", i)},
			AddUser{Name: fmt.Sprint("u", i), Role: Plain, Access: fmt.Sprint("access", i), Secret: "abcdefgh"}, SetConfig{Set: map[string]string{"list.page_size": fmt.Sprint(i + 1)}},
		} {
			if _, err := m.Apply(m.Index+1, Entry{ID: fmt.Sprint(i, cmd.Op(), m.Index), Command: cmd}); err != nil {
				t.Fatal(err)
			}
			keep()
		}
	}
	for i, k := range all {
		if b, err := EncodeView(k.v); err != nil || string(b) != k.b {
			t.Fatalf("view %d changed after it was published", i)
		}
	}
	if len(m.Recent) > recentMax {
		t.Errorf("%d proposals are remembered", len(m.Recent))
	}
}

func TestApplyRefusesOldIndex(t *testing.T) {
	m := sample(t)
	if _, err := m.Apply(m.Index, Entry{Command: CreateBucket{Name: "late"}}); !errs.Is(err, errs.Invalid) {
		t.Error(err)
	}
}

func TestConfigKeys(t *testing.T) {
	c := DefaultConfig()
	keys := c.Keys()
	for key, want := range map[string]string{"timeout.lease": "6s", "list.page_size": "1000", "log.level": "info", "limits.max_object_size": "5497558138880"} {
		if keys[key] != want {
			t.Errorf("%s is %q, want %q", key, keys[key], want)
		}
	}
	if _, ok := keys["version"]; ok {
		t.Error("version is no setting")
	}
	same, err := c.With(keys)
	if err != nil || *same != *c {
		t.Errorf("setting every key to what it is: %v, %+v", err, same)
	}
	_, err = c.With(map[string]string{"list.page_size": "-1", "list.max_page_size": "x", "log": "y"})
	for _, want := range []string{"list.max_page_size", "log: no such setting"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	if !errs.Is(err, errs.Invalid) || c.List.PageSize != 1000 {
		t.Error("a refused change changed something, or has a wrong kind:", errs.KindOf(err))
	}
	bad := &Config{}
	err = bad.Validate()
	for key := range keys {
		if key != "rebalance.bandwidth" && key != "timeout.drain" && key != "timeout.lease" && key != "s3.redirect" && !strings.Contains(fmt.Sprint(err), key) {
			t.Errorf("an empty config: %s is not named", key)
		}
	}
}

func TestBucketNames(t *testing.T) {
	for _, ok := range []string{"ab", "abc", "a.b-c_d", "ABC", "0", "9bucket"} {
		if err := CheckBucketName(ok); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for _, bad := range []string{"", ".", "-", ".ab", "-ab", "_ab", "a b", "a/b", "a..b", "größe", "a\x00b", strings.Repeat("a", 65), "v1", "s3", "ui", "ais", "metrics", "health"} {
		if err := CheckBucketName(bad); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q was accepted: %v", bad, err)
		}
	}
	if err := CheckBucketName(strings.Repeat("a", 64)); err != nil {
		t.Error(err)
	}
	for ns, ok := range map[string]bool{"": true, "team-1_x": true, "a.b": false, strings.Repeat("n", 33): false, "#x": false} {
		if err := CheckNamespace(ns); (err == nil) != ok {
			t.Errorf("namespace %q: %v", ns, err)
		}
	}
}

func TestBucketKeysAreUnambiguous(t *testing.T) {
	seen := map[string]string{}
	for _, ns := range []string{"", "a", "b"} {
		for _, name := range []string{"aa", "bb", "a-b"} {
			k := BucketKey(ns, name)
			if other, twice := seen[k]; twice {
				t.Errorf("%s/%s and %s share a key", ns, name, other)
			}
			seen[k] = ns + "/" + name
		}
	}
	if BucketURI("", "x") != "ais://x" || BucketURI("n", "x") != "ais://#n/x" {
		t.Error("bucket URIs")
	}
}

func TestFollowsFindsFaults(t *testing.T) {
	base := sample(t).View()
	changed := func(f func(*View)) *View {
		m := *base.Map
		bs := *base.Buckets
		cfg := *base.Config
		us := *base.Users
		v := &View{Index: base.Index + 1, Map: &m, Buckets: &bs, Config: &cfg, Users: &us, Secret: base.Secret}
		f(v)
		return v.Freeze()
	}
	if err := base.Follows(changed(func(*View) {})); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(*View){
		"index":     func(v *View) { v.Index = 0 },
		"version":   func(v *View) { v.Map.Version-- },
		"uuid":      func(v *View) { v.Map.UUID = "x" },
		"next id":   func(v *View) { v.Buckets.NextID = 1 },
		"reused id": func(v *View) { v.Buckets.Buckets = map[string]*Bucket{"#/x": {ID: 3, Name: "x"}} },
		"users":     func(v *View) { v.Users.Version-- },
		"epoch":     func(v *View) { v.Map.Epoch-- },
		"no epoch":  func(v *View) { v.Map.Nodes = map[NodeID]*Node{} },
	} {
		if base.Follows(changed(f)) == nil {
			t.Errorf("%s: nothing is found wrong", name)
		}
	}
}

// FuzzUpdate gives a follower whatever decodes as an update.
func FuzzUpdate(f *testing.F) {
	newer := sample(f)
	if _, err := newer.Apply(newer.Index+1, Entry{Command: CreateBucket{Name: "newer"}}); err != nil {
		f.Fatal(err)
	}
	for _, from := range []Since{{}, sample(f).View().Since()} {
		b, err := json.Marshal(newer.View().Update(from))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var u Update
		if json.Unmarshal(b, &u) != nil {
			return
		}
		var none *View
		for _, v := range []*View{none, sample(t).View()} {
			next, err := v.With(u)
			if err != nil {
				continue
			}
			if v != nil && (next.Index < v.Index || next.Map.UUID != v.Map.UUID) {
				t.Fatalf("an update led to index %d of %s", next.Index, next.Map.UUID)
			}
			for _, bk := range next.Buckets.List() {
				_ = next.Owner(bk, "key")
			}
		}
	})
}
