package oidc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"onnxgate/internal/regular"
	"onnxgate/internal/telemetry/tracing"
)

// The bounds of one fetch.
const (
	requestTime  = 5 * time.Second
	maxDocument  = 512 << 10 // bytes
	maxHeader    = 64 << 10
	maxTokenFile = 64 << 10
)

// client fetches the documents of one issuer: from addresses that are allowed,
// over TLS, without redirects, proxies, cookies or kept connections.
type client struct {
	http      *http.Client
	tokenFile string
}

// newClient returns the client for an entry. It speaks HTTP/1.1 alone: two small
// documents need nothing else.
func newClient(e *entry) *client {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	dialer := &net.Dialer{Timeout: requestTime, KeepAlive: -1, ControlContext: control(e.origin.networks)}
	return &client{
		tokenFile: e.origin.tokenFile,
		http: &http.Client{
			Timeout:       requestTime, // the body included
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				Proxy: nil, DialContext: dialer.DialContext,
				TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: e.roots},
				DisableKeepAlives: true, DisableCompression: true,
				MaxResponseHeaderBytes: maxHeader, Protocols: &protocols,
			},
		},
	}
}

// get returns the document at an https URL.
func (c *client) get(ctx context.Context, at string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, &documentError{fmt.Errorf("%s is not a URL", shown(at))}
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	req.Header.Set("User-Agent", "onnxgate")
	tracing.Inject(ctx, req.Header.Set)
	if err := c.authorize(req); err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // only read from
	return read(resp)
}

func read(resp *http.Response) ([]byte, error) {
	at := resp.Request.URL.Redacted()
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return nil, fmt.Errorf("%s answers %s, and redirects are not followed", at, resp.Status)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s answers %s", at, resp.Status)
	}
	if coding := resp.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return nil, &documentError{fmt.Errorf("%s answers in the encoding %s, which was not asked for", at, shown(coding))}
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	if len(data) > maxDocument {
		return nil, &documentError{fmt.Errorf("%s answers with more than %d bytes", at, maxDocument)}
	}
	return data, nil
}

// authorize sends the token of the entry's file, read again each time because
// such tokens are replaced (RFC 6750 section 2.1).
func (c *client) authorize(req *http.Request) error {
	if c.tokenFile == "" {
		return nil
	}
	data, _, err := regular.ReadFile(c.tokenFile, maxTokenFile)
	if err != nil {
		return fmt.Errorf("bearer_token_file: %w", err)
	}
	token := strings.TrimSpace(string(data))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("bearer_token_file: %s does not hold one token", c.tokenFile)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return nil
}

// documentError says that the issuer was reached and answered what cannot be
// used.
type documentError struct{ reason error }

func (e *documentError) Error() string { return e.reason.Error() }
func (e *documentError) Unwrap() error { return e.reason }

// unreachable reports whether a fetch failed for a reason that may pass, rather
// than because of where it led or what it found.
func unreachable(err error) bool {
	_, address := errors.AsType[*addressError](err)
	_, document := errors.AsType[*documentError](err)
	return err != nil && !address && !document
}

// checkURL refuses what is not a plain https URL.
func checkURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err == nil && u.User != nil:
		return errors.New("a URL must not hold a user or a password; write bearer_token_file")
	case err != nil || u.Host == "" || u.Opaque != "":
		return fmt.Errorf("%s is not a URL", shown(s))
	case u.Scheme != "https":
		return fmt.Errorf("%s does not begin with https://", shown(s))
	case strings.Contains(s, "#"):
		return fmt.Errorf("%s has a fragment", shown(s))
	}
	return nil
}
