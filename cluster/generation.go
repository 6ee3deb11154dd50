package cluster

import (
	"strconv"
	"strings"
)

// GenerationID names the rebalance that an epoch made necessary: "g47".
func GenerationID(epoch uint64) string { return "g" + strconv.FormatUint(epoch, 10) }

// ParseGeneration is the inverse of GenerationID; false if s is no such name.
func ParseGeneration(s string) (epoch uint64, ok bool) {
	digits, found := strings.CutPrefix(s, "g")
	epoch, err := strconv.ParseUint(digits, 10, 64)
	return epoch, found && err == nil && GenerationID(epoch) == s
}
