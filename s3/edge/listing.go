package edge

import (
	"context"
	"slices"
	"strings"
	"time"

	"aistore/auth/policy"
	"aistore/errs"
	"aistore/list"
	"aistore/object"
	"aistore/s3"
	"aistore/store"
)

// lists are the operations that list what a bucket holds.
type lists struct{ *request }

// page is the memory in which one page of a list is made. Half a megabyte that is fresh for each is dear to clear.
type page struct {
	entries []s3.Entry
	doc     []byte
}

func (e *Edge) page() *page {
	p, ok := e.pages.Get().(*page)
	if !ok {
		p = new(page)
	}
	return p
}

// maxPage is the longest document whose memory is kept.
const maxPage = 1 << 20

func (e *Edge) keepPage(p *page) {
	if cap(p.doc) > maxPage {
		return
	}
	clear(p.entries) // they pin the targets' messages
	e.pages.Put(p)
}

// paging is what all lists of a bucket are asked with.
type paging struct {
	prefix, delimiter string
	url               bool
	max               int
}

func (r *lists) paging(maxName string) (p paging, err error) {
	p.prefix, p.delimiter = r.c.Query("prefix"), r.c.Query("delimiter")
	if p.url, err = s3.ParseEncodingType(r.c.Query("encoding-type")); err != nil {
		return p, err
	}
	if strings.EqualFold(r.c.Query("allow-unordered"), "true") && p.delimiter != "" {
		return p, s3.E("edge.list", "allow-unordered", "InvalidArgument", "allow-unordered and delimiter cannot be used together.")
	}
	p.max, err = s3.ParseCount(maxName, r.c.Query(maxName))
	return p, err
}

func (r *lists) listV1() error {
	p, err := r.paging("max-keys")
	if err != nil {
		return err
	}
	l := &s3.List{Bucket: r.name, Prefix: p.prefix, Delimiter: p.delimiter, MaxKeys: p.max, URL: p.url, Marker: r.c.Query("marker"), FetchOwner: true}
	pg := r.e.page()
	defer r.e.keepPage(pg)
	if err := r.names(l, p.behind(l.Marker), pg); err != nil {
		return err
	}
	if n := len(l.Entries); l.Truncated && n > 0 && p.delimiter != "" {
		l.NextMarker = l.Entries[n-1].Key
	}
	pg.doc = s3.AppendListV1(slices.Grow(pg.doc[:0], 256+400*len(l.Entries)), l)
	return r.sendXML(pg.doc)
}

func (r *lists) listV2() error {
	p, err := r.paging("max-keys")
	if err != nil {
		return err
	}
	l := &s3.List{
		Bucket: r.name, Prefix: p.prefix, Delimiter: p.delimiter, MaxKeys: p.max, URL: p.url,
		StartAfter: r.c.Query("start-after"), HasAfter: r.c.HasQuery("start-after"), FetchOwner: strings.EqualFold(r.c.Query("fetch-owner"), "true"),
		Token: r.c.Query("continuation-token"), HasToken: r.c.HasQuery("continuation-token"),
	}
	after := p.behind(l.StartAfter)
	if l.Token != "" {
		if after, err = s3.ParseToken(l.Token); err != nil {
			return err
		}
	}
	pg := r.e.page()
	defer r.e.keepPage(pg)
	if err := r.names(l, after, pg); err != nil {
		return err
	}
	pg.doc = s3.AppendListV2(slices.Grow(pg.doc[:0], 256+400*len(l.Entries)), l)
	return r.sendXML(pg.doc)
}

// behind returns the list.Request.After of a marker.
func (p *paging) behind(marker string) string { return list.AfterMarker(p.prefix, p.delimiter, marker) }

// names fills l, in the memory of pg, with the names behind after. NextToken is the place of the next page.
func (r *lists) names(l *s3.List, after string, pg *page) error {
	if l.MaxKeys == 0 {
		return nil
	}
	q := list.Request{
		Prefix: l.Prefix, After: after, Delimiter: l.Delimiter, Limit: l.MaxKeys, Fields: list.Size | list.Created | list.ETag | list.Extra,
	}
	var res *list.Result
	err := r.newest(func() (err error) {
		res, err = r.e.lister.Page(r.c.Context(), r.view, r.bucket, q)
		return err
	})
	if err != nil {
		return err
	}
	pg.entries = slices.Grow(pg.entries[:0], len(res.Entries))[:len(res.Entries)]
	l.Entries = pg.entries
	owner := r.ownerOf(r.bucket.Owner)
	for i, e := range res.Entries {
		x := &l.Entries[i]
		*x = s3.Entry{Key: e.Name, Prefix: e.Dir}
		if e.Dir {
			continue
		}
		x.Size, x.ETag, x.Modified, x.Owner = e.Size, e.ETag, time.Unix(0, e.Created), owner
		if e.Extra != "" {
			r.extra(x, e.Extra)
		}
	}
	if l.Truncated = res.Next != ""; l.Truncated {
		l.NextToken = s3.NewToken(res.Next)
	}
	return nil
}

