package api

import (
	"encoding/json"
	"sort"
	"strconv"
	"strings"

	"aistore/cksum"
	"aistore/cluster"
	"aistore/errs"
)

// ProviderAIS is the one provider of buckets here.
const ProviderAIS = "ais"

// Namespace of a bucket. UUID names a remote cluster and is always empty here.
type Namespace struct {
	UUID string `json:"uuid"`
	Name string `json:"name"`
}

// Bck names a bucket in JSON.
type Bck struct {
	Name      string    `json:"name"`
	Provider  string    `json:"provider"`
	Namespace Namespace `json:"namespace"`
}

// BckOf names b.
func BckOf(b *cluster.Bucket) Bck {
	return Bck{Name: b.Name, Provider: ProviderAIS, Namespace: Namespace{Name: b.Namespace}}
}

// String returns "ais://name" or "ais://#ns/name".
func (b Bck) String() string { return cluster.BucketURI(b.Namespace.Name, b.Name) }

// Path returns "ais/@#ns/name/", the form of QueryBucketTo; with an object's name behind it, that of QueryObjectTo.
func (b Bck) Path() string { return ProviderAIS + "/" + b.Namespace.String() + "/" + b.Name + "/" }

// String returns "@uuid#name", the form of QueryNamespace.
func (n Namespace) String() string { return "@" + n.UUID + "#" + n.Name }

// CheckProvider accepts "" and "ais". Providers of AIStore that are other clouds are Unsupported, others Invalid.
func CheckProvider(p string) error {
	const op = "api.CheckProvider"
	switch strings.ToLower(p) {
	case "", ProviderAIS:
		return nil
	case "aws", "s3", "gcp", "gs", "azure", "az", "oci", "oc", "ht", "hdfs":
		return errs.F(op, "provider", errs.Unsupported, "%q is a remote backend, which this cluster does not have: use ais", p)
	}
	return errs.F(op, "provider", errs.Invalid, "%q is unknown: use ais", p)
}

// ParseNamespace reads "@uuid#name", "#name" or "". Another cluster's namespace is Unsupported.
func ParseNamespace(s string) (Namespace, error) {
	const op = "api.ParseNamespace"
	if s == "" || s == "@#" || s == "#" {
		return Namespace{}, nil
	}
	uuid, name, _ := strings.Cut(s, "#")
	if rest, at := strings.CutPrefix(uuid, "@"); at {
		uuid = rest
	} else if uuid != "" {
		return Namespace{}, errs.F(op, "namespace", errs.Invalid, "%q is not @UUID#NAME or #NAME", s)
	}
	if uuid != "" {
		return Namespace{}, errs.F(op, "namespace", errs.Unsupported, "%q names a remote cluster, and none is attached", s)
	}
	if err := cluster.CheckNamespace(name); err != nil {
		return Namespace{}, err
	}
	return Namespace{Name: name}, nil
}

// Check tells whether b can name a bucket here; it does not tell whether the bucket exists.
func (b Bck) Check() error {
	if err := CheckProvider(b.Provider); err != nil {
		return err
	}
	if _, err := ParseNamespace(b.Namespace.String()); err != nil {
		return err
	}
	return cluster.CheckBucketName(b.Name)
}

// ParseBckPath reads "ais/@#ns/name/" (the slash at the end is optional); field is named in errors.
func ParseBckPath(field, s string) (Bck, error) {
	b, key, err := ParseObjectPath(field, strings.TrimSuffix(s, "/")+"/")
	if err == nil && key != "" {
		err = errs.F("api.ParseBckPath", field, errs.Invalid, "%q goes on after the bucket's name", s)
	}
	return b, err
}

// ParseObjectPath reads "ais/@#ns/bucket/object", the form of QueryObjectTo.
func ParseObjectPath(field, s string) (Bck, string, error) {
	parts := strings.SplitN(s, "/", 4)
	if len(parts) < 4 {
		return Bck{}, "", errs.F("api.ParseObjectPath", field, errs.Invalid, "%q is not PROVIDER/@#NAMESPACE/BUCKET/OBJECT", s)
	}
	b := Bck{Provider: parts[0], Name: parts[2]}
	if err := CheckProvider(b.Provider); err != nil {
		return b, "", errs.E("api.ParseObjectPath", field, err)
	}
	b.Provider = ProviderAIS
	ns, err := ParseNamespace(parts[1])
	if err != nil {
		return b, "", errs.E("api.ParseObjectPath", field, err)
	}
	b.Namespace = ns
	if err := cluster.CheckBucketName(b.Name); err != nil {
		return b, "", errs.E("api.ParseObjectPath", field, err)
	}
	return b, parts[3], nil
}

