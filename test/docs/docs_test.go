// Package docs runs the examples of the documentation, so that none of them is a lie.
package docs

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aistore/deploy/local"
	"aistore/proxy"
)

// block is one example: shell commands and parts of what they print, in order.
type block struct {
	line     int // where it begins
	commands string
	want     []string
}

// examples reads the ```sh blocks of a Markdown file. "# => TEXT" says that TEXT is printed. A ```go block becomes the
// commands that run it in the repository.
func examples(t *testing.T, path string) []block {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	inside, program := false, false
	for i, line := range strings.Split(string(text), "\n") {
		switch {
		case line == "```sh":
			inside = true
			all = append(all, block{line: i + 1})
		case line == "```go":
			inside, program = true, true
			all = append(all, block{line: i + 1, commands: "cat > example.go <<'END OF PROGRAM'\n"})
		case line == "```":
			if program {
				all[len(all)-1].commands += "END OF PROGRAM\n(p=$PWD; cd $REPOSITORY; go run $p/example.go)\n"
			}
			inside, program = false, false
		case inside:
			b := &all[len(all)-1]
			if want, ok := strings.CutPrefix(line, "# => "); ok {
				b.want = append(b.want, want)
			} else {
				b.commands += line + "\n"
			}
		}
	}
	return all
}

// TestPages runs each page from top to bottom against a cluster of its own.
func TestPages(t *testing.T) {
	for _, tool := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute) // with a build, whose cache may be empty
	defer cancel()
	bin := t.TempDir()
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", bin, "aistore/cmd/aisnode", "aistore/cmd/ais").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, page := range []struct {
		name     string
		examples int // at least
	}{{"native-api", 30}, {"quickstart", 7}, {"cli", 9}, {"s3", 3}} {
		t.Run(page.name, func(t *testing.T) {
			blocks := examples(t, "../../docs/"+page.name+".md")
			if len(blocks) < page.examples {
				t.Fatalf("%d examples found", len(blocks))
			}
			c, err := local.Up(ctx, local.Options{
				Dir: t.TempDir(), Gateways: 1, Targets: 3, Mountpaths: 2, Port: freePorts(t, 4), Binary: filepath.Join(bin, "aisnode"), CacheSize: "16MiB",
			})
			if c != nil {
				defer func() {
					if err := c.Down(context.Background()); err != nil {
						t.Error(err)
					}
				}()
			}
			if err != nil {
				t.Fatal(err)
			}
			runBlocks(ctx, t, "docs/"+page.name+".md", blocks, bin, c.Endpoint())
		})
	}
}

// runBlocks runs all blocks in one shell. What they find in the environment is what the pages tell their readers to set.
func runBlocks(ctx context.Context, t *testing.T, path string, blocks []block, bin, endpoint string) {
	t.Helper()
	const mark = "\n@@ example "
	var script strings.Builder
	script.WriteString("set -euo pipefail\n")
	// A reader starts his cluster at the default port; here that may be taken.
	port := freePorts(t, 1)
	ports := strings.NewReplacer("--port 8080 ", fmt.Sprintf("--port %d ", port), "127.0.0.1:8080", fmt.Sprintf("127.0.0.1:%d", port))
	for i, b := range blocks {
		fmt.Fprintf(&script, "printf '%s%d\\n'\n%s", strings.ReplaceAll(mark, "\n", `\n`), i, ports.Replace(b.commands))
	}
	repository, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "bash", "-c", script.String())
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "G="+endpoint, "AIS_ENDPOINT="+endpoint, "PATH="+bin+":"+os.Getenv("PATH"), "REPOSITORY="+repository,
		"no_proxy=127.0.0.1", "LC_ALL=C.UTF-8", "TZ=UTC")
	out, err := cmd.CombinedOutput()
	outputs := strings.Split(string(out), mark)[1:]
	for i, b := range blocks {
		if i >= len(outputs) {
			break
		}
		rest := outputs[i]
		for _, want := range b.want {
			at := strings.Index(rest, want)
			if at < 0 {
				t.Errorf("%s:%d: %q is not in what is printed:\n%.3000s", path, b.line, want, outputs[i])
				break
			}
			rest = rest[at+len(want):]
		}
	}
	if err != nil {
		last := blocks[max(0, len(outputs)-1)]
		t.Fatalf("%s:%d: %v:\n%.2000s", path, last.line, err, outputs[len(outputs)-1])
	}
}

// TestEveryRouteIsDescribed holds the page to the gateway's route table.
func TestEveryRouteIsDescribed(t *testing.T) {
	text, err := os.ReadFile("../../docs/native-api.md")
	if err != nil {
		t.Fatal(err)
	}
	place := strings.NewReplacer("/v1/buckets/*", "/v1/buckets/BUCKET", "/v1/objects/*", "/v1/objects/BUCKET/OBJECT", "/v1/cluster/proxy/*", "/v1/cluster/proxy/NODE", "/v1/cluster/daemon/*", "/v1/cluster/daemon/NODE", "/v1/cluster/*", "/v1/cluster/...")
	for _, r := range proxy.RouteTable() {
		path := strings.TrimSuffix(place.Replace(r.Path), "/")
		switch {
		case strings.HasPrefix(path, "/ais"): // as /v1/objects, /v1/buckets
			path = "/ais/"
		case r.Method == "*": // not served
			path = strings.TrimSuffix(path, "/*")
		}
		if r.Method == "*" || path == "/ais/" {
			if !strings.Contains(string(text), path) {
				t.Errorf("%s is not mentioned", path)
			}
			continue
		}
		if !strings.Contains(string(text), "`"+r.Method+" "+path) {
			t.Errorf("%s %s has no heading", r.Method, path)
		}
	}
}

// freePorts finds n ports in a row that nobody listens on, below the range of ephemeral ports.
func freePorts(t *testing.T, n int) int {
	t.Helper()
next:
	for first := 22500; first < 22900; first += n {
		for p := first; p < first+n; p++ {
			ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: p})
			if err != nil {
				continue next
			}
			if err := ln.Close(); err != nil {
				t.Fatal(err)
			}
		}
		return first
	}
	t.Fatal("no free ports from 22500 to 22900")
	return 0
}
