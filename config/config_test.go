package config

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"aistore/errs"
)

// write makes a configuration file and returns its name.
func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "node.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestDefaults(t *testing.T) {
	here := t.TempDir()
	t.Chdir(here)
	n, err := Load(nil, nil)
	want := Node{
		Role: RoleAll, Dir: here + "/data", Host: "127.0.0.1", Port: 8080, IntraPort: 18080, PublicURL: "http://127.0.0.1:8080",
		Mountpaths: []string{here + "/data/mp1"}, Bootstrap: On, Weight: 100, CacheSize: 64 * MiB, Log: Log{"info", "text"},
		Root: Root{"aisadmin", "aisadmin-secret"},
	}
	if err != nil || !reflect.DeepEqual(n, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, n, want)
	}
	for _, c := range []struct {
		args string
		want Toggle
	}{
		{"--role all --join http://a:1", Off},
		{"--role all --join http://a:1 --bootstrap", On},
		{"--bootstrap=false", Off},
		{"--role proxy", Off},
		{"--role target", Off},
		{"--role proxy --bootstrap", On},
	} {
		n, err := Load(strings.Fields(c.args), nil)
		if err != nil || n.Bootstrap != c.want {
			t.Errorf("%s: bootstrap is %v (%v), want %v", c.args, n.Bootstrap, err, c.want)
		}
	}
	if n, err := Load([]string{"--role", "proxy"}, nil); err != nil || n.Mountpaths != nil || n.HasTarget() || !n.HasGateway() {
		t.Errorf("a proxy: %+v, %v", n, err)
	}
	if n, err := Load([]string{"--host", "::1", "--port", "9000", "--dir", "/d"}, nil); err != nil ||
		n.PublicURL != "http://[::1]:9000" || n.IntraPort != 19000 || n.Mountpaths[0] != "/d/mp1" {
		t.Errorf("derived defaults: %+v, %v", n, err)
	}
	if n, err := Load([]string{"--dir", "d/../e", "--mountpaths", "m1,/abs/m2/"}, nil); err != nil ||
		n.Dir != here+"/e" || !reflect.DeepEqual(n.Mountpaths, []string{here + "/m1", "/abs/m2"}) {
		t.Errorf("relative folders: %+v, %v", n, err)
	}
	if n, err := Load([]string{"--public-url", "https://ais.example.org/"}, nil); err != nil || n.PublicURL != "https://ais.example.org" {
		t.Errorf("public URL: %+v, %v", n, err)
	}
}

const fullFile = `
# every key
role: target
id: t1
dir: /var/lib/ais
host: 10.0.0.1
port: 8081
intra_port: 9081
tls_port: 8443
tls_cert: /etc/ais/cert.pem
tls_key: /etc/ais/key.pem
s3_domain: [S3.Example.org, s3]
public_url: http://storage-1:8081
mountpaths: [/mnt/a, "/mnt/b"]
join:
  - http://g1:8080
  - http://g2:8080
bootstrap: false
zone: rack7
weight: 250
cache_size: 1.5GiB
log:
  level: debug
  format: json
`

func fullNode() Node {
	return Node{
		Role: RoleTarget, ID: "t1", Dir: "/var/lib/ais", Host: "10.0.0.1", Port: 8081, IntraPort: 9081, TLSPort: 8443,
		TLSCert: "/etc/ais/cert.pem", TLSKey: "/etc/ais/key.pem", S3Domain: []string{"s3.example.org", "s3"}, PublicURL: "http://storage-1:8081",
		Mountpaths: []string{"/mnt/a", "/mnt/b"}, Join: []string{"http://g1:8080", "http://g2:8080"}, Bootstrap: Off, Zone: "rack7",
		Weight: 250, CacheSize: 1536 * MiB, Log: Log{"debug", "json"}, Root: DefaultRoot(),
	}
}

