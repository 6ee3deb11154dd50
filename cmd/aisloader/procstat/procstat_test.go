package procstat

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	stat := "4242 (odd) (name) S 1 4242 4242 0 -1 4194560 12 0 0 0 137 63 9 9 20 0 7 0 99 1 2 3"
	status := "Name:\todd\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\nThreads:\t7\n"
	u, err := parse([]byte(stat), []byte(status))
	if err != nil || u.Name != "odd) (name" || u.CPU != 2*time.Second || u.RSS != 10<<20 || u.PeakRSS != 20<<20 {
		t.Errorf("parsed %+v, %v", u, err)
	}
	for _, bad := range []string{"", "1 sh S", "1 (sh) S 1 2 3", strings.Replace(stat, "137", "x", 1)} {
		if _, err := parse([]byte(bad), nil); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}

// TestSelf works until /proc has seen it, so that the two sources are of one scale.
func TestSelf(t *testing.T) {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		us, err := Read([]int{os.Getpid()})
		if err != nil {
			t.Fatal(err)
		}
		if us[0].CPU < 100*time.Millisecond {
			continue
		}
		self := Self()
		if us[0].CPU > self+3*tick || us[0].CPU < self/2 || us[0].RSS <= 0 {
			t.Errorf("/proc says %+v, getrusage %v", us[0], self)
		}
		return
	}
	t.Fatal("this process has worked for a minute and /proc shows less than 100 ms of CPU time")
}

func TestGone(t *testing.T) {
	if _, err := Read([]int{os.Getpid(), 1 << 30}); err == nil || !strings.Contains(err.Error(), "1073741824") {
		t.Errorf("a process that is not there: %v", err)
	}
}
