package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"aistore/errs"
	"aistore/internal/flock"
)

// process is the content of a node's pid file. A pid alone is not an identity, since the kernel uses it again;
// together with the time the process started, and the boot that time counts from, it is.
type process struct {
	PID   int    `json:"pid"`
	Start string `json:"start"` // field 22 of /proc/PID/stat, in clock ticks since boot
	Boot  string `json:"boot"`
}

// child is a node that this very process started: nobody else can reap it.
type child struct {
	process
	log  int64         // bytes that its log had before: of runs that ended long ago
	done chan struct{} // closed once the process is gone and reaped
}

// FindNode returns the aisnode binary: explicit if given, else the environment's AISNODE, else the one next to the
// running binary, else the first in PATH.
func FindNode(explicit string) (string, error) {
	if explicit == "" {
		explicit = os.Getenv("AISNODE")
	}
	if explicit != "" {
		p, err := exec.LookPath(explicit)
		if err != nil {
			return "", errs.F("local.FindNode", explicit, errs.NotFound, "is not an executable aisnode: %w", err)
		}
		return filepath.Abs(p)
	}
	if self, err := os.Executable(); err == nil {
		if p, err := exec.LookPath(filepath.Join(filepath.Dir(self), "aisnode")); err == nil {
			return p, nil
		}
	}
	if p, err := exec.LookPath("aisnode"); err == nil {
		return filepath.Abs(p)
	}
	return "", errs.E("local.FindNode", "aisnode", errs.NotFound,
		"is neither next to this binary nor in PATH: run `make build`, or name it in AISNODE")
}

// start runs the node's process and records it. It does not wait for readiness. A node that runs is left alone;
// the bool says whether this call started it.
func (c *Cluster) start(n Node, env []string) (bool, error) {
	const op = "local.start"
	binary, err := FindNode(c.opts.Binary)
	if err != nil {
		return false, err
	}
	if err := c.writeConfig(n); err != nil {
		return false, errs.E(op, n.ID, err)
	}
	unlock, err := lockNode(n)
	if err != nil {
		return false, errs.E(op, n.ID, err)
	}
	defer unlock()
	if _, ok := runningProcess(n); ok {
		return false, nil
	}
	for _, port := range append(n.publicPorts(), n.IntraPort) {
		if err := portFault(port); err != nil {
			return false, errs.F(op, n.ID, errs.Conflict, "cannot listen on port %d of 127.0.0.1: %w", port, err)
		}
	}
	log, err := os.OpenFile(n.log(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return false, errs.E(op, n.ID, err)
	}
	defer log.Close()
	before, err := log.Stat()
	if err != nil {
		return false, errs.E(op, n.ID, err)
	}
	cmd := exec.Command(binary, c.arguments(n)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = n.Dir, log, log
	cmd.Env = append(append(environment(), c.opts.Env...), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // the terminal's Ctrl-C is not meant for nodes
	if err := cmd.Start(); err != nil {
		return false, errs.E(op, n.ID, err)
	}
	return true, c.adopt(n, cmd, before.Size())
}

// environment is this process's without AIS_NODE_*, which would override every node's configuration.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "AIS_NODE_") })
}

// adopt records the process just started, whose log begins at byte from, and reaps it when it ends. The start time is read before anybody
// waits for the child, so even one that died at once still has its /proc entry.
func (c *Cluster) adopt(n Node, cmd *exec.Cmd, from int64) error {
	k := &child{process: process{PID: cmd.Process.Pid, Boot: bootID()}, log: from, done: make(chan struct{})}
	stat, err := readStat(k.PID)
	if err == nil {
		k.Start = stat.start
		err = k.write(n)
	}
	if err != nil { // unrecorded it would be beyond reach
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return errs.E("local.start", n.ID, err)
	}
	c.mu.Lock()
	c.children[n.ID] = k
	c.mu.Unlock()
	go func() { // ends with the node, or with this process, whichever is first
		_ = cmd.Wait()
		close(k.done)
	}()
	return nil
}

func (c *Cluster) arguments(n Node) []string {
	args := []string{"--config", n.yaml()}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.file.Founded && n.ID == c.file.Nodes[0].ID {
		args = append(args, "--bootstrap")
	}
	return args
}

// lockNode serialises starts of one node among processes: two would both find it stopped.
func lockNode(n Node) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(n.Dir, "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}

func (p process) write(n Node) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return writeFile(n.pidFile(), append(b, '\n'), 0o644)
}

// runningProcess returns the node's process if it runs: the one that the pid file names, if it is still the same one, else the one that
// has the lock of the node's directory. Who starts a node may be killed before he has recorded its process, which would be beyond
// reach then: not running to all, and with the node's ports.
func runningProcess(n Node) (process, bool) {
	var p process
	b, err := os.ReadFile(n.pidFile())
	if err == nil && json.Unmarshal(b, &p) == nil && p.PID > 1 && p.alive() {
		return p, true
	}
	p = process{PID: flock.Holder(filepath.Join(n.state(), "lock")), Boot: bootID()}
	stat, err := readStat(p.PID)
	if p.PID <= 1 || err != nil || stat.ended() {
		return process{}, false
	}
	p.Start = stat.start
	return p, true
}

// alive reports whether p still runs, and is not a zombie that only waits for its parent.
func (p process) alive() bool {
	stat, err := readStat(p.PID)
	return err == nil && stat.start == p.Start && p.Boot == bootID() && !stat.ended()
}

// signal sends sig to p and to nothing else: the handle is taken first (a pidfd where the kernel has them), then
// the identity checked, so the pid cannot pass to a stranger in between.
func (p process) signal(sig os.Signal) error {
	h, err := os.FindProcess(p.PID)
	if err != nil {
		return nil //nolint:nilerr // there is no such process any more, which is what the caller is after
	}
	defer h.Release() //nolint:errcheck // a handle, not data
	if !p.alive() {
		return nil
	}
	if err := h.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// wait returns nil once p is gone. It polls: only a parent is told when a process ends, and the node may be
// another process's child.
func (p process) wait(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for p.alive() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// procStat is the part of /proc/PID/stat that matters here.
type procStat struct {
	state   byte
	threads string
	start   string
}

// ended reports whether nothing of the process is left but its entry. One that was killed shows as a zombie as soon as its first thread
// has ended; until the last has, its ports are taken and its locks held.
func (s procStat) ended() bool {
	return s.state == 'X' || s.state == 'Z' && (s.threads == "1" || s.threads == "0")
}

func readStat(pid int) (procStat, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return procStat{}, err
	}
	return parseStat(string(b))
}

// parseStat reads fields 3, 20 and 22 (proc(5)). Field 2 is the command's name in parentheses, which may itself hold
// spaces and parentheses, so counting begins behind the last one.
func parseStat(s string) (procStat, error) {
	f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	if len(f) < 20 || len(f[0]) != 1 {
		return procStat{}, fmt.Errorf("%q is not the form of /proc/PID/stat", s)
	}
	return procStat{state: f[0][0], threads: f[17], start: f[19]}, nil
}

func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}
