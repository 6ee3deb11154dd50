package target_test

import (
	"testing"

	"aistore/cluster"
	"aistore/object"
)

// TestJobsFollowProperties: a job that began before its bucket got versions keeps what it deletes and overwrites since.
func TestJobsFollowProperties(t *testing.T) {
	w := newWorld(t, 1)
	o := w.targets[0]
	before := w.plane.get().Buckets.Get("", "bk")
	for _, k := range []string{"gone", "over", "from"} {
		o.want(t, 200, call{method: "PUT", path: objects + "bk/" + k, body: []byte("first of " + k)})
	}
	w.plane.set(func(v *cluster.View) {
		v.Buckets.Buckets[cluster.BucketKey("", "bk")].Props.S3.Versioning = cluster.VersioningEnabled
	})
	jobs := o.target.Objects()
	if _, err := jobs.Delete(t.Context(), before, "gone"); err != nil {
		t.Fatal(err)
	}
	if _, err := jobs.Copy(t.Context(), before, "from", before, "over"); err != nil {
		t.Fatal(err)
	}
	o.want(t, 404, call{method: "GET", path: objects + "bk/gone"})
	for _, k := range []string{"gone", "over"} {
		obj, err := o.store.OpenVersion(object.Name{Bucket: before.ID, Key: k}, object.NullVersion)
		if err != nil {
			t.Errorf("%s is not kept: %v", k, err)
			continue
		}
		if string(obj.Bytes()) != "first of "+k {
			t.Errorf("%s: %q", k, obj.Bytes())
		}
		obj.Close()
	}
}
