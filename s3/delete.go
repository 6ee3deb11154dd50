package s3

import "time"

// DeleteItem is one object of a DeleteObjects.
type DeleteItem struct {
	Key, VersionID string
	ETag           string    // condition, "" = none; "*" = must exist
	Size           int64     // condition, -1 = none
	Modified       time.Time // condition, zero = none
}

// DeleteRequest is the body of a DeleteObjects.
type DeleteRequest struct {
	Quiet bool
	Items []DeleteItem
}

// ParseDelete reads the body of a DeleteObjects: 1 to 1000 objects.
func ParseDelete(doc []byte) (*DeleteRequest, error) {
	root, err := parseXML(doc, "Delete")
	if err != nil {
		return nil, err
	}
	quiet, ok := root.truthOf("Quiet")
	if !ok {
		return nil, malformed("Quiet")
	}
	n := root.count("Object")
	if n == 0 || n > MaxKeys {
		return nil, malformed("Delete")
	}
	r := &DeleteRequest{Quiet: bool(quiet), Items: make([]DeleteItem, 0, n)}
	for i := range root.kids {
		if k := &root.kids[i]; k.name == "Object" {
			it, err := parseDeleteItem(k)
			if err != nil {
				return nil, err
			}
			r.Items = append(r.Items, it)
		}
	}
	return r, nil
}

func parseDeleteItem(e *element) (DeleteItem, error) {
	it := DeleteItem{VersionID: e.value("VersionId"), ETag: unquote(e.value("ETag")), Size: -1}
	key := e.child("Key")
	if key == nil || key.text == "" {
		return it, malformed("Key")
	}
	it.Key = key.text
	if s := e.value("Size"); s != "" {
		n, ok := parseSize(s)
		if !ok {
			return it, malformed("Size")
		}
		it.Size = n
	}
	if s := e.value("LastModifiedTime"); s != "" {
		t, ok := parseDate(s)
		if !ok {
			return it, malformed("LastModifiedTime")
		}
		it.Modified = t
	}
	return it, nil
}

// Deleted is one line of the reply to a DeleteObjects: what went, or why not.
type Deleted struct {
	Key, VersionID  string
	Marker          bool   // a delete marker was made, or the version that went was one
	MarkerVersionID string // of the marker made or removed
	Code, Message   string // an error
	Again           bool   `json:",omitempty"` // an error that may pass: another node owns the key now, or somebody did not answer
}

// AppendDeleted appends the reply to a DeleteObjects.
func AppendDeleted(b []byte, all []Deleted, quiet Presence) []byte {
	b = append(b, xmlHeader+"<DeleteResult"+xmlns+">"...)
	for i := range all {
		d := &all[i]
		switch {
		case d.Code != "":
			b = append(b, "<Error>"...)
			b = appendText(b, "Key", d.Key)
			b = appendSome(b, "VersionId", d.VersionID)
			b = appendText(b, "Code", d.Code)
			b = appendText(b, "Message", d.Message)
			b = append(b, "</Error>"...)
		case bool(quiet):
		default:
			b = append(b, "<Deleted>"...)
			b = appendText(b, "Key", d.Key)
			b = appendSome(b, "VersionId", d.VersionID)
			if d.Marker {
				b = append(b, "<DeleteMarker>true</DeleteMarker>"...)
				b = appendSome(b, "DeleteMarkerVersionId", d.MarkerVersionID)
			}
			b = append(b, "</Deleted>"...)
		}
	}
	return append(b, "</DeleteResult>"...)
}
