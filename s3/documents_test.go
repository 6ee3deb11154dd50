package s3

import (
	"encoding/xml"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"aistore/auth/policy"
	"aistore/object"
)

func TestXMLRefuses(t *testing.T) {
	for _, bad := range []string{
		"", "x", "<Delete>", "<Delete></delete>", "<Delete/><Delete/>", "<!DOCTYPE a [<!ENTITY b 'c'>]><Delete/>", "<Delete>&nbsp;</Delete>",
		"<Delete>&#0;</Delete>", "<Delete>\xff</Delete>", "<Delete a=b/>", "<Delete a='<'/>", "<Delete", "<Other/>", "<Delete><a></Delete></a>",
		strings.Repeat("<a>", 20) + strings.Repeat("</a>", 20), "<Delete><!-- </Delete>", "< Delete/>", "<Delete>&#xD800;</Delete>",
	} {
		if e, err := parseXML([]byte(bad), "Delete"); !IsCode(err, "MalformedXML") {
			t.Errorf("%q: %+v %v", bad, e, err)
		}
	}
	e, err := parseXML([]byte("\uFEFF<?xml version='1.0'?>\n<!-- c --><s:Delete xmlns:s='x'><Key> a&amp;&#x62;\r\nc<![CDATA[<d>]]></Key><Empty/></s:Delete>\n"), "Delete")
	if err != nil || e.child("Key").text != " a&b\nc<d>" || !e.has("Empty") {
		t.Errorf("%+v %v", e, err)
	}
}

// TestACLOrder: however grants were made, those to groups are shown first, and else in the order they were given in.
func TestACLOrder(t *testing.T) {
	grant := func(who, permission string) string {
		return "<Grant><Grantee>" + who + "</Grantee><Permission>" + permission + "</Permission></Grant>"
	}
	all, auth := "<URI>"+policy.AllUsers.URI()+"</URI>", "<URI>"+policy.AuthenticatedUsers.URI()+"</URI>"
	doc := "<AccessControlPolicy><AccessControlList>" + grant("<ID>zoe</ID>", "FULL_CONTROL") + grant(auth, "READ") + grant("<ID>bob</ID>", "READ") + grant(all, "READ_ACP") + "</AccessControlList></AccessControlPolicy>"
	a, err := ParseACL([]byte(doc), policy.Users{ByID: func(id string) string { return id }})
	if err != nil {
		t.Fatal(err)
	}
	var shown struct {
		Grants []struct {
			ID         string `xml:"Grantee>ID"`
			URI        string `xml:"Grantee>URI"`
			Permission string
		} `xml:"AccessControlList>Grant"`
	}
	if err := xml.Unmarshal(AppendACL(nil, a, func(id string) string { return id }), &shown); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, g := range shown.Grants {
		got = append(got, g.ID+g.URI+" "+g.Permission)
	}
	want := []string{policy.AuthenticatedUsers.URI() + " READ", policy.AllUsers.URI() + " READ_ACP", "zoe FULL_CONTROL", "bob READ"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("grants shown as %q, want %q", got, want)
	}
}

