package s3tests

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"aistore/api"
	"aistore/api/client"
	"aistore/deploy/local"
	"aistore/test/procs"
	"aistore/test/venv"
)

// TestSuite fails only if the suite could not be run: the share that passes is printed, and judged by people.
func TestSuite(t *testing.T) {
	dir, runner, list := os.Getenv("S3TESTS_DIR"), os.Getenv("S3TESTS_RUNNER"), os.Getenv("S3TESTS_LIST")
	if dir == "" || runner == "" {
		t.Skip("S3TESTS_DIR and S3TESTS_RUNNER are not set: the suite is not at hand")
	}
	if list == "" {
		list = "all"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Minute)
	defer cancel()
	bin, err := local.Build(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c, err := local.Up(ctx, local.Options{
		Dir: t.TempDir(), Binary: bin, Gateways: 1, Targets: 3, Mountpaths: 2, Port: procs.FreePorts(t, 4), CacheSize: "16MiB",
		Env: []string{"AIS_ROOT_ACCESS_KEY=MAINACCESSKEY", "AIS_ROOT_SECRET_KEY=secret-of-main"},
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
	prepare(ctx, t, c.Endpoint())
	cmd := exec.CommandContext(ctx, "bash", runner, list)
	cmd.Env = append(os.Environ(), "PYTHON="+venv.Python(t, "s3tests.txt"), "S3_ENDPOINT="+c.Endpoint(), "S3_LC_DAY_S=2", "S3T_TOTAL=2000", "S3T_TIMEOUT=120",
		"S3_ACCESS_KEY=MAINACCESSKEY", "S3_SECRET_KEY=secret-of-main", "S3_ALT_ACCESS_KEY=ALTACCESSKEY", "S3_ALT_SECRET_KEY=secret-of-alt",
		"S3_TENANT_ACCESS_KEY=TENANTACCESSKEY", "S3_TENANT_SECRET_KEY=secret-of-tenant")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
	if keep := os.Getenv("S3TESTS_KEEP"); keep != "" { // the full log of the runner
		if m := regexp.MustCompile(`log: (\S+)`).FindSubmatch(out); m != nil {
			text, err := os.ReadFile(string(m[1]))
			if err == nil {
				err = os.WriteFile(keep, text, 0o644)
			}
			if err != nil {
				t.Error(err)
			}
		}
	}
	if !strings.Contains(string(out), "pass") {
		t.Error("the runner reports nothing that passed")
	}
}

// prepare makes the second and third user of the suite and shortens the lifecycle's day.
func prepare(ctx context.Context, t *testing.T, endpoint string) {
	t.Helper()
	cl, err := client.New(client.Options{Endpoints: []string{endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for name, access := range map[string]string{"alt": "ALTACCESSKEY", "tenant": "TENANTACCESSKEY"} {
		if err := cl.Auth().AddUser(ctx, api.AddUserMsg{Name: name, Role: "user", Email: name + "@example.com"}); err != nil {
			t.Fatal(err)
		}
		if _, err := cl.Auth().AddKey(ctx, name, client.KeyPair{Access: access, Secret: "secret-of-" + name}); err != nil {
			t.Fatal(err)
		}
	}
	if err := cl.SetConfig(ctx, map[string]string{"s3.lifecycle_day": "2s"}); err != nil {
		t.Fatal(err)
	}
}
