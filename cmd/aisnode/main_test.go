package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		env  []string
		code int
		out  string // in stdout or stderr
	}{
		{"help", []string{"--help"}, nil, 0, "--mountpaths"},
		{"zone in help", []string{"--help"}, nil, 0, "places nothing yet: of an object there is one copy"},
		{"version", []string{"--version"}, nil, 0, "aisnode unknown"},
		{"bad flag", []string{"--colour=red"}, nil, exitConfig, "colour"},
		{"bad role", []string{"--role=king"}, nil, exitConfig, "role"},
		{"bad port", []string{"--port=70000"}, nil, exitConfig, "port"},
		{"bad environment", nil, []string{"AIS_NODE_PORT=x"}, exitConfig, "AIS_NODE_PORT"},
		{"no such file", []string{"--config=/nonexistent.yaml"}, nil, exitConfig, "/nonexistent.yaml"},
		{"impossible dir", []string{"--dir=/proc/x", "--port=21901"}, nil, exitFailed, "/proc/x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			var out, errOut bytes.Buffer
			code := run(c.args, c.env, &out, &errOut)
			if code != c.code || !strings.Contains(out.String()+errOut.String(), c.out) {
				t.Errorf("exit code %d, want %d\nstdout: %s\nstderr: %s", code, c.code, &out, &errOut)
			}
			if left, _ := filepath.Glob("*"); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}
