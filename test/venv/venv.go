// Package venv makes the Python virtual environments that tests of published clients run in.
//
// They live below .venv at the repository's root, named after the list of packages they hold, and are made once.
// Start at Python.
package venv

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Python returns the interpreter of an environment with what the requirements file names, making the environment if it is
// missing or was made from another list. The test is skipped where there is no Python 3.
func Python(t testing.TB, requirements string) string {
	t.Helper()
	python3, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed: published Python clients cannot be checked")
	}
	list, err := os.ReadFile(requirements)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(append(list, python3...))
	name := strings.TrimSuffix(filepath.Base(requirements), ".txt") + "-" + hex.EncodeToString(sum[:6])
	dir := filepath.Join(root(t), ".venv", name)
	python := filepath.Join(dir, "bin", "python")
	if _, err := os.Stat(filepath.Join(dir, "complete")); err == nil {
		return python
	}
	if err := os.RemoveAll(dir); err != nil { // a part of an earlier attempt
		t.Fatal(err)
	}
	run(t, python3, "-m", "venv", dir)
	run(t, python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements)
	if err := os.WriteFile(filepath.Join(dir, "complete"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return python
}

// root is the repository's root, known from where this file was compiled from or, with trimmed paths, from the go command.
func root(t testing.TB) string {
	t.Helper()
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		return filepath.Dir(filepath.Dir(filepath.Dir(file)))
	}
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(strings.TrimSpace(string(out)))
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}
