//go:build !linux

package statedir

import "os"

// reserve gives the file n bytes of disk where the system can.
func reserve(*os.File, int64) error { return nil }
