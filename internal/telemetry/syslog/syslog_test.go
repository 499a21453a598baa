package syslog_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"onnxgate/internal/telemetry/ship"
	"onnxgate/internal/telemetry/syslog"
	"onnxgate/internal/testkit"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 123456789, time.FixedZone("", 3600))

func record(index int64) ship.Record {
	return ship.Record{Index: index, Time: noon, Event: "login", JSON: fmt.Appendf(nil, `{"index":%d,"event":"login"}`, index)}
}

func sink(tb testing.TB, url string) *syslog.Sink {
	tb.Helper()
	target, err := syslog.Parse(url)
	if err != nil {
		tb.Fatal(err)
	}
	return syslog.NewSink(syslog.Config{Target: target, Host: "host.example", Version: "v1.2", Timeout: time.Minute})
}

func TestAMessageHasTheFormOfRFC5424(t *testing.T) {
	s := sink(t, "tcp://127.0.0.1")
	for name, tc := range map[string]struct {
		record ship.Record
		want   string
	}{
		"done": {record(6), `^<110>1 2026-03-04T11:00:00\.123456Z host\.example onnxgate \d+ login \[origin software="onnxgate" swVersion="v1\.2"\]\[meta sequenceId="7"\] \{"index":6,"event":"login"\}$`},
		"refused, in UTF-8": {
			ship.Record{Index: 1 << 31, Time: noon, Event: "a b\n\"]\\é" + strings.Repeat("x", 50), Failed: true, JSON: []byte(`{"actor":"é"}`)},
			"^<108>1 \\S+ host\\.example onnxgate \\d+ abx{30} \\[origin [^]]*\\]\\[meta sequenceId=\"2\"\\] \uFEFF\\{\"actor\":\"é\"\\}$",
		},
		"nothing known": {ship.Record{}, `^<110>1 0001-01-01T00:00:00\.000000Z \S+ onnxgate \d+ - \[`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := string(s.Append(nil, &tc.record)); !regexp.MustCompile(tc.want).MatchString(got) {
				t.Errorf("%q does not match %s", got, tc.want)
			}
		})
	}
}

func TestWhatIsNoSafeSyslogServerIsRefused(t *testing.T) {
	for url, want := range map[string]string{
		"tls://logs.example:6514": "", "tls://logs.example": "", "tcp://127.0.0.1:601": "", "udp://[::1]": "", "tcp://localhost": "",
		"tcp://logs.example:601": "encrypted", "udp://10.0.0.1": "encrypted", "tcp://127.0.0.1.example": "encrypted",
		"logs.example:6514": "tls://", "http://logs.example": "tls://", "tls://": "tls://", "tls://user:secret@logs.example": "tls://",
		"tls://logs.example/path": "tls://", "tls://logs.example?insecure=1": "ca_file", "tcp://127.0.0.1?ca_file=x": "ca_file",
		"tls://logs.example?ca_file=/nowhere": "ca_file", "tls://logs.example?cert_file=/nowhere": "cert_file", "": "tls://",
	} {
		_, err := syslog.Parse(url)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%q: %v, want %q in it", url, err, want)
		}
	}
}

// listen accepts one connection after the other.
func listen(t *testing.T, serve func(*net.TCPConn)) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if tcp, ok := conn.(*net.TCPConn); ok {
				serve(tcp)
			}
			_ = conn.Close()
		}
	}()
	return "tcp://" + l.Addr().String()
}

func TestABatchArrivedWhenTheServerHasReadItsEnd(t *testing.T) {
	came := make(chan string, 1)
	url := listen(t, func(c *net.TCPConn) {
		all, _ := io.ReadAll(c)
		came <- string(all)
	})
	if err := sink(t, url).Send(t.Context(), []ship.Record{record(0), record(1)}); err != nil {
		t.Fatal(err)
	}
	frame := regexp.MustCompile(`^(\d+) (<110>1 [^\n]*"login"\})(\d+) (<110>1 [^\n]*"login"\})$`)
	parts := frame.FindStringSubmatch(<-came)
	if parts == nil || parts[1] != fmt.Sprint(len(parts[2])) || parts[3] != fmt.Sprint(len(parts[4])) {
		t.Errorf("frames: %q", parts)
	}
}

func TestAServerThatDiesBeforeTheEndHasNothing(t *testing.T) {
	many := make([]ship.Record, 1000)
	for i := range many {
		many[i] = record(int64(i))
	}
	for name, serve := range map[string]func(*net.TCPConn){
		"reads nothing": func(c *net.TCPConn) { _ = c.SetLinger(0) },
		"reads a part": func(c *net.TCPConn) {
			_, _ = io.ReadFull(c, make([]byte, 100)) // what is unread makes its end a reset
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := sink(t, listen(t, serve)).Send(t.Context(), many); err == nil {
				t.Error("the records count as delivered")
			}
		})
	}
	t.Run("reads, and never ends", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		held := make(chan struct{})
		defer close(held)
		url := listen(t, func(c *net.TCPConn) {
			_, _ = io.Copy(io.Discard, c)
			cancel()
			<-held
		})
		if err := sink(t, url).Send(ctx, many[:1]); err == nil {
			t.Error("the records count as delivered")
		}
	})
}

