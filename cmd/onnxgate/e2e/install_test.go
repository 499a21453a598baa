package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"onnxgate/internal/testkit"
)

// TestWhatReplicasReadIsMadeAsTheirPageSays pastes the lines of docs/replicas.md that
// make files, and verifies the certificate as a client does.
func TestWhatReplicasReadIsMadeAsTheirPageSays(t *testing.T) {
	t.Parallel()
	testkit.Tool(t, "bash", "bash")
	testkit.Tool(t, "openssl", "openssl")
	dir := t.TempDir()
	if err := os.Symlink(source(t, "deploy"), filepath.Join(dir, "deploy")); err != nil {
		t.Fatal(err)
	}
	blocks := pageBlocks(t, "replicas.md")["Put two servers behind a balancer"]
	if len(blocks) < 3 {
		t.Fatalf("%d blocks, want files, certificates and the installation", len(blocks))
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", blocks[0]+blocks[1])
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	roots := x509.NewCertPool()
	authority, err := os.ReadFile(filepath.Join(dir, "replicas-ca.pem"))
	if err != nil || !roots.AppendCertsFromPEM(authority) {
		t.Fatalf("the authority: %v", err)
	}
	etc := filepath.Join(dir, "etc-onnxgate")
	pair, err := tls.LoadX509KeyPair(filepath.Join(etc, fleetName+".pem"), filepath.Join(etc, fleetName+"-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: fleetName}); err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(deployed(t, "onnxgate.env")) { // each file that it names was made
		name, ok := strings.CutPrefix(line[strings.Index(line, "=")+1:], "/etc/onnxgate/")
		if !ok {
			continue
		}
		info, err := os.Stat(filepath.Join(etc, strings.TrimSpace(name)))
		if err != nil {
			t.Error(err)
		} else if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", name, info.Mode())
		}
	}
}

// TestTheUnitIsGood has systemd read the unit of deploy/replicas, where there is systemd.
func TestTheUnitIsGood(t *testing.T) {
	t.Parallel()
	unit := deployed(t, "onnxgate.service")
	const program = "/usr/local/bin/onnxgate"
	if !strings.Contains(unit, "ExecStart="+program+" serve --env-file /etc/onnxgate/.env\n") {
		t.Fatal("the unit does not start the program with the settings of docs/replicas.md")
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		return
	}
	file := filepath.Join(t.TempDir(), "onnxgate.service")
	put(t, file, strings.Replace(unit, program, binary, 1))
	if out, err := exec.CommandContext(t.Context(), analyze, "verify", file).CombinedOutput(); err != nil || strings.Contains(string(out), "onnxgate.service:") {
		t.Errorf("%v\n%s", err, out)
	}
}
