package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"aistore/test/procs"
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
		{"impossible dir", []string{"--dir=/proc/x", "--port=21901"}, nil, exitFailed, "cannot start: mountpaths: /proc/x/mp1: mkdir /proc/x: no such file or directory: name directories that can be made"},
		{"dir that is none", []string{"--dir=/proc/version", "--port=21901"}, nil, exitFailed, "dir: /proc/version is no directory: name one, or one to be made, with --dir"},
		{"mountpath that is none", []string{"--dir=/proc/x", "--mountpaths=/proc/version", "--port=21901"}, nil, exitFailed, "mountpaths: /proc/version: not a directory: name directories"},
		{"two faults", []string{"--port=99999", "--role=king"}, nil, exitConfig, "intra_port: 109999 is outside 1..65535; it is port + 10000 unless set\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			var out, errOut bytes.Buffer
			code := run(c.args, c.env, &out, &errOut)
			if code != c.code || !strings.Contains(out.String()+errOut.String(), c.out) {
				t.Errorf("exit code %d, want %d\nstdout: %s\nstderr: %s", code, c.code, &out, &errOut)
			}
			if op := regexp.MustCompile(` \([a-z]+\.[A-Z][A-Za-z]+\)`).FindString(errOut.String()); op != "" && !strings.Contains(errOut.String(), "level=") {
				t.Errorf("a function is named,%s: %s", op, &errOut)
			}
			if left, _ := filepath.Glob("*"); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestCannotListen: the error names the setting that is wrong, and the flag that sets it.
func TestCannotListen(t *testing.T) {
	t.Chdir(t.TempDir())
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	free := strconv.Itoa(procs.FreePort(t))
	for _, c := range []struct{ args, want string }{
		{"--port " + free + " --intra-port " + port, "cannot start: intra_port: listen tcp 127.0.0.1:" + port + ": bind: address already in use: choose another with --intra-port"},
		{"--port " + free + " --host 192.0.2.1", "cannot start: host: listen tcp 192.0.2.1:" + free + ": bind: cannot assign requested address: name an address of this machine with --host"},
	} {
		var out, errOut bytes.Buffer
		if code := run(strings.Fields(c.args), nil, &out, &errOut); code != exitFailed || !strings.Contains(errOut.String(), c.want) {
			t.Errorf("%s: exit code %d, %s", c.args, code, &errOut)
		}
	}
}

// TestMain plays the command, when it is told to.
func TestMain(m *testing.M) {
	if os.Getenv("AIS_TEST_NODE") == "" {
		os.Exit(m.Run())
	}
	main()
}

// TestStoppedWhileOpening: SIGTERM ends a node that is only being opened as it ends any other, with 0; before it listens for signals the kernel ends it.
func TestStoppedWhileOpening(t *testing.T) {
	t.Parallel()
	port, intra := strconv.Itoa(procs.FreePort(t)), strconv.Itoa(procs.FreePort(t))
	early, open := 0, false
	for wait := time.Duration(0); !open; wait += 3*time.Millisecond + wait/20 {
		ready, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0], "--dir", t.TempDir(), "--host", "127.0.0.1", "--port", port, "--intra-port", intra)
		cmd.Env = append(os.Environ(), "AIS_TEST_NODE=1")
		var log bytes.Buffer
		cmd.Stdout, cmd.Stderr = w, &log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_ = w.Close()
		time.AfterFunc(wait, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
		out, _ := io.ReadAll(ready)
		err = cmd.Wait()
		status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
		switch {
		case status.Signaled() && status.Signal() == syscall.SIGTERM:
			early++
		case err != nil:
			t.Fatalf("stopped after %v: %v\n%s", wait, err, log.Bytes())
		}
		open = bytes.Contains(out, []byte("ready:"))
		if wait > 20*time.Second {
			t.Fatalf("it is never ready:\n%s", log.Bytes())
		}
	}
	t.Logf("%d were ended before they listened for signals", early)
}

// TestContainerMemory: the heap of a node in a container that may have 256 MiB stays below three quarters of it, unless somebody says otherwise.
func TestContainerMemory(t *testing.T) {
	t.Parallel()
	group := container(t, 256<<20)
	for _, c := range []struct {
		env  string
		want string
	}{
		{"", "go_gc_gomemlimit_bytes 2.01326592e+08\n"},
		{"GOMEMLIMIT=100MiB", "go_gc_gomemlimit_bytes 1.048576e+08\n"},
		{"AUTOMEMLIMIT=0.5", "go_gc_gomemlimit_bytes 1.34217728e+08\n"},
	} {
		port := strconv.Itoa(procs.FreePort(t))
		cmd := exec.Command("sh", "-c", `echo $$ > "$0"/cgroup.procs && exec "$@"`, group, os.Args[0],
			"--dir", t.TempDir(), "--host", "127.0.0.1", "--port", port, "--intra-port", strconv.Itoa(procs.FreePort(t)))
		cmd.Env = append(os.Environ(), "AIS_TEST_NODE=1", c.env)
		var log bytes.Buffer
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = &log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		late := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
		ready, _ := bufio.NewReader(out).ReadString('\n') // or the process has ended
		if rep, err := http.Get("http://127.0.0.1:" + port + "/metrics"); err != nil {
			t.Errorf("%s%v\n%s", ready, err, log.Bytes())
		} else {
			text, _ := io.ReadAll(rep.Body)
			_ = rep.Body.Close()
			if !bytes.Contains(text, []byte(c.want)) {
				t.Errorf("with %q: not %s%s", c.env, c.want, regexp.MustCompile("(?m)^go_gc_gomemlimit.*").Find(text))
			}
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v\n%s", err, log.Bytes())
		}
		late.Stop()
	}
}

// container makes a group of processes that may have so many bytes of memory together, and returns where; it needs root.
func container(t *testing.T, bytes int) string {
	t.Helper()
	name := "ais-test-" + strconv.Itoa(os.Getpid())
	for _, c := range []struct{ dir, limit string }{{"/sys/fs/cgroup", "memory.max"}, {"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}} {
		dir := filepath.Join(c.dir, name)
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() { _ = os.Remove(dir) })
		if f, err := os.OpenFile(filepath.Join(dir, c.limit), os.O_WRONLY, 0); err == nil {
			_, err = f.WriteString(strconv.Itoa(bytes))
			if _ = f.Close(); err == nil {
				return dir
			}
		}
	}
	t.Skip("making a control group of memory needs root, and a kernel and a container that let it")
	return ""
}
