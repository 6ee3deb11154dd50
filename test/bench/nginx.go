package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// nginx is one server on loopback with a configuration of its own.
type nginx struct {
	url, root, version string
	workers            []int
	cmd                *exec.Cmd
}

// config serves files with sendfile and kept connections, and takes PUT and DELETE if the module for that is built in. The
// cache of open files is off, as it is by default.
const config = `worker_processes %[1]d;
daemon off;
%[6]s
pid %[2]s/pid;
error_log %[2]s/error.log;
events { worker_connections 4096; }
http {
	access_log off;
	default_type application/octet-stream;
	sendfile on;
	tcp_nopush on;
	keepalive_requests 1000000000;
	keepalive_timeout 60s;
	client_max_body_size 0;
	client_body_buffer_size 64k;
	client_body_temp_path %[2]s/tmp;
	proxy_temp_path %[2]s/tmp;
	fastcgi_temp_path %[2]s/tmp;
	uwsgi_temp_path %[2]s/tmp;
	scgi_temp_path %[2]s/tmp;
	server {
		listen 127.0.0.1:%[3]d reuseport;
		root %[4]s;
		%[5]s
	}
}
`

// startNginx starts nginx from PATH; exec.ErrNotFound if there is none.
func startNginx(ctx context.Context, dir string, port int) (*nginx, error) {
	bin, err := exec.LookPath("nginx")
	if err != nil {
		return nil, err
	}
	n := &nginx{url: "http://127.0.0.1:" + strconv.Itoa(port), root: filepath.Join(dir, "root")}
	text, err := exec.CommandContext(ctx, bin, "-V").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("nginx -V: %w: %s", err, text)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	n.version = strings.TrimPrefix(line, "nginx version: ")
	dav := ""
	if strings.Contains(string(text), "http_dav_module") {
		dav = "dav_methods PUT DELETE; create_full_put_path on;"
	}
	for _, d := range []string{n.root, filepath.Join(dir, "tmp")} {
		if err := os.MkdirAll(d, 0o755); err != nil { //nolint:gosec // the workers may be another user
			return nil, err
		}
	}
	as := ""
	if u, err := user.Current(); err == nil && u.Uid == "0" {
		as = "user root;" // else the workers are nobody, who may not read our files
	}
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, fmt.Appendf(nil, config, runtime.NumCPU(), dir, port, n.root, dav, as), 0o600); err != nil {
		return nil, err
	}
	n.cmd = exec.Command(bin, "-c", path, "-p", dir) //nolint:gosec // from PATH, as documented
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	if err := n.ready(ctx); err != nil {
		n.stop()
		log, _ := os.ReadFile(filepath.Join(dir, "error.log"))
		return nil, fmt.Errorf("nginx: %w: %s", err, log)
	}
	return n, nil
}

// ready waits until nginx answers, and finds its workers.
func (n *nginx) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.url, nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			break
		}
		select {
		case <-ctx.Done():
			return errors.New("does not answer within 10 s")
		case <-time.After(20 * time.Millisecond):
		}
	}
	pid := strconv.Itoa(n.cmd.Process.Pid)
	raw, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	if err != nil {
		return err
	}
	for f := range strings.FieldsSeq(string(raw)) {
		if w, err := strconv.Atoi(f); err == nil {
			n.workers = append(n.workers, w)
		}
	}
	if len(n.workers) == 0 {
		return errors.New("has no workers")
	}
	return nil
}

func (n *nginx) stop() {
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	_ = n.cmd.Wait()
}
