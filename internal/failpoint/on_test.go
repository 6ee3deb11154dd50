//go:build failpoints

package failpoint

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"aistore/errs"
)

// TestMain doubles as the process that the tests below kill: with VICTIM set it passes point "p"
// four times, announcing each.
func TestMain(m *testing.M) {
	if os.Getenv("VICTIM") == "" {
		os.Exit(m.Run())
	}
	for range 4 {
		os.Stdout.WriteString("before\n")
		if err := Hit("p"); err != nil {
			os.Stdout.WriteString("error\n")
		}
	}
	os.Stdout.WriteString("end\n")
}

// victim starts this binary with points armed by the environment, its stderr on err.
func victim(t *testing.T, spec string) (cmd *exec.Cmd, out, err *bufio.Scanner) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "VICTIM=1", "AIS_FAILPOINTS="+spec)
	stdout, e1 := cmd.StdoutPipe()
	stderr, e2 := cmd.StderrPipe()
	if err := errors.Join(e1, e2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, bufio.NewScanner(stdout), bufio.NewScanner(stderr)
}

func lines(s *bufio.Scanner) string {
	var all []string
	for s.Scan() {
		all = append(all, s.Text())
	}
	return strings.Join(all, " ")
}

func TestKill(t *testing.T) {
	cmd, out, _ := victim(t, "p=kill:3")
	if got := lines(out); got != "before before before" {
		t.Errorf("the process wrote %q", got)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("the process ended with %v", err)
	}
}

func TestErrorFromEnvironment(t *testing.T) {
	for spec, want := range map[string]string{
		"p=error":           "before error before before before end",
		"p=error:2":         "before before error before before end",
		"q=kill, p=error:*": "before error before error before error before error end",
	} {
		cmd, out, _ := victim(t, spec)
		if got := lines(out); got != want {
			t.Errorf("%s: the process wrote %q", spec, got)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", spec, err)
		}
	}
}

func TestStop(t *testing.T) {
	cmd, out, _ := victim(t, "p=stop:2")
	var info unix.Siginfo
	var err error = unix.EINTR
	for errors.Is(err, unix.EINTR) {
		err = unix.Waitid(unix.P_PID, cmd.Process.Pid, &info, unix.WSTOPPED, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if got := lines(out); got != "before before before before end" {
		t.Errorf("the process wrote %q", got)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestPauseFromEnvironment(t *testing.T) {
	cmd, out, stderr := victim(t, "p=pause:4")
	for range 4 {
		out.Scan()
	}
	for stderr.Scan() && stderr.Text() != "failpoint p: pause" {
	}
	if err := cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	if !out.Scan() || out.Text() != "end" {
		t.Errorf("the process wrote %q", out.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestBadEnvironment(t *testing.T) {
	cmd, out, _ := victim(t, "p=explode")
	if got := lines(out); got != "before" {
		t.Errorf("the process wrote %q", got)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("a process with an unreadable variable went on")
	}
}

func TestPauseAndRelease(t *testing.T) {
	t.Cleanup(Disarm)
	if err := Arm("a=pause:*,b=pause"); err != nil {
		t.Fatal(err)
	}
	done := make(chan string)
	for range 2 {
		go func() { _ = Hit("a"); done <- "a" }()
	}
	go func() { _ = Hit("b"); done <- "b" }()
	for h := Hits(); h["a"] < 2 || h["b"] < 1; h = Hits() {
	}
	if got := Waiting(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("waiting at %q", got)
	}
	Release("a")
	if one, two := <-done, <-done; one != "a" || two != "a" {
		t.Errorf("released %s and %s", one, two)
	}
	if got := Waiting(); !slices.Equal(got, []string{"b"}) {
		t.Errorf("waiting at %q", got)
	}
	Release("")
	<-done
}

func TestArm(t *testing.T) {
	t.Cleanup(Disarm)
	for _, bad := range []string{"", "a", "=kill", "a=", "a=boom", "a=kill:0", "a=kill:x", "a=kill:", "a=error,b"} {
		if err := Arm(bad); !errs.Is(err, errs.Invalid) {
			t.Errorf("Arm(%q): %v", bad, err)
		}
	}
	if err := Hit("a"); err != nil {
		t.Errorf("half of a bad specification was armed: %v", err)
	}
	if err := Arm("a=error:2"); err != nil {
		t.Fatal(err)
	}
	var got []bool
	for range 4 {
		got = append(got, Hit("a") != nil)
	}
	if !slices.Equal(got, []bool{false, true, false, false}) {
		t.Errorf("failed at %v", got)
	}
	if n := Hits()["a"]; n != 5 {
		t.Errorf("counted %d hits", n)
	}
	Disarm()
	if n := Hits()["a"]; n != 0 {
		t.Errorf("counted %d hits after Disarm", n)
	}
}
