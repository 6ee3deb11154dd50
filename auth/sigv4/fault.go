package sigv4

import "aistore/errs"

// A Fault is one refusal as S3 words it. It is the cause within an error of package errs.
type Fault struct {
	Code    string // of the S3 error, such as SignatureDoesNotMatch
	Message string
	Detail  []Detail // further elements of the S3 error, in order
}

// A Detail is an element that some errors carry, such as StringToSign or HeadersNotSigned.
type Detail struct{ Name, Value string }

// Error returns the code and the message.
func (f *Fault) Error() string { return f.Code + ": " + f.Message }

// The codes of this package.
const (
	codeAccessDenied   = "AccessDenied"
	codeInvalidAccess  = "InvalidAccessKeyId"
	codeMismatch       = "SignatureDoesNotMatch"
	codeSkewed         = "RequestTimeTooSkewed"
	codeHeader         = "AuthorizationHeaderMalformed"
	codeQuery          = "AuthorizationQueryParametersError"
	codeInvalidRequest = "InvalidRequest"
	codeArgument       = "InvalidArgument"
	codeSHA256         = "XAmzContentSHA256Mismatch"
	codeIncomplete     = "IncompleteBody"
	codeMissingLength  = "MissingContentLength"
	codeTrailer        = "MalformedTrailerError"
	codePolicy         = "InvalidPolicyDocument"
	codeTooSmall       = "EntityTooSmall"
	codeTooLarge       = "EntityTooLarge"
)

// kindOf maps codes to kinds; what is not listed is Invalid.
func kindOf(code string) errs.Kind {
	switch code {
	case codeAccessDenied:
		return errs.Forbidden
	case codeInvalidAccess, codeMismatch, codeSkewed:
		return errs.Unauthorized
	case codeSHA256, codeIncomplete:
		return errs.Checksum
	case codeTooLarge:
		return errs.TooLarge
	}
	return errs.Invalid
}

func fault(op, code, message string, detail ...Detail) error {
	return errs.E(op, nil, kindOf(code), &Fault{Code: code, Message: message, Detail: detail})
}
