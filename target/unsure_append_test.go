package target_test

import (
	"fmt"
	"testing"

	"aistore/api"
	"aistore/cluster"
)

// TestAppendOutOfReach: a session that may be on a mountpath that is out of service is not said to be gone, and goes on when that is back.
func TestAppendOutOfReach(t *testing.T) {
	for nodes := 1; nodes <= 2; nodes++ {
		w := newWorld(t, nodes)
		o := w.targets[0]
		handles := map[string]string{}
		for i := 0; len(handles) < 12; i++ {
			key := fmt.Sprint("k", i)
			if mine, _ := w.owner("bk", key); nodes > 1 && mine != o {
				continue
			}
			a := o.want(t, 200, call{method: "PUT", path: objects + "bk/" + key + "?append_type=append&append_handle=", body: []byte("some")})
			handles[key] = a.Header.Get(api.HeaderAppendHandle)
		}
		path := o.dir + "/2"
		if err := o.store.Disable(path); err != nil {
			t.Fatal(err)
		}
		refused := 0
		for key, h := range handles {
			a := o.do(t, call{method: "PUT", path: objects + "bk/" + key + "?append_type=append&append_handle=" + h, body: []byte("more")})
			f := o.do(t, call{method: "PUT", path: objects + "bk/" + key + "?append_type=flush&append_handle=" + h})
			switch {
			case a.StatusCode == 200 && f.StatusCode == 200:
				delete(handles, key) // on the other mountpath
			case a.StatusCode == 503 && f.StatusCode == 503:
				refused++
			default:
				t.Errorf("%s: append: status %d, flush: %d", key, a.StatusCode, f.StatusCode)
			}
		}
		if refused == 0 || refused == 12 {
			t.Errorf("%d refused", refused)
		}
		if _, err := o.store.Enable(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		for key, h := range handles {
			o.want(t, 200, call{method: "PUT", path: objects + "bk/" + key + "?append_type=flush&append_handle=" + h})
		}
	}
}

// TestAppendJudgedAnew: an append that is acknowledged has appended all its bytes, at whatever step of it its key has gone to another target and come back.
func TestAppendJudgedAnew(t *testing.T) {
	e := newEpochs(t, 2, 2)
	o := e.targets[0]
	for look := 1; look <= 8; look++ {
		path := objects + "bk/" + e.keyOf(o, "bk", fmt.Sprint("look", look, "-"))
		handle := o.want(t, 200, call{method: "PUT", path: path + "?append_type=append&append_handle=", body: []byte("one ")}).Header.Get(api.HeaderAppendHandle)
		o.ctl.onView(func(n int) {
			if n == look {
				e.move(cluster.StartMaintenance, "t1")
				e.move(cluster.StopMaintenance, "t1")
			}
		})
		want := "one "
		a := o.do(t, call{method: "PUT", path: path + "?append_type=append&append_handle=" + handle, body: []byte("two")})
		if a.StatusCode == 200 {
			handle, want = a.Header.Get(api.HeaderAppendHandle), "one two"
		}
		o.ctl.onView(nil)
		o.want(t, 200, call{method: "PUT", path: path + "?append_type=flush&append_handle=" + handle})
		if g := o.want(t, 200, call{method: "GET", path: path}); string(g.body) != want {
			t.Errorf("owners changed before look %d at the view: append answered %d, and there is %q, want %q", look, a.StatusCode, g.body, want)
		}
	}
}
