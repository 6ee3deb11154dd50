package cluster

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"aistore/errs"
)

// TestS3Props fills every text field up to its limit and beyond.
func TestS3Props(t *testing.T) {
	limits := map[string]int{"policy": maxPolicy, "lifecycle": maxLifecycle}
	typ := reflect.TypeFor[S3Props]()
	fields := 0
	for i := range typ.NumField() {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		if typ.Field(i).Type.Kind() != reflect.String || name == "versioning" {
			continue
		}
		fields++
		limit := limits[name]
		if limit == 0 {
			limit = maxSub
		}
		p := DefaultBucketProps()
		field := reflect.ValueOf(&p.S3).Elem().Field(i)
		field.SetString(strings.Repeat("<", limit))
		if err := p.Validate(); err != nil {
			t.Errorf("%s of %d bytes: %v", name, limit, err)
		}
		field.SetString(strings.Repeat("<", limit+1))
		if err := p.Validate(); !errs.Is(err, errs.TooLarge) || !strings.Contains(err.Error(), "s3."+name+":") {
			t.Errorf("%s of %d bytes: %v", name, limit+1, err)
		}
		field.SetString("a\x00")
		if err := p.Validate(); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "s3."+name+":") {
			t.Errorf("%s with a zero byte: %v", name, err)
		}
	}
	if fields != 11 {
		t.Errorf("%d texts", fields)
	}
	p := S3Props{Versioning: "on"}
	if err := p.Validate(); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "s3.versioning") {
		t.Errorf("versioning: %v", err)
	}
	half := strings.Repeat("<", maxSub)
	p = S3Props{Lifecycle: strings.Repeat("<", maxLifecycle), ACL: half, CORS: half, Tags: half, Website: half}
	if err := p.Validate(); err != nil {
		t.Errorf("together at the limit: %v", err)
	}
	b, err := json.Marshal(SetBucketProps{Name: "b", Props: BucketProps{S3: p}})
	if err != nil || len(b) > 4<<20 {
		t.Errorf("a message of %d bytes, %v: the control plane takes 4 MiB", len(b), err)
	}
	p.Logging = "x"
	if err := p.Validate(); !errs.Is(err, errs.TooLarge) {
		t.Errorf("together beyond the limit: %v", err)
	}
}

// TestAccessKeysHideSecrets prints pairs in every way there is.
func TestAccessKeysHideSecrets(t *testing.T) {
	k := AccessKey{Access: "shown", Secret: "hush-hush"}
	u := &User{Name: "u", Keys: []AccessKey{k}}
	for _, v := range []any{k, &k, u, *u, u.Keys, Found{Root: k}, map[string]*User{"u": u}, UserMap{Users: map[string]*User{"u": u}}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if s := fmt.Sprintf(verb, v); strings.Contains(s, "hush") {
				t.Errorf("%T by %s: %s", v, verb, s)
			}
		}
	}
	for _, bad := range []AccessKey{{"shown", "hush hush", u.Created}, {"shown", "hush", u.Created}, {"sh", "hush-hush", u.Created}} {
		if err := bad.Validate(); !errs.Is(err, errs.Invalid) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
