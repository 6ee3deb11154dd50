package store

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"aistore/cksum"
	"aistore/errs"
	"aistore/object"
)

// Uploads whose MD5s go through shared passes get their own sums each, and one that declares another's is refused.
func TestSharedSums(t *testing.T) {
	s := testStore(t, Config{InlineMax: 1 << 10, BlockSize: 4 << 10})
	s.hashing.Short = func() bool { return true }
	parts := object.Name{Bucket: 1, Key: "parts"}
	u, err := s.CreateUpload(t.Context(), parts, UploadOptions{})
	must(t, err)
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			for round := range 3 {
				content := bytes.Repeat([]byte(fmt.Sprintf("content %d of %d. ", round, i)), 20000+i*777)
				sum := cksum.Of(cksum.MD5, content)
				n := object.Name{Bucket: 1, Key: fmt.Sprintf("k%d", i)}
				info, err := s.PutStream(t.Context(), n, bytes.NewReader(content), PutOptions{Size: int64(len(content)), Checksum: cksum.MD5, Expect: []cksum.Value{sum}})
				if err != nil || info.Checksum != sum {
					t.Errorf("%v: %v, %v, want %v", n, info.Checksum, err, sum)
				}
				other := cksum.Of(cksum.MD5, content[1:])
				_, err = s.PutStream(t.Context(), n, bytes.NewReader(content), PutOptions{Size: int64(len(content)), Checksum: cksum.XXHash, Expect: []cksum.Value{other}})
				if !errs.Is(err, errs.Checksum) {
					t.Errorf("%v with a wrong MD5: %v", n, err)
				}
				part, err := s.PutPart(t.Context(), parts, u.ID, i+1, bytes.NewReader(content), PartOptions{Size: int64(len(content))})
				if err != nil || part.ETag != sum.Value {
					t.Errorf("part %d: %v, %v, want %v", i+1, part, err, sum)
				}
			}
		})
	}
	all.Wait()
}