// ChecksumProps is part of BucketProps.
type ChecksumProps struct {
	Type            cksum.Type `json:"type"`
	ValidateWarmGet bool       `json:"validate_warm_get"` // recompute the whole-object checksum on full reads; blocks are always verified
}

// VersioningProps is part of BucketProps.
type VersioningProps struct {
	Enabled bool `json:"enabled"`
}

// S3Props is part of BucketProps: what native clients may know and set of the S3 endpoint.
type S3Props struct {
	MultiRange bool `json:"multi_range"` // answer several ranges in one GET
}

// BucketProps is the JSON of a bucket's properties, in HeaderBucketProps and in the bucket map.
type BucketProps struct {
	Provider   string             `json:"provider"`
	Checksum   ChecksumProps      `json:"checksum"`
	Versioning VersioningProps    `json:"versioning"` // of objects that S3 clients write
	Durability cluster.Durability `json:"durability"`
	StaleReads bool               `json:"stale_reads"` // reads go on when no primary answers, and may be out of date then
	S3         S3Props            `json:"s3"`
	Owner      string             `json:"owner,omitempty"` // id of a user
	BID        string             `json:"bid"`             // hexadecimal bucket id
	Created    int64              `json:"created,string"`  // unix nanoseconds
	Seed       uint64             `json:"seed,string"`     // placement seed
}

// PropsOf renders b's properties.
func PropsOf(b *cluster.Bucket) BucketProps {
	return BucketProps{
		Provider:   ProviderAIS,
		Checksum:   ChecksumProps{Type: b.Props.Checksum, ValidateWarmGet: b.Props.ValidateOnGet},
		Versioning: VersioningProps{b.Props.S3.Versioning == cluster.VersioningEnabled},
		Durability: b.Props.Durability,
		StaleReads: b.Props.StaleReads,
		S3:         S3Props{b.Props.S3.MultiRange},
		Owner:      b.Owner,
		BID:        strconv.FormatUint(b.ID, 16),
		Created:    b.Created.UnixNano(),
		Seed:       b.Seed,
	}
}

// prop is one property that can be set.
type prop struct {
	name, help string
	values     []string // all that there are
	set        func(p *cluster.BucketProps, value string) error
	get        func(p *cluster.BucketProps) string
}

func props() []prop {
	onOff := []string{"true", "false"}
	return []prop{
		{
			"checksum.type", "checksum of whole objects: xxhash, crc32, crc32c, crc64nvme, md5, sha1, sha256 or none",
			[]string{"xxhash", "crc32", "crc32c", "crc64nvme", "md5", "sha1", "sha256", "none"},
			func(p *cluster.BucketProps, v string) (err error) { p.Checksum, err = cksum.ParseType(v); return err },
			func(p *cluster.BucketProps) string { return p.Checksum.String() },
		},
		{
			"checksum.validate_warm_get", "recompute the whole-object checksum on full reads: true or false", onOff,
			func(p *cluster.BucketProps, v string) (err error) {
				p.ValidateOnGet, err = strconv.ParseBool(v)
				return err
			},
			func(p *cluster.BucketProps) string { return strconv.FormatBool(p.ValidateOnGet) },
		},
		{
			"durability", "what an acknowledged write survives: local (power loss) or volatile (crash of the process)",
			[]string{string(cluster.Local), string(cluster.Volatile)},
			func(p *cluster.BucketProps, v string) error { p.Durability = cluster.Durability(v); return nil },
			func(p *cluster.BucketProps) string { return string(p.Durability) },
		},
		{
			"stale_reads", "let reads of objects go on when no primary answers, out of date as they may be: true or false", onOff,
			func(p *cluster.BucketProps, v string) (err error) {
				p.StaleReads, err = strconv.ParseBool(v)
				return err
			},
			func(p *cluster.BucketProps) string { return strconv.FormatBool(p.StaleReads) },
		},
		{
			"versioning.enabled", "keep the versions of what S3 clients overwrite or delete: true or false (stops it; kept versions stay)", onOff,
			func(p *cluster.BucketProps, v string) error {
				on, err := strconv.ParseBool(v)
				setVersioning(p, on)
				return err
			},
			func(p *cluster.BucketProps) string {
				return strconv.FormatBool(p.S3.Versioning == cluster.VersioningEnabled)
			},
		},
		{
			"s3.multi_range", "answer several ranges in one S3 GET, which AWS does not: true or false", onOff,
			func(p *cluster.BucketProps, v string) (err error) {
				p.S3.MultiRange, err = strconv.ParseBool(v)
				return err
			},
			func(p *cluster.BucketProps) string { return strconv.FormatBool(p.S3.MultiRange) },
		},
	}
}

