package control

import (
	"sync"

	"github.com/hashicorp/raft"
)

// transport is the library's, but that the end of its member waits for heartbeats. The library carries a heartbeat out where it is read, on the
// connection's goroutine, and waits for none of them when it is shut down. One that tells of a later term writes that to the log, and where the
// log was closed meanwhile the library ends the process.
type transport struct {
	*raft.NetworkTransport

	beats sync.RWMutex // held by heartbeats under way
	ended bool
}

// SetHeartbeatHandler implements raft.Transport.
func (t *transport) SetHeartbeatHandler(handle func(raft.RPC)) {
	t.NetworkTransport.SetHeartbeatHandler(func(rpc raft.RPC) {
		t.beats.RLock()
		defer t.beats.RUnlock()
		if !t.ended {
			handle(rpc)
		}
	})
}

// quiet waits for heartbeats under way. Later ones are ignored: nobody waits for their answers once the transport is closed.
func (t *transport) quiet() {
	t.beats.Lock()
	defer t.beats.Unlock()
	t.ended = true
}
