package testkit

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
)

// Redis is a Redis server of a test's own. It keeps nothing on disk.
type Redis struct {
	program, dir string
	// Addr is where it listens, host:port.
	Addr string
	cfg  RedisConfig
	log  *Buffer

	server  *exec.Cmd
	keep    io.Closer // ends the server when it is closed, or this process ends
	running bool
}

// RedisConfig says what a server asks of its clients.
type RedisConfig struct {
	// Password is what they must know; empty for nothing.
	Password string
	// CA makes the server speak TLS alone, with a certificate that it has signed.
	CA *CA
}

const (
	redisTimeout = 30 * time.Second
	redisPause   = 10 * time.Millisecond
)

// StartRedis starts a server for the length of the test. Without Redis it skips the
// test and says so; under CI it fails.
func StartRedis(tb testing.TB, cfg RedisConfig) *Redis {
	tb.Helper()
	r := &Redis{program: Tool(tb, "redis-server", "redis-server"), dir: tb.TempDir(), cfg: cfg, log: &Buffer{}}
	var err error
	if r.Addr, err = FreeAddr(); err != nil {
		tb.Fatal(err)
	}
	if cfg.CA != nil {
		r.writeCertificate(tb)
	}
	tb.Cleanup(func() { r.Stop(tb) })
	r.Start(tb)
	return r
}

// CAFile is the PEM file of the authority that signed the server's certificate.
func (r *Redis) CAFile() string { return filepath.Join(r.dir, "ca.pem") }

func (r *Redis) writeCertificate(tb testing.TB) {
	tb.Helper()
	host, _, _ := net.SplitHostPort(r.Addr)
	cert := r.cfg.CA.IssueServer(tb, host)
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		tb.Fatal(err)
	}
	WritePEM(tb, r.CAFile(), r.cfg.CA)
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: cert.Certificate[0]}, "key.pem": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(r.dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
}

func (r *Redis) arguments() []string {
	host, port, _ := net.SplitHostPort(r.Addr)
	args := []string{"--bind", host, "--save", "", "--appendonly", "no", "--dir", r.dir, "--pidfile", r.pidFile()}
	if r.cfg.Password != "" {
		args = append(args, "--requirepass", r.cfg.Password)
	}
	if r.cfg.CA == nil {
		return append(args, "--port", port)
	}
	return append(args, "--port", "0", "--tls-port", port, "--tls-auth-clients", "no", "--tls-ca-cert-file", r.CAFile(),
		"--tls-cert-file", filepath.Join(r.dir, "cert.pem"), "--tls-key-file", filepath.Join(r.dir, "key.pem"))
}

// Start starts the server, empty, also again after Stop.
func (r *Redis) Start(tb testing.TB) {
	tb.Helper()
	args := append([]string{"-c", supervise, "sh", r.program}, r.arguments()...)
	r.server = exec.CommandContext(context.Background(), "sh", args...) //nolint:gosec // Redis
	r.server.Stdout, r.server.Stderr = r.log, r.log
	keep, err := r.server.StdinPipe()
	if err == nil {
		err = r.server.Start()
	}
	if err != nil {
		tb.Fatal(err)
	}
	r.keep, r.running = keep, true
	for range redisTimeout / redisPause {
		if _, err = r.try("PING"); err == nil {
			return
		}
		time.Sleep(redisPause) //nolint:forbidigo // until it answers
	}
	tb.Fatalf("Redis does not answer: %v\n%s", err, r.log)
}

// Stop ends the server, and what it kept is gone.
func (r *Redis) Stop(tb testing.TB) {
	tb.Helper()
	if !r.running {
		return
	}
	r.running = false
	r.signal(tb, syscall.SIGKILL)
	_ = r.keep.Close()
	_ = r.server.Wait() // tells how the server ended, which is by this
}

// Hang has the server take connections and answer nothing, until Resume.
func (r *Redis) Hang(tb testing.TB) {
	tb.Helper()
	r.signal(tb, syscall.SIGSTOP)
}

// Resume has a server go on that hangs.
func (r *Redis) Resume(tb testing.TB) {
	tb.Helper()
	r.signal(tb, syscall.SIGCONT)
}

func (r *Redis) pidFile() string { return filepath.Join(r.dir, "pid") }

func (r *Redis) signal(tb testing.TB, signal syscall.Signal) {
	tb.Helper()
	text, err := os.ReadFile(r.pidFile())
	if err != nil {
		tb.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err == nil {
		err = syscall.Kill(pid, signal)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// URL returns the URL of a database of this server, with the password in it.
func (r *Redis) URL(database int) string {
	u := &url.URL{Scheme: "redis", Host: r.Addr, Path: strconv.Itoa(database)}
	if r.cfg.Password != "" {
		u.User = url.UserPassword("", r.cfg.Password)
	}
	if r.cfg.CA != nil {
		u.Scheme, u.RawQuery = "rediss", url.Values{"ca_file": {r.CAFile()}}.Encode()
	}
	return u.String()
}

// SetPassword has the server ask for another password. Who is connected stays so.
func (r *Redis) SetPassword(tb testing.TB, password string) {
	tb.Helper()
	r.Do(tb, "CONFIG", "SET", "requirepass", password)
	r.cfg.Password = password
}

// Do sends one command to database 0 and returns what Redis answers.
func (r *Redis) Do(tb testing.TB, command string, args ...any) any {
	tb.Helper()
	reply, err := r.try(command, args...)
	if err != nil {
		tb.Fatalf("%s: %v", command, err)
	}
	return reply
}

func (r *Redis) try(command string, args ...any) (any, error) {
	options := []redis.DialOption{redis.DialPassword(r.cfg.Password)}
	if r.cfg.CA != nil {
		pool := x509.NewCertPool()
		pool.AddCert(r.cfg.CA.Cert)
		options = append(options, redis.DialUseTLS(true), redis.DialTLSConfig(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}))
	}
	conn, err := redis.Dial("tcp", r.Addr, options...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // the answer is there
	return conn.Do(command, args...)
}
