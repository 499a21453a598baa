package cli

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	"onnxgate/internal/app"
	"onnxgate/internal/config"
)

// printExamples prints lines that can be pasted into a shell in this folder, one
// after the other, today and on every other day: a token and a prediction of
// the administrator, then a user who may not predict.
func (p *Process) printExamples(ctx context.Context, a *app.App, cfg *config.Config) error {
	scheme, trust := "https", ""
	fingerprint, file := a.Fingerprint()
	switch {
	case fingerprint == "":
		scheme = "http"
	case file != "":
		trust = " --cacert " + file
	}
	url := scheme + "://" + reachable(a.Addr())
	e := examples{
		url: url, trust: trust, program: p.Args[0], dataDir: cfg.DataDir,
		body: `{}`,
	}
	if m, ok := a.DefaultModel(); ok {
		e.body = string(m.Schema.Example())
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nServing on %s\n", url)
	if fingerprint != "" {
		fmt.Fprintf(&b, "certificate SHA-256 %s\n", fingerprint)
	}
	if cfg.Docs {
		fmt.Fprintf(&b, "documentation %s/docs\n", url)
	}
	b.WriteString("\nPaste these lines into another shell in this folder.\n")
	e.write(&b)
	return p.printf("%s\n", b.String())
}

// reachable returns where this machine reaches a listener: one on every
// interface has no address of its own.
func reachable(addr string) string {
	if at, err := netip.ParseAddrPort(addr); err == nil && at.Addr().IsUnspecified() {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port()).String()
	}
	return addr
}

// examples is what the lines depend on.
type examples struct {
	url, trust, program, dataDir, body string
}

func (e *examples) write(b *strings.Builder) {
	b.WriteString("\n# A token for the administrator, and a prediction:\n")
	e.token(b, "TOKEN", "admin", "$(cat "+filepath.Join(e.dataDir, "initial-admin-password")+")")
	e.predict(b, "TOKEN")
	b.WriteString("\n# A user without the role that the model asks for is refused (403):\n")
	password := filepath.Join(e.dataDir, "example-user-password")
	fmt.Fprintf(b, "PASSWORD=$(cat %[1]s 2>/dev/null || (umask 077; head -c 24 /dev/urandom | base64 | tee %[1]s))\n", password)
	fmt.Fprintf(b, "%s user add example --role user --if-absent --password-stdin", e.program)
	if e.dataDir != "data" {
		fmt.Fprintf(b, " --data-dir %s", e.dataDir)
	}
	b.WriteString(" <<< \"$PASSWORD\"\n")
	e.token(b, "USER_TOKEN", "example", "$PASSWORD")
	e.predict(b, "USER_TOKEN")
}

func (e *examples) token(b *strings.Builder, name, user, password string) {
	fmt.Fprintf(b, "%s=$(curl -sS%s %s/token -d username=%s --data-urlencode \"password=%s\" \\\n"+
		"  | sed -n 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/p')\n", name, e.trust, e.url, user, password)
}

func (e *examples) predict(b *strings.Builder, token string) {
	fmt.Fprintf(b, "curl -sS%s %s/predict -H \"Authorization: Bearer $%s\" \\\n"+
		"  -H 'Content-Type: application/json' -d '%s'\n", e.trust, e.url, token, e.body)
}