// extra reads what Describe says.
func (r *lists) extra(x *s3.Entry, text string) {
	owner, rest, _ := strings.Cut(text, "\x00")
	class, sum, _ := strings.Cut(rest, "\x00")
	if owner != "" && owner != r.bucket.Owner {
		x.Owner = r.ownerOf(owner)
	}
	x.Class = class
	if sum != "" {
		name, typ, _ := strings.Cut(sum, "\x00")
		if a, err := s3.ParseAlgorithm(name); err == nil {
			x.Algorithm, x.Type = a, s3.ChecksumType(typ)
		}
	}
}

// Describe returns what lists show of an object or upload beyond what all have: its owner, class and checksum; "" if there is nothing.
// It is a target's list.Local that asks.
func Describe(o *object.Info) string { return describe(o.System) }

func describe(system map[string]string) string {
	if len(system) == 0 {
		return ""
	}
	owner, class, sum := "", system[s3.SystemClass], ""
	if text := system[s3.SystemACL]; text != "" {
		if a, err := policy.ParseACL(text); err == nil {
			owner = a.Owner
		}
	}
	if text := system[s3.SystemChecksum]; text != "" {
		if c := s3.DecodeChecksum(text); !c.IsZero() {
			sum = c.Algorithm.Name() + "\x00" + string(c.Type)
		}
	} else if a, t := s3.Wanted(system); a != s3.NoAlgorithm {
		sum = a.Name() + "\x00" + string(t)
	}
	if owner == "" && class == "" && sum == "" {
		return ""
	}
	return owner + "\x00" + class + "\x00" + sum
}

// AddRows makes the versions and uploads of st what l lists.
func AddRows(l *list.Local, st *store.Store) {
	l.AddRows(list.Versions, func(ctx context.Context, q *list.RowQuery, yield func(*list.Row) bool) error {
		return st.ListVersions(ctx, store.VersionQuery{Bucket: q.Bucket, Prefix: q.Prefix, After: q.After, AfterVersion: q.AfterID, Delimiter: q.Delimiter},
			func(o *object.Info) bool {
				if o.VersionID == "" {
					return yield(&list.Row{Key: o.Key, Dir: true})
				}
				return yield(&list.Row{
					Key: o.Key, ID: o.VersionID, Version: o.Version, Latest: o.Latest, Marker: o.DeleteMarker, Size: o.Size, Time: o.Created.UnixNano(), ETag: o.ETag, Extra: Describe(o),
				})
			})
	})
	l.AddRows(list.Uploads, func(ctx context.Context, q *list.RowQuery, yield func(*list.Row) bool) error {
		return st.ListUploads(ctx, store.UploadQuery{Bucket: q.Bucket, Prefix: q.Prefix, After: q.After, AfterID: q.AfterID, Delimiter: q.Delimiter},
			func(u *store.Upload) bool {
				return yield(&list.Row{Key: u.Key, Dir: u.ID == "", ID: u.ID, Time: u.Initiated.UnixNano(), Extra: describe(u.System)})
			})
	})
}

// rows asks for one page of rows.
func (r *lists) rows(q list.RowQuery) (p *list.RowPage, err error) {
	err = r.newest(func() error {
		p, err = r.e.remote.Rows(r.c.Context(), r.view, r.bucket, q)
		return err
	})
	return p, err
}

// newest makes a page, again while the cluster map changes.
func (r *lists) newest(page func() error) error {
	for try := 0; ; try++ {
		err := page()
		if !errs.Is(err, errs.StaleMap) || try == list.MaxStale {
			return err
		}
		if err = r.findLatest(); err != nil {
			return err
		}
	}
}

