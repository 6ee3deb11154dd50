package app_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"aistore/cmd/aisnode/app"
	"aistore/config"
	"aistore/deploy/local"
	"aistore/errs"
	"aistore/test/procs"
)

// secured adds a TLS port to cfg, with a certificate of its own.
func secured(t *testing.T, cfg config.Node) config.Node {
	t.Helper()
	dir := t.TempDir()
	if err := local.MakeCertificate(dir); err != nil {
		t.Fatal(err)
	}
	cfg.TLSPort = procs.FreePort(t)
	cfg.TLSCert, cfg.TLSKey = local.CertificateFiles(dir)
	return cfg
}

// trusting returns a client that believes the certificate in file and no other.
func trusting(t *testing.T, file string) *http.Client {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		t.Fatalf("no certificate in %s", text)
	}
	tr := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func do(t *testing.T, cl *http.Client, method, url, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := cl.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

// TestTLS serves the same objects on both public ports and takes a renewed certificate.
func TestTLS(t *testing.T) {
	cfg := secured(t, settings(t, t.TempDir()))
	a, _ := start(t, cfg)
	cl := trusting(t, cfg.TLSCert)
	if want := "https://127.0.0.1:"; !strings.HasPrefix(a.TLSURL(), want) {
		t.Fatalf("TLS is at %s", a.TLSURL())
	}
	big := strings.Repeat("0123456789", 300_000)
	if resp, body := do(t, cl, "POST", a.TLSURL()+"/v1/buckets/bk", `{"action":"create-bck"}`); resp.StatusCode != 200 {
		t.Fatalf("create: %s %s", resp.Status, body)
	}
	if resp, body := do(t, cl, "PUT", a.TLSURL()+"/v1/objects/bk/big", big); resp.StatusCode != 200 {
		t.Fatalf("put: %s %s", resp.Status, body)
	}
	resp, body := do(t, cl, "GET", a.TLSURL()+"/v1/objects/bk/big", "")
	if resp.StatusCode != 200 || body != big || resp.ProtoMajor != 1 || resp.TLS.NegotiatedProtocol != "http/1.1" || resp.TLS.Version != tls.VersionTLS13 {
		t.Errorf("over TLS: %s, %d bytes, %s, ALPN %q, version %x", resp.Status, len(body), resp.Proto, resp.TLS.NegotiatedProtocol, resp.TLS.Version)
	}
	if code, body := request(t, "GET", a.URL()+"/v1/objects/bk/big", ""); code != 200 || body != big {
		t.Errorf("in the clear: %d, %d bytes", code, len(body))
	}

	for version, served := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(a.TLSURL(), "https://"), &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version}) //nolint:gosec // old ones are to be refused
		if served != (err == nil) {
			t.Errorf("version %x: %v", version, err)
		}
		if err == nil {
			_ = conn.Close()
		}
	}
	if _, err := http.Get(a.TLSURL() + "/v1/health"); err == nil {
		t.Error("a stranger's certificate is believed")
	}

	for _, f := range []string{cfg.TLSCert, cfg.TLSKey} { // a bad renewal: the old certificate stays
		old, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		replace(t, f, "nonsense")
		cl.CloseIdleConnections()
		if resp, _ := do(t, cl, "GET", a.TLSURL()+"/v1/health", ""); resp.StatusCode != 200 {
			t.Errorf("after nonsense in %s: %s", f, resp.Status)
		}
		replace(t, f, string(old))
	}
	if err := local.MakeCertificate(filepath.Dir(cfg.TLSCert)); err != nil {
		t.Fatal(err)
	}
	cl.CloseIdleConnections()
	if _, err := cl.Get(a.TLSURL() + "/v1/health"); err == nil {
		t.Error("the old certificate is still served")
	}
	if resp, _ := do(t, trusting(t, cfg.TLSCert), "GET", a.TLSURL()+"/v1/health", ""); resp.StatusCode != 200 {
		t.Errorf("the new certificate: %s", resp.Status)
	}
}

