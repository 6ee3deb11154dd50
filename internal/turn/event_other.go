//go:build !linux

package turn

import (
	"errors"
	"os"
)

func open() (*os.File, error) { return nil, errors.ErrUnsupported }

func announce(uintptr) bool { return false }
