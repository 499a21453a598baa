package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"onnxgate/internal/apikey"
	"onnxgate/internal/fault"
	"onnxgate/internal/regular"
)

const (
	// remoteTime bounds one request to a server, the upload of a model among them,
	// and continueTime the wait for leave to send it.
	remoteTime   = 16 * time.Minute
	continueTime = 5 * time.Second
	// maxAnswer bounds what is read of an answer, maxTokenFile and maxCACerts the
	// files that the flags name.
	maxAnswer    = 1 << 20
	maxTokenFile = 64 << 10
	maxCACerts   = 1 << 20
)

// remoteFlags name the administration listener of a server.
type remoteFlags struct{ server, tokenFile, caCert *string }

func addRemote(cmd *cobra.Command) *remoteFlags {
	return &remoteFlags{
		server:    cmd.Flags().String("server", "", "`URL` of a server's administration listener, such as https://localhost:8444"),
		tokenFile: cmd.Flags().String("token-file", "", "`FILE` with an access token or an API key that holds models:write there"),
		caCert:    cmd.Flags().String("cacert", "", "PEM `FILE` with the CA of that server's certificate (default the system's)"),
	}
}

// remote is the administration listener of a server, to somebody with a credential.
type remote struct {
	base   *url.URL
	header http.Header // with the credential
	client *http.Client
}

// open returns the server that the flags name, nil when they name none.
func (f *remoteFlags) open() (*remote, error) {
	switch {
	case *f.server == "" && (*f.tokenFile != "" || *f.caCert != ""):
		return nil, usagef("--token-file and --cacert are for a server; name it with --server")
	case *f.server == "":
		return nil, nil //nolint:nilnil // none is named
	case *f.tokenFile == "":
		return nil, usagef("a server requires a credential: name a file with an access token or API key with --token-file")
	}
	base, err := url.Parse(strings.TrimSuffix(*f.server, "/"))
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, usagef("--server is no URL such as https://localhost:8444")
	}
	if base.Scheme == "http" && !isThisMachine(base.Hostname()) {
		return nil, usagef("--server: over http:// the credential would travel in the clear; write https://")
	}
	r := &remote{base: base}
	if r.header, err = credential(*f.tokenFile); err != nil {
		return nil, err
	}
	r.client, err = newClient(*f.caCert)
	return r, err
}

func isThisMachine(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// credential reads an access token or an API key.
func credential(file string) (http.Header, error) {
	data, _, err := regular.ReadFile(file, maxTokenFile)
	if err != nil {
		return nil, err
	}
	token := strings.TrimSpace(string(data))
	switch {
	case token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, fmt.Errorf("%s holds neither an access token nor an API key on one line", file)
	case strings.HasPrefix(token, apikey.Prefix):
		return http.Header{"X-Api-Key": {token}}, nil
	}
	return http.Header{"Authorization": {"Bearer " + token}}, nil
}

// newClient returns a client that follows no redirect: what is sent is for one
// server.
func newClient(caCert string) (*http.Client, error) {
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if caCert != "" {
		pem, _, err := regular.ReadFile(caCert, maxCACerts)
		if err != nil {
			return nil, err
		}
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM form", caCert)
		}
	}
	return &http.Client{
		Timeout: remoteTime,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: settings, ForceAttemptHTTP2: true,
			DialContext: (&net.Dialer{Timeout: continueTime}).DialContext, ExpectContinueTimeout: continueTime,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// do sends one request to a path of the administration API and returns the body
// of an answer that says that it was done. Any other is a fault.
func (r *remote) do(ctx context.Context, method string, path []string, header http.Header, body io.Reader, size int64) ([]byte, error) {
	parts := append([]string{"admin", "v1"}, path...)
	for i := range parts {
		if parts[i] == "" || parts[i] == "." || parts[i] == ".." {
			return nil, usagef("%q is not a valid name", parts[i])
		}
		parts[i] = url.PathEscape(parts[i])
	}
	req, err := http.NewRequestWithContext(ctx, method, r.base.String()+"/"+strings.Join(parts, "/"), body)
	if err != nil {
		return nil, err
	}
	req.ContentLength = size
	for _, fields := range []http.Header{header, r.header} {
		maps.Copy(req.Header, fields)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, r.unreached(err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read from
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < http.StatusOK || resp.StatusCode >= http.StatusMultipleChoices {
		return nil, refusal(resp, answer)
	}
	return answer, nil
}

// unreached says why no answer came, and what to do.
func (r *remote) unreached(err error) error {
	host := r.base.Host
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var plain tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("the certificate of %s is not trusted here: name its CA with --cacert; a certificate made by the server is data/tls/cert.pem there (%w)", host, unknown)
	case errors.As(err, &name):
		return fmt.Errorf("the certificate of %s is for other names: write one of them in --server (%w)", host, name)
	case errors.As(err, &plain), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fmt.Errorf("%s answers without TLS: is it the port of the administration listener? Its URL begins with http:// only where ONNXGATE_TLS is off", host)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens at %s: --server names the administration listener (ONNXGATE_ADMIN_ADDR, by default port 8444, only on the server's own machine)", host)
	}
	return err
}

// kinds are those of the refusals that a command does something about. Read only.
var kinds = map[int]fault.Kind{http.StatusNotFound: fault.NotFound, http.StatusUnprocessableEntity: fault.Content}

// noPath is what the public listener says of the paths of administration.
const noPath = "There is nothing at this path"

// refusal is what a server says about a request that it refuses (RFC 9457).
func refusal(resp *http.Response, answer []byte) error {
	var problem struct {
		Detail string `json:"detail"`
		Errors []struct {
			Detail string `json:"detail"`
		} `json:"errors"`
	}
	if json.Unmarshal(answer, &problem) != nil || problem.Detail == "" || problem.Detail == noPath {
		return fmt.Errorf("%s answered %s: is it the administration listener of an onnxgate server? By default its port is 8444", resp.Request.URL.Host, resp.Status)
	}
	text := printable(problem.Detail)
	for _, e := range problem.Errors {
		if detail := printable(e.Detail); detail != text {
			text += "\n" + detail
		}
	}
	kind, known := kinds[resp.StatusCode]
	if !known {
		return errors.New("the server refuses (" + resp.Status + "): " + text)
	}
	return fault.New(kind, text)
}

// printable keeps what a server says from steering a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
