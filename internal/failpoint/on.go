//go:build failpoints

package failpoint

import (
	"fmt"
	"maps"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"aistore/errs"
)

// Enabled tells whether this binary was built with the tag "failpoints".
const Enabled = true

const variable = "AIS_FAILPOINTS"

type action string

const (
	kill   action = "kill"
	stop   action = "stop"
	pause  action = "pause"
	failed action = "error"
)

// An armed point acts when its countdown reaches zero, or at every hit.
type armed struct {
	action    action
	countdown int
	every     bool
}

// registry is the state of this process's points. A Hit is a bare call in the middle of other
// packages' code and has nobody to ask for it, hence one shared value, in this build only.
type registry struct {
	mu      sync.Mutex
	armed   map[string]*armed
	hits    map[string]int
	waiting map[string]chan struct{} // closed to release
}

var shared = sync.OnceValue(func() *registry {
	r := &registry{armed: map[string]*armed{}, hits: map[string]int{}, waiting: map[string]chan struct{}{}}
	if spec := os.Getenv(variable); spec != "" {
		if err := r.arm(spec); err != nil {
			panic(fmt.Sprintf("%s: %v", variable, err))
		}
		fmt.Fprintf(os.Stderr, "failpoints armed: %s\n", spec)
	}
	usr2 := make(chan os.Signal, 1)
	signal.Notify(usr2, syscall.SIGUSR2)
	go func() {
		for range usr2 {
			r.release("")
		}
	}()
	return r
})

// Arm arms points of this process as the environment variable would; a point armed before forgets
// its earlier arming.
func Arm(spec string) error { return shared().arm(spec) }

// Disarm disarms every point, releases who waits, and forgets all counts.
func Disarm() {
	r := shared()
	r.mu.Lock()
	clear(r.armed)
	clear(r.hits)
	r.mu.Unlock()
	r.release("")
}

// Release lets those go on who wait at the point called name, or at any if name is empty.
func Release(name string) { shared().release(name) }

func (r *registry) release(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n, c := range r.waiting {
		if name == "" || n == name {
			close(c)
			delete(r.waiting, n)
		}
	}
}

// Hits returns how often each point of this process has been passed.
func Hits() map[string]int {
	r := shared()
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.hits)
}

// Waiting returns the names of the points where somebody waits now, sorted.
func Waiting() []string {
	r := shared()
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.waiting))
}

// Hit passes the point called name and does what the point is armed with. The error is nil except
// for the action "error"; code that cannot fail there ignores it.
func Hit(name string) error {
	r := shared()
	act, wait := r.pass(name)
	if act == "" {
		return nil
	}
	fmt.Fprintf(os.Stderr, "failpoint %s: %s\n", name, act)
	switch act {
	case kill:
		signalSelf(syscall.SIGKILL)
		select {} // the signal is on its way; nothing may run past this point
	case stop:
		signalSelf(syscall.SIGSTOP)
	case pause:
		<-wait
	case failed:
		return errs.E("failpoint.Hit", name, "made to fail")
	}
	return nil
}

// pass counts a hit and says what is due, with the channel to wait on for a pause.
func (r *registry) pass(name string) (action, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hits[name]++
	a := r.armed[name]
	if a == nil {
		return "", nil
	}
	if !a.every {
		if a.countdown--; a.countdown > 0 {
			return "", nil
		}
		delete(r.armed, name)
	}
	if a.action == pause && r.waiting[name] == nil {
		r.waiting[name] = make(chan struct{})
	}
	return a.action, r.waiting[name]
}

func (r *registry) arm(spec string) error {
	points := map[string]*armed{}
	for item := range strings.SplitSeq(spec, ",") {
		name, a, err := parse(strings.TrimSpace(item))
		if err != nil {
			return err
		}
		points[name] = a
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.Copy(r.armed, points)
	return nil
}

// parse reads NAME=ACTION or NAME=ACTION:COUNT.
func parse(item string) (string, *armed, error) {
	bad := func(why string) (string, *armed, error) {
		return "", nil, errs.F("failpoint.Arm", item, errs.Invalid, "%s: want NAME=kill|stop|pause|error, then optionally :N or :*", why)
	}
	name, rest, ok := strings.Cut(item, "=")
	if !ok || name == "" {
		return bad("no name")
	}
	act, count, counted := strings.Cut(rest, ":")
	a := &armed{action: action(act), countdown: 1}
	if !slices.Contains([]action{kill, stop, pause, failed}, a.action) {
		return bad("unknown action")
	}
	switch {
	case !counted:
	case count == "*":
		a.every = true
	default:
		n, err := strconv.Atoi(count)
		if err != nil || n < 1 {
			return bad("bad count")
		}
		a.countdown = n
	}
	return name, a, nil
}

// signalSelf sends sig to the calling thread. A signal to the process could be taken by another
// thread and let this one run past the point; one to the thread acts before the call returns, and
// these two act on the whole process whoever takes them.
func signalSelf(sig syscall.Signal) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Tgkill(os.Getpid(), unix.Gettid(), sig); err != nil {
		panic(fmt.Sprintf("BUG: a process may signal itself: %v", err))
	}
}
