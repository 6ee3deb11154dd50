//go:build !amd64

package lanes

// available is false: there is no pass for these processors.
const available = false

func blocks8(*[4][Lanes]uint32, *[Lanes]*byte, int) {}
