package api

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"aistore/cksum"
	"aistore/cluster"
	"aistore/errs"
)

func TestBckPath(t *testing.T) {
	for _, c := range []struct {
		in   string
		bck  Bck
		key  string
		kind errs.Kind
	}{
		{"ais/@#/name/", Bck{"name", "ais", Namespace{}}, "", errs.Other},
		{"ais/@#/name", Bck{"name", "ais", Namespace{}}, "", errs.Other},
		{"ais/@#ns/name/", Bck{"name", "ais", Namespace{Name: "ns"}}, "", errs.Other},
		{"ais/@#/name/a/b", Bck{"name", "ais", Namespace{}}, "a/b", errs.Other},
		{"ais/@uuid#/name/", Bck{}, "", errs.Unsupported},
		{"aws/@#/name/", Bck{}, "", errs.Unsupported},
		{"moon/@#/name/", Bck{}, "", errs.Invalid},
		{"name", Bck{}, "", errs.Invalid},
		{"", Bck{}, "", errs.Invalid},
		{"ais/ns/name/", Bck{}, "", errs.Invalid},
		{"ais/@#/../", Bck{}, "", errs.Invalid},
	} {
		in := c.in
		if c.key == "" {
			in = strings.TrimSuffix(in, "/") + "/"
		}
		b, key, err := ParseObjectPath("object_to", in)
		if c.kind != errs.Other {
			if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), "object_to") {
				t.Errorf("%q: %v, want kind %v that names the field", c.in, err, c.kind)
			}
			continue
		}
		if err != nil || b != c.bck || key != c.key {
			t.Errorf("%q: %v %q %v", c.in, b, key, err)
		}
		if c.key == "" && b.Path() != strings.TrimSuffix(c.in, "/")+"/" {
			t.Errorf("%q: path %q", c.in, b.Path())
		}
	}
	if _, err := ParseBckPath("bck_to", "ais/@#/name/more"); !errs.Is(err, errs.Invalid) {
		t.Errorf("object path taken for a bucket: %v", err)
	}
}

func TestParseProps(t *testing.T) {
	base := cluster.DefaultBucketProps()
	for _, c := range []struct{ in, want, wrong string }{
		{``, "xxhash false local", ""},
		{`null`, "xxhash false local", ""},
		{`{"checksum":{"type":"MD5"},"force":true}`, "md5 false local", ""},
		{`{"checksum.type":"none","durability":"volatile"}`, "none false volatile", ""},
		{`{"checksum":{"type":"sha256","validate_warm_get":true}}`, "sha256 true local", ""},
		{`{"checksum":{"type":null}}`, "xxhash false local", ""},
		{`{"mirror":{"enabled":true},"lru":{"x":1}}`, "", "lru.x, mirror.enabled"},
		{`{"checksum":{"type":"sha7"}}`, "", "checksum.type"},
		{`{"durability":"eternal"}`, "", "durability"},
		{`{"durability":["local"]}`, "", "durability"},
		{`[1]`, "", "bucket properties"},
		{`{`, "", "bucket properties"},
		{`{"a":{"b":{"c":{"d":{"e":{"f":1}}}}}}`, "", "nested"},
	} {
		p, err := ParseProps(json.RawMessage(c.in), base)
		if c.wrong != "" {
			if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%s: %v, want an error that names %q", c.in, err, c.wrong)
			}
			continue
		}
		got := PropValue(p, "checksum.type") + " " + PropValue(p, "checksum.validate_warm_get") + " " + PropValue(p, "durability")
		if err != nil || got != c.want {
			t.Errorf("%s: %s %v, want %s", c.in, got, err, c.want)
		}
	}
}

// TestVersioning is AIStore's switch for S3's three states, and a reset that leaves to S3 what is S3's.
func TestVersioning(t *testing.T) {
	p := cluster.DefaultBucketProps()
	p.S3.Policy = "{}"
	for _, c := range []struct{ set, want, shown string }{
		{"false", "", "false"}, {"true", "Enabled", "true"}, {"true", "Enabled", "true"}, {"false", "Suspended", "false"}, {"1", "Enabled", "true"}, {"0", "Suspended", "false"},
	} {
		if err := SetProp(&p, "versioning.enabled", c.set); err != nil || p.S3.Versioning != c.want || PropValue(p, "versioning.enabled") != c.shown {
			t.Errorf("set to %s: %q shown as %s, %v", c.set, p.S3.Versioning, PropValue(p, "versioning.enabled"), err)
		}
	}
	before := p
	if err := SetProp(&p, "versioning.enabled", "perhaps"); !errs.Is(err, errs.Invalid) || p != before {
		t.Errorf("%v, %+v", err, p)
	}
	if err := SetProp(&p, "s3.multi_range", "true"); err != nil || PropValue(p, "s3.multi_range") != "true" || p.S3.Policy != "{}" {
		t.Errorf("%v, %+v", err, p)
	}
	p.Durability, p.S3.Versioning = cluster.Volatile, cluster.VersioningEnabled
	want := cluster.DefaultBucketProps()
	want.S3.Policy, want.S3.Versioning = "{}", cluster.VersioningSuspended
	if got := ResetProps(p); got != want {
		t.Errorf("reset: %+v", got)
	}
	b := &cluster.Bucket{Owner: "me", Props: p}
	if js := PropsOf(b); js.Owner != "me" || !js.Versioning.Enabled || !js.S3.MultiRange {
		t.Errorf("%+v", js)
	}
}