// What is written must be read alike by another implementation.
// TestTextInManyPieces: what strangers may send as a document costs what its length costs.
func TestTextInManyPieces(t *testing.T) {
	const pieces = 50_000
	for _, piece := range []string{"x<!---->", "x<??>", "<![CDATA[x]]>"} {
		doc := []byte("<Delete><Object><Key>" + strings.Repeat(piece, pieces) + "</Key></Object></Delete>")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		root, err := parseXML(doc, "Delete")
		runtime.ReadMemStats(&after)
		if err != nil || root.child("Object").value("Key") != strings.Repeat("x", pieces) {
			t.Fatalf("%s: %v", piece, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > uint64(20*len(doc)) {
			t.Errorf("%s: a document of %d bytes took %d of memory", piece, len(doc), took)
		}
	}
}

func TestTextSurvives(t *testing.T) {
	for _, s := range []string{"a", "<&>\"'", "ünï €", " x ", "\t\n\r", "a\xffb", "\uFFFD"} {
		var got struct {
			XMLName xml.Name `xml:"R"`
			T       string   `xml:"T"`
		}
		doc := appendText([]byte("<R>"), "T", s)
		if err := xml.Unmarshal(append(doc, "</R>"...), &got); err != nil || got.T != strings.ToValidUTF8(s, "\uFFFD") {
			t.Errorf("%q: %q %v", s, got.T, err)
		}
	}
	for _, tm := range []time.Time{{}, time.Unix(1e9, 999_999_999), time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.FixedZone("", 3600))} {
		if got, want := string(AppendTime(nil, tm)), tm.UTC().Truncate(time.Millisecond).Format(TimeFormat); got != want {
			t.Errorf("time %s, want %s", got, want)
		}
	}
}

func TestParseDelete(t *testing.T) {
	r, err := ParseDelete([]byte(`<Delete xmlns="x"><Quiet>true</Quiet><Object><Key>a b</Key></Object><Object><Key>c</Key><VersionId>v</VersionId><ETag>"e"</ETag><Size>7</Size><LastModifiedTime>Mon, 02 Jan 2006 15:04:05 GMT</LastModifiedTime></Object></Delete>`))
	if err != nil || !r.Quiet || len(r.Items) != 2 || r.Items[0].Key != "a b" || r.Items[0].Size != -1 {
		t.Fatalf("%+v %v", r, err)
	}
	if it := r.Items[1]; it.VersionID != "v" || it.ETag != "e" || it.Size != 7 || it.Modified.Year() != 2006 {
		t.Errorf("%+v", it)
	}
	many := strings.Repeat("<Object><Key>k</Key></Object>", MaxKeys)
	if _, err := ParseDelete([]byte("<Delete>" + many + "</Delete>")); err != nil {
		t.Errorf("%d keys: %v", MaxKeys, err)
	}
	for _, bad := range []string{"<Delete/>", "<Delete>" + many + "<Object><Key>k</Key></Object></Delete>", "<Delete><Object/></Delete>", "<Delete><Quiet>x</Quiet><Object><Key>k</Key></Object></Delete>"} {
		if _, err := ParseDelete([]byte(bad)); !IsCode(err, "MalformedXML") {
			t.Errorf("%.60q: %v", bad, err)
		}
	}
}

func TestParseComplete(t *testing.T) {
	ps, err := ParseComplete([]byte(`<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"a"</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part><Part><ETag>b</ETag><PartNumber>10000</PartNumber></Part></CompleteMultipartUpload>`))
	if err != nil || len(ps) != 2 || ps[0].ETag != "a" || ps[0].Checksums.Get(CRC32) != "AAAAAA==" || ps[1].Number != 10000 || ps[1].ETag != "b" {
		t.Fatalf("%+v %v", ps, err)
	}
	ps, err = ParseComplete([]byte("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>a</ETag></Part><Part><PartNumber>1</PartNumber><ETag>b</ETag></Part></CompleteMultipartUpload>"))
	if err != nil || len(ps) != 1 || ps[0].ETag != "b" {
		t.Errorf("a part named twice: %+v %v", ps, err)
	}
	for doc, code := range map[string]string{
		"<CompleteMultipartUpload/>": "MalformedXML",
		"<CompleteMultipartUpload><Part><PartNumber>2</PartNumber><ETag>a</ETag></Part><Part><PartNumber>1</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>": "InvalidPartOrder",
		"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>":                                                                    "MalformedXML",
		"<CompleteMultipartUpload><Part><PartNumber>0</PartNumber></Part></CompleteMultipartUpload>":                                                                    "InvalidPart",
		"<CompleteMultipartUpload><Part><PartNumber>x</PartNumber></Part></CompleteMultipartUpload>":                                                                    "MalformedXML",
	} {
		if _, err := ParseComplete([]byte(doc)); !IsCode(err, code) {
			t.Errorf("%s: %v, want %s", doc, err, code)
		}
	}
}

func TestTags(t *testing.T) {
	doc := func(n int) string {
		return "<Tagging><TagSet>" + strings.Repeat("", n) + tagDocs(n) + "</TagSet></Tagging>"
	}
	if m, err := ParseObjectTags([]byte(doc(10))); err != nil || len(m) != 10 {
		t.Errorf("10 tags: %v %v", m, err)
	}
	if _, err := ParseObjectTags([]byte(doc(11))); !IsCode(err, "InvalidTag") {
		t.Errorf("11 tags: %v", err)
	}
	if _, err := ParseBucketTags([]byte(doc(50))); err != nil {
		t.Errorf("50 tags of a bucket: %v", err)
	}
	for h, code := range map[string]string{"a=1&a=2": "InvalidTag", strings.Repeat("k", 129) + "=": "InvalidTag", "k=" + strings.Repeat("v", 257): "InvalidTag", "aws:x=1": "InvalidTag", "=v": "InvalidTag"} {
		if _, err := ParseTagHeader(h); !IsCode(err, code) {
			t.Errorf("%.40q: %v, want %s", h, err, code)
		}
	}
	if m, err := ParseTagHeader("foo=bar&b%20c=d+e&bare"); err != nil || !reflect.DeepEqual(m, map[string]string{"foo": "bar", "b c": "d e", "bare": ""}) {
		t.Errorf("%v %v", m, err)
	}
}

func tagDocs(n int) string {
	var s strings.Builder
	for i := range n {
		s.WriteString("<Tag><Key>k" + itoa(i) + "</Key><Value>v</Value></Tag>")
	}
	return s.String()
}

const lifecycleDoc = `<LifecycleConfiguration>
<Rule><ID>days</ID><Prefix>d/</Prefix><Status>Enabled</Status><Expiration><Days>2</Days></Expiration></Rule>
<Rule><ID>date</ID><Filter><Prefix>t/</Prefix></Filter><Status>Enabled</Status><Expiration><Date>2026-01-02T00:00:00Z</Date></Expiration></Rule>
<Rule><Filter><And><Prefix>n/</Prefix><Tag><Key>a</Key><Value>b</Value></Tag><ObjectSizeGreaterThan>10</ObjectSizeGreaterThan></And></Filter><Status>Enabled</Status><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionExpiration></Rule>
<Rule><ID>marker</ID><Filter/><Status>Enabled</Status><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration><AbortIncompleteMultipartUpload><DaysAfterInitiation>3</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>
<Rule><ID>off</ID><Filter></Filter><Status>Disabled</Status><Expiration><Days>1</Days></Expiration></Rule>
</LifecycleConfiguration>`

func TestLifecycle(t *testing.T) {
	l, err := ParseLifecycle([]byte(lifecycleDoc))
	if err != nil || len(l.Rules) != 5 || l.Rules[2].ID == "" {
		t.Fatalf("%+v %v", l, err)
	}
	if again, err := ParseLifecycle(l.AppendXML(nil)); err != nil || !reflect.DeepEqual(again, l) {
		t.Errorf("comes back as %+v %v", again, err)
	}
	const day = 10 * time.Second
	t0 := time.Date(2025, 12, 30, 11, 20, 0, 0, time.UTC)
	at, rule, ok := l.Expires(&object.Info{Key: "d/x", Created: t0}, day)
	if !ok || rule != "days" || !at.Equal(t0.Add(2*day)) {
		t.Errorf("short day: %v %s %v", at, rule, ok)
	}
	at, _, _ = l.Expires(&object.Info{Key: "d/x", Created: t0}, calendarDay)
	if want := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC); !at.Equal(want) {
		t.Errorf("calendar day: %v, want %v", at, want)
	}
	if _, _, ok := l.Expires(&object.Info{Key: "other", Created: t0}, day); ok {
		t.Error("an object that no rule names expires")
	}
	if at, _, _ := l.Expires(&object.Info{Key: "t/x", Created: t0}, day); at.Year() != 2026 {
		t.Errorf("date: %v", at)
	}
	for _, c := range []struct {
		created, want string
		day           time.Duration
	}{
		{"2026-01-01T23:59:59Z", "2026-01-02T00:00:00Z", calendarDay}, {"2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z", calendarDay},
		{"2026-01-05T11:20:00Z", "2026-01-06T00:00:00Z", calendarDay}, {"2026-01-01T23:59:59Z", "2026-01-02T00:00:00Z", day}, {"2026-01-05T11:20:00Z", "2026-01-05T11:20:10Z", day},
	} {
		created, err := time.Parse(time.RFC3339, c.created)
		if err != nil {
			t.Fatal(err)
		}
		info := object.Info{Key: "t/x", Created: created}
		if at, _, _ := l.Expires(&info, c.day); at.Format(time.RFC3339) != c.want {
			t.Errorf("written %s, days of %v: goes %v, want %s", c.created, c.day, at, c.want)
		}
	}
	v := object.Info{Key: "n/x", Size: 11, Tags: map[string]string{"a": "b", "c": "d"}}
	for _, c := range []struct {
		newer int
		age   time.Duration
		size  int64
		want  bool
	}{{2, day, 11, true}, {1, day, 11, false}, {2, day - 1, 11, false}, {2, day, 10, false}} {
		v.Size = c.size
		if got := l.NoncurrentExpires(&v, t0, c.newer, day, t0.Add(c.age)); got != c.want {
			t.Errorf("noncurrent %+v: %v", c, got)
		}
	}
	if !l.MarkerExpires(&object.Info{Key: "z", Created: t0}, day, t0) || !l.UploadExpires("z", t0, day, t0.Add(3*day)) || l.UploadExpires("z", t0, day, t0.Add(2*day)) {
		t.Error("markers or uploads")
	}
	h := string(l.AppendExpiration(nil, &object.Info{Key: "d/x", Created: t0}))
	if h != "x-amz-expiration: expiry-date=\"Fri, 02 Jan 2026 00:00:00 GMT\", rule-id=\"days\"\r\n" {
		t.Errorf("header %q", h)
	}
	if p := l.Prefix(); p != "" {
		t.Errorf("common prefix %q", p)
	}
}

