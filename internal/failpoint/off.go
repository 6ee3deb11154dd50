//go:build !failpoints

package failpoint

// Enabled tells whether this binary was built with the tag "failpoints".
const Enabled = false

// Hit is nothing in this build; it always returns nil.
func Hit(string) error { return nil }
