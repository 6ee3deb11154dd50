package s3

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"

	"aistore/auth/policy"
	"aistore/auth/sigv4"
	"aistore/errs"
)

// Fault is an error as an S3 client sees it. It travels inside an errs error: E makes both.
type Fault struct {
	Code    string
	Message string  // "" = what Describe says of the code
	Extra   []Field // elements between Message and Resource, such as <Region>
}

// Field is one element of text.
type Field struct{ Name, Value string }

// Error returns "Code: message".
func (f *Fault) Error() string { return f.Code + ": " + f.Text() }

// Text returns the message.
func (f *Fault) Text() string {
	if f.Message != "" {
		return f.Message
	}
	_, m := Describe(f.Code)
	return m
}

// Status returns the HTTP status of the code.
func (f *Fault) Status() int {
	s, _ := Describe(f.Code)
	return s
}

// HeaderRetryAfter of a 503 says when to ask again, in milliseconds. It is what AWS's SDKs look at instead of Retry-After: those of 2026 come back after
// 50 and 100 ms unless it tells them otherwise, and then give up, while a node that restarts needs a second or two.
const HeaderRetryAfter = "x-amz-retry-after"

// RetryAfter returns a value of HeaderRetryAfter. It varies: what failed together shall not come back together.
func RetryAfter() string { return itoa(1000 + rand.IntN(1000)) } //nolint:gosec // no secret

// E returns the error of a code. An empty message is the code's own. The kind of the error follows from the status.
func E(op string, name any, code, message string, extra ...Field) error {
	f := &Fault{Code: code, Message: message, Extra: extra}
	return errs.E(op, name, kindOf(f.Status()), f)
}

func kindOf(status int) errs.Kind {
	switch status {
	case 304:
		return errs.NotModified
	case 403:
		return errs.Forbidden
	case 404:
		return errs.NotFound
	case 409:
		return errs.Conflict
	case 411, 400, 405:
		return errs.Invalid
	case 412:
		return errs.Precondition
	case 416:
		return errs.Range
	case 500:
		return errs.Other
	case 501:
		return errs.Unsupported
	case 503:
		return errs.Busy
	}
	return errs.Invalid
}

// IsCode reports whether err carries a Fault of the code.
func IsCode(err error, code string) bool {
	var f *Fault
	return errors.As(err, &f) && f.Code == code
}

// FaultOf returns what a client is told of err: the Fault inside it, that of the signature check, or the one its kind means.
func FaultOf(err error) *Fault {
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	var sf *sigv4.Fault
	if errors.As(err, &sf) {
		f := &Fault{Code: sf.Code, Message: sf.Message}
		for _, d := range sf.Detail {
			f.Extra = append(f.Extra, Field(d))
		}
		return f
	}
	var pf *policy.Fault
	if errors.As(err, &pf) {
		return &Fault{Code: pf.Code, Message: pf.Message}
	}
	k := errs.KindOf(err)
	f = &Fault{Code: codeOf(k)}
	if k == errs.Invalid || k == errs.Unsupported || k == errs.TooLarge {
		f.Message = err.Error() // of the request, and so the client's to know; what is ours stays in the log
	}
	return f
}

// StatusOf returns the HTTP status of err's reply.
func StatusOf(err error) int { return FaultOf(err).Status() }

// codeOf is the table of kinds and codes.
func codeOf(k errs.Kind) string {
	switch k {
	case errs.Invalid:
		return "InvalidRequest"
	case errs.NotFound:
		return "NoSuchKey"
	case errs.NoBucket:
		return "NoSuchBucket"
	case errs.Exists:
		return "BucketAlreadyExists"
	case errs.Conflict:
		return "OperationAborted"
	case errs.Precondition:
		return "PreconditionFailed"
	case errs.NotModified:
		return "NotModified"
	case errs.Range:
		return "InvalidRange"
	case errs.Checksum:
		return "BadDigest"
	case errs.Unauthorized, errs.Forbidden:
		return "AccessDenied"
	case errs.TooLarge:
		return "EntityTooLarge"
	case errs.Timeout, errs.Canceled:
		return "RequestTimeout"
	case errs.Unsupported:
		return "NotImplemented"
	case errs.Full:
		return "InsufficientStorage"
	case errs.Mountpath, errs.Unavailable, errs.NotPrimary, errs.WrongOwner, errs.StaleMap:
		return "ServiceUnavailable"
	case errs.Busy:
		return "SlowDown"
	case errs.Other, errs.Corrupt:
		return "InternalError"
	}
	return "InternalError"
}

