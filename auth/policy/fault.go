package policy

import "aistore/errs"

// A Fault is one refusal as S3 words it. It is the cause within an error of package errs.
type Fault struct{ Code, Message string }

// Error returns the code and the message.
func (f *Fault) Error() string { return f.Code + ": " + f.Message }

func fault(op string, kind errs.Kind, code, message string) error {
	return errs.E(op, nil, kind, &Fault{Code: code, Message: message})
}

func denied(op string, r *Request) error {
	return errs.E(op, r.Action, errs.Forbidden, &Fault{Code: "AccessDenied", Message: "Access Denied"})
}
