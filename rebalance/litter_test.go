package rebalance

import (
	"io/fs"
	"os"
	"strings"
	"testing"

	"aistore/cluster"
)

// blobs counts the files of blobs on a host.
func (h *host) blobs() (n int) {
	err := fs.WalkDir(os.DirFS(h.dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(path, "/blobs/") {
			n++
		}
		return nil // it may go while it is looked at
	})
	if err != nil {
		h.w.t.Error(err)
	}
	return n
}

// TestSweptBlobsGo: a source that has swept gives the room of blobs back, too.
func TestSweptBlobsGo(t *testing.T) {
	w := newWorld(t, 2, 2)
	w.fill(1200)
	before := w.hosts["t1"].blobs() + w.hosts["t2"].blobs()
	w.add("t3")
	w.step(cluster.JoinNode, "t3")
	w.settled()
	w.check()
	if w.hosts["t3"].blobs() == 0 {
		t.Error("nothing with blobs has moved: this shows nothing")
	}
	w.await("blobs are where their keys are", func() bool {
		return w.hosts["t1"].blobs()+w.hosts["t2"].blobs()+w.hosts["t3"].blobs() == before
	})
}
