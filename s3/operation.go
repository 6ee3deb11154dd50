package s3

import (
	"slices"
	"strings"
)

// Level is what a request is addressed to.
type Level uint8

// The levels.
const (
	Service Level = iota // "/"
	Bucket               // "/bucket" or "/bucket/"
	Key                  // "/bucket/key"
)

// Operation is one line of the table: how it is told from others, and what it may.
type Operation struct {
	Op     Op
	Name   string // as AWS names it: "GetObjectTagging"
	Method string
	Level  Level
	Query  []string // parameters that must all be there; "name=value" also wants the value
	Copy   bool     // x-amz-copy-source must be there; operations without it are not chosen then

	Action        string // what policies call it; "" = decided inside
	VersionAction string // the same with a versionId, "" = Action
	MaxBody       int64  // bytes; 0 = a body is ignored; NoLimit
	Code          string // error code that is the whole answer, after authorization; "" = served
}

// NoLimit as Operation.MaxBody: the body is an object's content.
const NoLimit = -1

// Limits of bodies that are read whole.
const (
	maxDocument = 1 << 20  // tags, ACLs, policies
	maxLong     = 4 << 20  // DeleteObjects, CompleteMultipartUpload
	maxForm     = NoLimit  // POST object
	maxTags     = 64 << 10 // tagging of an object or bucket
)

// Op identifies an operation.
type Op uint8

// The operations.
const (
	OpNone Op = iota
	ListBuckets

	CreateBucket
	HeadBucket
	DeleteBucket
	ListObjects
	ListObjectsV2
	ListObjectVersions
	ListMultipartUploads
	DeleteObjects
	PostObject
	GetBucketLocation
	GetBucketVersioning
	PutBucketVersioning
	GetBucketACL
	PutBucketACL
	GetBucketPolicy
	PutBucketPolicy
	DeleteBucketPolicy
	GetBucketPolicyStatus
	GetBucketCORS
	PutBucketCORS
	DeleteBucketCORS
	GetBucketLifecycle
	PutBucketLifecycle
	DeleteBucketLifecycle
	GetBucketTagging
	PutBucketTagging
	DeleteBucketTagging
	GetPublicAccessBlock
	PutPublicAccessBlock
	DeletePublicAccessBlock
	GetBucketOwnershipControls
	PutBucketOwnershipControls
	DeleteBucketOwnershipControls
	GetBucketEncryption
	PutBucketEncryption
	DeleteBucketEncryption
	GetBucketLogging
	PutBucketLogging
	GetBucketWebsite
	PutBucketWebsite
	DeleteBucketWebsite
	GetBucketNotification
	PutBucketNotification
	GetBucketReplication
	PutBucketReplication
	DeleteBucketReplication
	GetBucketRequestPayment
	PutBucketRequestPayment
	GetBucketAccelerate
	PutBucketAccelerate
	GetObjectLockConfiguration
	PutObjectLockConfiguration

	GetObject
	HeadObject
	PutObject
	DeleteObject
	CopyObject
	GetObjectAttributes
	GetObjectTagging
	PutObjectTagging
	DeleteObjectTagging
	GetObjectACL
	PutObjectACL
	CreateMultipartUpload
	UploadPart
	UploadPartCopy
	ListParts
	CompleteMultipartUpload
	AbortMultipartUpload
	GetObjectLegalHold
	PutObjectLegalHold
	GetObjectRetention
	PutObjectRetention
	GetObjectTorrent
	RestoreObject
	SelectObjectContent
	OptionsRequest // CORS preflight, at any level

	opCount
)

// Operations returns the table. Of several lines that fit a request the one that asks for most is meant.
func Operations() []Operation { return operations }