func (r *lists) listVersions() error {
	const op = "edge.listVersions"
	p, err := r.paging("max-keys")
	if err != nil {
		return err
	}
	l := &s3.List{
		Bucket: r.name, Prefix: p.prefix, Delimiter: p.delimiter, MaxKeys: p.max, URL: p.url,
		Marker: r.c.Query("key-marker"), VersionMarker: r.c.Query("version-id-marker"),
	}
	if l.VersionMarker != "" && l.Marker == "" {
		return s3.E(op, "version-id-marker", "InvalidArgument", "A version-id marker cannot be specified without a key marker.")
	}
	if l.VersionMarker != "" && l.VersionMarker != object.NullVersion {
		if _, err := object.ParseVersion(l.VersionMarker); err != nil {
			return s3.E(op, "version-id-marker", "InvalidArgument", "Invalid version id specified")
		}
	}
	if p.max > 0 {
		page, err := r.rows(list.RowQuery{Kind: list.Versions, Prefix: p.prefix, Delimiter: p.delimiter, After: l.Marker, AfterID: l.VersionMarker, Limit: p.max})
		if err != nil {
			return err
		}
		r.fill(l, page)
	}
	return r.sendXML(s3.AppendVersions(make([]byte, 0, 256+500*len(l.Entries)), l))
}

func (r *lists) fill(l *s3.List, page *list.RowPage) {
	owner := r.ownerOf(r.bucket.Owner)
	l.Entries = make([]s3.Entry, len(page.Rows))
	for i := range page.Rows {
		row, x := &page.Rows[i], &l.Entries[i]
		*x = s3.Entry{Key: row.Key, Prefix: row.Dir}
		if row.Dir {
			continue
		}
		x.VersionID, x.Latest, x.Marker = row.ID, row.Latest, row.Marker
		x.Size, x.ETag, x.Modified, x.Owner = row.Size, row.ETag, time.Unix(0, row.Time), owner
		if row.Extra != "" {
			r.extra(x, row.Extra)
		}
	}
	if l.Truncated = page.More && len(page.Rows) > 0; l.Truncated {
		last := &page.Rows[len(page.Rows)-1]
		l.NextMarker, l.NextVersion = last.Key, last.ID
	}
}

func (r *lists) listUploads() error {
	p, err := r.paging("max-uploads")
	if err != nil {
		return err
	}
	l := &s3.UploadList{
		Bucket: r.name, Prefix: p.prefix, Delimiter: p.delimiter, Max: p.max, URL: p.url, KeyMarker: r.c.Query("key-marker"), IDMarker: r.c.Query("upload-id-marker"),
	}
	if l.KeyMarker == "" {
		l.IDMarker = "" // means nothing without
	}
	if l.IDMarker != "" && !s3.IsUploadID(l.IDMarker) {
		return s3.E("edge.listUploads", "upload-id-marker", "InvalidArgument", "Invalid uploadId marker",
			s3.Field{Name: "ArgumentName", Value: "upload-id-marker"}, s3.Field{Name: "ArgumentValue", Value: l.IDMarker})
	}
	if p.max > 0 {
		page, err := r.rows(list.RowQuery{Kind: list.Uploads, Prefix: p.prefix, Delimiter: p.delimiter, After: l.KeyMarker, AfterID: l.IDMarker, Limit: p.max})
		if err != nil {
			return err
		}
		for i := range page.Rows {
			row := &page.Rows[i]
			x := s3.Entry{Owner: r.ownerOf(r.bucket.Owner)}
			if row.Extra != "" {
				r.extra(&x, row.Extra)
			}
			l.Entries = append(l.Entries, s3.UploadEntry{
				Key: row.Key, UploadID: row.ID, Prefix: row.Dir, Initiator: x.Owner, Owner: x.Owner, Class: x.Class, Initiated: time.Unix(0, row.Time),
				Algorithm: x.Algorithm, Type: x.Type,
			})
		}
		if l.Truncated = page.More && len(page.Rows) > 0; l.Truncated {
			last := &page.Rows[len(page.Rows)-1]
			l.NextKeyMarker, l.NextIDMarker = last.Key, last.ID
		}
	}
	return r.sendXML(s3.AppendUploads(nil, l))
}

// empty reports whether the bucket holds no object, version or delete marker. Uploads under way go with it.
func (r *lists) empty() (bool, error) {
	page, err := r.rows(list.RowQuery{Kind: list.Versions, Limit: 1})
	return err == nil && len(page.Rows) == 0, err
}
