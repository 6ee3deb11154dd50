package s3clients

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aistore/deploy/local"
	"aistore/test/plain"
	"aistore/test/procs"
	"aistore/test/venv"
)

const access, secret = "CLIENTSACCESSKEY", "secret-of-the-clients-tests"

// suites are the environments and what runs in each.
func suites() map[string][]string {
	m := map[string][]string{
		"clients.txt": {"test_boto3.py", "test_awscli.py", "test_pyarrow.py", "test_crt.py", "test_obstore.py", "test_tools.py"},
		"s3fs.txt":    {"test_s3fs.py"},
	}
	if os.Getenv("AIS_LONG") != "" {
		m["torch.txt"] = []string{"test_torch.py"}
		m["spark.txt"] = []string{"test_spark.py"}
	}
	return m
}

// TestClients runs every suite over plain HTTP through the gateway and over TLS through a target.
func TestClients(t *testing.T) {
	plain, secure := cluster(t)
	for list, files := range suites() {
		t.Run(list, func(t *testing.T) {
			python := venv.Python(t, list)
			if list == "spark.txt" {
				sparkJars(t, python)
			}
			t.Run("http", func(t *testing.T) { pytest(t, python, plain, "", files) })
			t.Run("tls", func(t *testing.T) { pytest(t, python, secure, certificate(t, secure), files) })
		})
	}
}

// sparkJars fetches, once, what Spark needs to know s3a, beside the environment that python is of.
func sparkJars(t *testing.T, python string) {
	t.Helper()
	for _, tool := range []string{"java", "keytool", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed: Spark cannot be checked", tool)
		}
	}
	jars := filepath.Join(filepath.Dir(filepath.Dir(python)), "jars")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "mvn", "-q", "-B", "-f", "spark-jars.xml", "dependency:copy-dependencies", "-DoutputDirectory="+jars, "-DincludeScope=runtime").CombinedOutput()
	if err != nil {
		t.Fatalf("mvn: %v\n%s", err, out)
	}
	t.Setenv("SPARK_S3A_JARS", jars)
}

// TestRedirected runs clients at a gateway that redirects those that follow: all work as ever.
func TestRedirected(t *testing.T) {
	gateway, _ := cluster(t)
	c := plain.New(gateway)
	defer c.Close()
	if err := c.Configure(t.Context(), "s3.redirect", "true"); err != nil {
		t.Fatal(err)
	}
	t.Setenv("S3_REDIRECTS", "1")
	pytest(t, venv.Python(t, "clients.txt"), gateway, "", []string{"test_redirect.py", "test_tools.py", "test_pyarrow.py", "test_crt.py", "test_obstore.py"})
	pytest(t, venv.Python(t, "s3fs.txt"), gateway, "", suites()["s3fs.txt"])
}

func pytest(t *testing.T, python, endpoint, ca string, files []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	args := append([]string{"-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=5"}, files...)
	if run := os.Getenv("S3CLIENTS_RUN"); run != "" { // one check: S3CLIENTS_RUN=test_sync go test ./test/s3clients
		args = append(args, "-k", run)
	}
	cmd := exec.CommandContext(ctx, python, args...)
	home := t.TempDir()
	cmd.Env = []string{
		"PATH=" + filepath.Dir(python) + ":" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home, "PYTHONDONTWRITEBYTECODE=1", "no_proxy=127.0.0.1",
		"S3_ENDPOINT=" + endpoint, "AWS_ENDPOINT_URL=" + endpoint, "AWS_ACCESS_KEY_ID=" + access, "AWS_SECRET_ACCESS_KEY=" + secret, "AWS_DEFAULT_REGION=us-east-1", "AWS_REGION=us-east-1",
		"AWS_EC2_METADATA_DISABLED=true", "AIS_LONG=" + os.Getenv("AIS_LONG"), "SPARK_S3A_JARS=" + os.Getenv("SPARK_S3A_JARS"), "JAVA_HOME=" + os.Getenv("JAVA_HOME"),
	}
	if ca != "" {
		cmd.Env = append(cmd.Env, "AWS_CA_BUNDLE="+ca, "SSL_CERT_FILE="+ca, "S3_CA="+ca)
	}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

// cluster starts 1 gateway and 3 targets; plain is the gateway's URL, secure a target's over TLS.
func cluster(t *testing.T) (plain, secure string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute) // with a build, whose cache may be empty
	defer cancel()
	bin, err := local.Build(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c, err := local.Up(ctx, local.Options{
		Dir: t.TempDir(), Binary: bin, Gateways: 1, Targets: 3, Mountpaths: 2, Port: procs.FreePorts(t, 8), CacheSize: "16MiB", TLS: true,
		Env: []string{"AIS_ROOT_ACCESS_KEY=" + access, "AIS_ROOT_SECRET_KEY=" + secret},
	})
	if c != nil {
		t.Cleanup(func() {
			if err := c.Down(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Nodes() {
		if n.ID == "t1" {
			secure = n.TLSURL()
		}
	}
	return c.Endpoint(), secure
}

// certificate writes the endpoint's certificate to a file that clients are told to trust.
func certificate(t *testing.T, endpoint string) string {
	t.Helper()
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", u.Host, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // it signs itself
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var text strings.Builder
	for _, c := range conn.ConnectionState().PeerCertificates {
		if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
