package command

import (
	"bytes"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"aistore/api"
	"aistore/api/client"
	"aistore/cmd/ais/line"
	"aistore/errs"
)

// cli runs one command line without a terminal.
func run(t *testing.T, env map[string]string, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = Main(t.Context(), Process{
		Args: append([]string{"ais"}, args...), Getenv: func(k string) string { return env[k] }, Version: "v0",
		Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &err,
	})
	return code, out.String(), err.String()
}

func TestReorder(t *testing.T) {
	a := newApp(Process{Getenv: os.Getenv})
	for in, want := range map[string]string{
		"":                             "",
		"dev":                          "dev",
		"dev kill t1 --dir D":          "dev kill --dir D -- t1",
		"dev kill --dir=D t1 --json":   "dev kill --dir=D --json -- t1",
		"dev kill t1 -- --dir":         "dev kill -- t1 --dir",
		"dev kill -":                   "dev kill -- -",
		"dev up --port 1 --nope x":     "dev up --port 1 --nope -- x",
		"dev up --dir":                 "dev up --dir",
		"--version":                    "--version",
		"completion bash --endpoint x": "completion --endpoint x -- bash",
		"dev kill kill":                "dev kill -- kill",
		"--endpoint x show cluster g1": "show cluster --endpoint x -- g1",
		"--endpoint=x --json ls":       "ls --endpoint=x --json",
		"show --endpoint x cluster":    "show cluster --endpoint x",
		"show --endpoint x":            "--endpoint x show",
		"--endpoint x":                 "--endpoint x",
		"--endpoint":                   "--endpoint",
		"--endpoint x shwo":            "-- shwo",
		"show --nope":                  "show --nope",
		"dev kill t1 --help":           "dev kill --help",
		"dev kill --help t1 --dir D":   "dev kill --help",
		"dev kill -h t1 --nope":        "dev kill --help",
		"--help dev kill t1":           "dev kill --help",
		"dev kill t1 --dir --help":     "dev kill --dir --help -- t1",
		"dev kill -- --help":           "dev kill -- --help",
		"shwo --help":                  "-- shwo",
		"show --help":                  "show --help",
		"--help":                       "--help",
		"dev --dir c1 add target":      "dev --dir",
		"help dev add":                 "help -- dev add",
		"dev kill t1 --json --dir":     "dev kill --json --dir",
	} {
		got := line.Reorder(a.root, append([]string{"ais"}, strings.Fields(in)...))
		if s := strings.Join(got[1:], " "); s != want {
			t.Errorf("%q becomes %q, want %q", in, s, want)
		}
	}
}

