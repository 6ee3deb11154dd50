package spare

import (
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLook compares looks at a machine that is made up: what is told of processors and disks between them.
func TestLook(t *testing.T) {
	cores := float64(min(runtime.GOMAXPROCS(0), runtime.NumCPU()))
	disk, other := unix.Mkdev(259, 3), unix.Mkdev(8, 16)
	type state struct {
		after      time.Duration
		stat, disk string
		own        time.Duration
	}
	const empty = "cpu  100 0 50 1000 20 0 0 0 0 0\ncpu0 1 2 3 4 5\n"
	for name, c := range map[string]struct {
		states []state
		want   Reading
	}{
		"the first look": {[]state{{stat: empty}}, Reading{}},
		"too soon":       {[]state{{stat: empty}, {after: atLeast / 2, stat: empty}}, Reading{}},
		"long ago":       {[]state{{stat: empty}, {after: 2 * atMost, stat: empty}}, Reading{}},
		"no /proc":       {[]state{{}, {after: time.Second}}, Reading{}},
		"nothing idle":   {[]state{{stat: empty}, {after: time.Second, stat: empty}}, Reading{Known: true}},
		"half of one processor, and what waits for a disk": {
			[]state{{stat: empty}, {after: time.Second, stat: "cpu 900 0 50 1030 40 0 0\n"}}, Reading{Known: true, Idle: 0.5},
		},
		"a larger machine, of which this process may use little": {
			[]state{{stat: empty}, {after: time.Second, stat: "cpu 900 0 50 900000 20 0 0\n", own: time.Duration(cores * 0.75 * float64(time.Second))}},
			Reading{Known: true, Idle: cores * 0.25},
		},
		"the busier disk": {
			[]state{
				{stat: empty, disk: "   8      16 sdb 1 0 2 3 4 0 5 6 0 1000 9 0 0\n 259       3 nvme0n1p1 1 0 2 3 4 0 5 6 0 500 9 0\n"},
				{after: 2 * time.Second, stat: empty, disk: "   8      16 sdb 1 0 2 3 4 0 5 6 0 1200 9 0 0\n 259       3 nvme0n1p1 1 0 2 3 4 0 5 6 0 2000 9 0\n"},
			}, Reading{Known: true, Disk: 0.75},
		},
		"a disk that came": {
			[]state{{stat: empty}, {after: time.Second, stat: empty, disk: "259 3 nvme0n1p1 1 0 2 3 4 0 5 6 0 500 9 0\n"}}, Reading{Known: true, Disk: 1},
		},
	} {
		var now state
		at := time.Unix(1_000_000, 0)
		m := Meter{
			read: func(name string) []byte {
				if name == "stat" {
					return []byte(now.stat)
				}
				return []byte(now.disk)
			},
			now:  func() time.Time { return at },
			used: func() time.Duration { return now.own },
		}
		var got Reading
		for _, now = range c.states {
			at = at.Add(now.after)
			var devices []uint64
			if strings.Contains(name, "disk that") || strings.Contains(name, "busier") {
				devices = []uint64{disk, other}
			}
			got = m.Look(devices)
		}
		c.want.Cores = cores
		if math.Abs(got.Idle-c.want.Idle) > 1e-9 || math.Abs(got.Disk-c.want.Disk) > 1e-9 || got.Known != c.want.Known || got.Cores != c.want.Cores {
			t.Errorf("%s: %+v, not %+v", name, got, c.want)
		}
	}
}

// TestRealMachine: what the kernel tells can be read.
func TestRealMachine(t *testing.T) {
	var st unix.Stat_t
	if err := unix.Stat(t.TempDir(), &st); err != nil {
		t.Fatal(err)
	}
	var m Meter
	m.Look([]uint64{st.Dev})
	time.Sleep(2 * atLeast) // a reading is of a time that passes
	r := m.Look([]uint64{st.Dev})
	if !r.Known || r.Cores < 1 || r.Idle < 0 || r.Idle > r.Cores || r.Disk < 0 || r.Disk > 1 {
		t.Errorf("%+v", r)
	}
}
