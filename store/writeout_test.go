package store

import (
	"bytes"
	"sync"
	"testing"

	"aistore/cluster"
	"aistore/fs"
)

// outs are the ranges that were given to WriteOut, by file.
type outs struct {
	mu sync.Mutex
	of map[string][][2]int64
}

type outFS struct {
	fs.FS
	outs *outs
}

type outRoot struct {
	fs.Root
	outs *outs
}

type outFile struct {
	fs.File
	outs *outs
	name string
}

func (s outFS) OpenRoot(path string) (fs.Root, error) {
	r, err := s.FS.OpenRoot(path)
	return outRoot{r, s.outs}, err
}

func (r outRoot) OpenFile(name string, flag int) (fs.File, error) {
	f, err := r.Root.OpenFile(name, flag)
	if err != nil {
		return nil, err
	}
	return outFile{f, r.outs, name}, nil
}

func (f outFile) WriteOut(off, length int64) {
	f.outs.mu.Lock()
	defer f.outs.mu.Unlock()
	f.outs.of[f.name] = append(f.outs.of[f.name], [2]int64{off, length})
}

// TestWriteOut: what is written of a long blob is on its way to the disk before the blob is synced, all of it but the last piece.
func TestWriteOut(t *testing.T) {
	for name, tc := range map[string]struct {
		size  int
		class cluster.Durability
		files int
	}{
		"long":           {5*writeOut + 321, cluster.Local, 1},
		"short":          {writeOut / 2, cluster.Local, 0},
		"not to be kept": {5*writeOut + 321, cluster.Volatile, 0},
	} {
		t.Run(name, func(t *testing.T) {
			o := &outs{of: map[string][][2]int64{}}
			s, err := Open(t.Context(), crashConfig(outFS{fs.NewMem(), o}, []string{"/mp1"}))
			must(t, err)
			defer func() { must(t, s.Close()) }()
			_, err = s.PutStream(t.Context(), b1("k"), bytes.NewReader(make([]byte, tc.size)), PutOptions{Size: int64(tc.size), Durability: tc.class})
			must(t, err)
			if len(o.of) != tc.files {
				t.Fatalf("written out: %v", o.of)
			}
			for f, ranges := range o.of {
				end := int64(0)
				for _, r := range ranges {
					if r[0] != end || r[1] < writeOut {
						t.Errorf("%s: %v", f, ranges)
					}
					end = r[0] + r[1]
				}
				if left := int64(tc.size) - end; left > writeOut {
					t.Errorf("%s: %v, and %d bytes not", f, ranges, left)
				}
			}
		})
	}
}