// operations is the table. Read only.
var operations = []Operation{
	{Op: ListBuckets, Name: "ListBuckets", Method: "GET", Level: Service, Action: "s3:ListAllMyBuckets"},

	{Op: CreateBucket, Name: "CreateBucket", Method: "PUT", Level: Bucket, Action: "s3:CreateBucket", MaxBody: maxDocument},
	{Op: HeadBucket, Name: "HeadBucket", Method: "HEAD", Level: Bucket, Action: "s3:ListBucket"},
	{Op: DeleteBucket, Name: "DeleteBucket", Method: "DELETE", Level: Bucket, Action: "s3:DeleteBucket"},
	{Op: ListObjects, Name: "ListObjects", Method: "GET", Level: Bucket, Action: "s3:ListBucket"},
	{Op: ListObjectsV2, Name: "ListObjectsV2", Method: "GET", Level: Bucket, Query: []string{"list-type=2"}, Action: "s3:ListBucket"},
	{Op: ListObjectVersions, Name: "ListObjectVersions", Method: "GET", Level: Bucket, Query: []string{"versions"}, Action: "s3:ListBucketVersions"},
	{Op: ListMultipartUploads, Name: "ListMultipartUploads", Method: "GET", Level: Bucket, Query: []string{"uploads"}, Action: "s3:ListBucketMultipartUploads"},
	{Op: DeleteObjects, Name: "DeleteObjects", Method: "POST", Level: Bucket, Query: []string{"delete"}, MaxBody: maxLong},
	{Op: PostObject, Name: "PostObject", Method: "POST", Level: Bucket, Action: "s3:PutObject", MaxBody: maxForm},
	{Op: GetBucketLocation, Name: "GetBucketLocation", Method: "GET", Level: Bucket, Query: []string{"location"}, Action: "s3:GetBucketLocation"},
	{Op: GetBucketVersioning, Name: "GetBucketVersioning", Method: "GET", Level: Bucket, Query: []string{"versioning"}, Action: "s3:GetBucketVersioning"},
	{Op: PutBucketVersioning, Name: "PutBucketVersioning", Method: "PUT", Level: Bucket, Query: []string{"versioning"}, Action: "s3:PutBucketVersioning", MaxBody: maxDocument},
	{Op: GetBucketACL, Name: "GetBucketAcl", Method: "GET", Level: Bucket, Query: []string{"acl"}, Action: "s3:GetBucketAcl"},
	{Op: PutBucketACL, Name: "PutBucketAcl", Method: "PUT", Level: Bucket, Query: []string{"acl"}, Action: "s3:PutBucketAcl", MaxBody: maxDocument},
	{Op: GetBucketPolicy, Name: "GetBucketPolicy", Method: "GET", Level: Bucket, Query: []string{"policy"}, Action: "s3:GetBucketPolicy"},
	{Op: PutBucketPolicy, Name: "PutBucketPolicy", Method: "PUT", Level: Bucket, Query: []string{"policy"}, Action: "s3:PutBucketPolicy", MaxBody: maxDocument},
	{Op: DeleteBucketPolicy, Name: "DeleteBucketPolicy", Method: "DELETE", Level: Bucket, Query: []string{"policy"}, Action: "s3:DeleteBucketPolicy"},
	{Op: GetBucketPolicyStatus, Name: "GetBucketPolicyStatus", Method: "GET", Level: Bucket, Query: []string{"policyStatus"}, Action: "s3:GetBucketPolicyStatus"},
	{Op: GetBucketCORS, Name: "GetBucketCors", Method: "GET", Level: Bucket, Query: []string{"cors"}, Action: "s3:GetBucketCORS"},
	{Op: PutBucketCORS, Name: "PutBucketCors", Method: "PUT", Level: Bucket, Query: []string{"cors"}, Action: "s3:PutBucketCORS", MaxBody: maxDocument},
	{Op: DeleteBucketCORS, Name: "DeleteBucketCors", Method: "DELETE", Level: Bucket, Query: []string{"cors"}, Action: "s3:PutBucketCORS"},
	{Op: GetBucketLifecycle, Name: "GetBucketLifecycleConfiguration", Method: "GET", Level: Bucket, Query: []string{"lifecycle"}, Action: "s3:GetLifecycleConfiguration"},
	{Op: PutBucketLifecycle, Name: "PutBucketLifecycleConfiguration", Method: "PUT", Level: Bucket, Query: []string{"lifecycle"}, Action: "s3:PutLifecycleConfiguration", MaxBody: maxDocument},
	{Op: DeleteBucketLifecycle, Name: "DeleteBucketLifecycle", Method: "DELETE", Level: Bucket, Query: []string{"lifecycle"}, Action: "s3:PutLifecycleConfiguration"},
	{Op: GetBucketTagging, Name: "GetBucketTagging", Method: "GET", Level: Bucket, Query: []string{"tagging"}, Action: "s3:GetBucketTagging"},
	{Op: PutBucketTagging, Name: "PutBucketTagging", Method: "PUT", Level: Bucket, Query: []string{"tagging"}, Action: "s3:PutBucketTagging", MaxBody: maxTags},
	{Op: DeleteBucketTagging, Name: "DeleteBucketTagging", Method: "DELETE", Level: Bucket, Query: []string{"tagging"}, Action: "s3:PutBucketTagging"},
	{Op: GetPublicAccessBlock, Name: "GetPublicAccessBlock", Method: "GET", Level: Bucket, Query: []string{"publicAccessBlock"}, Action: "s3:GetBucketPublicAccessBlock"},
	{Op: PutPublicAccessBlock, Name: "PutPublicAccessBlock", Method: "PUT", Level: Bucket, Query: []string{"publicAccessBlock"}, Action: "s3:PutBucketPublicAccessBlock", MaxBody: maxDocument},
	{Op: DeletePublicAccessBlock, Name: "DeletePublicAccessBlock", Method: "DELETE", Level: Bucket, Query: []string{"publicAccessBlock"}, Action: "s3:PutBucketPublicAccessBlock"},
	{Op: GetBucketOwnershipControls, Name: "GetBucketOwnershipControls", Method: "GET", Level: Bucket, Query: []string{"ownershipControls"}, Action: "s3:GetBucketOwnershipControls"},
	{Op: PutBucketOwnershipControls, Name: "PutBucketOwnershipControls", Method: "PUT", Level: Bucket, Query: []string{"ownershipControls"}, Action: "s3:PutBucketOwnershipControls", MaxBody: maxDocument},
	{Op: DeleteBucketOwnershipControls, Name: "DeleteBucketOwnershipControls", Method: "DELETE", Level: Bucket, Query: []string{"ownershipControls"}, Action: "s3:PutBucketOwnershipControls"},
	{Op: GetBucketEncryption, Name: "GetBucketEncryption", Method: "GET", Level: Bucket, Query: []string{"encryption"}, Action: "s3:GetEncryptionConfiguration"},
	{Op: PutBucketEncryption, Name: "PutBucketEncryption", Method: "PUT", Level: Bucket, Query: []string{"encryption"}, Action: "s3:PutEncryptionConfiguration", MaxBody: maxDocument},
	{Op: DeleteBucketEncryption, Name: "DeleteBucketEncryption", Method: "DELETE", Level: Bucket, Query: []string{"encryption"}, Action: "s3:PutEncryptionConfiguration"},
	{Op: GetBucketLogging, Name: "GetBucketLogging", Method: "GET", Level: Bucket, Query: []string{"logging"}, Action: "s3:GetBucketLogging"},
	{Op: PutBucketLogging, Name: "PutBucketLogging", Method: "PUT", Level: Bucket, Query: []string{"logging"}, Action: "s3:PutBucketLogging", MaxBody: maxDocument},
	{Op: GetBucketWebsite, Name: "GetBucketWebsite", Method: "GET", Level: Bucket, Query: []string{"website"}, Action: "s3:GetBucketWebsite"},
	{Op: PutBucketWebsite, Name: "PutBucketWebsite", Method: "PUT", Level: Bucket, Query: []string{"website"}, Action: "s3:PutBucketWebsite", MaxBody: maxDocument},
	{Op: DeleteBucketWebsite, Name: "DeleteBucketWebsite", Method: "DELETE", Level: Bucket, Query: []string{"website"}, Action: "s3:DeleteBucketWebsite"},
	{Op: GetBucketNotification, Name: "GetBucketNotificationConfiguration", Method: "GET", Level: Bucket, Query: []string{"notification"}, Action: "s3:GetBucketNotification"},
	{Op: PutBucketNotification, Name: "PutBucketNotificationConfiguration", Method: "PUT", Level: Bucket, Query: []string{"notification"}, Action: "s3:PutBucketNotification", MaxBody: maxDocument},
	{Op: GetBucketReplication, Name: "GetBucketReplication", Method: "GET", Level: Bucket, Query: []string{"replication"}, Action: "s3:GetReplicationConfiguration", Code: "ReplicationConfigurationNotFoundError"},
	{Op: PutBucketReplication, Name: "PutBucketReplication", Method: "PUT", Level: Bucket, Query: []string{"replication"}, Action: "s3:PutReplicationConfiguration", Code: "NotImplemented"},
	{Op: DeleteBucketReplication, Name: "DeleteBucketReplication", Method: "DELETE", Level: Bucket, Query: []string{"replication"}, Action: "s3:PutReplicationConfiguration"},
	{Op: GetBucketRequestPayment, Name: "GetBucketRequestPayment", Method: "GET", Level: Bucket, Query: []string{"requestPayment"}, Action: "s3:GetBucketRequestPayment"},
	{Op: PutBucketRequestPayment, Name: "PutBucketRequestPayment", Method: "PUT", Level: Bucket, Query: []string{"requestPayment"}, Action: "s3:PutBucketRequestPayment", MaxBody: maxDocument},
	{Op: GetBucketAccelerate, Name: "GetBucketAccelerateConfiguration", Method: "GET", Level: Bucket, Query: []string{"accelerate"}, Action: "s3:GetAccelerateConfiguration"},
	{Op: PutBucketAccelerate, Name: "PutBucketAccelerateConfiguration", Method: "PUT", Level: Bucket, Query: []string{"accelerate"}, Action: "s3:PutAccelerateConfiguration", Code: "NotImplemented"},
	{Op: GetObjectLockConfiguration, Name: "GetObjectLockConfiguration", Method: "GET", Level: Bucket, Query: []string{"object-lock"}, Action: "s3:GetBucketObjectLockConfiguration", Code: "ObjectLockConfigurationNotFoundError"},
	{Op: PutObjectLockConfiguration, Name: "PutObjectLockConfiguration", Method: "PUT", Level: Bucket, Query: []string{"object-lock"}, Action: "s3:PutBucketObjectLockConfiguration", Code: "InvalidBucketState"},

	{Op: GetObject, Name: "GetObject", Method: "GET", Level: Key, Action: "s3:GetObject", VersionAction: "s3:GetObjectVersion"},
	{Op: HeadObject, Name: "HeadObject", Method: "HEAD", Level: Key, Action: "s3:GetObject", VersionAction: "s3:GetObjectVersion"},
	{Op: PutObject, Name: "PutObject", Method: "PUT", Level: Key, Action: "s3:PutObject", MaxBody: NoLimit},
	{Op: DeleteObject, Name: "DeleteObject", Method: "DELETE", Level: Key, Action: "s3:DeleteObject", VersionAction: "s3:DeleteObjectVersion"},
	{Op: CopyObject, Name: "CopyObject", Method: "PUT", Level: Key, Copy: true, Action: "s3:PutObject"},
	{Op: GetObjectAttributes, Name: "GetObjectAttributes", Method: "GET", Level: Key, Query: []string{"attributes"}, Action: "s3:GetObjectAttributes", VersionAction: "s3:GetObjectVersionAttributes"},
	{Op: GetObjectTagging, Name: "GetObjectTagging", Method: "GET", Level: Key, Query: []string{"tagging"}, Action: "s3:GetObjectTagging", VersionAction: "s3:GetObjectVersionTagging"},
	{Op: PutObjectTagging, Name: "PutObjectTagging", Method: "PUT", Level: Key, Query: []string{"tagging"}, Action: "s3:PutObjectTagging", VersionAction: "s3:PutObjectVersionTagging", MaxBody: maxTags},
	{Op: DeleteObjectTagging, Name: "DeleteObjectTagging", Method: "DELETE", Level: Key, Query: []string{"tagging"}, Action: "s3:DeleteObjectTagging", VersionAction: "s3:DeleteObjectVersionTagging"},
	{Op: GetObjectACL, Name: "GetObjectAcl", Method: "GET", Level: Key, Query: []string{"acl"}, Action: "s3:GetObjectAcl", VersionAction: "s3:GetObjectVersionAcl"},
	{Op: PutObjectACL, Name: "PutObjectAcl", Method: "PUT", Level: Key, Query: []string{"acl"}, Action: "s3:PutObjectAcl", VersionAction: "s3:PutObjectVersionAcl", MaxBody: maxDocument},
	{Op: CreateMultipartUpload, Name: "CreateMultipartUpload", Method: "POST", Level: Key, Query: []string{"uploads"}, Action: "s3:PutObject"},
	{Op: UploadPart, Name: "UploadPart", Method: "PUT", Level: Key, Query: []string{"uploadId", "partNumber"}, Action: "s3:PutObject", MaxBody: NoLimit},
	{Op: UploadPartCopy, Name: "UploadPartCopy", Method: "PUT", Level: Key, Query: []string{"uploadId", "partNumber"}, Copy: true, Action: "s3:PutObject"},
	{Op: ListParts, Name: "ListParts", Method: "GET", Level: Key, Query: []string{"uploadId"}, Action: "s3:ListMultipartUploadParts"},
	{Op: CompleteMultipartUpload, Name: "CompleteMultipartUpload", Method: "POST", Level: Key, Query: []string{"uploadId"}, Action: "s3:PutObject", MaxBody: maxLong},
	{Op: AbortMultipartUpload, Name: "AbortMultipartUpload", Method: "DELETE", Level: Key, Query: []string{"uploadId"}, Action: "s3:AbortMultipartUpload"},
	{Op: GetObjectLegalHold, Name: "GetObjectLegalHold", Method: "GET", Level: Key, Query: []string{"legal-hold"}, Action: "s3:GetObjectLegalHold", Code: "InvalidRequest"},
	{Op: PutObjectLegalHold, Name: "PutObjectLegalHold", Method: "PUT", Level: Key, Query: []string{"legal-hold"}, Action: "s3:PutObjectLegalHold", Code: "InvalidRequest"},
	{Op: GetObjectRetention, Name: "GetObjectRetention", Method: "GET", Level: Key, Query: []string{"retention"}, Action: "s3:GetObjectRetention", Code: "InvalidRequest"},
	{Op: PutObjectRetention, Name: "PutObjectRetention", Method: "PUT", Level: Key, Query: []string{"retention"}, Action: "s3:PutObjectRetention", Code: "InvalidRequest"},
	{Op: GetObjectTorrent, Name: "GetObjectTorrent", Method: "GET", Level: Key, Query: []string{"torrent"}, Action: "s3:GetObjectTorrent", Code: "NoSuchKey"},
	{Op: RestoreObject, Name: "RestoreObject", Method: "POST", Level: Key, Query: []string{"restore"}, Action: "s3:RestoreObject", Code: "InvalidObjectState"},
	{Op: SelectObjectContent, Name: "SelectObjectContent", Method: "POST", Level: Key, Query: []string{"select", "select-type"}, Action: "s3:GetObject", Code: "NotImplemented"},

	{Op: OptionsRequest, Name: "Options", Method: "OPTIONS", Level: Service},
	{Op: OptionsRequest, Name: "Options", Method: "OPTIONS", Level: Bucket},
	{Op: OptionsRequest, Name: "Options", Method: "OPTIONS", Level: Key},
}

