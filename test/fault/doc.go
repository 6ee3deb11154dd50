// Package fault hurts clusters of real processes and holds what their clients saw to account.
//
// Each test kills, stops, starves or lies to nodes, lets them start again as an operator would (deploy/local,
// no further step), and then asks for all that was ever acknowledged: histories of clients are judged by
// test/linear. Tests that mostly wait, for leases or for what moves slowly, run beside each other at the end. Nothing sleeps to wait for a state; what is waited for is asked for. With AIS_LONG=1 the same
// tests run more rounds; AIS_SEED=n repeats the choices of a run. docs/design/testing.md lists what each test
// claims.
//
// The package ships nothing: start at kill_test.go.
package fault
