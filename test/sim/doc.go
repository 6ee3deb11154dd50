// Package sim runs a whole cluster in one event loop: the real state machine of the control plane (cluster.Machine), the real decisions of
// nodes (cluster/ownership), and around them a model of what the shells do: targets that serve, ask, pull, push, sweep and wipe, gateways
// that route and list, disks that forget what was not synced, a network that loses, repeats and delays, clocks that jump, operators who
// change their minds. Everything follows from the seed: no goroutine, no clock, no random source of the process.
//
// While it runs, clients write a history; afterwards the oracles judge it (oracle.go, register.go): nothing acknowledged is lost, each name is
// linearizable, nothing deleted comes back, lists are exact, and once healed every key lies at its owner alone.
//
// A Fault breaks one rule of docs/design/ownership.md on purpose. The tests demand that each is found out within 500 seeds, and the page's
// table names a seed for each.
//
// Start at Run; a seed's story is printed by: go test ./test/sim -run TestSeed -seed N -v
package sim
