package target_test

import (
	"testing"

	"aistore/api"
	"aistore/errs"
)

// TestNothingBegun: what a target refuses before it has done anything is of kind busy, so that clients repeat it whatever it is.
func TestNothingBegun(t *testing.T) {
	w := newWorld(t, 2)
	mine, other := w.owner("bk", "o")
	to := w.keyOf(other, "bk", "to")
	begun := mine.want(t, 200, call{method: "PUT", path: path("bk", "o") + "?append_type=append&append_handle=", body: []byte("x")})
	handle := begun.Header.Get(api.HeaderAppendHandle)
	mine.want(t, 200, call{method: "PUT", path: path("bk", "o"), body: []byte("old")})
	refused := func(what string, c call) {
		t.Helper()
		if a := mine.want(t, 503, c); a.kind() != errs.Busy {
			t.Errorf("%s: kind %v, %s", what, a.kind(), a.body)
		}
	}
	rename := call{method: "POST", path: path("bk", "o"), body: []byte(`{"action":"rename","name":"` + to + `"}`)}
	appended := call{method: "PUT", path: path("bk", "o") + "?append_type=append&append_handle=" + handle, body: []byte("y")}

	mine.ctl.setLease(errs.E("test", "lease", errs.Unavailable, "has just started"), nil)
	refused("append without a lease", appended)
	refused("flush without a lease", call{method: "PUT", path: path("bk", "o") + "?append_type=flush&append_handle=" + handle})
	refused("conditional write without a lease", call{method: "PUT", path: path("bk", "o"), body: []byte("new"), header: []string{"If-Match", `"x"`}})
	refused("rename without a lease", rename)
	mine.ctl.setLease(nil, nil)

	other.ctl.setLease(errs.E("test", "lease", errs.Unavailable, "has just started"), nil)
	refused("rename to an owner without a lease", rename)
	other.ctl.setLease(nil, nil)
	other.stop()
	refused("rename to an owner that is gone", rename)
	refused("copy to an owner that is gone", call{method: "PUT", path: path("bk", "o") + "?object_to=ais/@%23/bk/" + to})
	if a := mine.want(t, 200, call{method: "GET", path: path("bk", "o")}); string(a.body) != "old" {
		t.Errorf("holds %q", a.body)
	}
}
