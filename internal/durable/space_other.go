//go:build !linux

package durable

import "os"

// Reserve gives the file n bytes of disk where the system can.
func Reserve(*os.File, int64) error { return nil }

// Space returns 0 and 0: it cannot be told.
func Space(string) (free, total int64) { return 0, 0 }
