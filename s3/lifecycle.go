package s3

import (
	"strconv"
	"strings"
	"time"
)

// Lifecycle is a bucket's lifecycle configuration, validated.
type Lifecycle struct{ Rules []LifecycleRule }

// LifecycleRule is one rule. All conditions of its filter must hold.
type LifecycleRule struct {
	ID      string
	Enabled bool
	Filter  LifecycleFilter

	Days              int       // of Expiration; 0 = not set
	Date              time.Time // of Expiration; zero = not set
	ExpiredMarkers    bool      // Expiration removes delete markers behind which nothing is left
	NoncurrentDays    int       // 0 = not set
	NewerNoncurrent   int       // noncurrent versions to keep
	AbortUploadsAfter int       // days; 0 = not set
}

// LifecycleFilter says of which objects a rule speaks.
type LifecycleFilter struct {
	Form     filterForm
	Prefixes []string // each must match: those of Filter and of And, or that of the rule
	Tags     []Tag
	Greater  int64 // -1 = not set
	Less     int64 // -1 = not set
}

// filterForm is how the document wrote it, so that it is returned alike.
type filterForm uint8

const (
	formRule   filterForm = iota // Prefix of the rule
	formFilter                   // Filter with at most one condition
	formAnd                      // Filter with And
)

const maxLifecycleRules = 1000

// ParseLifecycle reads a LifecycleConfiguration. Rules without an id get one. Transitions are checked and then refused: there is one class of storage.
func ParseLifecycle(doc []byte) (*Lifecycle, error) {
	const op = "s3.ParseLifecycle"
	root, err := parseXML(doc, "LifecycleConfiguration")
	if err != nil {
		return nil, err
	}
	if len(root.kids) == 0 || !root.only("Rule") || len(root.kids) > maxLifecycleRules {
		return nil, malformed("LifecycleConfiguration")
	}
	l := &Lifecycle{Rules: make([]LifecycleRule, 0, len(root.kids))}
	ids := make(map[string]bool, len(root.kids))
	for i := range root.kids {
		r, err := parseRule(&root.kids[i])
		if err != nil {
			return nil, err
		}
		if r.ID != "" && ids[r.ID] {
			return nil, E(op, "ID", "InvalidArgument", "Rule ID must be unique. Found same ID for more than one rule")
		}
		ids[r.ID] = true
		l.Rules = append(l.Rules, r)
	}
	for i, n := 0, 1; i < len(l.Rules); i++ {
		for l.Rules[i].ID == "" {
			if id := "rule-" + itoa(n); !ids[id] {
				l.Rules[i].ID, ids[id] = id, true
			}
			n++
		}
	}
	return l, nil
}

func parseRule(e *element) (LifecycleRule, error) {
	const op = "s3.ParseLifecycle"
	r := LifecycleRule{ID: e.value("ID")}
	if len(r.ID) > 255 {
		return r, E(op, "ID", "InvalidArgument", "ID length should not exceed allowed limit of 255")
	}
	if !e.only("ID", "Status", "Prefix", "Filter", "Expiration", "Transition", "NoncurrentVersionExpiration", "NoncurrentVersionTransition", "AbortIncompleteMultipartUpload") {
		return r, malformed("Rule")
	}
	switch e.value("Status") {
	case "Enabled":
		r.Enabled = true
	case "Disabled":
	default:
		return r, malformed("Status")
	}
	var err error
	if r.Filter, err = parseFilter(e); err != nil {
		return r, err
	}
	if err := parseActions(e, &r); err != nil {
		return r, err
	}
	tagged := len(r.Filter.Tags) > 0
	if tagged && r.ExpiredMarkers {
		return r, E(op, "ExpiredObjectDeleteMarker", "InvalidRequest", "ExpiredObjectDeleteMarker cannot be specified with Tags.")
	}
	if r.AbortUploadsAfter > 0 && (tagged || r.Filter.Greater >= 0 || r.Filter.Less >= 0) {
		return r, E(op, "AbortIncompleteMultipartUpload", "InvalidRequest", "AbortIncompleteMultipartUpload cannot be specified with Tags or sizes.")
	}
	return r, nil
}