// plainQuery are the parameters that choose no operation. What is neither here nor in the table, and has no value, is
// taken for a sub-resource that does not exist here.
var plainQuery = map[string]bool{
	"allow-unordered": true, "continuation-token": true, "delimiter": true, "encoding-type": true, "fetch-owner": true,
	"key-marker": true, "list-type": true, "marker": true, "max-buckets": true, "max-keys": true, "max-parts": true, "max-uploads": true,
	"part-number-marker": true, "partNumber": true, "prefix": true, "start-after": true, "upload-id-marker": true, "uploadId": true,
	"version-id-marker": true, "versionId": true, "x-id": true, "bucket-region": true, "select-type": true, "unordered": true,
	"response-cache-control": true, "response-content-disposition": true, "response-content-encoding": true,
	"response-content-language": true, "response-content-type": true, "response-expires": true,
	"AWSAccessKeyId": true, "Signature": true, "Expires": true,
}

// unserved are sub-resources that AWS has and this endpoint has not: 501 also when they have a value.
var unserved = map[string]bool{
	"analytics": true, "intelligent-tiering": true, "inventory": true, "metrics": true, "metadataConfiguration": true, "metadataTable": true,
	"metadataInventoryTable": true, "metadataJournalTable": true, "session": true, "append": true, "renameObject": true, "encryptionConfiguration": true, "abac": true,
}

