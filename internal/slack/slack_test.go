package slack_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"aistore/internal/slack"
)

// TestMain plays the program that is executed, when it is told to.
func TestMain(m *testing.M) {
	if os.Getenv("AIS_TEST_SLACK") == "" {
		os.Exit(m.Run())
	}
	slack.Coarse()
	own, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	fmt.Println(own, err, os.Getpid(), strings.Join(os.Args[1:], " "))
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		fmt.Println(err)
	}
	for _, t := range threads {
		b, err := os.ReadFile("/proc/" + t.Name() + "/timerslack_ns")
		fmt.Println("thread", strings.TrimSpace(string(b)), err)
	}
	os.Exit(7)
}

// TestCoarse: the timers of all threads are coarse, Go's monitor among them, and the process is the one that was started, with what it was started with.
func TestCoarse(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0], "a b", "c")
	cmd.Env = append(os.Environ(), "AIS_TEST_SLACK=1")
	out, err := cmd.Output()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 7 {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	late := strconv.Itoa(int(slack.Late))
	if want := fmt.Sprintf("%s <nil> %d a b c", late, cmd.Process.Pid); lines[0] != want {
		t.Errorf("the program says %q, want %q", lines[0], want)
	}
	if len(lines) < 3 {
		t.Errorf("%d threads, want the monitor at least:\n%s", len(lines)-1, out)
	}
	for _, l := range lines[1:] {
		if l != "thread "+late+" <nil>" && !strings.Contains(l, "operation not permitted") { // other threads' are for CAP_SYS_NICE
			t.Errorf("%s, want %s", l, slack.Late)
		}
	}
}

// TestCoarseAlready: a process whose timers are coarser stays as it is.
func TestCoarseAlready(t *testing.T) {
	t.Parallel()
	const more = 5 * time.Millisecond
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the thread ends with the function
		before := os.Getpid()
		if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(more), 0, 0, 0); err != nil {
			done <- err
			return
		}
		slack.Coarse()
		now, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
		if err == nil && (now != int(more) || os.Getpid() != before) {
			err = fmt.Errorf("slack %d, pid %d; want %d, %d", now, os.Getpid(), more, before)
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
