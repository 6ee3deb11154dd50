package rebalance

import (
	"bytes"
	"fmt"
	"testing"

	"aistore/cksum"
	"aistore/cluster"
	"aistore/object"
	"aistore/store"
)

// TestAppendsLeave: what clients have appended and not flushed is with the owners of the names when its node has moved, with the handles that the clients
// have, whatever becomes of the node; also when the owner learns of it only after a restart.
func TestAppendsLeave(t *testing.T) {
	for _, step := range []cluster.Transition{cluster.StartMaintenance, cluster.ShutdownNode, cluster.DecommissionNode} {
		t.Run(string(step), func(t *testing.T) {
			w := newWorld(t, 3, 2)
			w.fill(100)
			type session struct {
				handle string
				data   []byte
			}
			open := map[string]*session{}
			for i := 0; len(open) < 12; i++ {
				key := fmt.Sprint("log", i)
				if w.view().Owner(w.bucket, key).ID != "t1" {
					continue
				}
				s := &session{data: content(key, i, 1+i*20_000)}
				n := object.Name{Bucket: w.bucket.ID, Key: key}
				var err error
				if s.handle, err = w.hosts["t1"].store.BeginAppend(t.Context(), n); err == nil {
					s.handle, err = w.hosts["t1"].store.Append(t.Context(), n, s.handle, bytes.NewReader(s.data))
				}
				if err != nil {
					t.Fatal(err)
				}
				open[key] = s
			}
			w.hosts["t2"].down()
			w.step(step, "t1")
			w.begun("t1")
			w.hosts["t2"].up(nil)
			w.until("t1 has moved", func(m *cluster.Map) bool { return m.Nodes["t1"] == nil || m.Sources["t1"].Stage != cluster.Moving })
			w.settled()
			if n, size := w.hosts["t1"].store.Appends(); n != 0 || size != 0 {
				t.Errorf("%d sessions of %d bytes stayed", n, size)
			}
			w.hosts["t1"].down()
			for key, s := range open {
				owner, n := w.hosts[w.view().Owner(w.bucket, key).ID], object.Name{Bucket: w.bucket.ID, Key: key}
				more := content(key, -1, 3000)
				h, err := owner.store.Append(t.Context(), n, s.handle, bytes.NewReader(more))
				if err == nil {
					_, err = owner.store.FlushAppend(t.Context(), n, h, store.PutOptions{Epoch: w.view().Map.Epoch, Checksum: cksum.XXHash})
				}
				if err != nil {
					t.Errorf("%s: %v", key, err)
					continue
				}
				if got, err := owner.read(key); err != nil || !bytes.Equal(got, append(s.data, more...)) {
					t.Errorf("%s: %d bytes: %v", key, len(got), err)
				}
			}
		})
	}
}
