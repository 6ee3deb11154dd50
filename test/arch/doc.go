// Package arch holds the project to its shape: which package may import which, where each outside
// library lives, that every package says what it is for, and how large things may grow.
//
// It reads source text only (go/parser), so it sees every file whatever its build tags, and takes
// well under a second. It knows nothing of behaviour; that is the other tests' work.
//
// A new package is added to the table in layers.go, a new library to homes.go, an exception to
// waivers.go with its reason. Start at Check.
package arch
