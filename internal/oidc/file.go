package oidc

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"onnxgate/internal/authn"
	"onnxgate/internal/identity"
	"onnxgate/internal/keys"
	"onnxgate/internal/regular"
)

const (
	defaultMaxStale = 24 * time.Hour
	minMaxStale     = time.Minute
	// leeway is how much the clocks of issuers may differ from ours.
	leeway = 10 * time.Second
)

// asymmetric are the algorithms of an entry that names none, and all that one
// may name: a secret shared with an issuer could make its tokens.
var asymmetric = []keys.Algorithm{
	keys.EdDSA, keys.ES256, keys.ES384, keys.ES512, keys.RS256, keys.RS384, keys.RS512, keys.PS256, keys.PS384, keys.PS512,
}

// entry is one issuer of the file.
type entry struct {
	policy   authn.Issuer // without its Keys
	origin   origin
	roots    *x509.CertPool // nil: those of the system
	static   *keySet        // of jwksFile
	maxStale time.Duration
}

// origin says where keys come from.
type origin struct {
	jwksURI, jwksFile string // both empty: discovery
	caFile, tokenFile string
	networks          []netip.Prefix
}

// sameKeys reports whether the keys of one entry are those of the other too.
func (e *entry) sameKeys(other *entry) bool {
	return e.static == nil && reflect.DeepEqual(e.origin, other.origin) && slices.Equal(e.policy.Algorithms, other.policy.Algorithms)
}

// readFile reads the issuers' file, with the files that it names.
func readFile(file, own string) ([]*entry, error) {
	data, _, err := regular.ReadFile(file, maxFile)
	if err != nil {
		return nil, err
	}
	r := &reader{file: file}
	var entries []*entry
	if root := r.document(data); root != nil {
		entries = r.entries(root, own)
	}
	return entries, errors.Join(r.problems...)
}

func (r *reader) entries(root *yaml.Node, own string) []*entry {
	var entries []*entry
	lines := map[string]int{own: 0}
	named := false
	r.mapping("the file", root, []key{{"issuers", func(what string, n *yaml.Node) {
		named = true
		r.sequence(what, n, func(item *yaml.Node) {
			e := r.entry(item)
			line, taken := lines[e.policy.Name]
			switch {
			case e.policy.Name == "":
				return // reported
			case taken && line == 0:
				r.report(item.Line, "%s is this server's own issuer (ONNXGATE_ISSUER)", shown(own))
			case taken:
				r.report(item.Line, "the issuer %s stands in line %d already", shown(e.policy.Name), line)
			}
			lines[e.policy.Name] = item.Line
			entries = append(entries, e)
		})
	}}})
	if !named && len(r.problems) == 0 {
		r.report(root.Line, "issuers is missing")
	}
	return entries
}

func (r *reader) entry(n *yaml.Node) *entry {
	e := &entry{maxStale: defaultMaxStale, policy: authn.Issuer{
		Algorithms: asymmetric, Tenant: identity.DefaultTenant, Leeway: leeway,
		Claims: authn.ClaimPaths{Subject: "sub"},
	}}
	before := len(r.problems)
	r.mapping("an issuer", n, r.keysOf(e))
	if len(r.problems) == before && n.Kind == yaml.MappingNode {
		r.complete(n, e)
	}
	return e
}

// keysOf are the keys of an entry.
func (r *reader) keysOf(e *entry) []key {
	asIs := func(s string) (string, error) { return s, nil }
	p, o := &e.policy, &e.origin
	return []key{
		{"issuer", r.text(&p.Name, checkIssuer)},
		{"audience", list(r, &p.Audience, false, asIs)},
		{"jwks_uri", r.text(&o.jwksURI, checkURL)},
		{"jwks_file", r.text(&o.jwksFile, nil)},
		{"algorithms", list(r, &p.Algorithms, false, parseAlgorithm)},
		{"typ", list(r, &p.Types, true, asIs)},
		{"token", func(what string, n *yaml.Node) {
			kind := ""
			r.text(&kind, checkKind)(what, n)
			p.IDToken = kind == "id"
		}},
		{"ca_file", r.text(&o.caFile, nil)},
		{"networks", list(r, &o.networks, false, parseNetwork)},
		{"bearer_token_file", r.text(&o.tokenFile, nil)},
		{"max_stale", func(what string, n *yaml.Node) { r.maxStale(what, n, &e.maxStale) }},
		{"claims", func(what string, n *yaml.Node) {
			r.mapping(what, n, []key{
				{"subject", r.text(&p.Claims.Subject, nil)},
				{"tenant", r.text(&p.Claims.Tenant, nil)},
				{"roles", list(r, &p.Claims.Roles, false, asIs)},
				{"scopes", r.text(&p.Claims.Scopes, nil)},
			})
		}},
		{"roles", func(what string, n *yaml.Node) { r.roles(what, n, &p.Roles) }},
		{"tenant", r.text(&p.Tenant, nil)},
	}
}

// roles reads what their words are here.
func (r *reader) roles(what string, n *yaml.Node, into *map[string]string) {
	*into = map[string]string{}
	r.each(what, n, func(name, value *yaml.Node) {
		var role string
		r.text(&role, checkRole)(what+": "+show(name), value)
		(*into)[name.Value] = role
	})
}

