package edge

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"

	"aistore/node"
	"aistore/s3"
)

// With s3.redirect a client is sent to the owner of the key instead of being relayed. It signed for this node's name, and few clients
// sign again when they are redirected, so the URL has a pass: this node's word of who asks, signed with the cluster's secret. It is bound
// to the method, the path and query, the x-amz- headers (which say what is asked as much as the query does) and the bucket's id, and is good
// for a minute. The owner believes nothing else of it: whether the key still exists and what its user may do is looked up there.

// passParam is the parameter of the query, its last one, that has the pass: EXPIRY.BUCKETID.SIGNATURE.CALLER
const passParam = "ais-redirect"

const passLife = time.Minute

// followers are the beginnings of names, in User-Agent, of clients that are known to follow a redirect. All others are relayed: there are some
// that give up, and some that take the 307 for the object.
var followers = [...]string{"aws-sdk-go", "rclone/", "python-requests/", "go-http-client/", "wget/", "mozilla/"}

// follows reports whether the client may be sent to the owner. Requests with a body are relayed, for most clients cannot send it twice; so
// are those that came over TLS to an owner that has told no https URL.
func (r *request) follows(o *node.Object) bool {
	switch r.c.Method() {
	case "GET", "HEAD", "DELETE":
	default:
		return false
	}
	if r.c.BodyLen() != 0 || r.c.TLS() && !strings.HasPrefix(o.Owner.PublicURL, "https:") {
		return false
	}
	for word := range strings.SplitSeq(strings.ToLower(r.c.Header("User-Agent")), " ") {
		for _, name := range followers {
			if strings.HasPrefix(word, name) {
				return true
			}
		}
	}
	return false
}

// redirect sends the client to the owner.
func (r *request) redirect(o *node.Object) error {
	target := passless(r.c.Target())
	if r.host {
		target = "/" + r.name + target
	}
	to := o.Owner.PublicURL + target
	if !r.caller.Anonymous() {
		sep := byte('?')
		if strings.IndexByte(target, '?') >= 0 {
			sep = '&'
		}
		to += string(sep) + passParam + "=" + r.pass(o, target)
	}
	r.c.Redirect(to)
	mark(r.c)
	r.c.SetHeader("Content-Type", "application/xml")
	f := &s3.Fault{Code: "TemporaryRedirect", Message: "Please re-send this request to the specified temporary endpoint."}
	_, err := r.c.Write(s3.AppendError(nil, f, r.c.Path(), r.c.RequestID(), r.c.RequestID()))
	return err
}

// passless is the path and query of a request's target without a pass.
func passless(target string) string {
	path, query := rawTarget(target)
	if pass := passOf(query); pass != "" {
		query = strings.TrimSuffix(query[:len(query)-len(passParam)-1-len(pass)], "&")
	}
	if query == "" {
		return path
	}
	return path + "?" + query
}

// passOf returns the pass at the end of a query, "" if there is none.
func passOf(query string) string {
	if i := strings.LastIndexByte(query, '&'); i >= 0 {
		query = query[i+1:]
	}
	pass, _ := strings.CutPrefix(query, passParam+"=")
	if len(pass) == len(query) {
		return ""
	}
	return pass
}

func (r *request) pass(o *node.Object, target string) string {
	expiry := now().Add(passLife).Unix()
	caller := base64.RawURLEncoding.EncodeToString(r.caller.Append(nil))
	sig := r.e.node.SignPass(o.View, r.c.Method(), o.Bucket.ID, expiry, r.passText(target, caller))
	return strconv.FormatInt(expiry, 10) + "." + strconv.FormatUint(o.Bucket.ID, 10) + "." + sig + "." + caller
}

// passText is what a pass vouches for, besides method, bucket and expiry.
func (r *request) passText(target, caller string) string {
	var lines []string
	r.c.EachHeader(func(name, value string) {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") && name != "x-amz-security-token" { // SDKs keep it from another host
			lines = append(lines, name+":"+value+"\n")
		}
	})
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "")))
	return target + "\n" + string(sum[:]) + caller
}

// accept takes a pass in place of a signature.
func (r *request) accept(pass string) error {
	const op = "edge.accept"
	refused := func(why string) error {
		return s3.E(op, "redirect", "AccessDenied", "The redirect "+why+". Send the request again to where it was sent first.")
	}
	f := strings.SplitN(pass, ".", 4)
	if len(f) != 4 {
		return refused("is malformed")
	}
	expiry, err := strconv.ParseInt(f[0], 10, 64)
	bucket, berr := strconv.ParseUint(f[1], 10, 64)
	text, cerr := base64.RawURLEncoding.DecodeString(f[3])
	if err != nil || berr != nil || cerr != nil {
		return refused("is malformed")
	}
	want := r.e.node.SignPass(r.view, r.c.Method(), bucket, expiry, r.passText(passless(r.c.Target()), f[3]))
	switch {
	case subtle.ConstantTimeCompare([]byte(want), []byte(f[2])) != 1:
		return refused("does not fit the request")
	case now().Unix() > expiry:
		return refused("has expired")
	}
	who, err := s3.ParseCaller(string(text))
	if err != nil {
		return err
	}
	if _, ok := r.secrets(who.Access); !ok { // it may have been made since, and removed since
		return sure(r, s3.E(op, "access key", "InvalidAccessKeyId", ""))
	}
	r.passed = bucket
	r.caller = s3.Caller{Presigned: who.Presigned, V2: who.V2, Secure: r.c.TLS(), Addr: hostOf(r.c.RemoteAddr()), Host: who.Host, View: who.View, Body: who.Body}
	return r.identify(who.Access)
}