func parseFilter(e *element) (LifecycleFilter, error) {
	f := LifecycleFilter{Greater: -1, Less: -1}
	filter, prefix := e.child("Filter"), e.child("Prefix")
	switch {
	case filter != nil && prefix != nil, e.count("Filter") > 1, e.count("Prefix") > 1:
		return f, malformed("Filter")
	case filter == nil && prefix == nil: // AWS wants one of the two; clients of the first version leave it out
		f.Prefixes = []string{""}
		return f, nil
	case prefix != nil:
		f.Prefixes = []string{prefix.text}
		return f, nil
	}
	f.Form = formFilter
	if err := f.conditions(filter, "And"); err != nil {
		return f, err
	}
	if and := filter.child("And"); and != nil {
		f.Form = formAnd
		if filter.count("And") > 1 || len(and.kids) == 0 {
			return f, malformed("And")
		}
		if err := f.conditions(and, ""); err != nil {
			return f, err
		}
	}
	if f.Greater >= 0 && f.Less >= 0 && f.Greater >= f.Less {
		return f, E("s3.ParseLifecycle", "ObjectSizeLessThan", "InvalidRequest", "ObjectSizeLessThan has to be a value greater than ObjectSizeGreaterThan")
	}
	return f, nil
}

// conditions reads what stands in a Filter or an And.
func (f *LifecycleFilter) conditions(e *element, also string) error {
	for i := range e.kids {
		k := &e.kids[i]
		ok := true
		switch k.name {
		case "Prefix":
			f.Prefixes = append(f.Prefixes, k.text)
		case "Tag":
			t, err := parseTag(k)
			if err != nil {
				return err
			}
			if err := checkTag(t.Key, t.Value); err != nil {
				return err
			}
			for _, have := range f.Tags {
				ok = ok && have.Key != t.Key
			}
			f.Tags = append(f.Tags, t)
		case "ObjectSizeGreaterThan":
			f.Greater, ok = parseSize(strings.TrimSpace(k.text))
		case "ObjectSizeLessThan":
			f.Less, ok = parseSize(strings.TrimSpace(k.text))
			ok = ok && f.Less > 0
		default:
			ok = k.name == also
		}
		if !ok {
			return malformed(k.name)
		}
	}
	return nil
}

func parseActions(e *element, r *LifecycleRule) error {
	const op = "s3.ParseLifecycle"
	if e.count("Expiration") > 1 || e.count("NoncurrentVersionExpiration") > 1 || e.count("AbortIncompleteMultipartUpload") > 1 {
		return malformed("Rule")
	}
	actions := 0
	if x := e.child("Expiration"); x != nil {
		if err := parseExpiration(x, r); err != nil {
			return err
		}
		if r.Days > 0 || !r.Date.IsZero() || r.ExpiredMarkers {
			actions++
		}
	}
	if x := e.child("NoncurrentVersionExpiration"); x != nil {
		actions++
		var err error
		if r.NoncurrentDays, err = positive(x, "NoncurrentDays"); err != nil {
			return err
		}
		if x.has("NewerNoncurrentVersions") {
			if r.NewerNoncurrent, err = positive(x, "NewerNoncurrentVersions"); err != nil {
				return err
			}
		}
	}
	if x := e.child("AbortIncompleteMultipartUpload"); x != nil {
		actions++
		var err error
		if r.AbortUploadsAfter, err = positive(x, "DaysAfterInitiation"); err != nil {
			return err
		}
	}
	for i := range e.kids {
		if k := &e.kids[i]; k.name == "Transition" || k.name == "NoncurrentVersionTransition" {
			return refuseTransition(k)
		}
	}
	if actions == 0 {
		return E(op, "Rule", "InvalidRequest", "At least one action needs to be specified in a rule")
	}
	return nil
}

func parseExpiration(x *element, r *LifecycleRule) error {
	const op = "s3.ParseLifecycle"
	if len(x.kids) != 1 {
		return malformed("Expiration")
	}
	switch k := &x.kids[0]; k.name {
	case "Days":
		var err error
		r.Days, err = positive(x, "Days")
		return err
	case "Date":
		t, err := midnight(x.value("Date"))
		r.Date = t
		return err
	case "ExpiredObjectDeleteMarker":
		v, ok := x.truthOf(k.name)
		if !ok {
			return malformed(k.name)
		}
		r.ExpiredMarkers = bool(v)
		return nil
	}
	return E(op, "Expiration", "MalformedXML", "")
}