// AppendError appends the XML document of f.
func AppendError(b []byte, f *Fault, resource, requestID, hostID string) []byte {
	b = append(b, xmlHeader+"<Error>"...)
	b = appendText(b, "Code", f.Code)
	b = append(appendMessage(append(b, "<Message>"...), f.Text()), "</Message>"...)
	for _, x := range f.Extra {
		b = appendText(b, x.Name, x.Value)
	}
	b = appendText(b, "Resource", resource)
	b = appendText(b, "RequestId", requestID)
	b = appendText(b, "HostId", hostID)
	return append(b, "</Error>"...)
}

// appendMessage appends text with its quotes as they are, as AWS does in messages alone.
func appendMessage(b []byte, text string) []byte {
	for text != "" {
		i := strings.IndexAny(text, `'"`)
		if i < 0 {
			return AppendXMLText(b, text)
		}
		b = append(AppendXMLText(b, text[:i]), text[i])
		text = text[i+1:]
	}
	return b
}

// Describe returns the HTTP status and the message of a code; an unknown code is a 400.
func Describe(code string) (status int, message string) {
	d, ok := codes[code]
	if !ok {
		return 400, code
	}
	return d.status, d.message
}

func itoa(n int) string { return strconv.Itoa(n) }

// codes is the table of error codes, with the words of AWS: there are clients that compare them. Read only.
var codes = map[string]struct {
	status  int
	message string
}{
	"AccessControlListNotSupported":                  {400, "The bucket does not allow ACLs."},
	"AccessDenied":                                   {403, "Access Denied"},
	"AccessForbidden":                                {403, "CORSResponse: This CORS request is not allowed."},
	"AuthorizationHeaderMalformed":                   {400, "The authorization header that you provided is not valid."},
	"AuthorizationQueryParametersError":              {400, "The authorization query parameters that you provided are not valid."},
	"BadDigest":                                      {400, "The Content-MD5 or checksum value that you specified did not match what the server received."},
	"BadRequest":                                     {400, "An error occurred when parsing the HTTP request."},
	"BucketAlreadyExists":                            {409, "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again."},
	"BucketAlreadyOwnedByYou":                        {409, "Your previous request to create the named bucket succeeded and you already own it."},
	"BucketNotEmpty":                                 {409, "The bucket you tried to delete is not empty"},
	"ConditionalRequestConflict":                     {409, "A conflicting operation occurred during the request. Retry it."},
	"EntityTooLarge":                                 {400, "Your proposed upload exceeds the maximum allowed size"},
	"EntityTooSmall":                                 {400, "Your proposed upload is smaller than the minimum allowed size"},
	"ExpiredToken":                                   {400, "The provided token has expired."},
	"IllegalLocationConstraintException":             {400, "The specified location constraint is not valid."},
	"IllegalVersioningConfigurationException":        {400, "The versioning configuration specified in the request is not valid."},
	"IncompleteBody":                                 {400, "You did not provide the number of bytes specified by the Content-Length HTTP header"},
	"InsufficientStorage":                            {507, "There is no space left for this write."},
	"InternalError":                                  {500, "We encountered an internal error. Please try again."},
	"InvalidAccessKeyId":                             {403, "The access key id that you provided does not exist in our records."},
	"InvalidArgument":                                {400, "Invalid argument."},
	"InvalidBucketAclWithObjectOwnership":            {400, "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting."},
	"InvalidBucketName":                              {400, "The specified bucket is not valid."},
	"InvalidBucketState":                             {409, "The request is not valid for the current state of the bucket."},
	"InvalidDigest":                                  {400, "The Content-MD5 or checksum value that you specified is not valid."},
	"InvalidEncryptionAlgorithmError":                {400, "The encryption request that you specified is not valid."},
	"InvalidLocationConstraint":                      {400, "The specified location constraint is not valid."},
	"InvalidObjectState":                             {403, "The operation is not valid for the object's storage class."},
	"InvalidPart":                                    {400, "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."},
	"InvalidPartNumber":                              {416, "The requested part number is not satisfiable."},
	"InvalidPartOrder":                               {400, "The list of parts was not in ascending order. Parts must be ordered by part number."},
	"InvalidPolicyDocument":                          {400, "The content of the form does not meet the conditions specified in the policy document."},
	"InvalidRange":                                   {416, "The requested range is not satisfiable"},
	"InvalidRedirectLocation":                        {400, "The website redirect location must have a prefix of 'http://' or 'https://' or '/'."},
	"InvalidRequest":                                 {400, "The request is not valid."},
	"InvalidSecurity":                                {403, "The provided security credentials are not valid."},
	"InvalidStorageClass":                            {400, "The storage class you specified is not valid"},
	"InvalidTag":                                     {400, "The tag that you provided was not valid."},
	"InvalidTargetBucketForLogging":                  {400, "The target bucket for logging does not exist, or does not grant the rights to write to it."},
	"InvalidToken":                                   {400, "The provided token is malformed or otherwise not valid."},
	"InvalidURI":                                     {400, "The specified URI could not be parsed."},
	"KeyTooLongError":                                {400, "Your key is too long"},
	"MalformedACLError":                              {400, "The XML that you provided was not well formed or did not validate against our published schema."},
	"MalformedPOSTRequest":                           {400, "The body of your POST request is not well-formed multipart/form-data."},
	"MalformedPolicy":                                {400, "The policy is not valid."},
	"MalformedTrailerError":                          {400, "The request contained trailing data that was not well-formed or did not conform to our published schema."},
	"MalformedXML":                                   {400, "The XML you provided was not well-formed or did not validate against our published schema"},
	"MaxMessageLengthExceeded":                       {400, "Your request was too large."},
	"MaxPostPreDataLengthExceededError":              {400, "Your POST request fields preceding the upload file were too large."},
	"RequestHeaderSectionTooLarge":                   {431, "Your request header and query parameters used to make the request exceed the maximum allowed size."},
	"MetadataTooLarge":                               {400, "Your metadata headers exceed the maximum allowed metadata size"},
	"MethodNotAllowed":                               {405, "The specified method is not allowed against this resource."},
	"MissingContentLength":                           {411, "You must provide the Content-Length HTTP header."},
	"MissingRequestBodyError":                        {400, "Request body is empty."},
	"MissingSecurityHeader":                          {400, "Your request was missing a required header."},
	"NoSuchBucket":                                   {404, "The specified bucket does not exist"},
	"NoSuchBucketPolicy":                             {404, "The bucket policy does not exist"},
	"NoSuchCORSConfiguration":                        {404, "The CORS configuration does not exist"},
	"NoSuchConfiguration":                            {404, "The specified configuration does not exist."},
	"NoSuchKey":                                      {404, "The specified key does not exist."},
	"NoSuchLifecycleConfiguration":                   {404, "The lifecycle configuration does not exist"},
	"NoSuchObjectLockConfiguration":                  {404, "The specified object does not have an ObjectLock configuration."},
	"NoSuchPublicAccessBlockConfiguration":           {404, "The public access block configuration was not found"},
	"NoSuchTagSet":                                   {404, "The TagSet does not exist"},
	"NoSuchUpload":                                   {404, "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."},
	"NoSuchVersion":                                  {404, "The specified version does not exist."},
	"NoSuchWebsiteConfiguration":                     {404, "The specified bucket does not have a website configuration"},
	"NotImplemented":                                 {501, "A header or query that you provided implies functionality that is not implemented."},
	"NotModified":                                    {304, "Not modified."},
	"ObjectLockConfigurationNotFoundError":           {404, "Object Lock configuration does not exist for this bucket"},
	"OperationAborted":                               {409, "A conflicting conditional operation is currently in progress against this resource. Try again."},
	"OwnershipControlsNotFoundError":                 {404, "The bucket ownership controls were not found"},
	"PermanentRedirect":                              {301, "The bucket that you are attempting to access must be addressed using the specified endpoint."},
	"PreconditionFailed":                             {412, "At least one of the pre-conditions you specified did not hold"},
	"ReplicationConfigurationNotFoundError":          {404, "The replication configuration was not found"},
	"RequestTimeTooSkewed":                           {403, "The difference between the request time and the current time is too large."},
	"RequestTimeout":                                 {400, "Your socket connection to the server was not read from or written to within the timeout period."},
	"ServerSideEncryptionConfigurationNotFoundError": {404, "The server side encryption configuration was not found"},
	"ServiceUnavailable":                             {503, "Service is unable to handle the request. Retry."},
	"SignatureDoesNotMatch":                          {403, "The request signature we calculated does not match the signature you provided. Check your key and signing method."},
	"SlowDown":                                       {503, "Please reduce your request rate."},
	"TooManyBuckets":                                 {400, "You have attempted to create more buckets than are allowed."},
	"UnexpectedContent":                              {400, "This request contains unsupported content."},
	"UnresolvableGrantByEmailAddress":                {400, "The email address that you provided does not match any account on record."},
	"XAmzContentSHA256Mismatch":                      {400, "The provided 'x-amz-content-sha256' header does not match what was computed."},
}