func TestFile(t *testing.T) {
	name := write(t, fullFile)
	for how, load := range map[string]func() (Node, error){
		"flag":        func() (Node, error) { return Load([]string{"--config", name}, []string{"AIS_NODE_CONFIG=/nowhere"}) },
		"environment": func() (Node, error) { return Load(nil, []string{"AIS_NODE_CONFIG=" + name}) },
	} {
		if n, err := load(); err != nil || !reflect.DeepEqual(n, fullNode()) {
			t.Errorf("%s: %v\ngot  %+v\nwant %+v", how, err, n, fullNode())
		}
	}
	for _, empty := range []string{"", "# nothing\n", "---\n"} {
		if n, err := Load([]string{"--config", write(t, empty)}, nil); empty != "---\n" && (err != nil || n.Port != 8080) {
			t.Errorf("%q: %+v, %v", empty, n, err)
		}
	}
}

// TestEveryKeyInEverySource sets each key of the table through file, environment and flag, and
// finds each result the same and other than the default.
func TestEveryKeyInEverySource(t *testing.T) {
	values := map[string]string{
		"role": "target", "id": "n9", "dir": "/d", "host": "10.1.1.1", "port": "7001", "intra_port": "7002", "public_url": "http://h:1",
		"mountpaths": "/m/1,/m/2", "join": "http://x:1,http://y:2", "bootstrap": "false", "standby": "true", "zone": "z", "weight": "7", "cache_size": "32MiB",
		"log.level": "warn", "log.format": "json", "tls_port": "8443", "tls_cert": "/c.pem", "tls_key": "/k.pem", "s3_domain": "s3.example.org,s3.example.net",
	}
	with := map[string]string{"tls_port": "tls_cert tls_key", "tls_cert": "tls_key", "tls_key": "tls_cert"} // what else must be set
	def, err := Load(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range def.fields() {
		v, ok := values[f.key]
		if !ok {
			t.Errorf("no example for %s", f.key)
			continue
		}
		line := f.key + ": " + v + "\n"
		if above, below, ok := strings.Cut(f.key, "."); ok {
			line = above + ":\n  " + below + ": " + v + "\n"
		}
		var others []string
		for _, key := range strings.Fields(with[f.key]) {
			others = append(others, "--"+field{key: key}.flagName()+"="+values[key])
		}
		fromFile, err1 := Load(append([]string{"--config", write(t, line)}, others...), nil)
		fromEnv, err2 := Load(others, []string{"HOME=/", f.envName() + "=" + v})
		fromFlag, err3 := Load(append([]string{"--" + f.flagName() + "=" + v}, others...), nil)
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Errorf("%s: %v", f.key, err)
		}
		if reflect.DeepEqual(fromFlag, def) {
			t.Errorf("%s: setting it changes nothing", f.key)
		}
		if !reflect.DeepEqual(fromFile, fromFlag) || !reflect.DeepEqual(fromEnv, fromFlag) {
			t.Errorf("%s: file %+v\nenvironment %+v\nflag %+v", f.key, fromFile, fromEnv, fromFlag)
		}
	}
}

func TestOrderOfSources(t *testing.T) {
	name := write(t, "port: 1001\nzone: file\nmountpaths: [/file/1, /file/2]\nlog: {level: debug}\n")
	env := []string{"AIS_NODE_PORT=1002", "AIS_NODE_ZONE=env", "AIS_NODE_MOUNTPATHS=/env/1", "AIS_NODE_ID="}
	n, err := Load([]string{"--config", name, "--port", "1003", "--join", "http://a:1", "--join", "http://b:1,http://c:1"}, env)
	if err != nil {
		t.Fatal(err)
	}
	if n.Port != 1003 || n.Zone != "env" || n.Log.Level != "debug" || n.ID != "" || n.IntraPort != 11003 {
		t.Errorf("%+v", n)
	}
	if strings.Join(n.Mountpaths, " ") != "/env/1" || strings.Join(n.Join, " ") != "http://a:1 http://b:1 http://c:1" {
		t.Errorf("lists: %q %q", n.Mountpaths, n.Join)
	}
}