// setVersioning switches it; a bucket that has had versions is never without again.
func setVersioning(p *cluster.BucketProps, on bool) {
	switch {
	case on:
		p.S3.Versioning = cluster.VersioningEnabled
	case p.S3.Versioning != "":
		p.S3.Versioning = cluster.VersioningSuspended
	}
}

// ResetProps gives everything that SetProp changes its default, and leaves what only S3 clients set.
func ResetProps(p cluster.BucketProps) cluster.BucketProps {
	next := cluster.DefaultBucketProps()
	next.S3 = p.S3
	next.S3.MultiRange = false
	setVersioning(&next, false)
	return next
}

// PropInfo describes one settable bucket property, for help and completion.
type PropInfo struct {
	Name, Help string
	Values     []string // all that it takes
}

// PropNames lists what SetProp takes.
func PropNames() []PropInfo {
	var infos []PropInfo
	for _, p := range props() {
		infos = append(infos, PropInfo{p.name, p.help, p.values})
	}
	return infos
}

// PropValue returns the text of a property, "" if there is none of that name.
func PropValue(p cluster.BucketProps, name string) string {
	for _, known := range props() {
		if known.name == name {
			return known.get(&p)
		}
	}
	return ""
}

// SetProp changes one property by its dotted name and validates the result.
func SetProp(p *cluster.BucketProps, name, value string) error {
	const op = "api.SetProp"
	for _, known := range props() {
		if known.name != name {
			continue
		}
		next := *p
		if err := known.set(&next, value); err != nil {
			return errs.F(op, name, errs.Invalid, "%q is no value of it (%s)", value, known.help)
		}
		if err := next.Validate(); err != nil {
			return err
		}
		*p = next
		return nil
	}
	return errs.F(op, name, errs.Invalid, "is not a bucket property that can be set: use %s", strings.Join(propList(), ", "))
}

func propList() []string {
	var names []string
	for _, p := range props() {
		names = append(names, p.name)
	}
	return names
}

// ParseProps applies a JSON object such as {"checksum":{"type":"md5"}} (the value of ActSetProps and ActCreateBucket)
// to base. Nested and dotted names mean the same. Every unknown name is named in the error.
func ParseProps(raw json.RawMessage, base cluster.BucketProps) (cluster.BucketProps, error) {
	const op = "api.ParseProps"
	if len(raw) == 0 || string(raw) == "null" {
		return base, nil
	}
	flat, err := Flatten("bucket properties", raw)
	if err != nil {
		return base, err
	}
	delete(flat, "force") // AIStore's "ignore what is not critical"; nothing here is
	known := map[string]bool{}
	for _, n := range propList() {
		known[n] = true
	}
	var unknown, names []string
	for n := range flat {
		if names = append(names, n); !known[n] {
			unknown = append(unknown, n)
		}
	}
	if len(unknown) > 0 {
		sort.Strings(unknown)
		return base, errs.F(op, strings.Join(unknown, ", "), errs.Invalid, "cannot be set: use %s", strings.Join(propList(), ", "))
	}
	sort.Strings(names)
	for _, n := range names {
		if err := SetProp(&base, n, flat[n]); err != nil {
			return base, err
		}
	}
	return base, nil
}

// Flatten reads a JSON object as settings: dotted names and their values as text. what is named in errors.
func Flatten(what string, raw json.RawMessage) (map[string]string, error) {
	var tree map[string]any
	if err := json.Unmarshal(raw, &tree); err != nil {
		return nil, errs.F("api.Flatten", what, errs.Invalid, "%s", jsonFault(err))
	}
	flat := map[string]string{}
	return flat, flatten(flat, what, "", tree, 0)
}

func flatten(out map[string]string, what, prefix string, tree map[string]any, depth int) error {
	const op = "api.Flatten"
	if depth > 4 || len(out) > 100 {
		return errs.E(op, what, errs.Invalid, "are nested too deep or too many")
	}
	for k, v := range tree {
		name := prefix + k
		if len(name) > 128 {
			return errs.F(op, name[:32]+"...", errs.Invalid, "is too long for a name")
		}
		switch v := v.(type) {
		case map[string]any:
			if err := flatten(out, what, name+".", v, depth+1); err != nil {
				return err
			}
		case string:
			out[name] = v
		case bool:
			out[name] = strconv.FormatBool(v)
		case float64:
			out[name] = strconv.FormatFloat(v, 'f', -1, 64)
		case nil: // not set
		default:
			return errs.E(op, name, errs.Invalid, "cannot be a JSON array")
		}
	}
	return nil
}
