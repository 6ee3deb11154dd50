// Package sdk checks the Go SDK, package api/client, against clusters of real processes: every operation straight to the owners
// and through the gateway, and reads and writes that go on while nodes are killed, restarted and lost.
//
// What the SDK does with answers that no healthy cluster gives is tested in api/client itself.
//
// Start at start and TestOperations.
package sdk