// TestFaults expects each fault to name its source, field and value; all of a case's texts must be
// in the one error.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		file, env, args string
		says            []string
	}{
		{file: "prot: 80", says: []string{"node.yaml:1: prot: no such key, did you mean port?"}},
		{file: "a: 1\nb: 2\nport: x", says: []string{":1: a: no such key", ":2: b: no such key", `:3: port: "x" is no whole number above 0`}},
		{file: "port: 0", says: []string{`port: "0" is no whole number above 0`}},
		{file: "port: 80.5", says: []string{`port: "80.5"`}},
		{file: "port:", says: []string{":1: port: has no value"}},
		{file: "port: [1]", says: []string{":1: port: want one value"}},
		{file: "port: 1\nport: 2", says: []string{":2: port: stands here twice"}},
		{file: "join: [[a]]", says: []string{"join: want a list of plain values"}},
		{file: "join: {a: b}", says: []string{"join: want one value"}},
		{file: "log: debug", says: []string{":1: log: want lines of the form"}},
		{file: "log:\n  levl: debug", says: []string{":2: log.levl: no such key, did you mean log.level?"}},
		{file: "bootstrap: perhaps", says: []string{`bootstrap: "perhaps" is neither true nor false`}},
		{file: "cache_size: much", says: []string{`cache_size: "much" is no size: write it as`}},
		{file: "cache_size: 0", says: []string{`cache_size: "0" is no size above 0`}},
		{file: "- a", says: []string{"want lines of the form KEY: VALUE"}},
		{file: "---\nport: 80\n---\nrole: target", says: []string{"node.yaml:3: a second document begins"}},
		{file: "port: 80\n---\na: [", says: []string{"node.yaml: yaml: line"}},
		{file: "a: [", says: []string{"node.yaml: yaml: line 1"}},
		{env: "AIS_NODE_PROT=1 AIS_NODE_WEIGHT=-1", says: []string{"AIS_NODE_PROT: no such key, did you mean AIS_NODE_PORT?", `AIS_NODE_WEIGHT: "-1" is no`}},
		{env: "AIS_ROOT_ACCESS_KEY=me", says: []string{"AIS_ROOT_SECRET_KEY: is not set, but AIS_ROOT_ACCESS_KEY is"}},
		{env: "AIS_ROOT_SECRET_KEY=hush-hush", says: []string{"AIS_ROOT_ACCESS_KEY: is not set, but AIS_ROOT_SECRET_KEY is"}},
		{env: "AIS_ROOT_SECRET=hush-hush", says: []string{"AIS_ROOT_SECRET: no such key, only AIS_ROOT_ACCESS_KEY and AIS_ROOT_SECRET_KEY"}},
		{args: "--prot 1", says: []string{"--prot: no such flag, did you mean port?"}},
		{args: "--port", says: []string{"flag needs an argument: -port"}},
		{args: "--port x", says: []string{`--port: "x" is no whole number`}},
		{args: "--bootstrap=perhaps", says: []string{`--bootstrap: "perhaps" is neither true nor false`}},
		{args: "target", says: []string{"target: want only flags"}},

		{args: "--role server --log-level loud --log-format xml", says: []string{`role: "server" is unknown: use proxy, target, all`, `log.level: "loud"`, `log.format: "xml"`}},
		{args: "--port 70000 --intra-port 70001", says: []string{"port: 70000 is outside 1..65535", "intra_port: 70001"}},
		{args: "--port 60000", says: []string{"intra_port: 70000 is outside 1..65535; it is port + 10000 unless set"}},
		{args: "--port 80 --intra-port 80", says: []string{"intra_port: 80 is also the public port"}},
		{args: "--tls-port -1", says: []string{`"-1" is no port: use 1..65535, or 0 for off`}},
		{args: "--tls-port 70000", says: []string{`"70000" is no port`}},
		{args: "--tls-port 8443", says: []string{"tls_cert: is not set, but tls_port is"}},
		{args: "--tls-port 8443 --tls-cert c", says: []string{"tls_key: is not set, but tls_cert is"}},
		{args: "--tls-key k", says: []string{"tls_cert: is not set, but tls_key is"}},
		{args: "--tls-port 8080 --tls-cert c --tls-key k", says: []string{"tls_port: 8080 is also the public port"}},
		{args: "--tls-port 18080 --tls-cert c --tls-key k", says: []string{"tls_port: 18080 is also the intra-cluster port"}},
		{args: "--s3-domain s3.example.org:80,a..b,127.0.0.1,_x", says: []string{`s3_domain: "s3.example.org:80" is no domain`, `"a..b" is`, `"127.0.0.1" is`, `"_x" is`}},
		{args: "--s3-domain a.org,A.org.", says: []string{"s3_domain: a.org stands there twice"}},
		{args: "--host 0.0.0.0", says: []string{"public_url: http://0.0.0.0:8080 is no address that a client can reach"}},
		{args: "--host 0.0.0.0 --public-url http://h:80 --join http://g:80", says: []string{"host: 0.0.0.0 is what other nodes would be told to call"}},
		{args: "--host :: --public-url http://h:80 --role target", says: []string{"host: :: is what other nodes would be told to call"}},
		{args: "--host a/b", says: []string{`host: "a/b" is neither`}},
		{args: "--public-url h:80", says: []string{`public_url: "h:80" is not a node's URL: write it as http://HOST:PORT`}},
		{args: "--join http://h:80/v1", says: []string{`join: "http://h:80/v1" has more than a host and a port: write it as http://h:80`}},
		{args: "--join https://h:8443", says: []string{"join: https://h:8443 is not for nodes"}},
		{args: "--join h", says: []string{`join: "h" is not a node's URL`}},
		{args: "--id a/b --zone=-", says: []string{`id: "a/b" is no name`, `zone: "-" is no name`}},
		{args: "--weight 200000", says: []string{"weight: 200000 is outside 1..100000"}},
		{args: "--cache-size 1KiB", says: []string{"cache_size: 1KiB is outside 1MiB..1TiB"}},
		{args: "--role proxy --mountpaths /a", says: []string{`mountpaths: a node in role "proxy" keeps no objects`}},
		{args: "--mountpaths /a,/b/../a", says: []string{"mountpaths: /a stands there twice"}},
		{args: "--mountpaths /a,/a/b", says: []string{"mountpaths: /a and /a/b lie one inside the other"}},
		{args: "--mountpaths /a/b,/a", says: []string{"mountpaths: /a/b and /a lie one inside the other"}},
	} {
		args := strings.Fields(c.args)
		if c.file != "" {
			args = append([]string{"--config", write(t, c.file)}, args...)
		}
		_, err := Load(args, strings.Fields(c.env))
		if !errs.Is(unjoin(err), errs.Invalid) {
			t.Errorf("%+v: error of kind %v: %v", c, errs.KindOf(unjoin(err)), err)
			continue
		}
		for _, s := range c.says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%s %s %s: error %q does not say %q", c.file, c.env, c.args, err, s)
			}
		}
	}
	if n, err := Load(strings.Fields("--tls-port 0 --tls-cert c --tls-key k"), nil); err != nil || n.TLSPort != 0 {
		t.Errorf("TLS switched off: %+v, %v", n, err)
	}
	if _, err := Load([]string{"--mountpaths", "/a,/ab"}, nil); err != nil {
		t.Errorf("mountpaths with a common beginning: %v", err)
	}
}