func midnight(s string) (time.Time, error) {
	t, ok := parseDate(s)
	if !ok {
		return t, malformed("Date")
	}
	if t != t.Truncate(24*time.Hour) {
		return t, E("s3.ParseLifecycle", "Date", "InvalidArgument", "'Date' must be at midnight GMT")
	}
	return t, nil
}

func positive(x *element, name string) (int, error) {
	v := x.value(name)
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil {
		return 0, malformed(name)
	}
	if n < 1 {
		return 0, E("s3.ParseLifecycle", name, "InvalidArgument", "'"+name+"' must be a positive integer")
	}
	return int(n), nil
}

// refuseTransition finds what is wrong with a transition before it says that none is served.
func refuseTransition(x *element) error {
	if d := x.value("Date"); d != "" {
		if _, err := midnight(d); err != nil {
			return err
		}
	}
	if c := x.value("StorageClass"); c == "" {
		return malformed("StorageClass")
	} else if _, err := CheckClass(c); err != nil {
		return malformed("StorageClass")
	}
	return E("s3.ParseLifecycle", x.name, "NotImplemented", "Transitions are not implemented: there is one class of storage.")
}

// AppendXML appends the document of l, each rule in the form in which it came.
func (l *Lifecycle) AppendXML(b []byte) []byte {
	b = append(b, xmlHeader+"<LifecycleConfiguration"+xmlns+">"...)
	for i := range l.Rules {
		b = l.Rules[i].appendXML(b)
	}
	return append(b, "</LifecycleConfiguration>"...)
}

func (r *LifecycleRule) appendXML(b []byte) []byte {
	b = append(b, "<Rule>"...)
	switch {
	case r.Days > 0:
		b = append(appendInt(append(b, "<Expiration>"...), "Days", int64(r.Days)), "</Expiration>"...)
	case !r.Date.IsZero():
		b = append(appendTime(append(b, "<Expiration>"...), "Date", r.Date), "</Expiration>"...)
	case r.ExpiredMarkers:
		b = append(b, "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"...)
	}
	b = appendText(b, "ID", r.ID)
	b = r.Filter.appendXML(b)
	if r.Enabled {
		b = appendText(b, "Status", "Enabled")
	} else {
		b = appendText(b, "Status", "Disabled")
	}
	if r.NoncurrentDays > 0 {
		b = appendInt(append(b, "<NoncurrentVersionExpiration>"...), "NoncurrentDays", int64(r.NoncurrentDays))
		if r.NewerNoncurrent > 0 {
			b = appendInt(b, "NewerNoncurrentVersions", int64(r.NewerNoncurrent))
		}
		b = append(b, "</NoncurrentVersionExpiration>"...)
	}
	if r.AbortUploadsAfter > 0 {
		b = appendInt(append(b, "<AbortIncompleteMultipartUpload>"...), "DaysAfterInitiation", int64(r.AbortUploadsAfter))
		b = append(b, "</AbortIncompleteMultipartUpload>"...)
	}
	return append(b, "</Rule>"...)
}

func (f *LifecycleFilter) appendXML(b []byte) []byte {
	if f.Form == formRule {
		return appendText(b, "Prefix", f.Prefixes[0])
	}
	b = append(b, "<Filter>"...)
	if f.Form == formAnd {
		b = append(b, "<And>"...)
	}
	for _, p := range f.Prefixes {
		b = appendText(b, "Prefix", p)
	}
	for _, t := range f.Tags {
		b = appendTag(b, "Tag", t)
	}
	if f.Greater >= 0 {
		b = appendInt(b, "ObjectSizeGreaterThan", f.Greater)
	}
	if f.Less >= 0 {
		b = appendInt(b, "ObjectSizeLessThan", f.Less)
	}
	if f.Form == formAnd {
		b = append(b, "</And>"...)
	}
	return append(b, "</Filter>"...)
}
