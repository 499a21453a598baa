package sqlstore

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
)

var errURL = errors.New("it is no PostgreSQL URL: write postgres://USER:PASSWORD@HOST/DATABASE?sslmode=verify-full, " +
	"with the password percent-encoded (%40 for @, %3A for :, %2F for /, %3F for ?, %23 for #, %25 for %)")

// CheckURL says whether a PostgreSQL URL can be used, and what the operator
// should know about it, without connecting. Neither holds a password.
func CheckURL(text string) (warnings []string, err error) {
	_, warnings, err = parseURL(text)
	return warnings, err
}

// parseURL reads a URL as libpq does, but for what it leaves open: without an
// sslmode, TLS is verified unless the server is on this machine. A mode that
// would go on in the clear when somebody in between wants it to is refused.
func parseURL(text string) (*pgx.ConnConfig, []string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Opaque != "" || u.Fragment != "" ||
		u.User == nil && strings.Contains(text, "@") || strings.Contains(u.Host, "@") {
		return nil, nil, errURL
	}
	query := u.Query()
	if u.Host == "" && query.Get("host") == "" {
		return nil, nil, errURL
	}
	mode := query.Get("sslmode")
	if mode == "" && query.Get("ssl") == "true" { // JDBC's word for it, which pgx takes too
		mode = "require"
	}
	if mode == "" && !onThisMachine(hosts(u)) {
		query.Set("sslmode", "verify-full")
		u.RawQuery = query.Encode()
	}
	cfg, err := pgx.ParseConfig(u.String())
	if err != nil {
		return nil, nil, withoutSecrets(u, err)
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = lockTimeout
	}
	for name, value := range timeouts() {
		if _, set := cfg.RuntimeParams[name]; !set {
			cfg.RuntimeParams[name] = value
		}
	}
	warnings, err := checkTLS(cfg, mode)
	return cfg, warnings, err
}

// checkTLS judges what a stranger between here and the database could do.
func checkTLS(cfg *pgx.ConnConfig, mode string) ([]string, error) {
	all := []string{cfg.Host}
	plain, verified := cfg.TLSConfig == nil, verifies(cfg.TLSConfig)
	for _, f := range cfg.Fallbacks {
		all = append(all, f.Host)
		plain, verified = plain || f.TLSConfig == nil, verified && verifies(f.TLSConfig)
	}
	switch {
	case onThisMachine(all):
		return nil, nil
	case plain && mode != "disable":
		return nil, fmt.Errorf("sslmode=%s sends passwords and keys in the clear to whoever asks for it on the way: "+
			"write sslmode=verify-full, or sslmode=disable where the network is yours alone", mode)
	case plain:
		return []string{"sslmode=disable: what is asked of the database, and what it answers, crosses the network in the clear"}, nil
	case !verified:
		return []string{"sslmode=" + mode + " does not verify the database's certificate: whoever is on the way can pose as the database; write sslmode=verify-full"}, nil
	default:
		return nil, nil
	}
}

// verifies reports whether a certificate of another server is refused, or at
// least one that the named authority did not sign.
func verifies(c *tls.Config) bool {
	return c != nil && (!c.InsecureSkipVerify || c.VerifyPeerCertificate != nil)
}

// hosts are the servers that a URL names: several are separated by commas.
func hosts(u *url.URL) []string {
	if h := u.Query().Get("host"); h != "" {
		return strings.Split(h, ",")
	}
	var all []string
	for h := range strings.SplitSeq(u.Host, ",") {
		all = append(all, (&url.URL{Host: h}).Hostname())
	}
	return all
}

// onThisMachine reports whether all hosts are sockets in the file system or
// loopback addresses.
func onThisMachine(hosts []string) bool {
	for _, h := range hosts {
		if strings.HasPrefix(h, "/") || strings.HasPrefix(h, "@") || strings.EqualFold(h, "localhost") {
			continue
		}
		if ip, err := netip.ParseAddr(h); err != nil || !ip.Unmap().IsLoopback() {
			return false
		}
	}
	return true
}

// withoutSecrets says what pgx found wrong, unless that would show a secret.
func withoutSecrets(u *url.URL, err error) error {
	cause := errors.Unwrap(err) // err itself holds the URL
	if cause == nil {
		return errURL
	}
	password, _ := u.User.Password()
	for _, secret := range []string{password, u.Query().Get("password"), u.Query().Get("sslpassword")} {
		if secret != "" && strings.Contains(cause.Error(), secret) {
			return errURL
		}
	}
	return cause
}

// location says where the database of a URL is, and nothing else of it.
func location(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" && u.Query().Get("host") == "" || u.User == nil && strings.Contains(text, "@") {
		return "of ONNXGATE_DATABASE_URL"
	}
	return strings.Join(hosts(u), ",") + u.Path
}
