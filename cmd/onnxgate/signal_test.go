package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a server in a process of its own, over plain HTTP.
type process struct {
	cmd  *exec.Cmd
	addr string
	dir  string

	mu  sync.Mutex
	log bytes.Buffer
}

// Write keeps what the server logs.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

// waitFor waits until the log holds a text the given number of times.
func (p *process) waitFor(t *testing.T, text string, times int) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		p.mu.Lock()
		log := p.log.String()
		p.mu.Unlock()
		if strings.Count(log, text) >= times {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not %d times in the log: %s\n%s", times, text, log)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func startProcess(t *testing.T, env ...string) *process {
	t.Helper()
	p := &process{addr: freeAddr(t), dir: t.TempDir()}
	p.cmd = exec.CommandContext(t.Context(), "onnxgate", "serve", "--addr", p.addr)
	p.cmd.Dir = p.dir
	p.cmd.Env = append(append(os.Environ(), "ONNXGATE_TLS=off", "ONNXGATE_ADMIN_ADDR=off", "ONNXGATE_GRPC_ADDR=off"), env...)
	p.cmd.Stderr = p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.waitFor(t, `"msg":"listening"`, 1)
	return p
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// open sends a request whose body does not come.
func (p *process) open(t *testing.T) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
		"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))
	if _, err := io.ReadFull(conn, line); err != nil || !bytes.HasPrefix(line, []byte("HTTP/1.1 100 ")) {
		t.Fatalf("%v: %q", err, line)
	}
	return conn
}

func TestTheFirstSignalDrains(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			p := startProcess(t)
			conn := p.open(t)
			p.signal(t, signal)
			p.waitFor(t, `"msg":"stopping"`, 1)
			if _, err := io.WriteString(conn, "a=b"); err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(conn)
			if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 400 ")) {
				t.Errorf("%v: %q, want the answer to the request that was taken", err, answer)
			}
			if err := p.cmd.Wait(); err != nil {
				t.Errorf("exit: %v", err)
			}
			p.waitFor(t, `"path":"/token","status":400`, 1)
		})
	}
}

func TestTheSecondSignalDoesNotWait(t *testing.T) {
	p := startProcess(t)
	p.open(t)
	p.signal(t, syscall.SIGTERM)
	p.waitFor(t, `"msg":"stopping"`, 1)
	p.signal(t, syscall.SIGTERM)
	exit, ok := errors.AsType[*exec.ExitError](p.cmd.Wait())
	if !ok || exit.ExitCode() != 1 {
		t.Errorf("exit: %v, want code 1", exit)
	}
}

// TestASignalDelaysTheDrain: with ONNXGATE_DRAIN_DELAY the server goes on accepting,
// and a second signal ends that, too.
func TestASignalDelaysTheDrain(t *testing.T) {
	p := startProcess(t, "ONNXGATE_DRAIN_DELAY=5m")
	get := func(path string) string {
		t.Helper()
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close() //nolint:errcheck // the answer is in
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn) // which ends, as the server closes
		if err != nil {
			t.Fatal(err)
		}
		return string(answer)
	}
	p.signal(t, syscall.SIGTERM)
	p.waitFor(t, `"msg":"no longer ready, but still serving","for":"5m0s"`, 1)
	for path, want := range map[string]string{"/readyz": "HTTP/1.1 503 ", "/livez": "HTTP/1.1 200 "} {
		if got := get(path); !strings.HasPrefix(got, want) || !strings.Contains(got, "\r\nConnection: close\r\n") {
			t.Errorf("%s: %q, want %s, and the end of the connection", path, got, want)
		}
	}
	p.signal(t, syscall.SIGTERM)
	exit, ok := errors.AsType[*exec.ExitError](p.cmd.Wait())
	if !ok || exit.ExitCode() != 1 {
		t.Errorf("exit: %v, want code 1", exit)
	}
}

func TestHangupReadsEverythingAgain(t *testing.T) {
	p := startProcess(t)
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(p.dir, ".env"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("ONNXGATE_RATE_TOKEN=1/hour\nONNXGATE_MAX_ROWS=5\n")
	p.signal(t, syscall.SIGHUP)
	p.waitFor(t, `"msg":"reloaded","changed":["ONNXGATE_RATE_TOKEN"]`, 1)
	p.waitFor(t, `"msg":"setting needs a restart","setting":"ONNXGATE_MAX_ROWS"`, 1)
	write("ONNXGATE_RATE_TOKEN=fast\n")
	p.signal(t, syscall.SIGHUP)
	p.waitFor(t, `ONNXGATE_RATE_TOKEN: \"fast\" is not a rate`, 1)
	p.signal(t, syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("exit: %v", err)
	}
}

func TestPipesInThePlaceOfFilesKeepNoServerFromReloadingAndStopping(t *testing.T) {
	folder := t.TempDir()
	p := startProcess(t, "ONNXGATE_MODELS_DIR="+folder)
	if err := os.MkdirAll(filepath.Join(folder, "m", "1"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(folder, "m", "1", "model.onnx"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.signal(t, syscall.SIGHUP)
	p.waitFor(t, "m/1/model.onnx: not a regular file", 1)
	p.waitFor(t, `"msg":"reloaded"`, 1)
	if err := syscall.Mkfifo(filepath.Join(p.dir, ".env"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.signal(t, syscall.SIGHUP)
	p.waitFor(t, ".env: cannot be read: not a regular file", 1)
	p.signal(t, syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("exit: %v", err)
	}
}

func TestAKilledServerStartsAgain(t *testing.T) {
	p := startProcess(t)
	p.open(t)
	p.signal(t, syscall.SIGKILL)
	_ = p.cmd.Wait() // it was killed
	again := exec.CommandContext(t.Context(), "onnxgate", "user", "list")
	again.Dir = p.dir
	if out, err := again.CombinedOutput(); err != nil || !strings.Contains(string(out), "admin") {
		t.Errorf("after a kill: %v\n%s", err, out)
	}
}
