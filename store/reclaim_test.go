package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aistore/errs"
	"aistore/fs"
	"aistore/object"
)

// A disk that small objects have filled takes writes again once half of them were deleted: their room is the index's, which
// gives it back by itself only when as much again is written, and that it cannot be.
func TestDeletesMakeRoom(t *testing.T) {
	dir := loopDisk(t, 96)
	s := testStore(t, Config{FS: fs.OS{}, Mountpaths: []string{dir + "/mp"}, HealthEvery: 200 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	defer run.Wait()
	defer cancel()
	run.Go(func() { must(t, s.Run(ctx)) })
	data := make([]byte, 4<<10)
	put := func(key string) error {
		_, err := s.Put(t.Context(), object.Name{Bucket: 1, Key: key}, data, PutOptions{Durability: "volatile"})
		return err
	}
	n := 0
	var err error
	for ; err == nil; n++ {
		err = put(fmt.Sprintf("d/%08d", n))
	}
	if !errs.Is(err, errs.Full) {
		t.Fatal(err)
	}
	must(t, s.volumes()[0].db.Compact(t.Context(), []byte{0}, []byte{0xff}, false)) // what it comes to some time later
	for i := 0; i < n-1; i += 2 {                                                   // each beside one that stays
		if _, err := s.Delete(t.Context(), object.Name{Bucket: 1, Key: fmt.Sprintf("d/%08d", i)}, DeleteOptions{Durability: "volatile"}); err != nil {
			t.Fatal(err)
		}
	}
	c, err := s.volumes()[0].mp.Statfs()
	must(t, err)
	t.Logf("%d objects; then %d bytes free, %d kept", n, c.Free, s.volumes()[0].space.low)
	again, want := 0, n/4
	await(t, fmt.Sprintf("%d more objects find room", want), func() bool {
		for again < want {
			if put(fmt.Sprintf("again/%08d", again)) != nil {
				return false
			}
			again++
		}
		return true
	})
}

// The room of a bucket of small objects comes back although nothing else is written, and the disk is not full.
func TestDestroyMakesRoom(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, Config{FS: fs.OS{}, Mountpaths: []string{dir}})
	data := make([]byte, 32<<10)
	for i := range 1000 {
		if _, err := s.Put(t.Context(), object.Name{Bucket: 7, Key: fmt.Sprint(i)}, data, PutOptions{Durability: "volatile"}); err != nil {
			t.Fatal(err)
		}
	}
	must(t, s.volumes()[0].ifs.Flush(s.volumes()[0].db))
	tables := func() (size int64) {
		must(t, filepath.WalkDir(dir+"/index", func(name string, d os.DirEntry, err error) error {
			if err == nil && (strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".blob")) {
				fi, ferr := d.Info()
				if err = ferr; err == nil {
					size += fi.Size()
				}
			}
			if errors.Is(err, os.ErrNotExist) { // pebble has removed it meanwhile
				return nil
			}
			return err
		}))
		return size
	}
	if size := tables(); size < 30<<20 {
		t.Fatalf("%d bytes of tables", size)
	}
	must(t, s.DestroyBucket(context.Background(), 7))
	await(t, "the room of the bucket", func() bool { return tables() < 8<<20 }) // but for tables that have other keys as well
}

// Blobs that use up the inodes of a disk, long before its bytes, leave some to the index: the mountpath stays in service, and deletes make room.
func TestInodesRunOut(t *testing.T) {
	dir := loopDisk(t, 192, "-N", "300")
	s := testStore(t, Config{FS: fs.OS{}, Mountpaths: []string{dir + "/mp"}})
	put := func(key string, size int) error {
		_, err := s.Put(t.Context(), object.Name{Bucket: 1, Key: key}, make([]byte, size), PutOptions{Durability: "volatile"})
		return err
	}
	n := 0
	var err error
	for ; err == nil && n < 1000; n++ {
		err = put(fmt.Sprintf("large/%d", n), 100<<10)
	}
	if !errs.Is(err, errs.Full) || !strings.Contains(err.Error(), "inodes") || n < 100 {
		t.Fatalf("after %d blobs: %v", n, err)
	}
	for i := range 2000 { // which would be too much for one log
		if err := put(fmt.Sprintf("small/%d", i), 4<<10); err != nil && !errs.Is(err, errs.Full) {
			t.Fatal(err)
		}
	}
	if infos := s.Mountpaths(); infos[0].State != fs.Enabled || !infos[0].Full {
		t.Errorf("%+v", infos[0])
	}
	for i := range n - 1 {
		if _, err := s.Delete(t.Context(), object.Name{Bucket: 1, Key: fmt.Sprintf("large/%d", i)}, DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	must(t, put("large/again", 100<<10))
	must(t, put("small/again", 4<<10))
}
