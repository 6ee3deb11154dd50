package edge

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"strconv"
	"strings"

	"aistore/auth/policy"
	"aistore/auth/sigv4"
	"aistore/errs"
	"aistore/httpx"
	"aistore/s3"
)

const (
	maxFields     = 20 << 10  // bytes of a form before its file
	maxFieldCount = 1000      // parts before the file
	maxPreamble   = 256 << 10 // all that comes before the file, boundaries and headers of parts too
	smallFile     = 256 << 10 // files up to it are sent on with their length
)

// form is a PostObject.
type form struct{ *request }

// postObject takes a form: what comes before the file says what may be done, the file streams to the owner of the key.
func (r *form) postObject() error {
	const op = "edge.postObject"
	if err := r.find(); err != nil {
		return err
	}
	typ, params, err := mime.ParseMediaType(r.h.ContentType)
	if err != nil || typ != "multipart/form-data" || params["boundary"] == "" {
		return s3.E(op, "Content-Type", "PreconditionFailed", "Bucket POST must be of the enclosure-type multipart/form-data")
	}
	f := &sigv4.Form{Bucket: r.name, Now: now()}
	pre := &preamble{r: r.c.Body(), left: maxPreamble}
	file, err := readForm(multipart.NewReader(pre, params["boundary"]), f)
	if err != nil {
		return err
	}
	pre.over = true
	post, err := r.e.verifier.VerifyForm(f, r.secrets)
	if err != nil {
		return sure(r.request, err)
	}
	if _, given := f.Fields["content-type"]; !given && file.Header.Get("Content-Type") != "" {
		f.Fields["content-type"] = file.Header.Get("Content-Type") // browsers say it with every file: it is no field that a policy must allow
	}
	r.caller = s3.Caller{Posted: true, V2: post.Signature == "AWS", Secure: r.caller.Secure, Addr: r.caller.Addr, Host: r.caller.Host, View: r.caller.View} // the form speaks, no header
	if post.Access != "" {
		if err := r.identify(post.Access); err != nil {
			return err
		}
	}
	r.caller.Body = sigv4.Body{Decoded: -1}
	if post.Access != "" && !r.caller.V2 {
		r.caller.Body.Date = f.Fields["x-amz-date"] // it was verified, and is a date
	}
	r.key = f.Fields["key"]
	if err := s3.CheckKey(r.key); err != nil {
		return err
	}
	if r.refused() != nil {
		if err := r.findLatest(); err != nil {
			return err
		}
		if err := r.refused(); err != nil {
			return err
		}
	}
	k, err := r.store(f, &post, file)
	if err != nil {
		return err
	}
	return r.posted(f, k)
}

// refused is what the owner of the key would say to who may not put the object, before the file has been sent. With a policy only the owner can tell.
func (r *form) refused() error {
	if r.set.Policy != nil {
		return nil
	}
	q := policy.Request{Caller: r.subject(), Action: r.op.Action, Bucket: r.name, Key: r.key}
	return policy.Authorize(&q, r.inputs())
}

// preamble bounds what of a form is read before its file: package multipart takes megabytes of headers for every part.
type preamble struct {
	r    io.Reader
	left int
	over bool // the file has begun
}

// Read implements io.Reader.
func (p *preamble) Read(b []byte) (int, error) {
	if p.over {
		return p.r.Read(b)
	}
	if p.left == 0 {
		return 0, s3.E("edge.readForm", "form", "MaxPostPreDataLengthExceededError", "")
	}
	n, err := p.r.Read(b[:min(len(b), p.left)])
	p.left -= n
	return n, err
}

