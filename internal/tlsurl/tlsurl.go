// Package tlsurl reads out of the URL of a server how a client is to speak TLS with
// it: ca_file, and cert_file with key_file, are paths to PEM files in the query. It
// must not know what the server is for.
package tlsurl

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strings"
)

// Config returns the settings for a URL of the scheme that stands for TLS, TLS 1.2 or
// later, for the URL's own host; nil for any other scheme, which may have no query.
// The authorities are the system's unless ca_file names others. No error holds what
// else the URL has.
func Config(u *url.URL, scheme string) (*tls.Config, error) {
	files, err := url.ParseQuery(u.RawQuery)
	wellFormed := err == nil
	for name, values := range files {
		known := name == "ca_file" || name == "cert_file" || name == "key_file"
		wellFormed = wellFormed && known && len(values) == 1 && u.Scheme == scheme
	}
	if !wellFormed {
		return nil, fmt.Errorf("it may have ca_file, cert_file and key_file behind its question mark, once each and with %s:// alone", scheme)
	}
	if u.Scheme != scheme {
		return nil, nil //nolint:nilnil // no TLS
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Hostname()}
	if err := readAuthorities(c, files.Get("ca_file")); err != nil {
		return nil, err
	}
	return c, readPair(c, files.Get("cert_file"), files.Get("key_file"))
}

func readAuthorities(c *tls.Config, file string) error {
	if file == "" {
		return nil
	}
	pem, err := os.ReadFile(file) //nolint:gosec // G304: the operator names it
	if err != nil {
		return fmt.Errorf("ca_file: %w", err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("ca_file: %s holds no certificate in PEM", file)
	}
	return nil
}

func readPair(c *tls.Config, cert, key string) error {
	if cert == "" && key == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("cert_file, key_file: %w", err)
	}
	c.Certificates = []tls.Certificate{pair}
	return nil
}

// IsLoopback reports whether a host is this machine, by name or address.
func IsLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
