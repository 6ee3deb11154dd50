package sigv4

// A Verifier checks signatures. It keeps derived signing keys; it is safe for concurrent use.
type Verifier struct{}

// New returns a Verifier.
func New() *Verifier { return &Verifier{} }

// Verify returns who signed r, or a *Fault within the error. A request without any signature is anonymous.
// The body has yet to be read through Reader, which can still refuse it.
func (v *Verifier) Verify(r *Request, s Secrets) (Caller, error) {
	return Caller{}, fault("sigv4.Verify", codeAccessDenied, "not built yet")
}
