package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"onnxgate/internal/testkit"
)

// proxyName is what clients call the proxies of docs/behind-a-proxy.md.
const proxyName = "ml.example.com"

// TestTheProxiesOfTheirPageSayWhoAsks runs nginx and HAProxy with what the page shows,
// before a server with the settings that it shows.
func TestTheProxiesOfTheirPageSayWhoAsks(t *testing.T) {
	const page = "behind-a-proxy.md"
	programs := map[string]string{
		"nginx":   testkit.Tool(t, "nginx", "nginx-light"),
		"haproxy": testkit.Tool(t, "haproxy", "haproxy"),
	}
	t.Parallel()
	s, err := newServer(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(s.dir, ".env"), example(t, page, "ONNXGATE_TRUSTED_PROXIES=127.0.0.1\nONNXGATE_ISSUER="))
	s.startFor(t)
	roots := certifyProxies(t, s.dir)
	for name, begins := range map[string]string{"nginx": "upstream onnxgate", "haproxy": "frontend web"} {
		addr, err := testkit.FreeAddr()
		if err != nil {
			t.Fatal(err)
		}
		config := strings.NewReplacer(
			"127.0.0.1:8443", s.addr, "listen 443", "listen "+addr, "bind :443", "bind "+addr, "/var/lib/onnxgate", filepath.Join(s.dir, "data"),
			"/etc/nginx/", s.dir+"/", "/etc/haproxy/"+proxyName, filepath.Join(s.dir, "both"),
		).Replace(example(t, page, begins))
		args := []string{"-db", "-f", filepath.Join(s.dir, name)}
		if name == "nginx" {
			config = "events {}\nhttp {\naccess_log off;\n" + config + "}\n"
			args = []string{"-p", s.dir, "-c", filepath.Join(s.dir, name), "-g", "daemon off; error_log stderr; pid " + filepath.Join(s.dir, "pid") + ";"}
		} else {
			config = "defaults\n  mode http\n  timeout connect 30s\n  timeout client 30s\n  timeout server 30s\n" + config
		}
		put(t, filepath.Join(s.dir, name), config)
		beginProxy(t, addr, programs[name], args...)
		asksThrough(t, s, addr, roots)
	}
}

// certifyProxies makes a certificate for the proxies, and returns who vouches for it.
func certifyProxies(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	ca := testkit.NewCA(t, "proxies")
	pair := ca.Issue(t, "", func(c *x509.Certificate) {
		c.ExtKeyUsage, c.DNSNames = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, []string{proxyName}
	})
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}))
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	for name, text := range map[string]string{proxyName + ".pem": cert, proxyName + "-key.pem": key, "both.pem": cert + key} {
		put(t, filepath.Join(dir, name), text)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.Cert)
	return roots
}

// beginProxy runs a program that listens, until the test ends.
func beginProxy(t *testing.T, addr, program string, args ...string) {
	t.Helper()
	var log testkit.Buffer
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", program, &log)
		}
	})
	testkit.Eventually(t, program+" listens", func() bool { return dials(addr) })
}

// asksThrough has a client at an address of its own, which says that it is somebody
// else, sign in through a proxy.
func asksThrough(t *testing.T, s *server, proxy string, roots *x509.CertPool) {
	t.Helper()
	const from = "127.0.0.2"
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	transport := &http.Transport{
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", proxy) },
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}
	client := http.Client{Transport: transport, Timeout: startTimeout}
	defer client.CloseIdleConnections()
	form := url.Values{"username": {"admin"}, "password": {initialPassword(t, s)}}.Encode()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+proxyName+"/token", strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Forwarded-For", "192.0.2.1")
	behind := len(s.log.String())
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("through %s: %s %s (%v)", proxy, resp.Status, body, err)
	}
	s.awaitLog(t, behind, fmt.Sprintf(`"client":%q`, from))
}
