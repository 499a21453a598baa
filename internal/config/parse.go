package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"onnxgate/internal/identity"
	"onnxgate/internal/regular"
)

// A parser turns the text of a setting into its value. Its error says what is
// wrong with the text; what to write instead is the setting's own.

const off = "off"

func parseText(s string) (string, error) { return s, nil }

// parseAddr accepts host:port. An empty host is every interface.
func parseAddr(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", fmt.Errorf("%s is not host:port", shown(s))
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", fmt.Errorf("%s is not a port from 0 to 65535", shown(port))
	}
	if strings.ContainsAny(host, " /@") {
		return "", fmt.Errorf("%s is not a host", shown(host))
	}
	return s, nil
}

// parseAddrOrOff is parseAddr with "" for a listener that is closed.
func parseAddrOrOff(s string) (string, error) {
	if s == off {
		return "", nil
	}
	return parseAddr(s)
}

func parseSwitch(s string) (bool, error) {
	switch s {
	case "on", "true":
		return true, nil
	case off, "false":
		return false, nil
	default:
		return false, fmt.Errorf("%s is not a switch", shown(s))
	}
}

// ParseDuration accepts Go's durations, and days as in "90d".
func ParseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%s is not a duration", shown(s))
	}
	return d, nil
}

// parseDurationOrOff reads off as zero, and refuses zero.
func parseDurationOrOff(s string) (time.Duration, error) {
	if s == off {
		return 0, nil
	}
	d, err := ParseDuration(s)
	if err == nil && d <= 0 {
		err = fmt.Errorf("%s is not a time", shown(s))
	}
	return d, err
}

func formatDurationOrOff(d time.Duration) string {
	if d == 0 {
		return off
	}
	return formatDuration(d)
}

// formatDuration writes a duration as people do, and as the documentation: 15m where
// time.Duration.String writes 15m0s, 60s and not 1m, 90d and not 2160h.
func formatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day && d%day == 0:
		return strconv.FormatInt(int64(d/day), 10) + "d"
	case d >= time.Second && d < 2*time.Minute && d%time.Second == 0:
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

var sizeUnits = map[string]int64{
	"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "KB": 1e3, "MB": 1e6, "GB": 1e9,
}

// parseSize accepts a number of bytes with an optional unit.
func parseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "BKMGi")
	n, err := strconv.ParseInt(digits, 10, 64)
	unit, known := sizeUnits[s[len(digits):]]
	if err != nil || !known || n < 0 || n > math.MaxInt64/unit {
		return 0, fmt.Errorf("%s is not a size", shown(s))
	}
	return n * unit, nil
}

func formatSize(n int64) string {
	for _, unit := range []string{"GiB", "MiB", "KiB", "GB", "MB", "KB"} {
		if n > 0 && n%sizeUnits[unit] == 0 {
			return strconv.FormatInt(n/sizeUnits[unit], 10) + unit
		}
	}
	return strconv.FormatInt(n, 10)
}

// parseSizeOrNone takes nothing for zero.
func parseSizeOrNone(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	return parseSize(s)
}

func formatSizeOrNone(n int64) string {
	if n == 0 {
		return ""
	}
	return formatSize(n)
}

func parseCount(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("%s is not a whole number", shown(s))
	}
	return n, nil
}

// formatInFlight says what zero stands for on this machine.
func formatInFlight(n int) string {
	if n == 0 {
		return fmt.Sprintf("0 (processors here: %d)", runtime.GOMAXPROCS(0))
	}
	return strconv.Itoa(n)
}

// parseRate returns parse, of rates, with faults that show the text.
func parseRate[T any](parse func(string) (T, error)) func(string) (T, error) {
	return func(s string) (T, error) {
		rates, err := parse(s)
		if errors.Is(err, identity.ErrNoRate) {
			err = fmt.Errorf("%s is not a rate", shown(s)) // what to write follows
		} else if err != nil {
			err = fmt.Errorf("%s %w", shown(s), err)
		}
		return rates, err
	}
}

// list splits at commas and parses each part; blanks around a part are dropped.
func list[T any](parse func(string) (T, error)) func(string) ([]T, error) {
	return func(s string) ([]T, error) {
		var all []T
		for part := range strings.SplitSeq(s, ",") {
			v, err := parse(strings.TrimSpace(part))
			if err != nil {
				return nil, err
			}
			all = append(all, v)
		}
		return all, nil
	}
}

// parseNetwork accepts a CIDR prefix, or one address.
func parseNetwork(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" && !addr.Is4In6() {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil || p.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("%s is not a network", shown(s))
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("%s has bits behind its prefix (the network is %s)", shown(s), p.Masked())
	}
	return p, nil
}

var originHost = regexp.MustCompile(`^([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*|\[[0-9a-f:.]+\])$`)

// parseOrigin accepts an origin exactly as browsers send it (RFC 6454 section
// 6.2): scheme, host in small letters, and the port unless it is the scheme's
// own. Anything else would never match, or match too much.
func parseOrigin(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return "", fmt.Errorf("%s is not an exact origin", shown(s))
	}
	host := strings.TrimSuffix(u.Host, ":"+u.Port())
	switch {
	case u.User != nil, u.Path != "", u.RawQuery != "", u.Fragment != "", !originHost.MatchString(host):
		return "", fmt.Errorf("%s is more than an exact origin", shown(s))
	case u.Port() == "443" && u.Scheme == "https", u.Port() == "80" && u.Scheme == "http":
		return "", fmt.Errorf("%s names the scheme's own port, which browsers leave out", shown(s))
	case s != u.Scheme+"://"+u.Host:
		return "", fmt.Errorf("%s is not an exact origin", shown(s))
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 || p[0] == '0' {
			return "", fmt.Errorf("%s has no valid port", shown(s))
		}
	}
	return s, nil
}

// parseIssuer accepts an issuer identifier: a URL with neither query nor
// fragment (RFC 8414 section 2). Plain http is for loopback alone.
func parseIssuer(s string) (string, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(s, "#") || strings.HasSuffix(s, "?"):
		return "", fmt.Errorf("%s is not an issuer", shown(s))
	case u.Scheme == "https", u.Scheme == "http" && isLoopbackHost(u.Hostname()):
		return s, nil
	}
	return "", fmt.Errorf("%s does not begin with https://", shown(s))
}

func parseLevel(s string) (slog.Level, error) {
	switch s {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("%s is not a level", shown(s))
}

func parseSecret(s string) (Secret, error) { return NewSecret(s), nil }

// maxSecretFile bounds what is read from a file that should hold one secret.
const maxSecretFile = 64 << 10

// readSecret reads a secret from a file. One trailing newline is not part of it.
func readSecret(path string) (Secret, error) {
	data, _, err := regular.ReadFile(path, maxSecretFile)
	_, large := errors.AsType[regular.TooLargeError](err)
	switch {
	case large || errors.Is(err, regular.ErrNotRegular):
		return Secret{}, fmt.Errorf("%s is not a file with one secret", path)
	case err != nil:
		return Secret{}, fmt.Errorf("cannot read %s: %s", shownPath(path), reason(err))
	}
	s := TrimNewline(string(data))
	if s == "" {
		return Secret{}, errors.New(path + " is empty")
	}
	return NewSecret(s), nil
}

// TrimNewline removes one trailing line end, which is not part of a secret.
func TrimNewline(s string) string {
	if t, ok := strings.CutSuffix(s, "\n"); ok {
		return strings.TrimSuffix(t, "\r")
	}
	return s
}
