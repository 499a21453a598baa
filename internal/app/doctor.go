package app

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"onnxgate/internal/audit"
	"onnxgate/internal/config"
	"onnxgate/internal/identity"
	"onnxgate/internal/oidc"
	"onnxgate/internal/regular"
)

// Doctor looks for what is insecure, expiring, unreachable or set wrongly. It
// changes nothing.
type Doctor struct {
	// Header holds a credential with metrics:read for the running server; nil
	// reads its metrics where they are open.
	Header http.Header
	// Now is the clock. It is required.
	Now func() time.Time
	// Free returns how many bytes are left where a directory is; nil stands for what
	// the system says.
	Free func(dir string) (uint64, error)
}

// doctorTime bounds each look at something that may not answer.
const doctorTime = 10 * time.Second

// Diagnose returns what is found in a configuration, in what it names and, where
// one runs, in its server: errors first; and what was looked at, a line for each. It
// works before the first start.
func (d *Doctor) Diagnose(ctx context.Context, cfg *config.Config) (findings []Finding, looked []string) {
	var database, issuers, server, log, shipping, redis []Finding
	var ofServer, ofLog, ofDatabase string
	var reached, asked []string
	found, err := examine(ctx, cfg)
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			found = append(found, Finding{startRefused, Error, line, "fix that; onnxgate config check shows it again"})
		}
	}
	found = append(found, settingFindings(cfg)...)
	found = append(found, d.certificate(cfg)...)
	found = append(found, d.space(cfg)...)
	_ = inParallel( // none of them fails
		func() error { database, ofDatabase = databaseFindings(ctx, cfg); return nil },
		func() error { issuers = issuerFindings(ctx, cfg); return nil },
		func() error { server, ofServer = d.server(ctx, cfg); return nil },
		func() error { log, ofLog = auditFindings(ctx, cfg); return nil },
		func() error { shipping, reached = shippingFindings(ctx, cfg); return nil },
		func() error { redis, asked = redisFindings(ctx, cfg); return nil },
	)
	if refused := func(f Finding) bool { return f.ID == startRefused }; slices.ContainsFunc(database, refused) {
		log = slices.DeleteFunc(log, refused) // it is one file that opens both
	}
	looked = slices.Concat([]string{placeOf(cfg), ofDatabase}, kekLooked(cfg), []string{ofLog, ofServer}, asked, reached)
	return worst(slices.Concat(found, log, database, redis, issuers, shipping, server)), looked
}

// placeOf says in words which data directory is looked at.
func placeOf(cfg *config.Config) string {
	dir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		dir = cfg.DataDir
	}
	if _, err := os.Stat(dir); err != nil {
		return "data directory " + dir + ": none yet"
	}
	return "data directory " + dir
}

// cutFix divides what is wrong from what to write, which follows in one line: behind
// the last "; write " where there is one, for what stands before may have parts, too.
func cutFix(text string) (what, fix string) {
	if at := strings.LastIndex(text, "; write "); at >= 0 {
		return text[:at], text[at+len("; "):]
	}
	what, fix, ok := strings.Cut(text, "; ")
	if !ok {
		fix = "see docs/settings.md"
	}
	return what, fix
}

// DiagnoseSettings returns the findings of a configuration that could not be read.
func DiagnoseSettings(problems config.SettingErrors) []Finding {
	found := make([]Finding, len(problems))
	for i, p := range problems {
		id := settingInvalid
		if p.Setting == "ONNXGATE_CORS_ORIGINS" && strings.Contains(p.Detail, `"*"`) {
			id = corsAny
		}
		what, fix := cutFix(p.Detail)
		found[i] = Finding{id, Error, p.Setting + ": " + what, fix}
	}
	return found
}

