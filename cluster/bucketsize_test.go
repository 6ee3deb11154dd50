package cluster

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"aistore/errs"
)

// TestBucketSize: what is counted is never less than what is written, and not much more of plain buckets.
func TestBucketSize(t *testing.T) {
	plain := Bucket{
		ID: 123456, Name: strings.Repeat("n", 64), Seed: math.MaxUint64, Created: time.Date(2026, 11, 27, 4, 5, 6, 123456789, time.UTC), Props: DefaultBucketProps(), Version: 1234567,
	}
	full := plain
	full.Namespace, full.Owner, full.Props.ValidateOnGet = strings.Repeat("s", 32), strings.Repeat("o", 64), true
	full.Props.S3.Versioning, full.Props.S3.Sealed, full.Props.S3.MultiRange = VersioningSuspended, math.MaxInt32, true
	for _, text := range []string{"", "a", "<a>&\"\\\n\t\x01\x7f", "\u2028\u00e4\U0001f600", "\xff\xfe"} {
		b := full
		p := &b.Props.S3
		for _, f := range []*string{&p.ACL, &p.Policy, &p.CORS, &p.Lifecycle, &p.Tags, &p.PublicAccess, &p.Ownership, &p.Encryption, &p.Logging, &p.Website, &p.Notification} {
			*f = strings.Repeat(text, 50)
		}
		for name, b := range map[string]*Bucket{"plain": &plain, "full": &full, fmt.Sprintf("%q", text): &b} {
			j, err := json.Marshal(map[string]*Bucket{b.Key(): b})
			if err != nil {
				t.Fatal(err)
			}
			if len(j) > b.size() {
				t.Errorf("%s: %d bytes, counted as %d", name, len(j), b.size())
			}
		}
	}
	if most := MaxBuckets * plain.size(); most > maxBucketMap {
		t.Errorf("%d plain buckets count as %d bytes of %d", MaxBuckets, most, maxBucketMap)
	}
}

// TestBucketMapIsBounded: properties cannot make a view that no follower takes over.
func TestBucketMapIsBounded(t *testing.T) {
	m := NewMachine()
	apply := func(cmd Command) error {
		_, err := m.Apply(m.Index+1, Entry{Time: time.Unix(1, 0), Command: cmd})
		return err
	}
	if err := apply(Found{UUID: "u", Secret: make([]byte, 32), Node: Node{ID: "g", Role: RoleProxy, IntraAddr: "g:1", PublicURL: "http://g:2"}}); err != nil {
		t.Fatal(err)
	}
	props := DefaultBucketProps()
	for _, f := range []*string{&props.S3.ACL, &props.S3.CORS, &props.S3.Tags, &props.S3.PublicAccess, &props.S3.Ownership, &props.S3.Encryption, &props.S3.Logging, &props.S3.Website} {
		*f = strings.Repeat("<", maxSub)
	}
	n := 0
	for ; n < 100; n++ {
		if err := apply(CreateBucket{Name: fmt.Sprint("b", n), Props: props}); err != nil {
			if !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "the limit is") {
				t.Fatal(err)
			}
			break
		}
	}
	if n == 0 || n == 100 {
		t.Fatalf("%d buckets of 3 MiB were taken", n)
	}
	if j, err := json.Marshal(m.Buckets); err != nil || len(j) > maxBucketMap {
		t.Errorf("%d bytes, %v", len(j), err)
	}
	if err := apply(CreateBucket{Name: "plain", Props: DefaultBucketProps()}); err != nil {
		t.Errorf("a plain one: %v", err)
	}
	if err := apply(SetBucketProps{Name: "plain", Props: props}); !errs.Is(err, errs.Conflict) {
		t.Errorf("grown: %v", err)
	}
	if err := apply(SetBucketProps{Name: "b0", Props: DefaultBucketProps()}); err != nil {
		t.Errorf("shrunk: %v", err)
	}
	if err := apply(SetBucketProps{Name: "plain", Props: props}); err != nil {
		t.Errorf("there is room again: %v", err)
	}
}
