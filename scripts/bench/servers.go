package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is one process that answers predictions.
type server struct {
	cmd      *exec.Cmd
	started  time.Time
	addr     string
	grpc     string // address of the gRPC listener
	roots    *x509.CertPool
	data     string
	token    string
	key      string // an API key of the role admin
	requests [][]byte
	calls    *calls // in the place of requests, when set
}

// answer is what onnxgate sends, for the bare handler to send too.
type answer struct {
	Header http.Header
	Body   []byte
}

func startGate(ctx context.Context, binary, data, logFile string, settings ...string) (*server, error) {
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	grpc, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	out, err := os.Create(logFile) //nolint:gosec // a path of our own
	if err != nil {
		return nil, err
	}
	defer out.Close() //nolint:errcheck // the child has its own descriptor
	key, err := exec.CommandContext(ctx, binary, "apikey", "generate").Output()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, binary, "serve")
	cmd.Env = []string{
		"ONNXGATE_ADDR=" + addr, "ONNXGATE_ADMIN_ADDR=off", "ONNXGATE_GRPC_ADDR=" + grpc, "ONNXGATE_DATA_DIR=" + data, "ONNXGATE_ISSUER=https://localhost",
		"ONNXGATE_RATE_PREDICT=900000000/day", "ONNXGATE_RATE_TOKEN=off", "ONNXGATE_LOG_FORMAT=json",
		"ONNXGATE_BOOTSTRAP_API_KEY=" + strings.TrimSpace(string(key)), "ONNXGATE_BOOTSTRAP_API_KEY_ROLE=admin",
	}
	cmd.Env = append(cmd.Env, settings...)
	cmd.Stderr = out
	cmd.Dir = filepath.Dir(logFile)
	if cmd.Path, err = filepath.Abs(binary); err != nil {
		return nil, err
	}
	started := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{cmd: cmd, started: started, addr: addr, grpc: grpc, data: data, key: strings.TrimSpace(string(key))}
	if err := s.ready(ctx, filepath.Join(data, "tls", "cert.pem")); err != nil {
		s.stop()
		text, _ := os.ReadFile(logFile) //nolint:gosec // a path of our own
		return nil, fmt.Errorf("%w\n%s", err, text)
	}
	return s, nil
}

// startBare runs this program again, as the bare handler, with onnxgate's own
// certificate.
func startBare(ctx context.Context, dir string, gate *server, sample *answer) (*server, error) {
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	grpc, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(sample)
	if err != nil {
		return nil, err
	}
	for name, content := range map[string][]byte{"answer.json": text, "addr": []byte(addr), "grpc-addr": []byte(grpc)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return nil, err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-bare", dir) //nolint:gosec // this very program
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{cmd: cmd, addr: addr, grpc: grpc}
	if err := s.ready(ctx, filepath.Join(gate.data, "tls", "cert.pem")); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// serveBare answers every request with the recorded answer after decoding its
// body: the least that a prediction service in Go can do.
func serveBare(ctx context.Context, dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "answer.json")) //nolint:gosec // a path of our own
	if err != nil {
		return err
	}
	var sample answer
	if err := json.Unmarshal(text, &sample); err != nil {
		return err
	}
	addr, err := os.ReadFile(filepath.Join(dir, "addr")) //nolint:gosec // a path of our own
	if err != nil {
		return err
	}
	srv := &http.Server{
		Addr: string(addr), Handler: bareHandler(&sample), ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: log.New(io.Discard, "", 0),
	}
	go func() { <-ctx.Done(); srv.Close() }() //nolint:errcheck // the process ends
	failed := make(chan error, 1)
	go func() { failed <- serveBareGRPC(ctx, dir) }()
	err = srv.ListenAndServeTLS(filepath.Join(dir, "data", "tls", "cert.pem"), filepath.Join(dir, "data", "tls", "key.pem"))
	if errors.Is(err, http.ErrServerClosed) {
		return <-failed
	}
	return err
}

func bareHandler(sample *answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var row struct {
			SepalLength float64 `json:"sepal_length"`
			SepalWidth  float64 `json:"sepal_width"`
			PetalLength float64 `json:"petal_length"`
			PetalWidth  float64 `json:"petal_width"`
		}
		if err := json.NewDecoder(r.Body).Decode(&row); err != nil {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		header := w.Header()
		for name, values := range sample.Header {
			for _, value := range values {
				header.Add(name, value)
			}
		}
		w.Write(sample.Body)
	})
}

// freeAddr returns a loopback address that nobody listens on.
func freeAddr(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close() //nolint:errcheck // it only reserved a port
	return l.Addr().String(), nil
}

// ready waits until the server accepts TLS under the certificate in the file.
func (s *server) ready(ctx context.Context, certFile string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		pem, err := os.ReadFile(certFile) //nolint:gosec // a path of our own
		if err == nil {
			s.roots = x509.NewCertPool()
			s.roots.AppendCertsFromPEM(pem)
			var conn net.Conn
			if conn, err = s.dial(ctx); err == nil {
				return conn.Close()
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server did not come up: %w", err)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func (s *server) dial(ctx context.Context) (net.Conn, error) {
	d := tls.Dialer{Config: &tls.Config{RootCAs: s.roots, ServerName: "localhost", MinVersion: tls.VersionTLS13}}
	return d.DialContext(ctx, "tcp", s.addr)
}

// login returns the administrator's token.
func (s *server) login(ctx context.Context) (string, error) {
	password, err := os.ReadFile(filepath.Join(s.data, "initial-admin-password"))
	if err != nil {
		return "", err
	}
	form := url.Values{"grant_type": {"password"}, "username": {"admin"}, "password": {strings.TrimSpace(string(password))}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+s.addr+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS13}}}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read to its end
	var body struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || body.AccessToken == "" {
		return "", fmt.Errorf("no token: status %s, %w", resp.Status, err)
	}
	s.token = body.AccessToken
	return s.token, nil
}

// cpu returns the user and system time that the process has used.
func (s *server) cpu() (time.Duration, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/stat")
	if err != nil {
		return 0, err
	}
	// The fields follow the command's name in brackets; utime and stime are
	// the 14th and 15th of all (proc(5)), in ticks of 10 ms.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// resident returns the resident memory in bytes.
func (s *server) resident() (int64, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/statm")
	if err != nil {
		return 0, err
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

func (s *server) stop() {
	if s.cmd.Process == nil || s.cmd.ProcessState != nil {
		return
	}
	s.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended
	s.cmd.Wait()                          //nolint:errcheck // ended by our signal
}