// unjoin returns the first error of a joined one.
// TestRoot takes the first administrator's pair from the environment, and shows its secret nowhere.
func TestRoot(t *testing.T) {
	n, err := Load(nil, []string{"AIS_ROOT_ACCESS_KEY=me", "AIS_ROOT_SECRET_KEY=hush-hush"})
	if err != nil || n.Root != (Root{"me", "hush-hush"}) {
		t.Fatalf("%v %q", err, n.Root.Access)
	}
	js, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	_, half := Load(nil, []string{"AIS_ROOT_SECRET_KEY=hush-hush"})
	for _, text := range []string{n.String(), string(js), fmt.Sprintf("%v %+v %#v %v", n.Root, n, n.Root, half)} {
		if strings.Contains(text, "hush") {
			t.Errorf("the secret is shown: %s", text)
		}
	}
}

func unjoin(err error) error {
	for {
		j, ok := err.(interface{ Unwrap() []error })
		if !ok || len(j.Unwrap()) == 0 {
			return err
		}
		err = j.Unwrap()[0]
	}
}

func TestFileThatCannotBeRead(t *testing.T) {
	if _, err := Load([]string{"--config", "/no/such/file"}, nil); !errs.Is(err, errs.NotFound) || !strings.Contains(err.Error(), "/no/such/file") {
		t.Errorf("missing: %v", err)
	}
	big := write(t, strings.Repeat("# padding\n", maxFile/10+1))
	if _, err := Load([]string{"--config", big}, nil); !errs.Is(err, errs.TooLarge) {
		t.Errorf("huge: %v", err)
	}
}

