package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"aistore/api/client"
	"aistore/deploy/local"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"ais": main})
}

// TestScripts runs testdata/*.txt against one cluster of processes. Each script has a bucket name of its own in $B;
// scripts that need a cluster for themselves start one at port $PORT.
func TestScripts(t *testing.T) {
	bin := t.TempDir()
	node, err := local.Build(t.Context(), bin)
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := local.Up(t.Context(), local.Options{
		Dir: filepath.Join(bin, "cluster"), Gateways: 1, Targets: 3, Mountpaths: 2, Port: freePorts(t, 24400), Binary: node, CacheSize: "8MiB",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			name := strings.TrimPrefix(filepath.Base(e.WorkDir), "script-")
			e.Setenv("AIS_ENDPOINT", cluster.Endpoint())
			e.Defer(func() { endClusters(t, e.WorkDir) })
			e.Setenv("AISNODE", node)
			e.Setenv("B", "ais://"+name)
			e.Setenv("NAME", name)
			port := freePorts(t, 24500+20*len(name))
			e.Setenv("PORT", strconv.Itoa(port))
			e.Setenv("TLSPORT", strconv.Itoa(port+1)) // of a cluster of one process
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exit": exitCode, "terminal": terminal, "latin1": latin1, "fill": fill, "sigint": sigint, "until": until, "marker": marker,
		},
	})
}

// endClusters kills what is left of the clusters that a script has started below dir: one that fails does not come to their `ais dev down`.
func endClusters(t *testing.T, dir string) {
	files, err := filepath.Glob(filepath.Join(dir, "*", "cluster.json"))
	if err != nil {
		t.Error(err)
	}
	for _, f := range files {
		c, err := local.Open(local.Options{Dir: filepath.Dir(f)})
		if err == nil {
			err = c.KillAll(context.Background()) // t's context may have ended
		}
		if err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
}

// TestEndClusters has a script fail in the middle of the life of a cluster.
func TestEndClusters(t *testing.T) {
	dir := t.TempDir()
	node, err := local.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c, err := local.Up(t.Context(), local.Options{Dir: filepath.Join(dir, "dev"), All: true, Port: freePorts(t, 24460), Binary: node, CacheSize: "8MiB"})
	if err != nil {
		t.Fatal(err)
	}
	endClusters(t, dir)
	for _, s := range c.Status() {
		if s.State != local.Stopped {
			t.Errorf("%+v", s)
			_ = c.KillAll(context.Background())
		}
	}
}

// freePorts returns the first of ten consecutive ports, from on, at which nobody listens.
func freePorts(t *testing.T, from int) int {
	for p := from; p < from+1000; p += 10 {
		free := true
		for q := p; q < p+10 && free; q++ {
			ln, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(q))
			if free = err == nil; free {
				_ = ln.Close()
			}
		}
		if free {
			return p
		}
	}
	t.Fatal("no ten free ports in a row")
	return 0
}

// exitCode is `exit N COMMAND ...`: runs the command, compares its exit code, and looks for quotes that nothing closes.
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit N COMMAND ...")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var e *exec.ExitError
		if !errors.As(err, &e) {
			ts.Fatalf("%v", err)
		}
		got = e.ExitCode()
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code is %d, want %s", got, args[0])
	}
	for _, quote := range "\"`" {
		if strings.Count(ts.ReadFile("stderr"), string(quote))%2 != 0 {
			ts.Fatalf("the message leaves a quote open")
		}
	}
}

// latin1 is `latin1 DIR`: makes a file there whose name is not UTF-8, which a script cannot write.
func latin1(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(filepath.Join(ts.MkAbs(args[0]), "caf\xe9"), []byte("x"), 0o644))
}

// marker is `marker BUCKET NAME`: makes an empty object of a name that ais would not give one.
func marker(ts *testscript.TestScript, _ bool, args []string) {
	sdk, err := client.New(client.Options{Endpoints: []string{ts.Getenv("AIS_ENDPOINT")}})
	ts.Check(err)
	defer sdk.Close()
	_, err = sdk.Bucket(strings.TrimPrefix(args[0], "ais://")).Put(context.Background(), args[1], client.Bytes(nil), client.PutOptions{})
	ts.Check(err)
}

