//go:build !linux

package statedir

import "aistore/errs"

// exchange is of Linux alone.
func exchange(string, string) error {
	return errs.E("statedir.Recover", "the replicated log", errs.Unsupported, "is exchanged in one step on Linux only")
}