func TestHelp(t *testing.T) {
	for _, arg := range []string{"-h", "--help"} {
		if _, err := Load([]string{"--port", "1", arg}, nil); !errors.Is(err, flag.ErrHelp) {
			t.Errorf("%s: %v", arg, err)
		}
	}
	var b strings.Builder
	if err := Usage(&b); err != nil {
		t.Fatal(err)
	}
	var n Node
	for _, f := range n.fields() {
		if !strings.Contains(b.String(), "--"+f.flagName()+" ") || !strings.Contains(b.String(), f.envName()+" ") || f.help == "" || f.byDef == "" {
			t.Errorf("the help text lacks something of %s:\n%s", f.key, b.String())
		}
	}
}

func TestSize(t *testing.T) {
	for s, want := range map[string]Size{
		"0": 0, "1": 1, "17B": 17, "4k": 4096, "4K": 4096, "4KiB": 4096, "4 kb": 4000, "4kB": 4000, "64MiB": 64 << 20, "64m": 64 << 20,
		"1.5GiB": 3 << 29, "2T": 2 << 40, "1TB": 1e12, "9223372036854775807": 1<<63 - 1, "0.5KiB": 512,
	} {
		got, err := ParseSize(s)
		if err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", s, got, err, want)
		}
		if back, err := ParseSize(got.String()); err != nil || back != got {
			t.Errorf("%d prints as %s, which reads as %d (%v)", got, got, back, err)
		}
	}
	for _, s := range []string{"", "MiB", "-1", "-1K", "1X", "1PiB", "1e400", "9223372036854775808", "8388608TiB", "NaN", "Inf", "0x10", "1 2", "1,5K"} {
		if got, err := ParseSize(s); !errs.Is(err, errs.Invalid) {
			t.Errorf("ParseSize(%q) = %d, %v", s, got, err)
		}
	}
}

func FuzzYAML(f *testing.F) {
	f.Add(fullFile)
	f.Add("port: 1\nport: 2\nlog: {level: [a]}\n? {a: b}\n: c\n")
	f.Add("a: &x [1]\njoin: *x\n")
	f.Fuzz(func(t *testing.T, text string) {
		var n Node
		if err := n.fromYAML("f", []byte(text)); err != nil {
			if !errs.Is(unjoin(err), errs.Invalid) {
				t.Fatalf("%v", err)
			}
			return
		}
		_ = n.WithDefaults().Validate()
	})
}

func FuzzSize(f *testing.F) {
	f.Add("1.5GiB")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseSize(s)
		if err != nil {
			return
		}
		if back, err := ParseSize(n.String()); n < 0 || err != nil || back != n {
			t.Fatalf("%q is %d, prints as %s, which reads as %d (%v)", s, n, n, back, err)
		}
	})
}

// TestAlone: a node that other nodes need not find may listen at all addresses.
func TestAlone(t *testing.T) {
	if _, err := Load([]string{"--host", "0.0.0.0", "--public-url", "http://h:80"}, nil); err != nil {
		t.Error(err)
	}
}
