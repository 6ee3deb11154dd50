package statedir

import (
	"errors"
	"os"
	"syscall"
)

// reserve gives the file n bytes of disk, so that writing within them cannot meet a full disk. File systems
// that cannot are left as they are.
func reserve(f *os.File, n int64) error {
	err := syscall.Fallocate(int(f.Fd()), 0, 0, n)
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return nil
	}
	return err
}
