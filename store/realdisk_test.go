package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"aistore/errs"
	"aistore/fs"
)

// disk is a file system of its own on a loop device. It needs root.
type disk struct {
	t     *testing.T
	dir   string // where it is mounted
	image string
	dev   string
}

func run(t *testing.T, cmd string) (string, error) {
	t.Helper()
	out, err := exec.Command("sh", "-c", cmd).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// newDisk makes and mounts a file system; kind is ext4 or xfs. under is where the image is.
func newDisk(t *testing.T, kind, under string, mib int64) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	mkfs := map[string]string{"ext4": "mkfs.ext4 -q -m 0 -E lazy_itable_init=0,lazy_journal_init=0", "xfs": "mkfs.xfs -q -f"}[kind]
	if _, err := exec.LookPath(strings.Fields(mkfs)[0]); err != nil {
		t.Skipf("%s is not installed", strings.Fields(mkfs)[0])
	}
	d := &disk{t: t, dir: t.TempDir() + "/mnt", image: under + "/image"}
	must(t, os.MkdirAll(d.dir, 0o755))
	f, err := os.Create(d.image)
	must(t, err)
	must(t, errors.Join(f.Truncate(mib<<20), f.Close()))
	if out, err := run(t, mkfs+" "+d.image); err != nil {
		t.Skipf("%s: %v %s", mkfs, err, out)
	}
	if out, err := run(t, "mount -o loop "+d.image+" "+d.dir); err != nil {
		t.Skipf("mount: %v %s", err, out)
	}
	t.Cleanup(d.unmount)
	if d.dev, err = run(t, "findmnt -n -o SOURCE "+d.dir); err != nil {
		t.Fatalf("findmnt: %v %s", err, d.dev)
	}
	return d
}

// unmount tries until the kernel has let go.
func (d *disk) unmount() {
	var out string
	var err error
	for range 50 {
		if out, err = run(d.t, "umount "+d.dir); err == nil || strings.Contains(out, "not mounted") {
			return
		}
		time.Sleep(100 * time.Millisecond) // the kernel tells nobody when it has let go
	}
	d.t.Errorf("umount: %v %s", err, out)
}

// harm is something that happens to a disk.
type harm struct {
	name, kind string
	do         func(d *disk) error
}

func harms() []harm {
	cmd := func(format string) func(d *disk) error {
		return func(d *disk) error {
			out, err := run(d.t, strings.NewReplacer("DIR", d.dir, "DEV", d.dev, "NAME", strings.TrimPrefix(d.dev, "/dev/")).Replace(format))
			if err != nil {
				return fmt.Errorf("%s: %w %s", format, err, out)
			}
			return nil
		}
	}
	return []harm{
		{"xfs forced shutdown", "xfs", cmd("xfs_io -x -c shutdown DIR")},
		{"ext4 error, read-only", "ext4", cmd("mount -o remount,errors=remount-ro DIR && echo 1 > /sys/fs/ext4/NAME/trigger_fs_error")},
		{"lazy unmount", "ext4", cmd("umount -l DIR")},
		{"lazy unmount", "xfs", cmd("umount -l DIR")},
	}
}

// TestRealDisks: one of two disks breaks under a running store. A look at the disks notices, its names are kind Mountpath, and new
// writes of them go to the other.
func TestRealDisks(t *testing.T) {
	for _, h := range harms() {
		t.Run(h.name+" "+h.kind, func(t *testing.T) {
			d := newDisk(t, h.kind, t.TempDir(), 400)
			good := t.TempDir()
			s, err := Open(t.Context(), Config{Mountpaths: []string{d.dir + "/mp", good + "/mp"}, NodeID: "n"})
			must(t, err)
			defer func() { _ = s.Close() }() // the disk is gone: an error is right
			for i := range 60 {
				put(t, s, fmt.Sprintf("k%d", i), random(200_000*(i%2)+10))
			}
			s.checkDisks()
			s.replaceFailed()
			if err := h.do(d); err != nil {
				t.Skip(err)
			}
			await(t, "it is noticed", func() bool {
				s.checkDisks() // what Run does every few seconds
				s.replaceFailed()
				return slices.ContainsFunc(s.Mountpaths(), func(i fs.Info) bool {
					return strings.HasPrefix(i.Path, d.dir) && i.State == fs.Disabled && i.Standing == fs.Failed && i.Reason != ""
				})
			})
			away := 0
			for i := range 60 {
				n := b1(fmt.Sprintf("k%d", i))
				if _, err := s.Stat(n); errs.Is(err, errs.Mountpath) {
					away++
					put(t, s, n.Key, []byte("again"))
					if string(get(t, s, n)) != "again" {
						t.Errorf("%s is not what was written", n.Key)
					}
				} else if err != nil {
					t.Error(err)
				}
			}
			if away < 5 {
				t.Errorf("%d names were on the broken disk", away)
			}
			must(t, s.Close())
		})
	}
}

// TestLostWriteBack: the disk's image lies on a file system that fills up, so the kernel takes writes that it cannot write back. The
// sync tells, and nothing that was not synced is acknowledged.
func TestLostWriteBack(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	under := t.TempDir() + "/tmpfs"
	must(t, os.Mkdir(under, 0o755))
	if out, err := run(t, "mount -t tmpfs -o size=160m none "+under); err != nil {
		t.Skipf("tmpfs: %v %s", err, out)
	}
	small := &disk{t: t, dir: under}
	t.Cleanup(small.unmount)
	d := newDisk(t, "ext4", under, 1000)
	// Linux 6.18 calls a request of a loop device done of which the file below has taken only the beginning: pages are taken whole.
	if out, err := run(t, "echo 4 > /sys/block/"+strings.TrimPrefix(d.dev, "/dev/")+"/queue/max_sectors_kb"); err != nil {
		t.Skipf("the requests of a loop device cannot be divided here: %v %s", err, out)
	}
	good := t.TempDir()
	s, err := Open(t.Context(), Config{Mountpaths: []string{d.dir + "/mp", good + "/mp"}, NodeID: "n"})
	must(t, err)
	defer func() { _ = s.Close() }() // the disk is broken: an error is right
	acked := map[string]int{}
	for i := 0; i < 2000; i++ {
		key := fmt.Sprintf("k%d", i)
		if _, err := s.Put(context.Background(), b1(key), content(i), PutOptions{Size: -1}); err == nil {
			acked[key] = i
		} else if !errs.Is(err, errs.Mountpath, errs.Full) {
			t.Fatal(err)
		} else {
			break
		}
	}
	s.checkDisks()
	s.replaceFailed()
	failed := false
	for _, i := range s.Mountpaths() {
		failed = failed || i.State == fs.Disabled
	}
	if !failed {
		t.Skip("the kernel reported no lost write")
	}
	for key, i := range acked {
		o, err := s.Open(b1(key))
		if errs.Is(err, errs.Mountpath) {
			continue
		}
		must(t, err)
		o.Close()
		if string(get(t, s, b1(key))) != string(content(i)) {
			t.Errorf("%s is wrong", key)
		}
	}
}

func content(i int) []byte { return []byte(strings.Repeat(fmt.Sprintf("%09d ", i), 30_000)) }
