// Package tree puts real input through real processes: Go's own source tree and a large file, with the ais
// command in, and out again through the gateway, the Go SDK and the command.
//
// The short form takes part of the tree and a smaller file; AIS_LONG=1 takes all of it and 1 GiB. It judges
// bytes and names, not speed, and prints the times for a reader.
//
// The package ships nothing: start at tree_test.go.
package tree