func TestWrongUsage(t *testing.T) {
	for _, c := range []struct {
		args string
		text []string
	}{
		{"complete", []string{`"complete"`, "ais --help"}},
		{"bukcet", []string{`"bukcet"`, "did you mean bucket?", "ais --help"}},
		{"delete ais://b/x", []string{"did you mean rm?"}},
		{"bucket list", []string{"did you mean ls?"}},
		{"version", []string{"did you mean --version?"}},
		{"status", []string{"did you mean `ais show cluster` or `ais dev status`?"}},
		{"cluster status", []string{"did you mean `ais show cluster`?"}},
		{"config set list.page_size=5", []string{"did you mean `ais config cluster KEY=VALUE`?"}},
		{"config show", []string{"did you mean `ais config cluster`?"}},
		{"config cluster list.page_size 500", []string{"write list.page_size=VALUE, without blanks"}},
		{"up", []string{"did you mean `ais dev up`?"}}, // and not cp, which is written alike
		{"check", []string{"did you mean `ais cluster check` or `ais advanced store check`?"}},
		{"summary", []string{"did you mean `ais bucket summary`?"}}, // once, though `ais object` has verbs again
		{"storage show", []string{"did you mean `ais storage mountpath show`?", "`ais storage --help`"}},
		{"cluster start-maintenance t1", []string{"did you mean `ais cluster add-remove-nodes start-maintenance`?"}},
		{"show node", []string{`ais show has no command "node" (see`}},
		{"dev upp", []string{`"upp"`, "did you mean up?", "ais dev --help"}},
		{"dev up --nope", []string{"ais dev up", "nope"}},
		{"dev up x", []string{"ais dev up", "too many: x"}},
		{"dev kill", []string{"ais dev kill is missing", "Usage: ais dev kill NODE"}},
		{"dev up --port x", []string{`ais dev up: --port "x": is no value of it: write a whole number`}},
		{"wait rebalance --timeout 1", []string{`--timeout "1": is no value of it: write a time with its unit, as 30s or 5m`}},
		{"ls ais://b --start-after", []string{"ais ls: --start-after needs a value"}}, // and is not "--"
		{"rm -y ais://b/x{1..999999999}", []string{"stands for more than 100000000 names"}},
		{"put ais://b x", []string{"ais://b is not a local file: ais put takes files first, and at the end where they go to; `ais get` reads objects"}},
		{"rm -y ais://b --prefix", []string{"ais rm: --prefix needs a value"}},
		{"dev up --port", []string{"ais dev up: --port needs a value"}},
		{"dev up --all=x", []string{`ais dev up: --all "x": is no value of it`}},
		{"show rebalance --refresh x", []string{`ais show rebalance: --refresh "x": is no value of it: write a time, as 2s, or a number of seconds`}},
		{"nonsense --nope", []string{`ais has no command "nonsense"`}},
		{"dev kill t1 --timeout 5s", []string{"ais dev kill has no option --timeout"}}, // it waits for nothing to become ready
		{"dev add gateway --mountpaths 2", []string{"ais dev add gateway has no option --mountpaths"}},
		{"dev add target --mountpaths 0", []string{"--mountpaths 0: give at least 1"}},
		{"dev add gateway --standby", []string{"ais dev add gateway has no option --standby"}},
		{"dev add node --dir x", []string{`ais dev add has no command "node": it has target, gateway (see`}},
		{"auth list", []string{`ais auth has no command "list": it has add, rm, set, show (see`}},
		{"cluster add-remove-nodes start-maintenance --no-reb t1", []string{"did you mean --no-rebalance?"}},
		{"cluster check x", []string{"Usage: ais cluster check\n"}},
		{"bucket create ais://", []string{"ais://: names no bucket"}},
		{"dev up --gateways 0", []string{"--gateways 0"}},
		{"dev up --all --targets 3", []string{"--all"}},
		{"ls --limit 2", []string{"--limit is about the objects of a bucket", "name it, as ais://BUCKET"}},
		{"ls --nr", []string{"--non-recursive is about the objects of a bucket"}},
		{"object ls --count-only", []string{"ais object ls lists the buckets"}},
		{"completion tcsh", []string{"tcsh", "bash, zsh or fish"}},
		{"help nosuch", []string{`ais has no command "nosuch" (see `}},
		{"help bucket crate", []string{`ais bucket has no command "crate": did you mean create?`, "`ais bucket --help`"}},
		{"dev help add targte", []string{`ais dev add has no command "targte": did you mean target?`}},
		{"job show", []string{"did you mean ls?"}},
		{"dev add --dir c1", []string{"ais dev add has no option --dir"}}, // and not: no command "c1"
		{"--dir c1 dev status", []string{"ais has no option --dir"}},
		{"get ais://a/x ais://b", []string{"ais://b is no file or directory: `ais cp` copies inside the cluster"}},
		{"get ais://a ais://b --all", []string{"`ais cp`"}},
		{"bucket props reset a durability", []string{"resets all properties of a bucket", "`ais bucket props set ais://a durability=VALUE`"}},
	} {
		code, stdout, stderr := run(t, nil, "", strings.Fields(c.args)...)
		if code != exitUsage || stdout != "" {
			t.Errorf("ais %s: exit code %d, stdout %q", c.args, code, stdout)
		}
		for _, want := range c.text {
			if !strings.Contains(stderr, want) {
				t.Errorf("ais %s: %q does not say %q", c.args, stderr, want)
			}
		}
		for _, quote := range "\"`" {
			if strings.Count(stderr, string(quote))%2 != 0 {
				t.Errorf("ais %s: a quote is left open: %s", c.args, stderr)
			}
		}
	}
	for _, args := range [][]string{{"put", "", "ais://b"}, {"job", "wait", ""}, {"cat", ""}, {"cluster", "set-primary", ""}, {"ls", ""}} {
		if code, _, stderr := run(t, nil, "", args...); code != exitUsage || !strings.Contains(stderr, "an argument that is empty") {
			t.Errorf("ais %q: exit code %d, %q", args, code, stderr)
		}
	}
}

