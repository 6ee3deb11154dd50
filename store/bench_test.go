package store

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"aistore/cksum"
	"aistore/fs"
	"aistore/object"
)

// cpu is the processor time this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measure runs f b.N times in parallel and reports processor time per operation beside the usual.
func measure(b *testing.B, parallel int, f func(i int64)) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	start := cpu(b)
	for range parallel {
		wg.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= int64(b.N) {
					return
				}
				f(i)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64((cpu(b)-start).Microseconds())/float64(b.N), "cpu-us/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

func benchStore(b *testing.B, cfg Config) *Store {
	cfg.FS, cfg.Mountpaths = fs.OS{}, []string{b.TempDir()}
	return testStore(b, cfg)
}

var benchSizes = []int{4 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10, 1 << 20}

func must(b testing.TB, err error) {
	if err != nil {
		b.Fatal(err)
	}
}

func BenchmarkPut(b *testing.B) {
	for _, mode := range []struct {
		name   string
		inline int
	}{{"inline", 256 << 10}, {"blob", -1}} {
		for _, size := range benchSizes {
			if mode.inline > 0 && size > mode.inline {
				continue
			}
			b.Run(fmt.Sprintf("%s/%dK", mode.name, size>>10), func(b *testing.B) {
				s := benchStore(b, Config{InlineMax: mode.inline})
				data := random(size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				measure(b, 32, func(i int64) {
					_, err := s.Put(context.Background(), object.Name{Bucket: 1, Key: fmt.Sprintf("bench/%08d", i)}, data,
						PutOptions{Epoch: 1, Checksum: cksum.XXHash, Size: -1})
					must(b, err)
				})
			})
		}
	}
}

func BenchmarkGet(b *testing.B) {
	for _, mode := range []struct {
		name   string
		inline int
	}{{"inline", 256 << 10}, {"blob", -1}} {
		for _, size := range benchSizes {
			if mode.inline > 0 && size > mode.inline {
				continue
			}
			b.Run(fmt.Sprintf("%s/%dK", mode.name, size>>10), func(b *testing.B) {
				s := benchStore(b, Config{InlineMax: mode.inline})
				data := random(size)
				const names = 2000
				for i := range names {
					_, err := s.Put(context.Background(), object.Name{Bucket: 1, Key: fmt.Sprintf("bench/%08d", i)}, data,
						PutOptions{Epoch: 1, Checksum: cksum.XXHash, Size: -1, Durability: "volatile"})
					must(b, err)
				}
				must(b, s.volumes()[0].db.Flush())
				b.SetBytes(int64(size))
				b.ReportAllocs()
				measure(b, 32, func(i int64) {
					o, err := s.Open(object.Name{Bucket: 1, Key: fmt.Sprintf("bench/%08d", i*7919%names)})
					must(b, err)
					must(b, o.WriteSpan(io.Discard, object.Span{Length: int64(size)}))
					o.Close()
				})
			})
		}
	}
}

func BenchmarkList100k(b *testing.B) {
	s := benchStore(b, Config{})
	const names = 100_000
	var wg sync.WaitGroup
	for w := range 32 {
		wg.Go(func() {
			for i := w; i < names; i += 32 {
				_, err := s.Put(context.Background(), object.Name{Bucket: 1, Key: fmt.Sprintf("bench/%02d/%08d", i%50, i)}, []byte("some content"),
					PutOptions{Epoch: 1, Checksum: cksum.XXHash, Size: -1})
				must(b, err)
			}
		})
	}
	wg.Wait()
	b.ReportAllocs()
	measure(b, 1, func(int64) {
		n := 0
		must(b, s.List(context.Background(), ListQuery{Bucket: 1}, func(*object.Info) bool { n++; return true }))
		if n != names {
			b.Fatalf("%d names", n)
		}
	})
	b.ReportMetric(float64(names*b.N)/b.Elapsed().Seconds(), "names/s")
}

// BenchmarkBarePebble and BenchmarkBareFile are what the store is measured against.
func BenchmarkBarePebble(b *testing.B) {
	for _, size := range benchSizes[:5] {
		b.Run(fmt.Sprintf("%dK", size>>10), func(b *testing.B) {
			s := benchStore(b, Config{})
			db, data := s.volumes()[0].db, random(size)
			b.SetBytes(int64(size))
			measure(b, 32, func(i int64) {
				must(b, db.Set([]byte(fmt.Sprintf("z/%08d", i)), data, pebble.Sync))
			})
		})
	}
}

func BenchmarkBareFile(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprintf("%dK", size>>10), func(b *testing.B) {
			dir, data := b.TempDir(), random(size)
			d, err := os.Open(dir)
			must(b, err)
			b.SetBytes(int64(size))
			measure(b, 32, func(i int64) {
				name := filepath.Join(dir, fmt.Sprintf("%08d", i))
				f, err := os.Create(name + ".work")
				must(b, err)
				_, err = f.Write(data)
				must(b, err)
				must(b, f.Sync())
				must(b, f.Close())
				must(b, os.Rename(name+".work", name))
				must(b, d.Sync())
			})
			must(b, d.Close())
		})
	}
}
