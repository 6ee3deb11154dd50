package s3

import (
	"fmt"
	"testing"

	"aistore/cluster"
)

// TestCacheForgetsBuckets makes and destroys buckets one after the other: what is kept of those that are gone stays little.
func TestCacheForgetsBuckets(t *testing.T) {
	var c Cache
	kept := func() (n int) {
		c.m.Range(func(any, any) bool { n++; return true })
		return n
	}
	for id := range uint64(1000) {
		b := &cluster.Bucket{ID: id + 1, Name: fmt.Sprint("bucket-", id), Props: cluster.DefaultBucketProps()}
		b.Props.S3.CORS = `<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>`
		v := (&cluster.View{
			Map:     &cluster.Map{Nodes: map[cluster.NodeID]*cluster.Node{}},
			Buckets: &cluster.BucketMap{Buckets: map[string]*cluster.Bucket{b.Key(): b}}, Users: &cluster.UserMap{}, Config: cluster.DefaultConfig(),
		}).Freeze()
		for range 2 {
			if set, err := c.Of(v, b); err != nil || set.CORS == nil {
				t.Fatalf("%+v, %v", set, err)
			}
		}
	}
	if n := kept(); n > fewBuckets+1 {
		t.Errorf("settings of %d buckets are kept, and there is one", n)
	}
}
