package store

import (
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"aistore/cksum"
	"aistore/fs"
)

// TestManifestFlips flips a bit in each piece of the index's manifest, whose reader takes damage for the end. What was flushed since must
// not be forgotten, also when the piece is the last, and whether or not the flushed log is still there to be replayed.
func TestManifestFlips(t *testing.T) {
	for _, how := range []string{"a clean stop", "a crash", "a crash, a start and a crash"} {
		for _, logs := range []string{"kept", "gone"} {
			t.Run("after "+how+", flushed logs "+logs, func(t *testing.T) {
				mem, want := flushedOften(t, how == "a clean stop")
				if strings.Contains(how, "start") {
					mem = startedAgain(t, mem, want)
				}
				root, err := mem.OpenRoot("/mp1")
				must(t, err)
				if logs == "gone" {
					removeFlushedLogs(t, root)
				}
				if o := flipAndRead(t, mem, indexFiles(t, root, "MANIFEST")[0], 0, 0, want); o != "right" {
					t.Fatalf("nothing flipped: %s", o)
				}
				outcomes := map[string]int{}
				name := "" // the newest: former ones may be there still
				for _, n := range indexFiles(t, root, "MANIFEST") {
					if strings.HasPrefix(path.Base(n), "MANIFEST") {
						name = max(name, n)
					}
				}
				for _, at := range bytesOfPieces(t, root, name) {
					outcomes[flipAndRead(t, mem, name, at, 1, want)]++
				}
				t.Log(outcomes)
				// What the last edit of a start says may be in the tables of the one before already: a start makes some edits by itself.
				if outcomes["refused"] == 0 || logs == "gone" && how != "a crash, a start and a crash" && outcomes["right"] > 0 {
					t.Errorf("what was forgotten was not noticed: %v", outcomes)
				}
			})
		}
	}
}

// flushedOften is a mountpath whose index has been flushed several times, and last of all.
func flushedOften(t *testing.T, clean bool) (*fs.Mem, map[string][]byte) {
	t.Helper()
	mem := fs.NewMem()
	s, err := Open(t.Context(), crashConfig(mem, []string{"/mp1"}))
	must(t, err)
	want := map[string][]byte{}
	for round := range 4 {
		if round > 0 {
			must(t, s.volumes()[0].db.Flush())
		}
		for i := range 10 {
			key := fmt.Sprintf("k%d-%d", round, i)
			want[key] = random([]int{10, 700, 3000}[i%3] + round)
			must(t, second(s.Put(t.Context(), b1(key), want[key], PutOptions{Checksum: cksum.XXHash, Size: -1})))
		}
	}
	if clean {
		must(t, s.Close())
		return mem, want
	}
	must(t, s.volumes()[0].db.Flush())
	must(t, s.volumes()[0].seal())
	crashed := mem.Crash(nil)
	must(t, s.Close())
	return crashed, want
}

// startedAgain is mem after a start, more writes and a crash: what was in its log is in tables, of which the manifest's last edit tells.
func startedAgain(t *testing.T, mem *fs.Mem, want map[string][]byte) *fs.Mem {
	t.Helper()
	for round := range 2 { // the second start finds what was written since the first in its log
		s, err := Open(t.Context(), crashConfig(mem, []string{"/mp1"}))
		must(t, err)
		for i := range 10 {
			key := fmt.Sprintf("again%d-%d", round, i)
			want[key] = random([]int{20, 900, 4000}[i%3] + round)
			must(t, second(s.Put(t.Context(), b1(key), want[key], PutOptions{Checksum: cksum.XXHash, Size: -1})))
		}
		must(t, s.volumes()[0].seal())
		crashed := mem.Crash(nil)
		must(t, s.Close())
		mem = crashed
	}
	return mem
}

// removeFlushedLogs leaves the newest log.
func removeFlushedLogs(t *testing.T, root fs.Root) {
	t.Helper()
	var logs []string
	for _, name := range allFiles(t, root, "index") {
		if strings.HasSuffix(name, ".log") {
			logs = append(logs, name)
		}
	}
	slices.Sort(logs)
	for _, name := range logs[:len(logs)-1] {
		must(t, root.Remove(name))
	}
	must(t, root.SyncDir("index"))
}

// bytesOfPieces returns places in each piece of a manifest: in its CRC, length, type, at the beginning and the end of its payload.
func bytesOfPieces(t *testing.T, root fs.Root, name string) (places []int64) {
	t.Helper()
	f, err := root.OpenFile(name, os.O_RDONLY)
	must(t, err)
	data, err := io.ReadAll(f)
	must(t, err)
	for at := 0; at < len(data); {
		size := 7 + int(data[at+4]) + int(data[at+5])<<8
		for _, off := range []int{0, 4, 6, 7, size - 1} {
			places = append(places, int64(at+off))
		}
		at += size
	}
	return places
}