func TestLifecycleRefuses(t *testing.T) {
	rule := func(inner string) string {
		return "<LifecycleConfiguration><Rule>" + inner + "</Rule></LifecycleConfiguration>"
	}
	const on, days = "<Status>Enabled</Status>", "<Expiration><Days>1</Days></Expiration>"
	for doc, code := range map[string]string{
		"<LifecycleConfiguration/>":             "MalformedXML",
		rule(on):                                "InvalidRequest",
		rule(days):                              "MalformedXML",
		rule("<Status>enabled</Status>" + days): "MalformedXML",
		rule(on + "<ID>" + strings.Repeat("a", 256) + "</ID>" + days):                                                                       "InvalidArgument",
		rule(on + "<Expiration><Days>0</Days></Expiration>"):                                                                                "InvalidArgument",
		rule(on + "<Expiration><Days>-1</Days></Expiration>"):                                                                               "InvalidArgument",
		rule(on + "<Expiration><Days>x</Days></Expiration>"):                                                                                "MalformedXML",
		rule(on + "<Expiration><Date>20200101</Date></Expiration>"):                                                                         "MalformedXML",
		rule(on + "<Expiration><Date>2020-01-01T01:00:00Z</Date></Expiration>"):                                                             "InvalidArgument",
		rule(on + "<Expiration><Days>1</Days><Date>2020-01-01T00:00:00Z</Date></Expiration>"):                                               "MalformedXML",
		rule(on + "<Prefix>a</Prefix><Filter/>" + days):                                                                                     "MalformedXML",
		rule(on + "<Filter><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan><ObjectSizeLessThan>5</ObjectSizeLessThan></Filter>" + days):     "InvalidRequest",
		rule(on + "<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>"):                                            "NotImplemented",
		rule(on + "<Transition><Date>2020</Date><StorageClass>GLACIER</StorageClass></Transition>"):                                         "MalformedXML",
		"<LifecycleConfiguration><Rule><ID>a</ID>" + on + days + "</Rule><Rule><ID>a</ID>" + on + days + "</Rule></LifecycleConfiguration>": "InvalidArgument",
	} {
		if _, err := ParseLifecycle([]byte(doc)); !IsCode(err, code) {
			t.Errorf("%s: %v, want %s", doc, err, code)
		}
	}
	far, err := ParseLifecycle([]byte(rule(on + "<Expiration><Days>2147483647</Days></Expiration>")))
	if err != nil {
		t.Fatal(err)
	}
	if at, _, _ := far.Expires(&object.Info{Created: time.Now()}, calendarDay); at.Year() < 9000 {
		t.Errorf("in 5.8 million years: %v", at)
	}
}

