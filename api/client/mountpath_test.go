package client

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"aistore/api"
	"aistore/errs"
)

// TestMountpathUnanswered: who does not wait for the end of a change of mountpaths is told that it may still come, and it is asked for once.
func TestMountpathUnanswered(t *testing.T) {
	f := newFake(t, 1, 1)
	c := f.client(nil)
	ctx, leave := context.WithCancel(t.Context())
	asked := make(chan struct{})
	f.setFault("t0", func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == api.PathMountpaths {
			_, _ = io.Copy(io.Discard, r.Body) // its end is what lets the server see that the client has gone
			close(asked)
			<-r.Context().Done()
			return true
		}
		return false
	})
	go func() {
		<-asked
		leave()
	}()
	if _, err := c.ChangeMountpath(ctx, "t0", api.ActMountpathEnable, "/a", MountpathOptions{}); !errs.Is(err, errs.Canceled) || !strings.Contains(err.Error(), "may still take effect") {
		t.Errorf("left: %v", err)
	}
	var asks atomic.Int32
	f.setFault("t0", func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == api.PathMountpaths {
			asks.Add(1)
			panic(http.ErrAbortHandler)
		}
		return false
	})
	if _, err := c.ChangeMountpath(t.Context(), "t0", api.ActMountpathEnable, "/a", MountpathOptions{}); err == nil || !strings.Contains(err.Error(), "may have been carried out or not") || asks.Load() != 1 {
		t.Errorf("the connection broke: %v, asked %d times", err, asks.Load())
	}
}
