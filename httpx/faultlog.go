package httpx

import (
	"sync"
	"time"
)

// faultsPerSecond bounds the lines of the log about requests that failed: a full disk refuses thousands a second, and the log may lie on it.
const faultsPerSecond = 20

// faultLog decides which faults of requests are told.
type faultLog struct {
	mu     sync.Mutex
	second int64 // in which lines were told
	lines  int
	held   int64 // faults that were not, since the last that was
}

// admit reports whether a fault at the time now is told, and how many before it were not.
func (l *faultLog) admit(now time.Time) (ok bool, held int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := now.Unix(); s != l.second {
		l.second, l.lines = s, 0
	}
	if l.lines++; l.lines > faultsPerSecond {
		l.held++
		return false, 0
	}
	held, l.held = l.held, 0
	return true, held
}