// readForm reads the fields and returns the file, which is the last part that counts.
func readForm(mr *multipart.Reader, f *sigv4.Form) (*multipart.Part, error) {
	const op = "edge.readForm"
	f.Fields = map[string]string{}
	total := 0
	for range maxFieldCount {
		p, err := mr.NextRawPart()
		if err == io.EOF {
			return nil, s3.E(op, "file", "InvalidArgument", "POST requires exactly one file upload per request.", s3.Field{Name: "ArgumentName", Value: "file"}, s3.Field{Name: "ArgumentValue", Value: "0"})
		}
		if err != nil {
			return nil, formError(err)
		}
		name := strings.ToLower(p.FormName())
		if name == "file" {
			f.Filename = p.FileName()
			return p, nil
		}
		if name == "" {
			return nil, s3.E(op, "form", "MalformedPOSTRequest", "")
		}
		b, err := io.ReadAll(io.LimitReader(p, int64(maxFields-total)+1))
		if err != nil {
			return nil, formError(err)
		}
		if total += len(b) + len(name); total > maxFields {
			return nil, s3.E(op, "form", "MaxPostPreDataLengthExceededError", "")
		}
		f.Fields[name] = string(b)
	}
	return nil, s3.E(op, "form", "MaxPostPreDataLengthExceededError", "")
}

// formError tells a malformed form from a connection that broke.
func formError(err error) error {
	if errs.KindOf(err) != errs.Other {
		return err
	}
	return s3.E("edge.readForm", "form", "MalformedPOSTRequest", "")
}

// kept is what the owner of the key says of the object that it has stored.
type kept struct {
	etag    string
	headers []httpx.Header // of its reply that the reply to the form repeats
}

// store puts the file.
func (r *form) store(f *sigv4.Form, post *sigv4.Post, file io.Reader) (*kept, error) {
	call := &httpx.Call{Method: "PUT", Hurry: true}
	start, err := io.ReadAll(io.LimitReader(file, smallFile))
	if err != nil {
		return nil, formError(err)
	}
	if len(start) < smallFile {
		if err := post.Check(int64(len(start))); err != nil {
			return nil, err
		}
		call.Body, r.caller.Body.Decoded = start, int64(len(start))
	} else {
		call.Stream, call.StreamLen = &checked{r: io.MultiReader(bytes.NewReader(start), file), post: post}, -1
	}
	for try := 1; ; try++ {
		k, err := r.storeAt(f, call)
		if call.Stream != nil || !errs.Is(err, errs.WrongOwner, errs.StaleMap) || try == deliverTries {
			return k, said(err)
		}
		if renewed, rerr := r.renew(); rerr != nil || !renewed {
			return nil, errors.Join(rerr, said(err))
		}
	}
}

// storeAt puts the file at the owner of its key.
func (r *form) storeAt(f *sigv4.Form, call *httpx.Call) (*kept, error) {
	const op = "edge.store"
	o := r.object(r.key)
	switch {
	case o.Owner == nil:
		return nil, errs.E(op, o.String(), errs.Unavailable, "no target is in service")
	case !o.Owner.Alive:
		return nil, errs.F(op, o.String(), errs.Unavailable, "its owner %s does not answer", o.Owner.ID)
	}
	var err error
	if call.Headers, err = r.formHeaders(f.Fields); err != nil {
		return nil, err
	}
	b := strconv.AppendUint([]byte("http://"+o.Owner.IntraAddr+s3.PathOwner+"/"), o.Bucket.ID, 10)
	call.URL = string(httpx.AppendPath(append(b, '/'), o.Key))
	rep, err := r.e.node.Client.Do(httpx.WithRequestID(r.c.Context(), r.c.RequestID()), call)
	if err != nil {
		return nil, err
	}
	defer rep.Close()
	k := &kept{etag: rep.Header("ETag")}
	repeat := func(name string) {
		if v := rep.Header(name); v != "" {
			k.headers = append(k.headers, httpx.Header{Key: name, Value: v})
		}
	}
	for _, name := range [...]string{"ETag", "x-amz-version-id", "x-amz-expiration", "x-amz-checksum-type"} {
		repeat(name)
	}
	for _, a := range s3.Algorithms() {
		repeat(a.Header())
	}
	return k, nil
}

// checked is a file that must have the length that the policy wants: else it ends with an error, and is not stored.
type checked struct {
	r    io.Reader
	post *sigv4.Post
	n    int64
}

// Read implements io.Reader.
func (c *checked) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if terr := c.post.TooLarge(c.n); terr != nil {
		return 0, terr
	}
	switch {
	case err == io.EOF:
		if cerr := c.post.Check(c.n); cerr != nil {
			return 0, cerr
		}
	case err != nil:
		err = formError(err)
	}
	return n, err
}

