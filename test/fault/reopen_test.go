package fault

import (
	"context"
	"errors"
	"syscall"
	"testing"

	"aistore/deploy/local"
	"aistore/test/procs"
)

// TestShutdownWhileReopening shuts a target down while it sets aside what it kept and is opened again by its process: the process ends as for every other.
func TestShutdownWhileReopening(t *testing.T) {
	ctx := context.Background()
	c := procs.Start(t, local.Options{Gateways: 1, Targets: 3, Mountpaths: 1, Binary: procs.Node(t, "failpoints")})
	hasten(t, c)
	m := newMover(t, c, procs.Seed(t), c.Client("g1"))
	m.leave(ctx)
	must(t, c.Restart(ctx, comer, "AIS_FAILPOINTS=start.before-aside=stop"))
	must(t, c.Kill(ctx, victim))
	m.retried(ctx, func(ctx context.Context) error {
		_, err := m.api.Life().RemoveNode(ctx, victim)
		return err
	})
	pid := c.PID(comer)
	procs.Eventually(t, procs.Patience, func(context.Context) error { return stopped(pid) })
	_, err := m.api.Life().ShutdownNodes(ctx, nodesMsg(comer))
	must(t, err)
	must(t, c.Signal(comer, syscall.SIGCONT))
	procs.Eventually(t, procs.Patience, func(context.Context) error {
		for _, s := range c.Status() {
			if s.ID == comer && s.PID != 0 {
				return errors.New(comer + " runs")
			}
		}
		return nil
	})
}
