// Package uri reads what users write to name buckets and objects: ais://BUCKET, ais://#NAMESPACE/BUCKET,
// ais://BUCKET/OBJECT, and names with ranges such as ais://b/shard-{000..127}.tar.
//
// It only parses; whether the named thing exists is the cluster's to say.
//
// Start at Parse.
package uri

import (
	"regexp"
	"strings"

	"aistore/api"
	"aistore/errs"
)

const scheme = "ais://"

// URI names a bucket, or with a Key an object in it.
type URI struct {
	Bck api.Bck
	Key string // everything behind the bucket's slash, as it stands
}

// String is the inverse of Parse.
func (u URI) String() string {
	if u.Key == "" {
		return u.Bck.String()
	}
	return u.Bck.String() + "/" + u.Key
}

// With returns the object key in u's bucket.
func (u URI) With(key string) URI { return URI{u.Bck, key} }

// Is reports whether s is meant as a URI and not as a local path.
func Is(s string) bool { return strings.Contains(s, "://") }

// Parse reads ais://[#NAMESPACE/]BUCKET[/OBJECT].
func Parse(s string) (URI, error) {
	const op = "uri.Parse"
	provider, rest, ok := strings.Cut(s, "://")
	if !ok {
		return URI{}, errs.F(op, s, errs.Invalid, "is not the name of a bucket or object: write ais://BUCKET or ais://BUCKET/OBJECT")
	}
	if provider == "s3" { // as S3 clients call what is here
		return URI{}, errs.F(op, s, errs.Invalid, "buckets begin with ais://, also those of S3 clients: write ais://%s", rest)
	}
	if err := api.CheckProvider(provider); err != nil || provider == "" {
		return URI{}, errs.F(op, s, errs.Invalid, "buckets begin with ais://, %q is not served", provider+"://")
	}
	u := URI{Bck: api.Bck{Provider: api.ProviderAIS}}
	if strings.HasPrefix(rest, "#") || strings.HasPrefix(rest, "@") {
		ns, after, ok := strings.Cut(rest, "/")
		if !ok {
			return URI{}, errs.F(op, s, errs.Invalid, "names a namespace and no bucket: write ais://#NAMESPACE/BUCKET")
		}
		parsed, err := api.ParseNamespace(ns)
		if err != nil {
			return URI{}, err
		}
		u.Bck.Namespace, rest = parsed, after
	}
	u.Bck.Name, u.Key, _ = strings.Cut(rest, "/")
	if u.Bck.Name == "" {
		return URI{}, errs.F(op, s, errs.Invalid, "names no bucket: write ais://BUCKET or ais://BUCKET/OBJECT")
	}
	return u, u.Bck.Check()
}

// ParseBucket reads the name of a bucket, with or without ais://, and refuses an object's.
func ParseBucket(s string) (api.Bck, error) {
	if !Is(s) {
		s = scheme + s
	}
	if !strings.HasSuffix(s, scheme) {
		s = strings.TrimSuffix(s, "/")
	}
	u, err := Parse(s)
	if err == nil && u.Key != "" {
		err = errs.F("uri.ParseBucket", s, errs.Invalid, "names an object, and a bucket is wanted: write %s", u.Bck)
	}
	return u.Bck, err
}

// ParseObject reads the name of an object and refuses a bucket's.
func ParseObject(s string) (URI, error) {
	u, err := Parse(s)
	if err == nil && u.Key == "" {
		err = errs.F("uri.ParseObject", s, errs.Invalid, "names a bucket, and an object is wanted: write %s/OBJECT", u.Bck)
	}
	return u, err
}

var ranges = regexp.MustCompile(`\{[0-9]+\.\.[0-9]+(\.\.[0-9]+)?\}`)

// HasRange reports whether s holds a range such as {001..100} and so stands for several names. Other braces are
// part of a name.
func HasRange(s string) bool { return ranges.MatchString(s) }

// List splits a comma-separated list of names and drops the empty ones.
func List(s string) []string {
	var names []string
	for _, n := range strings.Split(s, ",") {
		if n = strings.TrimSpace(n); n != "" {
			names = append(names, n)
		}
	}
	return names
}
