package fault

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"aistore/deploy/local"
	"aistore/test/procs"
)

// namespaced is set in the environment of a test that runs again in a network namespace of its own.
const namespaced = "AIS_TEST_NAMESPACE"

// inNamespace runs the calling test once more, in a network namespace of its own with nothing but a loopback interface, and reports
// whether this is that run. The test is skipped where that is not allowed, or nft or setpriv are missing.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(namespaced) == t.Name() {
		loopbackUp(t)
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("partitions that go one way need root, for a network namespace and nftables")
	}
	for tool, from := range map[string]string{"nft": "nftables", "setpriv": "util-linux"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("partitions that go one way need %s (package %s)", tool, from)
		}
	}
	args := []string{"-test.run=^" + t.Name() + "$", "-test.v"}
	if end, ok := t.Deadline(); ok {
		args = append(args, "-test.timeout="+time.Until(end.Add(-5*time.Second)).String())
	}
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), namespaced+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Skipf("no network namespace can be made here: %v", err)
	}
	err := cmd.Wait()
	t.Logf("in the namespace:\n%s", out)
	if err != nil {
		t.Errorf("in the namespace: %v", err)
	} else if strings.Contains(out.String(), "--- SKIP") {
		t.Skip("skipped in the namespace")
	}
	return false
}

func loopbackUp(t *testing.T) {
	t.Helper()
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(s) //nolint:errcheck // a handle
	r, err := unix.NewIfreq("lo")
	must(t, err)
	must(t, unix.IoctlIfreq(s, unix.SIOCGIFFLAGS, r))
	r.SetUint16(r.Uint16() | unix.IFF_UP)
	must(t, unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, r))
}

// cutter drops packets from one node to another. Every node listens on ports of its own; who has made a connection is told by its
// group, which each node has to itself: the first packet marks the connection with it.
type cutter struct {
	t     *testing.T
	group map[string]int
	c     *procs.Cluster
}

// startApart starts a cluster whose nodes can be cut off from each other.
func startApart(t *testing.T, o local.Options) *cutter {
	t.Helper()
	k := &cutter{t: t, group: map[string]int{}}
	node, cases := procs.Node(t), ""
	rules := "table inet cut {\n chain marks { type filter hook output priority -150;\n"
	for i := range o.Gateways + o.Targets {
		id := "g" + strconv.Itoa(i+1)
		if i >= o.Gateways {
			id = "t" + strconv.Itoa(i+1-o.Gateways)
		}
		k.group[id] = 61001 + i
		cases += fmt.Sprintf("*/%s/node.yaml) group=%d ;;\n", id, k.group[id])
		rules += fmt.Sprintf("  ct state new meta skgid %d ct mark set %d\n", k.group[id], k.group[id])
	}
	rules += " }\n chain cuts { type filter hook output priority 0; }\n}\n"
	if out, err := k.nft(rules); err != nil {
		t.Skipf("nftables do not work here: %v: %s", err, out)
	}
	o.Binary = filepath.Join(o.Dir, "aisnode")
	must(t, os.WriteFile(o.Binary, []byte("#!/bin/sh\ncase \"$2\" in\n"+cases+"esac\nexec setpriv --regid $group --clear-groups "+node+" \"$@\"\n"), 0o755)) //nolint:gosec // a program
	k.c = procs.Start(t, o)
	return k
}

func (k *cutter) nft(rules string) (string, error) {
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// cut drops what one node sends to another from now on, whoever of them has made the connection.
func (k *cutter) cut(from, to string) {
	k.t.Helper()
	a, err := k.c.Node(from)
	must(k.t, err)
	b, err := k.c.Node(to)
	must(k.t, err)
	out, err := k.nft(fmt.Sprintf("add rule inet cut cuts ct direction original ct mark %d tcp dport { %d, %d } counter drop\n"+
		"add rule inet cut cuts ct direction reply ct mark %d tcp sport { %d, %d } counter drop\n",
		k.group[from], b.Port, b.IntraPort, k.group[to], a.Port, a.IntraPort))
	if err != nil {
		k.t.Fatalf("nft: %v: %s", err, out)
	}
}

// heal lets everything through again, and returns how many packets had been dropped.
func (k *cutter) heal() (dropped int) {
	k.t.Helper()
	out, err := exec.Command("nft", "list", "chain", "inet", "cut", "cuts").CombinedOutput()
	must(k.t, err)
	f := strings.Fields(string(out))
	for i := range f {
		if f[i] == "packets" {
			n, err := strconv.Atoi(f[i+1])
			must(k.t, err)
			dropped += n
		}
	}
	if out, err := k.nft("flush chain inet cut cuts\n"); err != nil {
		k.t.Fatalf("nft: %v: %s", err, out)
	}
	return dropped
}
