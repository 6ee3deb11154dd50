package control

import (
	"os"
	"syscall"
	"testing"

	"aistore/cluster"
)

// TestInvitedWithoutRoom: a node whose directory is on a full disk cannot begin a copy of the log. It goes on without a vote, as it did before it was
// asked for one, and votes once there is room. Needs root, to mount a small file system.
func TestInvitedWithoutRoom(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("cannot mount:", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	tc, all := grow(t, 2)
	t2 := tc.start("t2", cluster.RoleTarget, func(c *Config) {
		c.Join, c.Dir = []string{all[0].cfg.Self.PublicURL}, dir
	})
	t2.waitReady()
	eventually(t, "t2 to be asked twice", func() bool {
		select {
		case <-t2.done:
			t.Fatalf("t2 ended: %v", t2.err)
		default:
		}
		return t2.invited.Load() > 1
	})
	if err := t2.Lease(); err != nil {
		t.Errorf("t2 does not serve: %v", err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
	all[0].until("three voters", hasVoters(3))
}