// FindOperation returns the operation of a request. query is the raw query string; copySource says whether x-amz-copy-source is there.
func FindOperation(method string, level Level, query string, copySource Presence) (*Operation, error) {
	if query == "" || plain(query) {
		if o := simple(method, level, copySource); o != nil {
			return o, nil
		}
	}
	return findAmong(method, level, query, copySource)
}

// Presence says whether something is part of a request.
type Presence bool

// The two of them.
const (
	Absent  Presence = false
	Present Presence = true
)

// plain reports whether a query names nothing that chooses an operation: the short way of most requests.
func plain(query string) bool {
	for rest := query; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		k, _, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(k, "X-Amz-") && k != "x-id" && k != "versionId" && !strings.HasPrefix(k, "response-") && k != "" {
			return false
		}
	}
	return true
}

func simple(method string, level Level, copySource Presence) *Operation {
	if level != Key || copySource {
		return nil
	}
	switch method {
	case "GET":
		return line(GetObject)
	case "HEAD":
		return line(HeadObject)
	case "PUT":
		return line(PutObject)
	case "DELETE":
		return line(DeleteObject)
	}
	return nil
}

// line returns the first line of op.
func line(op Op) *Operation { return &operations[firstLine[op]] }

var firstLine = func() (at [opCount]int) {
	for i := len(operations) - 1; i >= 0; i-- {
		at[operations[i].Op] = i
	}
	return at
}()