func replace(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// TestTLSRedirects follows redirects between nodes whose public URLs are TLS alone, and asks one node through another.
func TestTLSRedirects(t *testing.T) {
	gw := secured(t, settings(t, t.TempDir()))
	both := func(cfg config.Node) config.Node {
		cfg.TLSCert, cfg.TLSKey = gw.TLSCert, gw.TLSKey
		cfg.PublicURL = "https://localhost:" + strings.TrimPrefix(config.Node{Port: cfg.TLSPort}.WithDefaults().PublicURL, "http://127.0.0.1:")
		return cfg
	}
	join := gw.PublicURL
	gw = both(gw)
	gw.Role, gw.Mountpaths, gw.Bootstrap = config.RoleProxy, nil, config.On
	g, _ := start(t, gw)
	tg := both(secured(t, settings(t, t.TempDir())))
	tg.Role, tg.Join, tg.Bootstrap = config.RoleTarget, []string{join}, config.Off
	target, _ := start(t, tg)
	cl := trusting(t, gw.TLSCert)
	if resp, body := do(t, cl, "POST", g.URL()+"/v1/buckets/bk", `{"action":"create-bck"}`); resp.StatusCode != 200 {
		t.Fatalf("create: %s %s", resp.Status, body)
	}
	url := g.URL() + "/v1/objects/bk/a%20b"
	if resp, body := do(t, cl, "PUT", url, "hello"); resp.StatusCode != 200 {
		t.Fatalf("put: %s %s", resp.Status, body)
	}
	resp, body := do(t, cl, "GET", url, "")
	if resp.StatusCode != 200 || body != "hello" || !strings.HasPrefix(resp.Request.URL.String(), target.URL()+"/") {
		t.Errorf("%s %q from %s", resp.Status, body, resp.Request.URL)
	}
	if resp, body := do(t, cl, "GET", g.URL()+"/v1/cluster?what=stats", ""); resp.StatusCode != 200 || !strings.Contains(body, string(target.ID())) || strings.Contains(body, "HOST:PORT") {
		t.Errorf("the cluster's statistics: %s %.2000s", resp.Status, body)
	}
}

func TestTLSRefuses(t *testing.T) {
	cfg := secured(t, settings(t, t.TempDir()))
	taken, missing, mixed := cfg, cfg, cfg
	taken.TLSPort = settings(t, t.TempDir()).Port
	_, stop := start(t, config.Node{Dir: t.TempDir(), Port: taken.TLSPort, IntraPort: procs.FreePort(t)}.WithDefaults())
	defer stop()
	missing.TLSKey = filepath.Join(t.TempDir(), "none.pem")
	mixed.TLSKey = cfg.TLSCert
	for name, c := range map[string]struct {
		cfg  config.Node
		text string
	}{"port in use": {taken, "tls_port"}, "no key": {missing, "none.pem"}, "no pair": {mixed, "tls_cert, tls_key"}} {
		_, err := app.Open(t.Context(), c.cfg, app.Options{})
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), "tls_") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTLSPython has Python believe the certificate of a local cluster as a root.
func TestTLSPython(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3 is not installed")
	}
	cfg := secured(t, settings(t, t.TempDir()))
	a, _ := start(t, cfg)
	program := `
import ssl, sys, urllib.request
c = ssl.create_default_context(cafile=sys.argv[2])
c.verify_flags |= ssl.VERIFY_X509_STRICT
for url in sys.argv[1], sys.argv[1].replace("127.0.0.1", "localhost"):
    with urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=c)).open(url + "/v1/health") as r:
        print(r.status)
`
	out, err := exec.CommandContext(t.Context(), "python3", "-c", program, a.TLSURL(), cfg.TLSCert).CombinedOutput()
	if err != nil || string(out) != "200\n200\n" {
		t.Errorf("%v\n%s", err, out)
	}
}
