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

	"aistore/test/bench/idle"
)

// The pair that the cluster and MinIO are started with.
const (
	accessKey = "BENCHACCESSKEY"
	secretKey = "bench-secret-key" //nolint:gosec // of servers that live for a minute on loopback
)

// minio is a MinIO server on loopback with one drive.
type minio struct {
	url, version string
	cmd          *exec.Cmd
}

// startMinio starts MinIO from PATH; exec.ErrNotFound if there is none.
func startMinio(ctx context.Context, dir string, port int) (*minio, error) {
	bin, err := exec.LookPath("minio")
	if err != nil {
		return nil, err
	}
	text, err := exec.CommandContext(ctx, bin, "--version").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("minio --version: %w: %s", err, text)
	}
	m := &minio{url: "http://127.0.0.1:" + strconv.Itoa(port)}
	m.version, _, _ = strings.Cut(string(text), "\n")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	m.cmd = exec.Command(bin, "server", dir, "--address", "127.0.0.1:"+strconv.Itoa(port), "--quiet") //nolint:gosec // from PATH, as documented
	m.cmd.Env = append(os.Environ(), "MINIO_ROOT_USER="+accessKey, "MINIO_ROOT_PASSWORD="+secretKey, "MINIO_BROWSER=off", "MINIO_UPDATE=off")
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url+"/minio/health/ready", nil)
		if err != nil {
			return nil, err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return m, nil
			}
		}
		select {
		case <-ctx.Done():
			m.stop()
			return nil, errors.New("minio does not become ready within 20 s")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (m *minio) stop() {
	_ = m.cmd.Process.Signal(syscall.SIGTERM)
	_ = m.cmd.Wait()
}

// multipart measures whole uploads and downloads of one large file by the aws command line with its defaults; one operation is
// one file. Starting the command, half a second and more, is part of it on every server alike.
func (b *bench) multipart(ctx context.Context, g group) error {
	if !b.o.s3 {
		return errors.New("--ops multipart needs -s3")
	}
	aws, err := exec.LookPath("aws")
	if err != nil {
		b.note("aws is not in PATH: the multipart rows are left out")
		return nil
	}
	const size = 256 << 20
	file := filepath.Join(b.dir, "large")
	if err := os.WriteFile(file, pattern(size), 0o600); err != nil {
		return err
	}
	type server struct {
		route, url string
		pids       []int
	}
	servers := []server{{viaS3, b.cluster.Endpoint(), b.cluster.pids}}
	if b.minio != nil {
		servers = append([]server{{viaPeer, b.minio.url, []int{b.minio.cmd.Process.Pid}}}, servers...)
	}
	for _, way := range []string{"put", "get"} {
		base := len(b.res.Cells)
		for _, s := range servers {
			run := func(args ...string) error {
				cmd := exec.CommandContext(ctx, aws, append([]string{"--endpoint-url", s.url, "s3"}, args...)...) //nolint:gosec // from PATH, as documented
				cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+accessKey, "AWS_SECRET_ACCESS_KEY="+secretKey, "AWS_DEFAULT_REGION=us-east-1",
					"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true")
				if out, err := cmd.CombinedOutput(); err != nil {
					return fmt.Errorf("aws s3 %s: %w: %s", strings.Join(args, " "), err, out)
				}
				return nil
			}
			if way == "put" {
				if err := run("mb", "s3://bench-large"); err != nil {
					return err
				}
			}
			if err := b.settle(ctx); err != nil {
				return err
			}
			const rounds = 3
			cpu, began := idle.CPU(s.pids), time.Now()
			for range rounds {
				from, to := file, "s3://bench-large/large"
				if way == "get" {
					from, to = to, filepath.Join(b.dir, "back")
				}
				if err := run("cp", "--only-show-errors", from, to); err != nil {
					return err
				}
			}
			took := time.Since(began) / rounds
			c := Cell{Op: way + " by aws", Size: g.size, Concurrency: 1, Route: s.route, PerSecond: 1 / took.Seconds(), MiBPerSec: size / took.Seconds() / (1 << 20),
				P50: float64(took.Microseconds()), ServerCPU: float64((idle.CPU(s.pids) - cpu).Microseconds()) / rounds}
			if way == "put" && s.route == viaS3 {
				c.Durability = "local"
			}
			b.res.Cells = append(b.res.Cells, c)
			if way == "get" {
				if err := run("rb", "--force", "s3://bench-large"); err != nil {
					return err
				}
			}
		}
		compare(b.res.Cells[base:])
	}
	return nil
}

// pattern is n bytes that do not compress.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i, x := 0, uint64(88172645463325252); i+8 <= n; i += 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		for j := range 8 {
			b[i+j] = byte(x >> (8 * j))
		}
	}
	return b
}
