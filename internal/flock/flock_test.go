package flock

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"aistore/errs"
)

const childEnv = "FLOCK_TEST_FILE"

// TestMain is also the other process: it locks the file, says so, and goes when its input ends.
func TestMain(m *testing.M) {
	path := os.Getenv(childEnv)
	if path == "" {
		os.Exit(m.Run())
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		err = Lock(f.Fd())
	}
	fmt.Println(err)
	_, _ = bufio.NewReader(os.Stdin).ReadByte()
}

func TestOtherProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if said, err := bufio.NewReader(out).ReadString('\n'); err != nil || said != "<nil>\n" {
		t.Fatalf("%q %v", said, err)
	}
	err = Lock(f.Fd())
	if !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "is locked by another process") || !strings.Contains(err.Error(), "stop that one, or use another directory") {
		t.Errorf("%v", err)
	}
	if pid := holder(f.Fd()); pid == cmd.Process.Pid {
		if !strings.Contains(err.Error(), fmt.Sprintf("(pid %d)", pid)) {
			t.Errorf("%v does not name pid %d", err, pid)
		}
	} else if pid != 0 { // this file system's locks may not be listed
		t.Errorf("pid %d, want %d", pid, cmd.Process.Pid)
	}
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := Lock(f.Fd()); err != nil {
		t.Errorf("the lock goes with the process: %v", err)
	}
}

func TestFind(t *testing.T) {
	const table = `1: POSIX  ADVISORY  WRITE 11 fe:00:7 0 EOF
2: FLOCK  ADVISORY  WRITE 22 fe:00:70 0 EOF
3: FLOCK  ADVISORY  WRITE 33 fe:00:7 0 EOF
3: -> FLOCK  ADVISORY  WRITE 44 fe:00:7 0 EOF
4: FLOCK  ADVISORY  WRITE 0 fe:00:8 0 EOF
4: FLOCK
`
	for file, want := range map[string]int{"fe:00:7": 33, "fe:00:70": 22, "fe:00:8": 0, "fe:01:7": 0} {
		if got := find(table, file); got != want {
			t.Errorf("%s: %d, want %d", file, got, want)
		}
	}
}
