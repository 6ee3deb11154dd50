package control

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aistore/cluster"
	"aistore/internal/frozen"
)

// shell runs a command with words of its own.
func shell(cmd string, words ...string) (string, error) {
	out, err := exec.Command("sh", append([]string{"-c", cmd, "sh"}, words...)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// TestPrimaryOnFrozenDisk freezes the file system under a primary's directory, with the times that a node has. It needs root.
func TestPrimaryOnFrozenDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	image, mnt := filepath.Join(t.TempDir(), "image"), t.TempDir()
	if out, err := shell(`truncate -s 100M "$1" && mkfs.ext4 -q -F "$1" && mount -o loop "$1" "$2"`, image, mnt); err != nil {
		t.Skipf("no loop mounts here: %v %s", err, out)
	}
	t.Cleanup(func() { // after the nodes have ended
		if out, err := shell(`umount "$1"`, mnt); err != nil {
			t.Errorf("umount: %v %s", err, out)
		}
	})
	tc := newCluster(t)
	founder := func(c *Config) { c.Bootstrap, c.Dir, c.Timing = true, filepath.Join(mnt, "node"), Timing{} }
	g1 := tc.start("g1", cluster.RoleProxy, founder)
	g1.waitReady()
	for _, id := range []cluster.NodeID{"g2", "g3"} {
		tc.start(id, cluster.RoleProxy, func(c *Config) { c.Join, c.Timing = []string{g1.cfg.Self.PublicURL}, Timing{} }).waitReady()
	}
	g2 := tc.nodes["g2"]
	g2.until("all voters", hasVoters(3))
	g1.reigning()
	thaw := frozen.Freeze(t, mnt)
	began := time.Now()
	g2.create("meanwhile")
	t.Logf("a change was made after %v", time.Since(began))
	if primary := g2.View().Map.Primary; primary == "g1" {
		t.Error("the primary is g1 still")
	}
	g2.tells("g1", "votes again, by itself")
	eventually(t, "a lease of g1", func() bool { return g1.Lease() == nil })
	thaw()
	eventually(t, "g1 to vote again", func() bool { return g1.Stats().Raft == "follower" })
	g2.tells("g1", "")
	g1.reigning() // it has the whole log
	g1.create("afterwards")
	g2.until("both", func(v *cluster.View) bool { return hasBucket("meanwhile")(v) && hasBucket("afterwards")(v) })
}
