package durable

import (
	"errors"
	"os"
	"syscall"
)

// Reserve gives the file n bytes of disk, so that writing within them cannot meet a full disk. File systems
// that cannot are left as they are.
func Reserve(f *os.File, n int64) error {
	err := syscall.Fallocate(int(f.Fd()), 0, 0, n)
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return nil
	}
	return err
}

// Space returns how many bytes of dir's file system are free, without what is kept for root, and its size; 0 and 0 if that cannot be told.
func Space(dir string) (free, total int64) {
	var st syscall.Statfs_t
	if syscall.Statfs(dir, &st) != nil {
		return 0, 0
	}
	return int64(st.Bavail) * st.Bsize, int64(st.Blocks) * st.Bsize //nolint:gosec // far below the maximum
}