func (r *reader) maxStale(what string, n *yaml.Node, into *time.Duration) {
	var text string
	if r.text(&text, nil)(what, n); text == "" {
		return
	}
	d, err := parseDuration(text)
	switch {
	case err != nil:
		r.report(n.Line, "%s: %s is not a duration, such as 24h or 7d", what, shown(text))
	case d < minMaxStale:
		r.report(n.Line, "%s: %s is under 1m, so that a pause of the issuer would refuse its tokens", what, text)
	default:
		*into = d
	}
}

// complete checks what keys mean together, and reads the files.
func (r *reader) complete(n *yaml.Node, e *entry) {
	switch {
	case e.policy.Name == "":
		r.report(n.Line, "an issuer lacks its issuer, the iss of its tokens")
	case len(e.policy.Audience) == 0:
		r.report(n.Line, "the issuer %s lacks its audience, the aud of tokens that are for this server", shown(e.policy.Name))
	case e.origin.jwksURI != "" && e.origin.jwksFile != "":
		r.report(n.Line, "jwks_uri and jwks_file are both there; write one of them")
	case len(e.policy.Claims.Roles) > 0 && len(e.policy.Roles) == 0:
		r.report(n.Line, "claims names roles, and no roles say what their words are here; write roles: {their-word: user}")
	}
	if e.policy.Types == nil {
		e.policy.Types = []string{"at+jwt"}
		if e.policy.IDToken {
			e.policy.Types = []string{"JWT", ""}
		}
	}
	for what, err := range map[string]error{
		"ca_file": e.readCA(), "jwks_file": e.readKeys(), "bearer_token_file": readable(e.origin.tokenFile),
	} {
		if err != nil {
			r.report(n.Line, "%s: %s", what, err)
		}
	}
}

func (e *entry) readCA() error {
	if e.origin.caFile == "" {
		return nil
	}
	data, _, err := regular.ReadFile(e.origin.caFile, maxFile)
	if err != nil {
		return err
	}
	e.roots = x509.NewCertPool()
	if !e.roots.AppendCertsFromPEM(data) {
		return fmt.Errorf("%s holds no certificate in PEM", e.origin.caFile)
	}
	return nil
}

func (e *entry) readKeys() error {
	if e.origin.jwksFile == "" {
		return nil
	}
	data, _, err := regular.ReadFile(e.origin.jwksFile, maxDocument)
	if err != nil {
		return err
	}
	if e.static, err = parseSet(data, e.policy.Algorithms); err != nil {
		return fmt.Errorf("%s: %w", e.origin.jwksFile, err)
	}
	return nil
}

func readable(file string) error {
	if file == "" {
		return nil
	}
	_, _, err := regular.ReadFile(file, maxTokenFile)
	return err
}

// checkIssuer accepts an issuer identifier (OpenID Connect Core section 2).
func checkIssuer(s string) error {
	if err := checkURL(s); err != nil {
		return err
	}
	if u, err := url.Parse(s); err != nil || u.RawQuery != "" || u.ForceQuery {
		return fmt.Errorf("%s has a query, which an issuer cannot have", shown(s))
	}
	return nil
}

func checkKind(s string) error {
	if s != "access" && s != "id" {
		return fmt.Errorf("%s is neither access nor id", shown(s))
	}
	return nil
}

func checkRole(s string) error {
	if !identity.IsRole(s) {
		return fmt.Errorf("%s is not a role: at most 64 small letters, digits, _ and -, beginning with a letter", shown(s))
	}
	return nil
}

func parseAlgorithm(s string) (keys.Algorithm, error) {
	if alg := keys.Algorithm(s); slices.Contains(asymmetric, alg) {
		return alg, nil
	}
	names := make([]string, len(asymmetric))
	for i, a := range asymmetric {
		names[i] = string(a)
	}
	known := "; write some of " + strings.Join(names, ", ")
	switch {
	case strings.EqualFold(s, "none"):
		return "", errors.New("none is no signature" + known)
	case strings.HasPrefix(s, "HS"):
		return "", errors.New(s + " is symmetric: whoever can check such tokens can make them" + known)
	}
	return "", errors.New(shown(s) + " is not supported" + known)
}

// parseNetwork accepts a CIDR prefix, or one address, that is not among those
// that are never connected to.
func parseNetwork(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if addr, e := netip.ParseAddr(s); e == nil && addr.Zone() == "" {
		p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	switch {
	case err != nil || p.Addr().Is4In6():
		return p, fmt.Errorf("%s is not a network, such as 10.0.0.0/8", shown(s))
	case p != p.Masked():
		return p, fmt.Errorf("%s has bits behind its prefix; the network is %s", shown(s), p.Masked())
	}
	for _, n := range never {
		if n.Contains(p.Addr()) && p.Bits() >= n.Bits() {
			return p, fmt.Errorf("%s is never connected to: link-local, metadata, multicast or unspecified", shown(s))
		}
	}
	return p, nil
}

// parseDuration accepts Go's durations, and whole days as 90d.
func parseDuration(s string) (time.Duration, error) {
	const day, most = 24 * time.Hour, 36500
	days, ok := strings.CutSuffix(s, "d")
	if !ok {
		return time.ParseDuration(s)
	}
	n, err := strconv.ParseUint(days, 10, 32)
	if err != nil || n > most {
		return 0, errors.New("not a number of days")
	}
	return time.Duration(n) * day, nil
}
