// Package failpoint marks the instants at which a test wants to kill, stop or fail a process.
//
// Code that changes durable state calls Hit with a literal name unique in the repository, such as
// failpoint.Hit("put.after-fsync"), between any two steps whose order matters. Without the build tag
// "failpoints" a Hit is nothing: it is inlined to a nil error and no string remains in the binary.
// With the tag, points are armed from the environment before the process starts,
//
//	AIS_FAILPOINTS="put.after-fsync=kill:3,delete.before-commit=error:*"
//
// or by Arm inside a test's own process. An action takes place at the n-th hit after arming (:n, 1
// when left out) and then never again, or at every hit (:*). The actions:
//
//	kill   SIGKILL to the process itself, as a crash: nothing after the point runs
//	stop   SIGSTOP to the process itself, until somebody sends SIGCONT
//	pause  the goroutine waits until Release; SIGUSR2 to the process releases all
//	error  Hit returns an error of kind Other
//
// Each action is announced on stderr as one line, "failpoint NAME: ACTION", before it happens.
// Scan finds all points of a source tree, so that a test can be sure to visit every one.
//
// Start at Hit.
package failpoint