func TestListObjectsMsg(t *testing.T) {
	m := ActionMsg{Action: ActList, Value: json.RawMessage(`{"prefix":"p","pagesize":7,"flags":"2064","props":"name"}`)}
	var v ListObjectsMsg
	if err := m.Decode(&v); err != nil {
		t.Fatal(err)
	}
	if v.Prefix != "p" || v.PageSize != 7 || v.Flags != ListNoRecursion|ListNameOnly {
		t.Errorf("got %+v", v)
	}
	back, err := json.Marshal(&v)
	if err != nil || !strings.Contains(string(back), `"flags":"2064"`) {
		t.Errorf("flags must travel as a string: %s %v", back, err)
	}
	for in, want := range map[string]string{
		`{"pagesize":"x"}`: "pagesize", `{"flags":"0x1"}`: "flags", `"s"`: "list", `{"prefix":1}`: "prefix",
	} {
		m.Value = json.RawMessage(in)
		if err := m.Decode(&v); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v does not name %q", in, err, want)
		}
	}
	if err := ListFlags(1 << 3).Check(); !errs.Is(err, errs.Unsupported) {
		t.Errorf("archive flag: %v", err)
	}
	if err := ListFlags(1 << 20).Check(); !errs.Is(err, errs.Invalid) {
		t.Errorf("unknown flag: %v", err)
	}
}

func TestSelection(t *testing.T) {
	for _, c := range []struct {
		s  ObjectSelection
		ok bool
	}{
		{ObjectSelection{Names: []string{"a"}}, true},
		{ObjectSelection{Template: "a{1..2}"}, true},
		{ObjectSelection{Template: "a"}, true},
		{ObjectSelection{All: true}, true},
		{ObjectSelection{}, false},
		{ObjectSelection{Names: []string{"a"}, Template: "b"}, false},
		{ObjectSelection{Names: []string{""}}, false},
		{ObjectSelection{Template: "a{1..2"}, false},
	} {
		if err := c.s.Check(); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.s, err)
		}
	}
}

// TestJobQueryNames: AIStore's SDK sends "ID", "Kind", "DaemonID", "Bck"; its documentation "kind" and "node".
func TestJobQueryNames(t *testing.T) {
	var q JobQuery
	if err := json.Unmarshal([]byte(`{"ID":"x","Kind":"k","DaemonID":"d","Bck":{"name":"b","provider":"ais","namespace":null},"Buckets":null}`), &q); err != nil {
		t.Fatal(err)
	}
	if q.ID != "x" || q.Kind != "k" || q.DaemonID != "d" || q.Bck == nil || q.Bck.Name != "b" {
		t.Errorf("got %+v", q)
	}
}

func TestSmap(t *testing.T) {
	m := &cluster.Map{Version: 14, Epoch: 3, UUID: "u", Primary: "g", Created: time.Unix(1, 0), Nodes: map[cluster.NodeID]*cluster.Node{
		"g": {ID: "g", Role: cluster.RoleProxy, State: cluster.Online, PublicURL: "http://127.0.0.1:8080", IntraAddr: "127.0.0.1:18080", Voter: true},
		"t": {ID: "t", Role: cluster.RoleTarget, State: cluster.Standby, PublicURL: "http://[::1]:8081", IntraAddr: "[::1]:18081"},
		"a": {ID: "a", Role: cluster.RoleAll, State: cluster.Online, PublicURL: "https://store"},
	}}
	s := SmapOf(m)
	if len(s.Pmap) != 2 || len(s.Tmap) != 2 || s.Primary.ID != "g" || s.Pmap["g"].PublicNet.Port != "8080" {
		t.Errorf("got %+v", s)
	}
	if s.Tmap["t"].Flags&SnodeMaintenance == 0 || s.Tmap["t"].PublicNet.Hostname != "::1" || s.Tmap["t"].PublicNet.Port != "8081" {
		t.Errorf("standby target: %+v", s.Tmap["t"])
	}
	if s.Tmap["a"].PublicNet.Hostname != "store" || s.Tmap["a"].PublicNet.URL != "https://store" {
		t.Errorf("no port: %+v", s.Tmap["a"].PublicNet)
	}
	raw, err := json.Marshal(s)
	if err != nil || !strings.Contains(string(raw), `"version":"14"`) || !strings.Contains(string(raw), `"proxy_si":{"daemon_id":"g"`) {
		t.Errorf("%s %v", raw, err)
	}
	m.Primary = "gone"
	if s := SmapOf(m); s.Primary == nil {
		t.Error("no primary: clients need some proxy_si")
	}
}

func TestFormatCustom(t *testing.T) {
	if got := FormatCustom(map[string]string{"c": "x=y", "a": "1", "d": "", "b": "2"}); got != "a=1,b=2,c=x=y,d=" {
		t.Errorf("got %q", got)
	}
}

// TestPropValues sets each property to each of the values that are said to be all, and to one that is not.
func TestPropValues(t *testing.T) {
	for _, info := range PropNames() {
		for _, v := range info.Values {
			p := cluster.DefaultBucketProps()
			if err := SetProp(&p, info.Name, v); err != nil || PropValue(p, info.Name) != v {
				t.Errorf("%s=%s: %v, and is %q", info.Name, v, err, PropValue(p, info.Name))
			}
		}
		p := cluster.DefaultBucketProps()
		if err := SetProp(&p, info.Name, "none of them"); err == nil || len(info.Values) < 2 {
			t.Errorf("%s takes %q and anything else", info.Name, info.Values)
		}
	}
	for sum := cksum.None; sum.Valid(); sum++ {
		if !slices.Contains(PropNames()[0].Values, sum.String()) {
			t.Errorf("checksum.type takes %v too", sum)
		}
	}
}
