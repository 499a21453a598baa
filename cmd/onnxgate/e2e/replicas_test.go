package e2e

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/csv"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"onnxgate/internal/testkit"
)

// fleetName is the name that clients know the replicas by, as in deploy/replicas.
const fleetName = "ml.example.com"

// adminPassword is that of the first administrator of a fleet.
const adminPassword = "maple-Quartz-41-lantern"

// fleet is replicas on one database and one Redis server with the settings of deploy/replicas.
type fleet struct {
	dir      string // what all replicas read
	roots    *x509.CertPool
	settings []string
	replicas []*server
}

// beginFleet starts two replicas at the same time on an empty database.
func beginFleet(tb testing.TB, database string, settings ...string) *fleet {
	tb.Helper()
	f := &fleet{dir: tb.TempDir(), settings: slices.Concat(ratesOff, settings)}
	f.prepare(tb, database)
	for range 2 {
		s, err := newServer(tb.TempDir())
		if err != nil {
			tb.Fatal(err)
		}
		s.ca = filepath.Join(f.dir, "replicas-ca.pem")
		s.keep(adminPassword)
		f.replicas = append(f.replicas, s)
	}
	var starts errgroup.Group
	for _, s := range f.replicas {
		starts.Go(func() error { return f.start(tb, s) })
	}
	tb.Cleanup(func() {
		for _, s := range f.replicas {
			if err := s.stop(); err != nil {
				tb.Error(err)
			}
		}
	})
	if err := starts.Wait(); err != nil {
		tb.Fatal(err)
	}
	return f
}

// start starts a replica, also again.
func (f *fleet) start(tb testing.TB, s *server) error {
	tb.Helper()
	replacer := strings.NewReplacer("0.0.0.0:8443", everywhere(s.addr), "0.0.0.0:8445", everywhere(s.grpc),
		"/var/lib/onnxgate", filepath.Join(s.dir, "data"), "/etc/onnxgate", f.dir, "#ONNXGATE_TRUSTED_PROXIES=10.0.0.10", "")
	file := filepath.Join(s.dir, ".env")
	if err := os.WriteFile(file, []byte(replacer.Replace(deployed(tb, "onnxgate.env"))), 0o600); err != nil {
		return err
	}
	return s.start(context.WithoutCancel(tb.Context()), slices.Concat(f.settings, []string{
		"ONNXGATE_ADDR=" + everywhere(s.addr), "ONNXGATE_GRPC_ADDR=" + everywhere(s.grpc),
	})...)
}

// everywhere is the address on every interface, as behind a balancer: a server on
// loopback would answer to no other name than localhost.
func everywhere(addr string) string { return strings.Replace(addr, "127.0.0.1", "0.0.0.0", 1) }

