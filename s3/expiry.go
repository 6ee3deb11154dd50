package s3

import (
	"strings"
	"time"

	"aistore/object"
)

// calendarDay is the length of a lifecycle day unless s3.lifecycle_day says otherwise (for tests).
const calendarDay = 24 * time.Hour

// never is later than every clock.
var never = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// due is when something is days old: a calendar day counts to the next midnight, as AWS rounds; a shorter day does not round.
func due(from time.Time, days int, day time.Duration) time.Time {
	if int64(days) > int64(never.Sub(from)/day) {
		return never
	}
	t := from.UTC().Add(time.Duration(days) * day)
	if day == calendarDay {
		t = t.Truncate(calendarDay).Add(calendarDay)
	}
	return t
}

// dueOn is when a rule with a date takes what was written at from: on that date, and what is written later at the end of the day, since AWS
// looks once a day, at midnight. A shorter day ends that long after the write.
func dueOn(date, from time.Time, day time.Duration) time.Time {
	end := from.UTC().Add(day)
	if day == calendarDay {
		end = end.Truncate(calendarDay)
	}
	if from.Before(date) {
		return date
	}
	return end
}

// matches reports whether the filter speaks of an object.
func (f *LifecycleFilter) matches(info *object.Info) bool {
	for _, p := range f.Prefixes {
		if !strings.HasPrefix(info.Key, p) {
			return false
		}
	}
	for _, t := range f.Tags {
		if v, ok := info.Tags[t.Key]; !ok || v != t.Value {
			return false
		}
	}
	return (f.Greater < 0 || info.Size > f.Greater) && (f.Less < 0 || info.Size < f.Less)
}

// Prefix returns what every object begins with of which an enabled rule speaks; "" when they have nothing in common.
func (l *Lifecycle) Prefix() string {
	common, found := "", false
	for i := range l.Rules {
		if r := &l.Rules[i]; r.Enabled {
			p := ""
			for _, q := range r.Filter.Prefixes {
				if len(q) > len(p) {
					p = q
				}
			}
			if !found {
				common, found = p, true
			}
			for !strings.HasPrefix(p, common) {
				common = common[:len(common)-1]
			}
		}
	}
	return common
}

// Expires returns when the current version of an object goes, and by which rule; false if never. Delete markers: MarkerExpires.
func (l *Lifecycle) Expires(info *object.Info, day time.Duration) (at time.Time, rule string, ok bool) {
	for i := range l.Rules {
		r := &l.Rules[i]
		if !r.Enabled || r.Days == 0 && r.Date.IsZero() || !r.Filter.matches(info) {
			continue
		}
		t := dueOn(r.Date, info.Created, day)
		if r.Days > 0 {
			t = due(info.Created, r.Days, day)
		}
		if !ok || t.Before(at) {
			at, rule, ok = t, r.ID, true
		}
	}
	return at, rule, ok
}

// NoncurrentExpires reports whether a noncurrent version goes now. since is when its successor was written; newer counts the noncurrent
// versions of the name that are newer than it.
func (l *Lifecycle) NoncurrentExpires(info *object.Info, since time.Time, newer int, day time.Duration, now time.Time) bool {
	for i := range l.Rules {
		r := &l.Rules[i]
		if r.Enabled && r.NoncurrentDays > 0 && newer >= r.NewerNoncurrent && r.Filter.matches(info) && !now.Before(due(since, r.NoncurrentDays, day)) {
			return true
		}
	}
	return false
}

// MarkerExpires reports whether a delete marker that is all that is left of its name goes now. Sizes and tags in a filter leave markers alone.
func (l *Lifecycle) MarkerExpires(marker *object.Info, day time.Duration, now time.Time) bool {
	for i := range l.Rules {
		r := &l.Rules[i]
		if !r.Enabled || len(r.Filter.Tags) > 0 || r.Filter.Greater >= 0 || r.Filter.Less >= 0 || !r.Filter.matches(marker) {
			continue
		}
		if r.ExpiredMarkers || r.Days > 0 && !now.Before(due(marker.Created, r.Days, day)) || !r.Date.IsZero() && !now.Before(dueOn(r.Date, marker.Created, day)) {
			return true
		}
	}
	return false
}

// UploadExpires reports whether an upload under way is aborted now.
func (l *Lifecycle) UploadExpires(key string, initiated time.Time, day time.Duration, now time.Time) bool {
	info := object.Info{Key: key}
	for i := range l.Rules {
		r := &l.Rules[i]
		if r.Enabled && r.AbortUploadsAfter > 0 && r.Filter.matches(&info) && !now.Before(due(initiated, r.AbortUploadsAfter, day)) {
			return true
		}
	}
	return false
}

// AbortsUploads reports whether an enabled rule aborts uploads.
func (l *Lifecycle) AbortsUploads() bool {
	for i := range l.Rules {
		if l.Rules[i].Enabled && l.Rules[i].AbortUploadsAfter > 0 {
			return true
		}
	}
	return false
}

// ExpiresVersions reports whether an enabled rule removes objects, versions or markers.
func (l *Lifecycle) ExpiresVersions() bool {
	for i := range l.Rules {
		if r := &l.Rules[i]; r.Enabled && (r.Days > 0 || !r.Date.IsZero() || r.ExpiredMarkers || r.NoncurrentDays > 0) {
			return true
		}
	}
	return false
}

// AppendExpiration appends the x-amz-expiration header line of an object, nothing when it does not expire. The header speaks of calendar
// days, whatever length a lifecycle day has.
func (l *Lifecycle) AppendExpiration(b []byte, info *object.Info) []byte {
	if l == nil {
		return b
	}
	at, rule, ok := l.Expires(info, calendarDay)
	if !ok {
		return b
	}
	b = append(b, `x-amz-expiration: expiry-date="`...)
	b = at.UTC().AppendFormat(b, "Mon, 02 Jan 2006 15:04:05 GMT")
	b = append(b, `", rule-id="`...)
	return append(EncodeKey(b, rule), "\"\r\n"...)
}
