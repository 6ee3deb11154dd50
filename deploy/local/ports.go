package local

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"aistore/errs"
)

// portFree reports whether a listener can be opened on the port right now.
func portFree(port int) error {
	ln, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return err
	}
	return ln.Close()
}

// portFault says why no listener can be opened on a port, and what to do; nil if one can.
func portFault(port int) error {
	err := portFree(port)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	conn, cerr := net.DialTimeout("tcp", "127.0.0.1:"+strconv.Itoa(port), time.Second)
	if cerr != nil || conn.LocalAddr().String() == conn.RemoteAddr().String() { // or it was connected to itself
		return fmt.Errorf("nobody listens there, but it is taken, as by the outgoing connection of a process: try again later (%w)", err)
	}
	_ = conn.Close()
	return fmt.Errorf("another process listens there: stop that one first (%w)", err)
}

// assignIntraPorts gives each node an intra-cluster port that is free now and stays this cluster's while it is
// down: a file shared by all local clusters of this user says who has which port, and the range avoids the ports
// that the kernel gives to outgoing connections, since one of those could hold the port when the node returns.
// The nodes of there keep theirs.
func assignIntraPorts(dir string, there, nodes []Node) error {
	reg, err := openRegistry()
	if err != nil {
		return err
	}
	defer reg.close()
	taken := reg.taken(dir)
	for _, n := range append(slices.Clone(there), nodes...) {
		for _, port := range n.publicPorts() {
			taken[port] = dir
		}
	}
	for _, n := range there {
		taken[n.IntraPort] = dir
	}
	first, last := intraRange()
	next := first + rand.IntN(last-first+1) // clusters of other users are not in the file: start anywhere
	for i := range nodes {
		for tries := 0; ; tries++ {
			if tries > last-first {
				return errs.F("local.ports", nil, errs.Conflict, "no free port for the intra-cluster listener in %d..%d", first, last)
			}
			p := next
			if next++; next > last {
				next = first
			}
			if _, ok := taken[p]; !ok && portFree(p) == nil {
				nodes[i].IntraPort, taken[p] = p, dir
				break
			}
		}
	}
	return reg.write(taken)
}

// outgoingPorts is the kernel's range for outgoing connections.
func outgoingPorts() (low, high int) {
	low, high = 32768, 60999
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		_, _ = fmt.Sscan(string(b), &low, &high)
	}
	return low, high
}

// defaultPort is the first of count public ports of a cluster that none is given: 8080, unless one of them could be taken by an outgoing
// connection while its node is down.
func defaultPort(count, low, high int) int {
	const usual = 8080
	switch {
	case usual+count <= low || usual > high:
		return usual
	case low > 1024+count: // 1024 and above need no rights
		return low - count
	case high+count < 65535:
		return high + 1
	}
	return usual // every port may be an outgoing one: there is no better choice
}

// intraRange lies above the kernel's range for outgoing connections (32768..60999 unless changed), else below it.
func intraRange() (first, last int) {
	low, high := outgoingPorts()
	switch {
	case high < 64000:
		return high + 1, 65535
	case low > 12000:
		return low - 2000, low - 1
	}
	return 61000, 65535 // every port may be an outgoing one: there is no better choice
}

// registry is the locked file "PORT DIR" of the ports that this user's local clusters hold.
type registry struct{ f *os.File }

func openRegistry() (registry, error) {
	path := filepath.Join(os.TempDir(), fmt.Sprintf("ais-local-ports-%d", os.Getuid()))
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return registry{}, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		_ = f.Close()
		return registry{}, errs.E("local.ports", path, err)
	}
	return registry{f}, nil
}

func (r registry) close() { _ = r.f.Close() } // gives up the lock

// taken lists the ports of the other clusters that still exist.
func (r registry) taken(dir string) map[int]string {
	ports, alive := map[int]string{}, map[string]bool{}
	b, _ := os.ReadFile(r.f.Name())
	for _, l := range strings.Split(string(b), "\n") {
		num, owner, _ := strings.Cut(l, " ")
		p, err := strconv.Atoi(num)
		if err != nil || owner == dir {
			continue
		}
		if _, asked := alive[owner]; !asked {
			_, err := os.Stat(filepath.Join(owner, clusterFileName))
			alive[owner] = err == nil
		}
		if alive[owner] {
			ports[p] = owner
		}
	}
	return ports
}

func (r registry) write(ports map[int]string) error {
	var b strings.Builder
	for p, owner := range ports {
		fmt.Fprintf(&b, "%d %s\n", p, owner)
	}
	if err := r.f.Truncate(0); err != nil {
		return err
	}
	_, err := r.f.WriteAt([]byte(b.String()), 0)
	return err
}