// deployed returns a file of deploy/replicas.
func deployed(tb testing.TB, name string) string {
	tb.Helper()
	text, err := os.ReadFile(source(tb, "deploy", "replicas", name))
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// prepare writes what all replicas read.
func (f *fleet) prepare(tb testing.TB, database string) {
	tb.Helper()
	ca := testkit.NewCA(tb, "replicas")
	testkit.WritePEM(tb, filepath.Join(f.dir, "replicas-ca.pem"), ca)
	f.roots = x509.NewCertPool()
	f.roots.AddCert(ca.Cert)
	pair := ca.Issue(tb, "", func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		c.DNSNames, c.IPAddresses = []string{fleetName, "localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	})
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		tb.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	redis := testkit.StartRedis(tb, testkit.RedisConfig{Password: "tide-Basalt-93", CA: ca})
	kek := make([]byte, 32)
	_, _ = rand.Read(kek) // never fails
	for name, data := range map[string]string{
		"database-url": database, "redis-url": redis.URL(0), "admin-password": adminPassword, "kek": base64.StdEncoding.EncodeToString(kek) + "\n",
		fleetName + ".pem": string(cert), fleetName + "-key.pem": string(key), "haproxy.pem": string(cert) + string(key),
	} {
		put(tb, filepath.Join(f.dir, name), data)
	}
}

// command runs a command of the binary beside a replica.
func (f *fleet) command(tb testing.TB, s *server, args ...string) string {
	tb.Helper()
	return runWith(tb, s, f.settings, args...)
}

// balancer is what clients of a fleet connect to.
type balancer struct {
	fleet      *fleet
	addr, grpc string
	stats      string // HAProxy's socket; empty for nginx
	log        testkit.Buffer
}

// paths puts a configuration of deploy/replicas on this machine: it replaces
// addresses and files, each of which has to be there, and nothing else.
func (f *fleet) paths(t *testing.T, text string, places map[string]string) string {
	t.Helper()
	for i, s := range f.replicas {
		places[fmt.Sprintf("10.0.0.1%d:8443", i+1)] = s.addr
		places[fmt.Sprintf("10.0.0.1%d:8445", i+1)] = s.grpc
	}
	var pairs []string
	for _, from := range slices.Backward(slices.Sorted(maps.Keys(places))) { // what is longer comes first
		if !strings.Contains(text, from) {
			t.Fatalf("the configuration names no %s", from)
		}
		pairs = append(pairs, from, places[from])
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// beginBalancer runs a program until the test ends.
func (f *fleet) beginBalancer(t *testing.T, b *balancer, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, args...)
	cmd.Stdout, cmd.Stderr = &b.log, &b.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", program, &b.log)
		}
	})
	testkit.Eventually(t, program+" listens", func() bool { return dials(b.addr) && dials(b.grpc) })
	b.awaitBoth(t)
}

func dials(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, startTimeout)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

func newBalancer(t *testing.T, f *fleet) *balancer {
	t.Helper()
	addr, err := testkit.FreeAddr()
	grpc, err2 := testkit.FreeAddr()
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return &balancer{fleet: f, addr: addr, grpc: grpc}
}

// beginHAProxy runs HAProxy with a file of deploy/replicas.
func beginHAProxy(t *testing.T, f *fleet, file string) *balancer {
	t.Helper()
	program := testkit.Tool(t, "haproxy", "haproxy")
	b := newBalancer(t, f)
	dir, err := os.MkdirTemp("", "onnxgate-ha-") //nolint:usetesting // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	b.stats = filepath.Join(dir, "admin.sock")
	places := map[string]string{
		"/run/haproxy/admin.sock": b.stats, "bind :443": "bind " + b.addr, "bind :8445": "bind " + b.grpc,
		"/etc/haproxy/replicas-ca.pem": filepath.Join(f.dir, "replicas-ca.pem"),
	}
	text, grpc := deployed(t, file), ""
	if strings.Contains(text, "ssl crt") {
		grpc, places["/etc/haproxy/"+fleetName+".pem"] = " alpn h2", filepath.Join(f.dir, "haproxy.pem")
	}
	for i, s := range f.replicas { // whose gRPC is checked over HTTPS
		_, port, _ := net.SplitHostPort(s.addr)
		places[fmt.Sprintf("10.0.0.1%d:8445%s port 8443", i+1, grpc)] = s.grpc + grpc + " port " + port
	}
	config := filepath.Join(dir, file)
	put(t, config, f.paths(t, text, places))
	f.beginBalancer(t, b, program, "-db", "-f", config)
	return b
}

// beginNginx runs nginx with the file of deploy/replicas.
func beginNginx(t *testing.T, f *fleet) *balancer {
	t.Helper()
	program := testkit.Tool(t, "nginx", "nginx-light")
	b, dir := newBalancer(t, f), t.TempDir()
	config := filepath.Join(dir, "nginx.conf")
	var temporary strings.Builder // which are root's
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temporary, "\n  %s_temp_path %s;", kind, filepath.Join(dir, kind))
	}
	put(t, config, f.paths(t, deployed(t, "nginx.conf"), map[string]string{
		"listen 443": "listen " + b.addr, "listen 8445": "listen " + b.grpc, "http {": "http {" + temporary.String(),
		"/etc/nginx/" + fleetName + ".pem": filepath.Join(f.dir, fleetName+".pem"), "/etc/nginx/" + fleetName + "-key.pem": filepath.Join(f.dir, fleetName+"-key.pem"),
		"/etc/nginx/replicas-ca.pem": filepath.Join(f.dir, "replicas-ca.pem"),
	}))
	f.beginBalancer(t, b, program, "-p", dir, "-c", config, "-g", "daemon off; error_log stderr; pid "+filepath.Join(dir, "pid")+";")
	return b
}

// awaitBoth waits until the balancer sends requests to every replica. nginx asks
// nobody, and tries.
func (b *balancer) awaitBoth(t *testing.T) {
	t.Helper()
	if b.stats == "" {
		return
	}
	testkit.Eventually(t, "HAProxy sees every replica", func() bool {
		up := 0
		for _, row := range b.states(t) {
			if row["status"] == "UP" {
				up++
			}
		}
		return up == 2*len(b.fleet.replicas) // over HTTPS and gRPC
	})
}

// states are what HAProxy says of the replicas.
func (b *balancer) states(t *testing.T) []map[string]string {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", b.stats)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "show stat -1 4 -1\n"); err != nil { // servers
		t.Fatal(err)
	}
	rows, err := csv.NewReader(conn).ReadAll()
	if err != nil || len(rows) == 0 {
		t.Fatalf("HAProxy's statistics: %v", err)
	}
	var all []map[string]string
	for _, row := range rows[1:] {
		state := map[string]string{}
		for i, name := range rows[0] {
			state[strings.TrimPrefix(name, "# ")] = row[i]
		}
		all = append(all, state)
	}
	return all
}

// trust is that of the fleet's clients.
func (f *fleet) trust() *tls.Config {
	return &tls.Config{RootCAs: f.roots, ServerName: fleetName, MinVersion: tls.VersionTLS12}
}

// client returns a client that reaches the fleet by its name, from 127.0.0.2, over
// HTTP/1.1 or 2.
func (b *balancer) client(tb testing.TB, http2 bool) *http.Client {
	tb.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	transport := &http.Transport{
		TLSClientConfig: b.fleet.trust(), ForceAttemptHTTP2: http2,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, b.addr)
		},
	}
	tb.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: startTimeout}
}
