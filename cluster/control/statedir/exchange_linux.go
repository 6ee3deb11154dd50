package statedir

import (
	"path/filepath"

	"golang.org/x/sys/unix"

	"aistore/internal/durable"
)

// exchange lets two directories change places, durably.
func exchange(a, b string) error {
	if err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(a))
}