func TestCORS(t *testing.T) {
	c, err := ParseCORS([]byte(`<CORSConfiguration><CORSRule><AllowedOrigin>*suffix</AllowedOrigin><AllowedOrigin>start*end</AllowedOrigin><AllowedMethod>GET</AllowedMethod><AllowedHeader>x-amz-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>5</MaxAgeSeconds></CORSRule></CORSConfiguration>`))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := ParseCORS(c.AppendXML(nil)); err != nil || !reflect.DeepEqual(again, c) {
		t.Errorf("comes back as %+v %v", again, err)
	}
	for _, x := range []struct {
		q    CORSRequest
		want bool
	}{
		{CORSRequest{"foo.suffix", "GET", ""}, true}, {CORSRequest{"foo.suffixx", "GET", ""}, false}, {CORSRequest{"startend", "GET", ""}, true},
		{CORSRequest{"start1end", "GET", "X-Amz-Date, x-amz-meta-a"}, true}, {CORSRequest{"startend", "PUT", ""}, false}, {CORSRequest{"startend", "GET", "content-type"}, false},
		{CORSRequest{"starend", "GET", ""}, false},
	} {
		if got := c.Match(&x.q) != nil; got != x.want {
			t.Errorf("%+v: %v", x.q, got)
		}
	}
	h := string(c.Rules[0].AppendHeaders(nil, &CORSRequest{"foo.suffix", "GET", "X-Amz-Date"}))
	for _, want := range []string{"Access-Control-Allow-Origin: foo.suffix\r\n", "Access-Control-Allow-Methods: GET\r\n", "Access-Control-Max-Age: 5\r\n", "Access-Control-Expose-Headers: ETag\r\n"} {
		if !strings.Contains(h, want) {
			t.Errorf("%q is not in %q", want, h)
		}
	}
}

