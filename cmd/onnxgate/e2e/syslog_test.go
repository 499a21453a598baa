package e2e

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"onnxgate/internal/testkit"
)

// rsyslogConfig is the one of docs/ship-the-audit.md, but for its places and for what
// is written: the message alone.
const rsyslogConfig = `
global(workDirectory="DIR" defaultNetstreamDriverCAFile="DIR/ca.pem" defaultNetstreamDriverCertFile="DIR/cert.pem" defaultNetstreamDriverKeyFile="DIR/key.pem")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
template(name="message" type="string" string="%msg%\n")
input(type="imtcp" address="127.0.0.1" port="PORT")
if $programname == "onnxgate" then action(type="omfile" file="DIR/out" template="message")
`

// rsyslog is a folder for a real server that is not started yet.
type rsyslog struct{ dir, port string }

func newRsyslog(t *testing.T) *rsyslog {
	t.Helper()
	_, port, err := net.SplitHostPort(freeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	r := &rsyslog{t.TempDir(), port}
	ca := testkit.NewCA(t, "logs")
	testkit.WritePEM(t, filepath.Join(r.dir, "ca.pem"), ca)
	pair := ca.IssueServer(t, "127.0.0.1")
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"cert.pem":     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}),
		"key.pem":      pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		"rsyslog.conf": []byte(strings.NewReplacer("DIR", r.dir, "PORT", r.port).Replace(rsyslogConfig)),
	} {
		if err := os.WriteFile(filepath.Join(r.dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func (r *rsyslog) start(t *testing.T) {
	t.Helper()
	program := testkit.Tool(t, "rsyslogd", "rsyslog rsyslog-gnutls")
	cmd := exec.CommandContext(t.Context(), program, "-n", "-f", filepath.Join(r.dir, "rsyslog.conf"), "-i", filepath.Join(r.dir, "pid"))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// count returns how often each record is in the file, by its index.
func (r *rsyslog) count(t *testing.T) map[int64]int {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(r.dir, "out"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	counted := map[int64]int{}
	for line := range strings.Lines(string(data)) {
		var record struct {
			Index *int64 `json:"index"`
			Event string `json:"event"`
		}
		if !strings.HasSuffix(line, "\n") {
			break // it is being written
		}
		if err := json.Unmarshal([]byte(line), &record); err != nil || record.Index == nil || record.Event == "" {
			t.Fatalf("%q is no record: %v", line, err)
		}
		counted[*record.Index]++
	}
	return counted
}

// TestRsyslogGetsEveryRecordOverTLS: those of before it was there, too.
func TestRsyslogGetsEveryRecordOverTLS(t *testing.T) {
	r := newRsyslog(t)
	s := begin(t, "ONNXGATE_SYSLOG_URL=tls://127.0.0.1:"+r.port+"?ca_file="+filepath.Join(r.dir, "ca.pem"))
	token := adminToken(t, s)
	s.keep(token)
	for range 20 {
		if status, _ := predict(t, s, token); status != http.StatusOK {
			t.Fatalf("a prediction is %d", status)
		}
	}
	records := 0
	testkit.Eventually(t, "every prediction is on record", func() bool { // they are 100 ms behind
		records = strings.Count(runWith(t, s, nil, "audit", "export", "--format", "json"), "\n")
		return records > 20
	})
	r.start(t)
	testkit.Eventually(t, "every record comes", func() bool {
		counted := r.count(t)
		for i := range int64(records) {
			if counted[i] == 0 {
				return false
			}
		}
		return true
	})
}