// subResources are the parameters that the table's Query columns name, without those that also only refine.
var subResources = func() map[string]bool {
	m := map[string]bool{}
	for i := range operations {
		for _, q := range operations[i].Query {
			k, _, hasValue := strings.Cut(q, "=")
			if !hasValue && !plainQuery[k] {
				m[k] = true
			}
		}
	}
	return m
}()

func findAmong(method string, level Level, query string, copySource Presence) (*Operation, error) {
	const op = "s3.FindOperation"
	params := ParseQuery(query)
	sub := ""
	for i := range params {
		p := &params[i]
		switch {
		case subResources[p.Name]:
			if sub != "" && sub != p.Name {
				return nil, E(op, "query", "InvalidArgument", "Conflicting query string parameters: "+sub+", "+p.Name)
			}
			sub = p.Name
		case unserved[p.Name], p.Value == "" && !plainQuery[p.Name] && p.Name != "" && !isSigning(p.Name):
			return nil, E(op, "query", "NotImplemented", "The sub-resource \""+p.Name+"\" is not implemented.")
		}
	}
	if method == "PUT" && level == Key && sub == "" {
		if err := checkPart(params); err != nil {
			return nil, err
		}
	}
	var best *Operation
	otherMethod := false
	for i := range operations {
		o := &operations[i]
		if o.Level != level || !o.fits(params, sub) || o.Copy && !bool(copySource) {
			continue
		}
		if o.Method != method {
			otherMethod = otherMethod || o.Method != "OPTIONS"
			continue
		}
		if best == nil || o.weight() > best.weight() {
			best = o
		}
	}
	switch {
	case best != nil:
		return best, nil
	case sub != "" && !otherMethod:
		return nil, E(op, "query", "NotImplemented", "The sub-resource \""+sub+"\" is not implemented here.")
	}
	resource := [...]string{Service: "SERVICE", Bucket: "BUCKET", Key: "OBJECT"}[level]
	if sub != "" {
		resource = strings.ToUpper(sub)
	}
	return nil, E(op, method, "MethodNotAllowed", "", Field{"Method", method}, Field{"ResourceType", resource})
}