// TestHelp: help of a command is what its --help says, at any depth and from wherever it is asked for.
func TestHelp(t *testing.T) {
	for asked, plain := range map[string]string{
		"help": "--help", "h": "--help", "help bucket": "bucket --help", "bucket help": "bucket --help", "help bucket create": "bucket create --help",
		"bucket help create": "bucket create --help", "help h": "--help", "help --help": "--help", "help rm": "rm --help", "help del": "rm --help",
	} {
		code, got, stderr := run(t, nil, "", strings.Fields(asked)...)
		_, want, _ := run(t, nil, "", strings.Fields(plain)...)
		if code != exitOK || got != want || stderr != "" || !strings.HasPrefix(got, "NAME:\n   ais") {
			t.Errorf("ais %s: exit code %d, %q, %.300q, want what %q says: %.300q", asked, code, stderr, got, plain, want)
		}
	}
	for line, shown := range map[string]bool{
		"ls": true, "show cluster": true, "advanced remove-from-smap": true, "dev up": false, "dev kill": false, "dev add target": false,
		"advanced store check": false, "advanced recover-cluster": false, "completion": false,
	} {
		_, out, _ := run(t, nil, "", append(strings.Fields(line), "--help")...)
		offered := complete(t, "bash", "ais "+line+" --e")
		if strings.Contains(out, "--endpoint") != shown || strings.Contains(offered, "--endpoint") != shown || !strings.Contains(out, "--json") {
			t.Errorf("ais %s: --endpoint should be shown: %v; help %q, completion %q", line, shown, out, offered)
		}
	}
	if code, _, stderr := run(t, nil, "", "--endpoint", "http://127.0.0.1:1", "completion", "bash"); code != exitOK {
		t.Errorf("an option that says nothing: exit code %d, %q", code, stderr)
	}
	if _, out, _ := run(t, nil, "", "help", "bucket"); !strings.Contains(out, "summary ") {
		t.Errorf("the commands of a group are not shown: %s", out)
	}
}

func TestExitCodes(t *testing.T) {
	want := map[errs.Kind]int{
		errs.Other: 1, errs.Invalid: 2, errs.NotFound: 3, errs.NoBucket: 3, errs.Exists: 6, errs.Conflict: 6, errs.Precondition: 6,
		errs.NotModified: 1, errs.Range: 2, errs.Checksum: 8, errs.Unauthorized: 7, errs.Forbidden: 7, errs.TooLarge: 1, errs.Full: 1,
		errs.Mountpath: 5, errs.Corrupt: 8, errs.Unavailable: 5, errs.NotPrimary: 5, errs.WrongOwner: 5, errs.StaleMap: 5, errs.Busy: 5,
		errs.Timeout: 5, errs.Canceled: 1, errs.Unsupported: 1,
	}
	for _, k := range errs.Kinds() {
		if got, ok := want[k]; !ok || exitCode(errs.E("a.B", "x", k)) != got {
			t.Errorf("kind %v exits with %d, want %d", k, exitCode(errs.E("a.B", "x", k)), got)
		}
	}
	if exitCode(partialError{verb: "put", failed: 1, done: 2}) != exitPartial {
		t.Error("partial failure has another code")
	}
	if text := (partialError{"cp", 1, 2, "the disk is full"}).Error(); text != "cp: 1 object failed, 2 done: the disk is full" {
		t.Error(text)
	}
}