func TestLists(t *testing.T) {
	l := &List{Bucket: "b", Prefix: "a+", Delimiter: "/", MaxKeys: 2, URL: true, Truncated: true, NextToken: NewToken("x"),
		Entries: []Entry{{Key: "a+ b/ü", ETag: "e", Size: 3, Modified: time.Unix(0, 5e6)}, {Key: "a+/", Prefix: true}}}
	var got struct {
		Name, Prefix, Delimiter, EncodingType, NextContinuationToken string
		KeyCount, MaxKeys                                            int
		IsTruncated                                                  bool
		Contents                                                     []struct{ Key, LastModified, ETag, StorageClass string }
		CommonPrefixes                                               []struct{ Prefix string }
	}
	doc := AppendListV2(nil, l)
	if err := xml.Unmarshal(doc, &got); err != nil {
		t.Fatal(err)
	}
	if got.Prefix != "a%2B" || got.KeyCount != 2 || len(got.Contents) != 1 || got.Contents[0].Key != "a%2B%20b/%C3%BC" || got.Contents[0].ETag != `"e"` ||
		got.Contents[0].LastModified != "1970-01-01T00:00:00.005Z" || got.CommonPrefixes[0].Prefix != "a%2B/" || !got.IsTruncated {
		t.Errorf("%s", doc)
	}
	if after, err := ParseToken(got.NextContinuationToken); err != nil || after != "x" {
		t.Errorf("token: %q %v", after, err)
	}
	if _, err := ParseToken("nonsense"); !IsCode(err, "InvalidArgument") {
		t.Errorf("token: %v", err)
	}
}