// Allowed lists the methods, besides one that is not, of which operations are served at the level with the query: the Allow header of a 405.
func Allowed(method string, level Level, query string) string {
	params := ParseQuery(query)
	sub := ""
	for i := range params {
		if subResources[params[i].Name] {
			sub = params[i].Name
		}
	}
	var methods []string
	for i := range operations {
		o := &operations[i]
		if o.Level == level && o.Method != method && o.Op != OptionsRequest && o.fits(params, sub) && !slices.Contains(methods, o.Method) {
			methods = append(methods, o.Method)
		}
	}
	return strings.Join(methods, ", ")
}

// checkPart refuses a PUT that says half of what a part is, with AWS's errors: taken for a PUT of the object it would replace the object by one part.
func checkPart(params []Param) error {
	const op = "s3.FindOperation"
	_, number := find(params, "partNumber")
	_, upload := find(params, "uploadId")
	switch {
	case number && !upload:
		return E(op, "query", "InvalidArgument", "This operation does not accept partNumber without uploadId",
			Field{"ArgumentName", "partNumber"}, Field{"ArgumentValue", "partNumber"})
	case upload && !number:
		return E(op, "PUT", "MethodNotAllowed", "", Field{"Method", "PUT"}, Field{"ResourceType", "UPLOAD"})
	}
	return nil
}

