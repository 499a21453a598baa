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
		passwordFile: a.AdminPasswordFile(ctx), keys: !cfg.PasswordGrant, wait: secondMustWait(cfg),
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
	for _, r := range []struct {
		setting string
		rates   identity.Limit
	}{{"ONNXGATE_RATE_TOKEN", identity.Limit{Requests: cfg.RateToken}}, {"ONNXGATE_RATE_PREDICT", cfg.RatePredict}} {
		if slices.ContainsFunc(slices.Concat(r.rates.Requests, r.rates.Rows), func(window identity.Rate) bool { return window.Requests == 1 }) {
			return r.setting + "=" + r.rates.String()
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
	// keys says that there are no tokens for passwords, so that API keys ask.
	keys bool
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
	if e.keys {
		e.writeKeys(b)
		return
	}
	password := "$(cat " + quoted(e.passwordFile) + ")"
	if e.passwordFile == "" {
		password = "$ADMIN_PASSWORD"
		b.WriteString("# The password of admin was changed. Paste this line first and type it in:\n" +
			"ADMIN_PASSWORD=$(read -rsp 'Password of admin: ' p </dev/tty && printf %s \"$p\")\n\n")
	}
	if e.path == "" {
		b.WriteString("# A token for the administrator, who may call no model yet:\n")
		e.token(b, "TOKEN", "admin", password)
		fmt.Fprintf(b, "%s/models -H %s\n", e.curl(), bearer("TOKEN"))
		return
	}
	b.WriteString("# A token for the administrator, and a prediction:\n")
	e.token(b, "TOKEN", "admin", password)
	e.predict(b, bearer("TOKEN"))
	if e.wait != "" {
		fmt.Fprintf(b, "\n# The lines for a second user are left out: %s would make them wait.\n", e.wait)
		return
	}
	e.secondUser(b)
}

func (e *examples) secondUser(b *strings.Builder) {
	e.introduceUser(b, "user")
	password := quoted(filepath.Join(e.dataDir, "example-user-password"))
	fmt.Fprintf(b, "PASSWORD=$(cat %[1]s 2>/dev/null || (umask 077; head -c 24 /dev/urandom | base64 | tee %[1]s))\n", password)
	fmt.Fprintf(b, "%s user add example --role user --if-absent --password-stdin%s <<< \"$PASSWORD\"\n", quoted(e.program), e.where())
	e.token(b, "USER_TOKEN", "example", "$PASSWORD")
	e.predict(b, bearer("USER_TOKEN"))
}

// introduceUser says what becomes of the prediction of somebody with the role user.
func (e *examples) introduceUser(b *strings.Builder, who string) {
	if e.userMay {
		fmt.Fprintf(b, "\n# Another %s, whose role the model allows too:\n", who)
		return
	}
	fmt.Fprintf(b, "\n# A %s without the role that the model requires is refused (403):\n", who)
}

// where is the flag for a data directory that is not the usual one.
func (e *examples) where() string {
	if e.dataDir == "data" {
		return ""
	}
	return " --data-dir " + quoted(e.dataDir)
}

// writeKeys writes the lines for a server that gives no tokens for passwords.
func (e *examples) writeKeys(b *strings.Builder) {
	if e.path == "" {
		b.WriteString("# An API key with the role admin, which may call no model yet (ONNXGATE_PASSWORD_GRANT is off):\n")
		e.key(b, "KEY", "admin")
		fmt.Fprintf(b, "%s/models -H %s\n", e.curl(), apiKey("KEY"))
		return
	}
	b.WriteString("# An API key with the role admin (ONNXGATE_PASSWORD_GRANT is off), and a prediction:\n")
	e.key(b, "KEY", "admin")
	e.predict(b, apiKey("KEY"))
	if e.wait != "" {
		fmt.Fprintf(b, "\n# The lines for a second key are left out: %s would make them wait.\n", e.wait)
		return
	}
	e.introduceUser(b, "key")
	e.key(b, "USER_KEY", "user")
	e.predict(b, apiKey("USER_KEY"))
}

// key makes an API key of the role, once.
func (e *examples) key(b *strings.Builder, name, role string) {
	fmt.Fprintf(b, "%[1]s=$(cat %[2]s 2>/dev/null || (%[3]s apikey create example-%[4]s --role %[4]s --secret-file %[2]s%[5]s >/dev/null && cat %[2]s))\n",
		name, quoted(filepath.Join(e.dataDir, "example-"+role+"-key")), quoted(e.program), role, e.where())
}

// bearer is the header of an access token that a variable holds.
func bearer(variable string) string { return `"Authorization: Bearer $` + variable + `"` }

// apiKey is the header of an API key that a variable holds.
func apiKey(variable string) string { return `"X-API-Key: $` + variable + `"` }

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

func (e *examples) predict(b *strings.Builder, credential string) {
	fmt.Fprintf(b, "%s%s -H %s \\\n"+
		"  -H 'Content-Type: application/json' -d %s\n", e.curl(), e.path, credential, quoted(e.body))
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./@%+=:,-]+$`)

// quoted returns a word as a POSIX shell reads it.
func quoted(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
