package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"onnxgate/internal/tlsurl"
)

const (
	defaultPort = "6379"
	// dialTime bounds one attempt to connect, up to its first answer. No request
	// waits for it.
	dialTime = 2 * time.Second
	// keepAlive finds connections whose other end is gone.
	keepAlive = 15 * time.Second
	// maxDatabase is more than any server is configured with.
	maxDatabase = 1 << 20
)

var errURL = errors.New("it is no URL of a Redis server: write rediss://USER:PASSWORD@HOST:6379/0, or redis:// where the network is yours alone, " +
	"with the password percent-encoded (%40 for @, %3A for :, %2F for /, %3F for ?, %23 for #, %25 for %)")

// target is a Redis server, and who to be there.
type target struct {
	address        string
	user, password string
	database       int
	tls            *tls.Config // nil for none
	// left is closed when a client goes over to another.
	left chan struct{}
}

// CheckURL says whether a URL can be used, and what the operator should know about
// it, without connecting. Neither holds a password.
func CheckURL(text string) (warnings []string, err error) {
	t, err := parseURL(text)
	if err != nil {
		return nil, err
	}
	if host, _, _ := net.SplitHostPort(t.address); t.tls == nil && !tlsurl.IsLoopback(host) {
		warnings = append(warnings, "what is asked of Redis, its password and who calls how often, crosses the network in the clear")
	}
	if t.password == "" {
		warnings = append(warnings, "Redis is asked without a password: whoever reaches it can lift every rate")
	}
	return warnings, nil
}

// Where says where the server of a URL is, and nothing else of it.
func Where(text string) string {
	t, err := parseURL(text)
	if err != nil {
		return "of ONNXGATE_REDIS_URL"
	}
	return t.String()
}

// String returns the address and the number of the database.
func (t *target) String() string { return t.address + "/" + strconv.Itoa(t.database) }

// parseURL reads redis:// and rediss:// as the draft of their registration has them
// (https://www.iana.org/assignments/uri-schemes/prov/redis), with the files of TLS in
// the query. No error holds what was read.
func parseURL(text string) (*target, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" || u.Opaque != "" || u.Fragment != "" || u.Hostname() == "" || strings.Contains(u.Host, "@") {
		return nil, errURL
	}
	t := &target{address: u.Host, left: make(chan struct{})}
	if u.Port() == "" {
		t.address = net.JoinHostPort(u.Hostname(), defaultPort)
	}
	var given bool
	t.user = u.User.Username()
	if t.password, given = u.User.Password(); u.User != nil && (!given || t.password == "") {
		return nil, errURL // a name alone is taken for a name by some and for a password by others
	}
	if path := strings.Trim(u.Path, "/"); path != "" {
		if t.database, err = strconv.Atoi(path); err != nil || t.database < 0 || t.database > maxDatabase {
			return nil, errURL
		}
	}
	t.tls, err = tlsurl.Config(u, "rediss")
	return t, err
}

// dial connects, proves who we are and takes the database.
func (t *target) dial(ctx context.Context) (redigo.Conn, error) { //nolint:ireturn // redigo's
	dialer := net.Dialer{KeepAlive: keepAlive}
	open := dialer.DialContext
	if t.tls != nil {
		open = (&tls.Dialer{NetDialer: &dialer, Config: t.tls}).DialContext
	}
	guarded := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := open(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return newGuard(conn), nil
	}
	return redigo.DialContext(ctx, "tcp", t.address,
		redigo.DialContextFunc(guarded), redigo.DialUsername(t.user), redigo.DialPassword(t.password),
		redigo.DialDatabase(t.database), redigo.DialClientName("onnxgate"))
}
