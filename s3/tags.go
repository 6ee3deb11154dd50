package s3

import (
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of tags.
const (
	maxObjectTags = 10
	maxBucketTags = 50
	maxTagKey     = 128 // characters
	maxTagValue   = 256
)

// Tag is one key and value.
type Tag struct{ Key, Value string }

func invalidTag(message string) error { return E("s3.Tags", "tag", "InvalidTag", message) }

func checkTag(key, value string) error {
	switch {
	case key == "" || utf8.RuneCountInString(key) > maxTagKey || !utf8.ValidString(key) || strings.ContainsFunc(key, notOfTags):
		return invalidTag("The TagKey you have provided is invalid")
	case utf8.RuneCountInString(value) > maxTagValue || !utf8.ValidString(value) || strings.ContainsFunc(value, notOfTags):
		return invalidTag("The TagValue you have provided is invalid")
	case strings.HasPrefix(key, "aws:"):
		return invalidTag("System tags cannot be added/updated by requester")
	}
	return nil
}

// notOfTags reports whether a character may not be in a tag: it may be a letter with its marks, a digit or space of any script, or one of _.:/=+-@.
func notOfTags(r rune) bool {
	return !unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.Z) && !strings.ContainsRune("_.:/=+-@", r)
}

// ParseTagHeader reads x-amz-tagging: "k=v&k2=v2", encoded as a query.
func ParseTagHeader(h string) (map[string]string, error) {
	if h == "" {
		return nil, nil
	}
	m := map[string]string{}
	for _, p := range ParseQuery(h) {
		if err := addTag(m, p.Name, p.Value, maxObjectTags); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func addTag(m map[string]string, key, value string, limit int) error {
	if err := checkTag(key, value); err != nil {
		return err
	}
	if _, ok := m[key]; ok {
		return invalidTag("Cannot provide multiple Tags with the same key")
	}
	if len(m) == limit {
		return invalidTag("Object tags cannot be greater than " + itoa(limit))
	}
	m[key] = value
	return nil
}

// ParseObjectTags reads the body of a PutObjectTagging.
func ParseObjectTags(doc []byte) (map[string]string, error) { return parseTagging(doc, maxObjectTags) }

// ParseBucketTags reads the body of a PutBucketTagging.
func ParseBucketTags(doc []byte) (map[string]string, error) { return parseTagging(doc, maxBucketTags) }

func parseTagging(doc []byte, limit int) (map[string]string, error) {
	root, err := parseXML(doc, "Tagging")
	if err != nil {
		return nil, err
	}
	return parseTagSet(root.child("TagSet"), limit)
}

// parseTagSet reads an element that holds Tag elements and nothing else.
func parseTagSet(set *element, limit int) (map[string]string, error) {
	if set == nil || !set.only("Tag") {
		return nil, malformed("TagSet")
	}
	m := make(map[string]string, min(len(set.kids), limit))
	for i := range set.kids {
		t, err := parseTag(&set.kids[i])
		if err != nil {
			return nil, err
		}
		if err := addTag(m, t.Key, t.Value, limit); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// parseTag reads a Tag element: one key, one value.
func parseTag(e *element) (Tag, error) {
	k, v := e.child("Key"), e.child("Value")
	if k == nil || v == nil || len(e.kids) != 2 {
		return Tag{}, malformed("Tag")
	}
	return Tag{k.text, v.text}, nil
}

// AppendTagging appends the document of a set of tags, sorted.
func AppendTagging(b []byte, tags map[string]string) []byte {
	b = append(b, xmlHeader+"<Tagging"+xmlns+"><TagSet>"...)
	for _, t := range sorted(tags) {
		b = appendTag(b, "Tag", t)
	}
	return append(b, "</TagSet></Tagging>"...)
}

func appendTag(b []byte, element string, t Tag) []byte {
	b = append(append(append(b, '<'), element...), '>')
	b = appendText(b, "Key", t.Key)
	b = appendText(b, "Value", t.Value)
	return append(append(append(b, "</"...), element...), '>')
}

func sorted(m map[string]string) []Tag {
	ts := make([]Tag, 0, len(m))
	for k, v := range m {
		ts = append(ts, Tag{k, v})
	}
	sort.Slice(ts, func(i, j int) bool { return ts[i].Key < ts[j].Key })
	return ts
}
