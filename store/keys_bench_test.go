package store

import (
	"fmt"
	"io"
	"testing"

	"aistore/cksum"
	"aistore/object"
)

// benchFrames exports keys with content of a size.
func benchFrames(b *testing.B, keys, size int) [][]byte {
	s := testStore(b, Config{InlineMax: 64 << 10})
	data := random(size)
	frames := make([][]byte, keys)
	for i := range frames {
		n := b1(fmt.Sprintf("dir/%08d", i))
		must(b, second(s.Put(b.Context(), n, data, PutOptions{Checksum: cksum.XXHash})))
		frames[i] = frameOf(b, s, n)
	}
	return frames
}

// BenchmarkImport applies batches of keys durably; ops are keys.
func BenchmarkImport(b *testing.B) {
	for _, c := range []struct{ size, batch, parallel int }{{4 << 10, 1, 16}, {4 << 10, 64, 4}, {4 << 10, 256, 2}, {4 << 10, 256, 4}, {1 << 20, 8, 4}} {
		b.Run(fmt.Sprintf("%dK/batch%d/by%d", c.size>>10, c.batch, c.parallel), func(b *testing.B) {
			s := benchStore(b, Config{InlineMax: 64 << 10})
			frames := benchFrames(b, min(b.N, 5_000/max(1, c.size>>14)), c.size)
			b.SetBytes(int64(c.size))
			batches := (b.N + c.batch - 1) / c.batch
			n := b.N
			b.N = batches // measure counts batches
			measure(b, c.parallel, func(i int64) {
				var batch [][]byte
				for j := int(i) * c.batch; j < min((int(i)+1)*c.batch, n); j++ {
					batch = append(batch, frames[j%len(frames)])
				}
				for _, r := range s.Import(b.Context(), batch, ImportOptions{Greater: func(_, _ KeyState) bool { return true }}) {
					if r.Err != nil {
						b.Error(r.Err)
					}
				}
			})
			b.N = n
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "keys/s")
		})
	}
}

// BenchmarkExport reads and frames keys.
func BenchmarkExport(b *testing.B) {
	for _, size := range []int{4 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dK", size>>10), func(b *testing.B) {
			s := benchStore(b, Config{InlineMax: 64 << 10})
			const keys = 500
			for i := range keys {
				must(b, second(s.Put(b.Context(), b1(fmt.Sprint(i)), random(size), PutOptions{})))
			}
			b.SetBytes(int64(size))
			measure(b, 2, func(i int64) {
				e, err := s.ExportKey(b1(fmt.Sprint(i % keys)))
				must(b, err)
				if _, err := e.WriteTo(io.Discard); err != nil {
					b.Error(err)
				}
				e.Close()
			})
		})
	}
}

// BenchmarkWalk walks all keys of a mountpath, hashing each as one who asks for its owner does; ops are keys.
func BenchmarkWalk(b *testing.B) {
	s := benchStore(b, Config{})
	const keys = 300_000
	var names []object.Name
	for i := range keys {
		names = append(names, b1(fmt.Sprintf("some/folder/%08d", i)))
	}
	frames := make([][]byte, 0, 256)
	src := testStore(b, Config{})
	for i := range names {
		must(b, second(src.Put(b.Context(), names[i], random(16), PutOptions{Checksum: cksum.XXHash})))
		frames = append(frames, frameOf(b, src, names[i]))
		must(b, src.RemoveKeys(b.Context(), names[i:i+1], nil)[0])
		if len(frames) == cap(frames) || i == len(names)-1 {
			s.Import(b.Context(), frames, ImportOptions{})
			frames = frames[:0]
		}
	}
	must(b, s.volumes()[0].db.Flush())
	var sum uint64
	b.ResetTimer()
	for n := 0; n < b.N; {
		must(b, s.WalkKeys(b.Context(), 0, object.Name{}, func(bucket uint64, key []byte) bool {
			sum += cksum.Digest64(key, bucket)
			n++
			return n < b.N
		}))
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "keys/s")
	if sum == 0 {
		b.Error("nothing was hashed")
	}
}