// until is `[!] until TEXT COMMAND ...`: runs the command again and again until its standard output contains the text, or does not.
func until(ts *testscript.TestScript, neg bool, args []string) {
	for range 600 {
		ts.Check(ts.Exec(args[1], args[2:]...))
		if strings.Contains(ts.ReadFile("stdout"), args[0]) != neg {
			return
		}
		time.Sleep(50 * time.Millisecond) // nothing announces it to a shell
	}
	ts.Fatalf("it did not come to that: %q", args[0])
}

// fill is `fill FILE BYTES`: makes a file of that size.
func fill(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o644))
}

// sigint is `sigint COMMAND ...`: runs the command with a standard input that never ends, interrupts it once it has
// taken what was there, and wants exit code 130.
func sigint(ts *testscript.TestScript, _ bool, args []string) {
	r, w, err := os.Pipe()
	ts.Check(err)
	defer w.Close()
	cmd := program(ts, args)
	cmd.Stdin = r
	ts.Check(cmd.Start())
	_ = r.Close()
	_, err = w.Write(make([]byte, 1<<20)) // more than a pipe holds: it returns when the command reads
	ts.Check(err)
	ts.Check(cmd.Process.Signal(os.Interrupt))
	_ = cmd.Wait()
	if cmd.ProcessState.ExitCode() != 130 {
		ts.Fatalf("exit code is %d, want 130", cmd.ProcessState.ExitCode())
	}
}

// program prepares a program with the script's directory and environment.
func program(ts *testscript.TestScript, args []string) *exec.Cmd {
	path := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if p := filepath.Join(dir, args[0]); path == "" {
			if _, err := os.Stat(p); err == nil {
				path = p
			}
		}
	}
	cmd := exec.Command(path, args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, k := range []string{"PATH", "HOME", "TMPDIR", "AIS_ENDPOINT", "AISNODE", "NO_COLOR"} {
		if v := ts.Getenv(k); v != "" {
			cmd.Env = append(cmd.Env, k+"="+v)
		}
	}
	cmd.Env = append(cmd.Env, "TERM=xterm")
	return cmd
}

// endOfTerminal is written to the terminal after the command has ended, as the last that is read from it.
const endOfTerminal = "\x1e"

// terminal is `terminal ANSWER COMMAND ...`: runs the command on a terminal of 30 lines by 100, types ANSWER when it
// has printed a question mark, and keeps what the terminal was sent in the file tty. The answer ^C is Ctrl-C alone, and
// wants exit code 130. The terminal stays open until all is read: a command that closes it as the last takes with it,
// now and then, what it has just written.
func terminal(ts *testscript.TestScript, neg bool, args []string) {
	master, slave := pty(ts)
	defer master.Close()
	defer slave.Close()
	cmd := program(ts, args[1:])
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	ts.Check(cmd.Start())
	ended := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		_, werr := io.WriteString(slave, endOfTerminal)
		ended <- errors.Join(err, werr)
	}()
	var seen bytes.Buffer
	buf := make([]byte, 4096)
	answered, answer := args[0] == "", args[0]+"\n"
	if args[0] == "^C" {
		answer = "\x03"
	}
	for !bytes.HasSuffix(seen.Bytes(), []byte(endOfTerminal)) {
		n, err := master.Read(buf)
		ts.Check(err)
		seen.Write(buf[:n])
		if !answered && bytes.Contains(seen.Bytes(), []byte("?")) {
			answered = true
			_, err := io.WriteString(master, answer)
			ts.Check(err)
		}
	}
	seen.Truncate(seen.Len() - len(endOfTerminal))
	err := <-ended
	ts.Check(os.WriteFile(ts.MkAbs("tty"), seen.Bytes(), 0o644))
	ts.Logf("[tty]\n%s", strings.ReplaceAll(seen.String(), "\x1b", "^["))
	if code := cmd.ProcessState.ExitCode(); args[0] == "^C" && code != 130 || (err != nil) != neg {
		ts.Fatalf("ended with %v", err)
	}
}

func pty(ts *testscript.TestScript) (master, slave *os.File) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	ts.Check(err)
	fd := int(master.Fd())
	ts.Check(unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	ts.Check(err)
	ts.Check(unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: 100}))
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	ts.Check(err)
	return master, slave
}