func TestJSONError(t *testing.T) {
	for _, line := range []string{"bucket --json", "--json dev add"} { // a group: its help is no JSON
		if code, stdout, stderr := run(t, nil, "", strings.Fields(line)...); code != exitUsage || stdout != "" || !strings.Contains(stderr, `"exit_code":2`) {
			t.Errorf("ais %s: code %d, stdout %q, stderr %q", line, code, stdout, stderr)
		}
	}
	code, stdout, stderr := run(t, nil, "", "dev", "status", "--json", "--dir", t.TempDir())
	if code != exitNotFound || stdout != "" || !strings.Contains(stderr, `"kind":"not-found"`) || !strings.Contains(stderr, `"exit_code":3`) {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func complete(t *testing.T, args ...string) string {
	t.Helper()
	_, stdout, stderr := run(t, nil, "", append([]string{completeVerb}, args...)...)
	if stderr != "" {
		t.Errorf("completion writes to stderr: %q", stderr)
	}
	return stdout
}

// TestStopped: a rebalance that ended before it was stopped is not said to be stopped.
func TestStopped(t *testing.T) {
	for _, c := range []struct {
		status api.JobStatus
		want   string
	}{
		{api.JobStatus{UUID: "g4", Paused: true}, ""},
		{api.JobStatus{UUID: "g4", EndTime: 1}, "g4: had ended"},
		{api.JobStatus{UUID: "g5"}, "g5: runs again"},
	} {
		err := stopped(&c.status)
		if (err == nil) != (c.want == "") || err != nil && (!errs.Is(err, errs.Conflict) || !strings.Contains(message(err), c.want)) {
			t.Errorf("%+v: %v", c.status, err)
		}
	}
}

func TestCompleteWords(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "a dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ line, want string }{
		{"ais comp", "completion \n"},
		{"ais dev st", "start \nstatus \nstop \n"},
		{"ais dev up --ga", "--gateways \n"},
		{"ais dev up --gateways 1 --ga", ""},
		{"ais completion ", "bash \nfish \nzsh \n"},
		{"ais dev up --log-level w", "warn \n"},
		{"ais nothing ", ""},
		{"ais help dev st", "start \nstatus \nstop \n"},
		{"ais dev help st", "start \nstatus \nstop \n"},
		{"ais help dev status ", ""},
		{"ais dev status --dir " + dir + "/a", dir + `/a\ dir/` + "\n" + dir + `/a\ file ` + "\n"},
	} {
		if got := complete(t, "bash", c.line); got != c.want {
			t.Errorf("%q: %q, want %q", c.line, got, c.want)
		}
	}
	if got := complete(t, "zsh", "ais", "dev", "sto"); got != "stop\tstop a node (it drains first)\n" {
		t.Errorf("zsh: %q", got)
	}
	if got := complete(t, "fish", "ais", "dev", "status", "--dir", dir+"/a d"); got != dir+"/a dir/\t\x01\n" {
		t.Errorf("fish: %q", got)
	}
}

// TestRebalanceRow: a target that remembers only an earlier rebalance has moved nothing in the newest.
func TestRebalanceRow(t *testing.T) {
	a := rebalanceVerbs{newApp(Process{Getenv: os.Getenv})}
	old := &api.RebalanceStatus{Epoch: 5, Objects: 300, Bytes: 1 << 20, PresentObjects: 7, Errors: 2, LastError: "late", Waiting: []string{"t9"}}
	r := &api.Rebalance{RebalanceStatus: api.RebalanceStatus{Epoch: 6}, Nodes: map[string]*api.RebalanceStatus{"t1": old}}
	var row []string
	for _, c := range a.cells("t1", r) {
		row = append(row, c.Text)
	}
	if got, want := strings.Join(row, "|"), "t1|nothing to do|0|0B|0|-|-|-|0|"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if old.Objects != 300 {
		t.Error("the reply was changed")
	}
}

// TestNearestIsNear: a name that shares hardly a letter with what was written is no help.
func TestNearestIsNear(t *testing.T) {
	names := []string{"job", "ls", "show", "bucket"}
	for written, want := range map[string]string{"foo": "", "xy": "", "lss": "ls", "shwo": "show", "bukcet": "bucket", "jb": "job", "buc": "bucket"} {
		if got := nearestOf(written, names); got != want {
			t.Errorf("nearestOf(%q) = %q, want %q", written, got, want)
		}
	}
}

// TestHintNamesNodes: who has met a node that does not answer is told where to look, but not who reached no cluster at all.
func TestHintNamesNodes(t *testing.T) {
	const look = "`ais show cluster`"
	reply := &client.ReplyError{Message: "target t1: does not answer"}
	for _, c := range []struct {
		err  error
		want bool
	}{
		{errs.E("client.List", "ais://b", errs.E("", "", errs.Unavailable, reply)), true},
		{errs.E("client.Get", "ais://b/x", errs.E("", "", errs.Timeout, reply)), true},
		{errs.E("client.Put", "ais://b/x", errs.E("", "", errs.Busy, reply)), true},
		{errs.E("client.Get", "ais://b/x", errs.Unavailable, &url.Error{Op: "Get", URL: "http://n", Err: syscall.ECONNREFUSED}), true},
		{errs.E("client.Put", "ais://b/x", errs.Unavailable, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}), true}, // contents are not sent by net/http
		{errs.E("", nil, errs.Unavailable, "no node of the cluster answers"), false},
		{errs.E("local.ready", "t1", errs.Timeout, "not ready after 1m"), false},
	} {
		if got := hint(c.err); strings.Contains(got, look) != c.want {
			t.Errorf("%v: hint %q", c.err, got)
		}
	}
	code, _, stderr := run(t, nil, "", "ls", "--endpoint", "http://127.0.0.1:1")
	if code != exitUnreachable || strings.Contains(stderr, look) {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}

// TestDamaged: the error of a damaged object names it once, and the node; of what else is damaged nothing is said of bytes that were not delivered.
func TestDamaged(t *testing.T) {
	reply := &client.ReplyError{Message: "b1/a/x.bin: block 1 is damaged (store.Read)", Node: "t2"}
	refused := errs.E("", "", errs.Corrupt, reply)
	for _, c := range []struct {
		err        error
		text, hint string
	}{
		{errs.E("client.Get", "ais://b/a/x.bin", refused), "ais://b/a/x.bin: block 1 is damaged (node t2)", "`ais show cluster t2`"},
		{
			errs.F("client.Get", "ais://b/a/x.bin", errs.Corrupt, "the read stopped after 5 of 9 bytes: %w", refused),
			"ais://b/a/x.bin: the read stopped after 5 of 9 bytes: block 1 is damaged (node t2)", "`ais show cluster t2`",
		},
		{errs.E("store.Read", "b1/a/x.bin", errs.Corrupt, "block 1 is damaged"), "b1/a/x.bin: block 1 is damaged", "not delivered"},
		{errs.E("store.open", "/mnt/d1", errs.Corrupt, "the index is missing"), "/mnt/d1: the index is missing", ""},
		{errs.E("client.List", "ais://b", errs.Corrupt, "an index key is unreadable"), "ais://b: an index key is unreadable", ""},
	} {
		if got := message(c.err); got != c.text {
			t.Errorf("message is %q, want %q", got, c.text)
		}
		if got := hint(c.err); !strings.Contains(got, c.hint) || got != "" && c.hint == "" {
			t.Errorf("hint of %v: %q", c.err, got)
		}
	}
}
