package store

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"aistore/fs"
)

// TestLogCutOff shortens, empties, removes and damages logs of a store whose process was killed, each in a way that leaves a log which
// ends properly. What was acknowledged is in them, so the mountpath must not be taken for whole.
func TestLogCutOff(t *testing.T) {
	image := killed(t)
	for _, c := range []struct {
		name  string
		which int // of the logs that are needed, from the newest on
		harm  func(*testing.T, string)
	}{
		{"whole", 0, func(*testing.T, string) {}},
		{"newest emptied", 0, func(t *testing.T, log string) { t.Helper(); must(t, os.Truncate(log, 0)) }},
		{"newest removed", 0, func(t *testing.T, log string) { t.Helper(); must(t, os.Remove(log)) }},
		{"newest cut in its last batch", 0, func(t *testing.T, log string) { t.Helper(); must(t, os.Truncate(log, writtenTo(t, log)-20)) }},
		{"newest cut in half", 0, func(t *testing.T, log string) { t.Helper(); must(t, os.Truncate(log, writtenTo(t, log)/2)) }},
		{"bit flipped in its last batch", 0, func(t *testing.T, log string) { t.Helper(); flipBit(t, log, writtenTo(t, log)-20) }},
		{"one before cut in half", 1, func(t *testing.T, log string) {
			t.Helper()
			fi, err := os.Stat(log)
			must(t, err)
			must(t, os.Truncate(log, fi.Size()/2))
		}},
		{"one before emptied", 1, func(t *testing.T, log string) { t.Helper(); must(t, os.Truncate(log, 0)) }},
		{"one before removed", 1, func(t *testing.T, log string) { t.Helper(); must(t, os.Remove(log)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, os.CopyFS(dir, os.DirFS(image)))
			logs, err := filepath.Glob(filepath.Join(dir, indexDirName, "*.log"))
			must(t, err)
			slices.Sort(logs)
			if len(logs) < 2 {
				t.Fatalf("logs: %q", logs)
			}
			c.harm(t, logs[len(logs)-1-c.which])
			cfg := Config{FS: fs.OS{}, Mountpaths: []string{dir}, NodeID: "node1"}
			s, err := Open(t.Context(), cfg)
			if c.name == "whole" {
				must(t, err)
				for i := range killedNames {
					if got := get(t, s, b1(killedName(i))); len(got) != killedSize {
						t.Errorf("%s: %d bytes", killedName(i), len(got))
					}
				}
				must(t, s.Close())
				return
			}
			if err == nil {
				must(t, s.Close())
				t.Fatal("it opens as if nothing were missing")
			}
			if !strings.Contains(err.Error(), "index is damaged") {
				t.Error(err)
			}
			off := OfflineConfig{FS: fs.OS{}, Mountpath: dir}
			sum, err := RebuildIndex(t.Context(), off, func(f Fault) { t.Logf("%+v", f) })
			must(t, err)
			want := "log damaged"
			if c.name == "one before removed" {
				want = "salvaged" // a manifest that has lost its last edit looks the same
			}
			if sum.OldIndex != want || sum.Damage == 0 {
				t.Errorf("rebuilt: %+v", sum)
			}
			s, err = Open(t.Context(), cfg)
			must(t, err)
			must(t, s.Close())
		})
	}
}

const (
	killedNames = 400
	killedSize  = 60 << 10
)

func killedName(i int) string { return fmt.Sprintf("k%03d", i) }

// killed is the mountpath of a process that was killed while one log's changes were not in tables yet and the next was begun.
func killed(t *testing.T) (dir string) {
	t.Helper()
	image := t.TempDir()
	copied := make(chan struct{})
	slow := &fs.Faulty{FS: fs.OS{}}
	slow.Check = func(op fs.Op, name string) error {
		if op == fs.OpCreate && strings.HasSuffix(name, ".sst") {
			<-copied
		}
		return nil
	}
	at := t.TempDir()
	s, err := Open(t.Context(), Config{FS: slow, Mountpaths: []string{at}, NodeID: "node1"})
	must(t, err)
	var wait sync.WaitGroup
	for w := range 8 {
		wait.Go(func() {
			for i := w; i < killedNames; i += 8 {
				put(t, s, killedName(i), random(killedSize))
			}
		})
	}
	wait.Wait()
	await(t, "the note", func() bool {
		b, err := os.ReadFile(noteIn(at))
		mark := s.volumes()[0].ifs.Mark()
		low := binary.LittleEndian.Uint64(mark[len(mark)-8:])
		return err == nil && len(b) > 20 && binary.LittleEndian.Uint64(b[4:])<<40|binary.LittleEndian.Uint64(b[12:]) == low
	})
	must(t, os.CopyFS(image, os.DirFS(at)))
	close(copied)
	must(t, s.Close())
	return image
}

func noteIn(mountpath string) string { return filepath.Join(mountpath, indexDirName, "SYNCED") }

// writtenTo is how much of the newest log is durable, as the note beside it says.
func writtenTo(t *testing.T, log string) int64 {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(filepath.Dir(log), "SYNCED"))
	must(t, err)
	return int64(binary.LittleEndian.Uint64(b[12:]))
}

func flipBit(t *testing.T, name string, at int64) {
	t.Helper()
	b, err := os.ReadFile(name)
	must(t, err)
	b[at] ^= 8
	must(t, os.WriteFile(name, b, 0o600))
}