// rsyslog is a real server, which writes what it gets into a file.
type rsyslog struct {
	dir, port string
	cmd       *exec.Cmd
}

func (r *rsyslog) start(t *testing.T) {
	t.Helper()
	program := testkit.Tool(t, "rsyslogd", "rsyslog rsyslog-gnutls")
	r.cmd = exec.CommandContext(t.Context(), program, "-n", "-f", filepath.Join(r.dir, "rsyslog.conf"), "-i", filepath.Join(r.dir, "pid"))
	r.cmd.Stderr = os.Stderr
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.stop)
	for {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", "127.0.0.1:"+r.port)
		if err == nil {
			_ = conn.Close()
			return
		}
		if t.Context().Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond) // until another program listens
	}
}

func (r *rsyslog) stop() {
	if r.cmd != nil {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
		r.cmd = nil
	}
}

// lines waits until the file has a line with the text, and returns it.
func (r *rsyslog) lines(t *testing.T, until string) []string {
	t.Helper()
	for {
		data, _ := os.ReadFile(filepath.Join(r.dir, "out"))
		if strings.Contains(string(data), until) && strings.HasSuffix(string(data), "\n") {
			return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
		}
		if t.Context().Err() != nil {
			t.Fatalf("%q never came; there is %q", until, data)
		}
		time.Sleep(10 * time.Millisecond) // until another program writes
	}
}

func newRsyslog(t *testing.T) *rsyslog {
	t.Helper()
	addr, err := testkit.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(addr)
	r := &rsyslog{dir: t.TempDir(), port: port}
	ca := testkit.NewCA(t, "logs")
	testkit.WritePEM(t, filepath.Join(r.dir, "ca.pem"), ca)
	server := ca.IssueServer(t, "127.0.0.1")
	key, err := x509.MarshalPKCS8PrivateKey(server.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	r.write(t, "cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate[0]}))
	r.write(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	conf := strings.NewReplacer("DIR", r.dir, "PORT", r.port).Replace(`
global(workDirectory="DIR" defaultNetstreamDriverCAFile="DIR/ca.pem" defaultNetstreamDriverCertFile="DIR/cert.pem" defaultNetstreamDriverKeyFile="DIR/key.pem")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
template(name="all" type="string" string="%syslogfacility-text%.%syslogseverity-text%|%hostname%|%app-name%|%msgid%|%structured-data%|%msg%\n")
input(type="imtcp" address="127.0.0.1" port="PORT")
action(type="omfile" file="DIR/out" template="all")
`)
	r.write(t, "rsyslog.conf", []byte(conf))
	r.start(t)
	return r
}

func (r *rsyslog) write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (r *rsyslog) url() string { return "tls://127.0.0.1:" + r.port + "?ca_file=" + r.dir + "/ca.pem" }

func TestRsyslogTakesRecordsOverTLS(t *testing.T) {
	r := newRsyslog(t)
	var all []ship.Record
	for i := range int64(500) {
		all = append(all, record(i))
	}
	if err := sink(t, r.url()).Send(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	lines := r.lines(t, `"index":499`)
	if len(lines) != 500 {
		t.Fatalf("%d lines, want 500", len(lines))
	}
	for i, line := range lines {
		want := fmt.Sprintf(`audit.info|host.example|onnxgate|login|[origin software="onnxgate" swVersion="v1.2"][meta sequenceId="%d"]|{"index":%d,"event":"login"}`, i+1, i)
		if strings.ReplaceAll(line, "| {", "|{") != want {
			t.Fatalf("line %d is %s\nwant %s", i, line, want)
		}
	}
	if err := sink(t, "tls://127.0.0.1:"+r.port).Send(t.Context(), all[:1]); err == nil {
		t.Error("a certificate that nobody here trusts is trusted")
	}
}

// numbers is a log of so many records.
type numbers struct{ size int64 }

func (n *numbers) Size(context.Context) (int64, error) { return n.size, nil }

func (n *numbers) Read(_ context.Context, from int64, do func(*ship.Record) error) error {
	for i := from; i < n.size; i++ {
		r := record(i)
		if err := do(&r); err != nil {
			return err
		}
	}
	return nil
}

func TestNoRecordIsLostWhileRsyslogIsAway(t *testing.T) {
	r := newRsyslog(t)
	path := filepath.Join(t.TempDir(), "position")
	told := make(chan error, 100)
	run := func(size int64) (stop func()) {
		s, err := ship.New(ship.Config{Source: &numbers{size}, Sink: sink(t, r.url()), Log: "numbers", Path: path, Every: time.Millisecond, Told: func(err error) { told <- err }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); s.Run(ctx) }()
		return func() { cancel(); <-ended }
	}
	stop := run(2500)
	r.lines(t, `"index":2499`)
	stop()
	r.stop()
	stop = run(5000) // a restart, while the server is away
	if err := <-told; err == nil {
		t.Error("nothing was told of the server that is away")
	}
	r.start(t)
	lines := r.lines(t, `"index":4999`)
	stop()
	next := 0
	for _, line := range lines {
		if strings.Contains(line, fmt.Sprintf(`"index":%d,`, next)) {
			next++ // others come again
		}
	}
	if next != 5000 {
		t.Errorf("record %d is lost", next)
	}
}
