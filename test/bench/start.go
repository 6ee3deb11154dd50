package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// StartResult is one start of a single node in role "all".
type StartResult struct {
	What  string        `json:"what"` // "empty" or "restart"
	Ready time.Duration `json:"ready_ns"`
	RSS   int64         `json:"rss_bytes"`
}

// starts starts a node in a new directory, several times, each also a second time on what is there.
func (b *bench) starts(ctx context.Context) error {
	for i := range b.o.starts {
		dir := filepath.Join(b.dir, "all"+strconv.Itoa(i))
		for _, what := range []string{"empty", "restart"} {
			r, err := b.start(ctx, dir, b.o.port+30+i)
			if err != nil {
				return err
			}
			r.What = what
			b.res.Starts = append(b.res.Starts, r)
		}
	}
	return nil
}

// start measures from the start of the process to the first answer that the node is ready.
func (b *bench) start(ctx context.Context, dir string, port int) (r StartResult, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(b.o.bin, "aisnode"), "--dir", dir,
		"--port", strconv.Itoa(port), "--intra-port", strconv.Itoa(port+b.o.starts))
	var text strings.Builder
	cmd.Stderr = &text
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return r, err
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if werr := cmd.Wait(); werr != nil {
			err = errors.Join(err, fmt.Errorf("aisnode: %w: %s", werr, text.String()))
		}
	}()
	url := "http://127.0.0.1:" + strconv.Itoa(port) + "/v1/health?readiness=true"
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return r, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				break
			}
		}
		select {
		case <-ctx.Done():
			return r, fmt.Errorf("aisnode is not ready: %w", ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
	r.Ready = time.Since(began)
	r.RSS = rss(cmd.Process.Pid)
	return r, nil
}

func rss(pid int) int64 {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			kb, _ := strconv.ParseInt(f[1], 10, 64) // the kernel writes a number
			return kb << 10
		}
	}
	return 0
}