func isSigning(name string) bool {
	return len(name) > 6 && strings.EqualFold(name[:6], "X-Amz-")
}

// fits reports whether the parameters hold what the line wants, and no sub-resource beyond.
func (o *Operation) fits(params []Param, sub string) bool {
	named := sub == ""
	for _, q := range o.Query {
		k, v, hasValue := strings.Cut(q, "=")
		if k == sub {
			named = true
		}
		p, ok := find(params, k)
		if !ok || hasValue && p != v {
			return false
		}
	}
	return named || o.Op == OptionsRequest
}

func (o *Operation) weight() int {
	w := 2 * len(o.Query)
	if o.Copy {
		w++
	}
	return w
}

// ActionFor returns the policy action of the operation, given the versionId of the request ("" = none).
func (o *Operation) ActionFor(versionID string) string {
	if versionID != "" && o.VersionAction != "" {
		return o.VersionAction
	}
	return o.Action
}

// Param is one decoded parameter of a query.
type Param struct{ Name, Value string }

// ParseQuery decodes a query string; what cannot be decoded is kept as sent.
func ParseQuery(query string) []Param {
	var ps []Param
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if pair == "" {
			continue
		}
		k, v, _ := strings.Cut(pair, "=")
		ps = append(ps, Param{decodeQuery(k), decodeQuery(v)})
	}
	return ps
}

func find(ps []Param, name string) (string, bool) {
	for i := range ps {
		if ps[i].Name == name {
			return ps[i].Value, true
		}
	}
	return "", false
}

// decodeQuery decodes percent escapes and "+".
func decodeQuery(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	if d, ok := unescape(s, true); ok {
		return d
	}
	return s
}

func unescape(s string, plus bool) (string, bool) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+' && plus:
			b = append(b, ' ')
		case c == '%':
			if i+2 >= len(s) {
				return s, false
			}
			hi, lo := hexDigit(s[i+1]), hexDigit(s[i+2])
			if hi < 0 || lo < 0 {
				return s, false
			}
			b = append(b, byte(hi<<4|lo))
			i += 2
		default:
			b = append(b, c)
		}
	}
	return string(b), true
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