// settingFindings are those of single settings.
func settingFindings(cfg *config.Config) []Finding {
	password := inDataDir(cfg, passwordFile)
	_, err := os.Stat(password)
	perMinute := identity.Limit{Requests: identity.Rates{{Requests: 10, Window: time.Minute}}, Rows: cfg.RatePredict.Rows}
	var all []Finding
	for _, check := range []struct {
		holds bool
		Finding
	}{
		{cfg.Docs, Finding{docsOn, Warning, "anyone who can reach " + cfg.Addr + " can read the documentation", change(cfg, "ONNXGATE_DOCS", "off")}},
		{len(cfg.RateToken) == 0, Finding{ratesOff, Warning, "an address may try any number of passwords", change(cfg, "ONNXGATE_RATE_TOKEN", "5/minute")}},
		{len(cfg.RatePredict.Requests) == 0, Finding{ratesOff, Warning, "an address may ask for any number of predictions", change(cfg, "ONNXGATE_RATE_PREDICT", perMinute.String())}},
		{audit.Mode(cfg.Audit) == audit.Off, Finding{auditOff, Warning, "no record is kept of who did what", change(cfg, "ONNXGATE_AUDIT", string(audit.Strict))}},
		{audit.Mode(cfg.Audit) == audit.BestEffort, Finding{auditBestEffort, Warning, "requests go ahead without a record while the audit log cannot be written", change(cfg, "ONNXGATE_AUDIT", string(audit.Strict))}},
		{cfg.Pprof, Finding{pprofOn, Warning, "anyone with debug:read can take profiles", change(cfg, "ONNXGATE_PPROF", "off")}},
		{cfg.JWTSecret.IsSet(), Finding{hs256, Warning, "tokens are signed with a shared secret (HS256)", change(cfg, "ONNXGATE_JWT_SECRET", "")}},
		{err == nil, Finding{initialPassword, Warning, "the first administrator's password is in " + password, "change it (onnxgate user passwd admin); the file is then deleted"}},
	} {
		if check.holds {
			all = append(all, check.Finding)
		}
	}
	return all
}

// expiresSoon is how long before its end a certificate is reported. One of our own
// making is renewed earlier.
const expiresSoon = 14 * 24 * time.Hour

// certificate judges the certificate's file. What keeps a start from using it is
// told already.
func (d *Doctor) certificate(cfg *config.Config) []Finding {
	if !cfg.TLS {
		return nil
	}
	file, fix := cfg.TLSCertFile, "put a new certificate and its key into "+cfg.TLSCertFile+" and "+cfg.TLSKeyFile
	if file == "" {
		file = filepath.Join(inDataDir(cfg, certsDir), "cert.pem")
		fix = "start the server, which renews its own certificate"
	}
	data, _, err := regular.ReadFile(file, maxCertificate)
	if err != nil {
		return nil // not made yet, or told as what refuses a start
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	all := d.expiry(leaf, file, fix)
	if issuer, err := url.Parse(cfg.Issuer); err == nil && cfg.Origin("ONNXGATE_ISSUER") != "default" && leaf.VerifyHostname(issuer.Hostname()) != nil {
		all = append(all, Finding{
			certificateName, Warning,
			fmt.Sprintf("%s does not name %s, where ONNXGATE_ISSUER sends clients", file, issuer.Hostname()),
			"let the certificate name it, or " + change(cfg, "ONNXGATE_ISSUER", "https://NAME"),
		})
	}
	return all
}

func (d *Doctor) expiry(leaf *x509.Certificate, where, fix string) []Finding {
	left, end := leaf.NotAfter.Sub(d.Now()), leaf.NotAfter.UTC().Format(time.RFC3339)
	switch {
	case left < 0:
		return []Finding{{certificateExpires, Error, fmt.Sprintf("the certificate %s ended on %s", where, end), fix}}
	case left < expiresSoon:
		return []Finding{{certificateExpires, Warning, fmt.Sprintf("the certificate %s ends on %s", where, end), fix}}
	}
	return nil
}

// issuerFindings asks every outside issuer for its keys.
func issuerFindings(ctx context.Context, cfg *config.Config) []Finding {
	issuers, err := newIssuers(cfg, nil, time.Now)
	if err != nil || issuers == nil {
		return nil // what is wrong with the file refuses a start
	}
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	issuers.Refresh(ctx)
	var all []Finding
	for _, s := range issuers.Status() {
		all = append(all, issuerFinding(cfg, &s)...)
	}
	return all
}

func issuerFinding(cfg *config.Config, s *oidc.Status) []Finding {
	var all []Finding
	for _, reason := range s.LeftOut {
		all = append(all, Finding{issuerKey, Warning, s.Issuer + ": " + reason, "let the issuer publish another key, or let " + cfg.IssuersFile + " allow it"})
	}
	switch {
	case s.Err != nil:
		return append(all, Finding{issuerUnreachable, Error, s.Issuer + ": " + s.Err.Error(), "fix its entry in " + cfg.IssuersFile + ", or the network path to it"})
	case s.Keys == 0:
		return append(all, Finding{issuerUnreachable, Error, s.Issuer + ": none of its keys at " + s.From + " can be used", "fix its entry in " + cfg.IssuersFile})
	}
	return all
}
