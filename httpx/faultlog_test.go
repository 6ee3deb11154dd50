package httpx

import (
	"testing"
	"time"
)

func TestFaultLog(t *testing.T) {
	var l faultLog
	at := time.Unix(1000, 0)
	told := 0
	for range 5 * faultsPerSecond {
		if ok, held := l.admit(at); ok {
			told++
		} else if held != 0 {
			t.Error("counts what is not told")
		}
	}
	if told != faultsPerSecond {
		t.Errorf("told %d", told)
	}
	if ok, held := l.admit(at.Add(time.Second)); !ok || held != 4*faultsPerSecond {
		t.Errorf("%v %d", ok, held)
	}
	if ok, held := l.admit(at.Add(time.Second)); !ok || held != 0 {
		t.Errorf("%v %d", ok, held)
	}
}