// formHeaders are the headers of a PUT that says what the form does.
func (r *form) formHeaders(fields map[string]string) ([]httpx.Header, error) {
	hs := []httpx.Header{{Key: s3.HeaderCaller, Value: string(r.caller.Append(nil))}}
	for name, v := range fields {
		switch name {
		case "content-type", "content-encoding", "content-disposition", "content-language", "content-md5", "cache-control", "expires",
			"x-amz-storage-class", "x-amz-website-redirect-location":
		case "acl":
			name = "x-amz-acl"
		case "tagging":
			tags, err := s3.ParseObjectTags([]byte(v))
			if err != nil {
				return nil, err
			}
			q := url.Values{}
			for k, t := range tags {
				q.Set(k, t)
			}
			name, v = "x-amz-tagging", q.Encode()
		default:
			if !forwarded(name) || !token(name) {
				continue
			}
		}
		if strings.ContainsAny(v, "\r\n\x00") {
			return nil, s3.E("edge.formHeaders", name, "InvalidArgument", "The value of the field "+name+" is more than a line.", s3.Field{Name: "ArgumentName", Value: name})
		}
		hs = append(hs, httpx.Header{Key: name, Value: v})
	}
	return hs, nil
}

// forwarded reports whether fields of the name are headers of the PUT. Those that ask for what is not served are: it refuses them.
func forwarded(name string) bool {
	for _, prefix := range [...]string{"x-amz-meta-", "x-amz-checksum-", "x-amz-server-side-encryption", "x-amz-object-lock-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// token reports whether s can be the name of a header (RFC 9110, 5.6.2).
func token(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"(),/:;<=>?@[\\]{}", c) >= 0 {
			return false
		}
	}
	return s != ""
}

// said turns an owner's XML error back into what it says.
func said(err error) error {
	var hf *httpx.Fault
	if err == nil || !errors.As(err, &hf) {
		return err
	}
	code, ok := between(hf.Message, "<Code>", "</Code>")
	if !ok {
		return err
	}
	message, _ := between(hf.Message, "<Message>", "</Message>")
	return s3.E("edge.store", "owner", code, message)
}

func between(s, from, to string) (string, bool) {
	_, s, ok := strings.Cut(s, from)
	if !ok {
		return "", false
	}
	s, _, ok = strings.Cut(s, to)
	return s, ok
}

// posted answers a form that was stored, as it asks to be answered.
func (r *form) posted(f *sigv4.Form, k *kept) error {
	c, etag := r.c, k.etag
	for _, h := range k.headers {
		c.SetHeader(h.Key, h.Value)
	}
	location := r.location()
	c.SetHeader("Location", location)
	to := f.Fields["success_action_redirect"]
	if to == "" {
		to = f.Fields["redirect"]
	}
	if u, err := url.Parse(to); err == nil && u.Scheme != "" && u.Host != "" { // what is no URL of a page counts as not sent
		// What is added belongs to the query: behind the fragment it would never leave the browser.
		page, fragment := to, ""
		if i := strings.IndexByte(to, '#'); i >= 0 {
			page, fragment = to[:i], to[i:]
		}
		sep := "?"
		if u.RawQuery != "" {
			sep = "&"
		}
		c.SetHeader("Location", page+sep+"bucket="+url.QueryEscape(r.name)+"&key="+url.QueryEscape(r.key)+"&etag="+url.QueryEscape(etag)+fragment)
		c.Status(303)
		return nil
	}
	switch f.Fields["success_action_status"] {
	case "200":
		return nil
	case "201":
		c.Status(201)
		return r.sendXML(s3.AppendPosted(nil, location, r.name, r.key, etag))
	}
	c.Status(204)
	return nil
}

// location is the URL of the object.
func (r *form) location() string {
	scheme := "http://"
	if r.caller.Secure {
		scheme = "https://"
	}
	b := append([]byte(scheme), r.c.Host()...)
	if !r.host {
		b = append(append(b, '/'), r.name...)
	}
	return string(httpx.AppendPath(append(b, '/'), r.key))
}
