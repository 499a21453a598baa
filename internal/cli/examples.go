package cli

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"onnxgate/internal/app"
	"onnxgate/internal/config"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
)

// printExamples prints lines that can be pasted into a shell in this folder, one
// after the other, today and on every other day: a token and a prediction of
// the administrator, then another user. What cannot work in this configuration
// is left out, and a comment says why.
func (p *Process) printExamples(ctx context.Context, a *app.App, cfg *config.Config) error {
	e := examples{
		scheme: "http", addr: reachable(a.Addr()), program: p.Args[0], dataDir: cfg.DataDir,
		passwordFile: a.AdminPasswordFile(ctx), wait: secondMustWait(cfg),
	}
	cert, file := a.Certificate()
	if cert != nil {
		e.scheme, e.cert, e.names = "https", file, cert.Leaf.DNSNames
		e.addr = named(e.addr, cert.Leaf.VerifyHostname)
	}
	if model, ok := exampleModel(a.Models()); ok {
		e.predictsAt(&model)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nServing on %s://%s\n", e.scheme, reachable(a.Addr()))
	if addr := a.GRPCAddr(); addr != "" {
		fmt.Fprintf(&b, "gRPC on %s\n", reachable(addr))
	}
	if cert != nil {
		fmt.Fprintf(&b, "certificate SHA-256 %s\n", cert.Fingerprint)
	}
	if cfg.Docs {
		fmt.Fprintf(&b, "documentation %s://%s/docs\n", e.scheme, reachable(a.Addr()))
	}
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

// named returns the address under a name that the certificate is for, and that a
// server on loopback answers to; empty when there is none.
func named(addr string, verify func(host string) error) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	for _, name := range []string{host, "localhost"} {
		if verify(name) == nil {
			return net.JoinHostPort(name, port)
		}
	}
	return ""
}

// exampleModel returns a model that the administrator may call, the default one
// if it is such.
func exampleModel(models []inference.ModelInfo) (inference.ModelInfo, bool) {
	mine := slices.DeleteFunc(models, func(m inference.ModelInfo) bool { return !slices.Contains(m.Roles, identity.RoleAdmin) })
	if len(mine) == 0 {
		return inference.ModelInfo{}, false
	}
	return mine[max(0, slices.IndexFunc(mine, func(m inference.ModelInfo) bool { return m.Default }))], true
}

// secondMustWait names the rate that lets only one request of a kind through,
// empty when none does.
func secondMustWait(cfg *config.Config) string {
	for _, r := range []struct{ setting, rate string }{{"ONNXGATE_RATE_TOKEN", cfg.RateToken}, {"ONNXGATE_RATE_PREDICT", cfg.RatePredict}} {
		if strings.HasPrefix(r.rate, "1/") {
			return r.setting + "=" + r.rate
		}
	}
	return ""
}

// examples is what the lines depend on.
type examples struct {
	// addr is empty when the certificate is for none of this machine's names.
	scheme, addr string
	// cert is the file to trust, empty without TLS; names are what it is for.
	cert  string
	names []string

	program, dataDir string
	// passwordFile holds the administrator's password, empty when no file does.
	passwordFile string
	// path and body are a prediction, empty when the administrator may call no
	// model; userMay is whether the role user may ask for it too.
	path, body string
	userMay    bool
	// wait is the setting that makes a second request wait.
	wait string
}

func (e *examples) predictsAt(m *inference.ModelInfo) {
	e.path, e.body = "/models/"+m.Name+"/predict", string(m.Schema.Example())
	if m.Default {
		e.path = "/predict"
	}
	e.userMay = slices.Contains(m.Roles, identity.RoleUser)
}

func (e *examples) write(b *strings.Builder) {
	if e.addr == "" {
		fmt.Fprintf(b, "\nThe certificate is for %s: call the server under such a name.\n", strings.Join(e.names, ", "))
		return
	}
	b.WriteString("\nPaste these lines into another shell in this folder.\n\n")
	password := "$(cat " + quoted(e.passwordFile) + ")"
	if e.passwordFile == "" {
		password = "$ADMIN_PASSWORD"
		b.WriteString("# The password of admin was changed. Paste this line first, and answer it:\n" +
			"ADMIN_PASSWORD=$(read -rsp 'Password of admin: ' p </dev/tty && printf %s \"$p\")\n\n")
	}
	if e.path == "" {
		b.WriteString("# A token for the administrator, who may call no model yet:\n")
		e.token(b, "TOKEN", "admin", password)
		fmt.Fprintf(b, "%s/models -H \"Authorization: Bearer $TOKEN\"\n", e.curl())
		return
	}
	b.WriteString("# A token for the administrator, and a prediction:\n")
	e.token(b, "TOKEN", "admin", password)
	e.predict(b, "TOKEN")
	if e.wait != "" {
		fmt.Fprintf(b, "\n# The lines of a second user are left out: they would have to wait for %s.\n", e.wait)
		return
	}
	e.secondUser(b)
}

func (e *examples) secondUser(b *strings.Builder) {
	if e.userMay {
		b.WriteString("\n# Another user, whose role the model allows too:\n")
	} else {
		b.WriteString("\n# A user without the role that the model asks for is refused (403):\n")
	}
	password := quoted(filepath.Join(e.dataDir, "example-user-password"))
	fmt.Fprintf(b, "PASSWORD=$(cat %[1]s 2>/dev/null || (umask 077; head -c 24 /dev/urandom | base64 | tee %[1]s))\n", password)
	fmt.Fprintf(b, "%s user add example --role user --if-absent --password-stdin", quoted(e.program))
	if e.dataDir != "data" {
		fmt.Fprintf(b, " --data-dir %s", quoted(e.dataDir))
	}
	b.WriteString(" <<< \"$PASSWORD\"\n")
	e.token(b, "USER_TOKEN", "example", "$PASSWORD")
	e.predict(b, "USER_TOKEN")
}

// curl is the command up to the path.
func (e *examples) curl() string {
	trust := ""
	if e.cert != "" {
		trust = " --cacert " + quoted(e.cert)
	}
	return "curl -sS" + trust + " " + e.scheme + "://" + e.addr
}

func (e *examples) token(b *strings.Builder, name, user, password string) {
	fmt.Fprintf(b, "%s=$(%s/token -d username=%s --data-urlencode \"password=%s\" \\\n"+
		"  | sed -n 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/p')\n", name, e.curl(), user, password)
}

func (e *examples) predict(b *strings.Builder, token string) {
	fmt.Fprintf(b, "%s%s -H \"Authorization: Bearer $%s\" \\\n"+
		"  -H 'Content-Type: application/json' -d %s\n", e.curl(), e.path, token, quoted(e.body))
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./@%+=:,-]+$`)

// quoted returns a word as a POSIX shell reads it.
func quoted(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
