//go:build linux && !race

package httpx

import "testing"

// TestShare: a connection takes a turn for each turnBytes that it sent without waiting, and none if it waited.
func TestShare(t *testing.T) {
	for name, tc := range map[string]struct {
		wait  func(s *socket)
		turns int
	}{
		"never waits":        {func(*socket) {}, 2},
		"waits for requests": {func(s *socket) { s.readWaited = true }, 0},
		"waits for room":     {func(s *socket) { s.writeWaited = true }, 0},
	} {
		cn, turns := &connection{s: &Server{}, sock: &socket{}}, 0
		defer cn.s.turns.Close()
		for i := range 12 {
			if i%4 == 0 {
				tc.wait(cn.sock)
			}
			waited, before := cn.sock.readWaited || cn.sock.writeWaited, cn.unwaited
			if cn.share(turnBytes / 4); !waited && cn.unwaited <= before {
				turns++
			}
		}
		if turns != tc.turns {
			t.Errorf("%s: %d turns, not %d", name, turns, tc.turns)
		}
	}
}