func TestEveryKindHasACode(t *testing.T) {
	for code := range codes {
		if status, message := Describe(code); status < 300 || message == "" {
			t.Errorf("%s: %d %q", code, status, message)
		}
	}
	err := E("op", "x", "NoSuchUpload", "")
	if f := FaultOf(err); f.Status() != 404 || f.Code != "NoSuchUpload" {
		t.Errorf("%+v", f)
	}
	doc := string(AppendError(nil, &Fault{Code: "NoSuchKey", Extra: []Field{{"Key", "a<b"}}}, "/b/a", "1", "h"))
	if !strings.Contains(doc, "<Code>NoSuchKey</Code>") || !strings.Contains(doc, "<Key>a&lt;b</Key>") || !strings.Contains(doc, "<RequestId>1</RequestId>") {
		t.Error(doc)
	}
}

// FuzzXML runs every decoder of a body. What is read and can be written must be read alike again.
func FuzzXML(f *testing.F) {
	f.Add([]byte(lifecycleDoc))
	f.Add([]byte(`<Delete><Object><Key>a</Key></Object></Delete>`))
	f.Add([]byte(`<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>`))
	f.Add([]byte(`<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>`))
	f.Add([]byte(`<AccessControlPolicy><Owner><ID>a</ID></Owner><AccessControlList><Grant><Grantee xsi:type="CanonicalUser"><ID>a</ID></Grantee><Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>`))
	users := policy.Users{ByID: func(id string) string { return id }, ByEmail: func(string) string { return "" }}
	f.Fuzz(func(t *testing.T, doc []byte) {
		if l, err := ParseLifecycle(doc); err == nil {
			again, err := ParseLifecycle(l.AppendXML(nil))
			if err != nil || len(again.Rules) != len(l.Rules) {
				t.Fatalf("%s: %v", l.AppendXML(nil), err)
			}
		}
		if c, err := ParseCORS(doc); err == nil {
			if again, err := ParseCORS(c.AppendXML(nil)); err != nil || len(again.Rules) != len(c.Rules) {
				t.Fatalf("%s: %v", c.AppendXML(nil), err)
			}
		}
		if m, err := ParseObjectTags(doc); err == nil {
			if again, err := ParseObjectTags(AppendTagging(nil, m)); err != nil || !reflect.DeepEqual(again, m) {
				t.Fatalf("%v comes back as %v %v", m, again, err)
			}
		}
		_, _ = ParseDelete(doc)
		_, _ = ParseComplete(doc)
		_, _ = ParseACL(doc, users)
		_, _ = ParseVersioning(doc)
		_, _, _ = ParseCreateBucket(doc)
		_, _ = ParsePublicAccessBlock(doc)
		_, _ = ParseOwnershipControls(doc)
		_ = ParseRequestPayment(doc)
		_ = CheckEmpty(doc, "BucketLoggingStatus")
	})
}

func FuzzToken(f *testing.F) {
	f.Add(NewToken("a"))
	f.Add("AWE=\n")
	f.Add("AWF=")
	f.Fuzz(func(t *testing.T, s string) {
		after, err := ParseToken(s)
		if err == nil && NewToken(after) != s {
			t.Fatalf("%q is read as %q, whose token is %q", s, after, NewToken(after))
		}
	})
}

func BenchmarkListV2(b *testing.B) {
	l := &List{Bucket: "b", MaxKeys: 1000, URL: true}
	for i := range 1000 {
		l.Entries = append(l.Entries, Entry{Key: "prefix/object-" + itoa(i), ETag: "d41d8cd98f00b204e9800998ecf8427e", Size: 4096, Modified: time.Now()})
	}
	buf := make([]byte, 0, 1<<20)
	b.ReportAllocs()
	for b.Loop() {
		AppendListV2(buf[:0], l)
	}
}
