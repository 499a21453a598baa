package schema

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"onnxgate/internal/identity"
)

// Access says who may use a model, and with what.
type Access struct {
	// Roles may predict and read the contract: the short form of a rule.
	Roles []string
	// Require names the kinds of credential that a request must carry, all of
	// them: LayerBearer, LayerAPIKey, LayerCertificate.
	Require []string
	// Share names the tenants beside the owner's that see the model, or holds
	// ShareAll.
	Share []string
	Rules []AccessRule
}

// The words of Access.Require, and the one of Access.Share for every tenant.
const (
	LayerBearer      = "bearer"
	LayerAPIKey      = "api_key"
	LayerCertificate = "certificate"
	ShareAll         = "*"
)

// AccessRule allows or denies actions to whom all its conditions hold for. A
// condition that is nil was not written.
type AccessRule struct {
	Deny    bool
	Actions []string

	Tenants, Roles, Scopes, Subjects, Issuers []string

	Addresses []netip.Prefix
	When      []ClaimRule
}

// ClaimRule holds if the claim has one of the values: strings, booleans, int64,
// uint64 or float64.
type ClaimRule struct {
	Claim  string
	Values []any
}

const (
	maxRules = 1 << 10
	maxWords = 1 << 10 // in one line of a rule
	maxWord  = 1 << 10 // bytes
)

var (
	actions = []string{"predict", "read", "write"}
	layers  = []string{LayerBearer, LayerAPIKey, LayerCertificate}
)

func (p *parser) access(n *yaml.Node, m *Manifest) {
	a := &Access{}
	m.Access = a
	p.lines["Access"] = n.Line
	p.mapping("Access", n, "access", []key{
		{"roles", p.words("Access.Roles", &a.Roles, checkRole)},
		{"require", p.words("Access.Require", &a.Require, oneOf("require", layers))},
		{"share", p.words("Access.Share", &a.Share, checkShare)},
		{"rules", func(n *yaml.Node) { p.accessRules(n, a) }},
	})
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		p.report(n.Line, "access is empty; name roles or rules, or leave it out to let only %s in", AdminRole)
	}
	if repeated := firstRepeated(a.Require); repeated != "" {
		p.report(p.lines["Access.Require"], "require names %s twice", repeated)
	}
	if a.Roles == nil && a.Rules == nil { // as without access
		a.Roles = []string{AdminRole}
	}
}

func (p *parser) accessRules(n *yaml.Node, a *Access) {
	a.Rules = []AccessRule{}
	if n.Kind == yaml.SequenceNode && len(n.Content) > maxRules {
		p.misread("Access.Rules", n, "rules has more than %d items", maxRules)
		return
	}
	p.sequence("Access.Rules", n, func(i int, item *yaml.Node) {
		a.Rules = append(a.Rules, AccessRule{})
		p.accessRule(item, i, &a.Rules[i])
	})
	p.notEmpty(n, "rules is empty; leave it out, or write rules such as {allow: [predict], roles: [analyst]}")
}

func (p *parser) accessRule(n *yaml.Node, i int, r *AccessRule) {
	path, name := fmt.Sprintf("Access.Rules[%d]", i), fmt.Sprintf("rule %d", i+1)
	verbs := 0
	verb := func(key string, deny bool) func(*yaml.Node) {
		return func(n *yaml.Node) {
			verbs++
			r.Deny = deny
			p.words(path+"."+key, &r.Actions, oneOf(key, actions))(n)
		}
	}
	p.mapping(path, n, name, []key{
		{"allow", verb("allow", false)},
		{"deny", verb("deny", true)},
		{"tenants", p.words(path+".Tenants", &r.Tenants, checkTenant)},
		{"roles", p.words(path+".Roles", &r.Roles, checkRole)},
		{"scopes", p.words(path+".Scopes", &r.Scopes, checkScope)},
		{"subjects", p.words(path+".Subjects", &r.Subjects, anyText)},
		{"issuers", p.words(path+".Issuers", &r.Issuers, anyText)},
		{"addresses", func(n *yaml.Node) { p.addresses(path+".Addresses", n, r) }},
		{"when", func(n *yaml.Node) { p.when(path+".When", n, r) }},
	})
	if n.Kind == yaml.MappingNode && verbs != 1 {
		p.report(n.Line, "%s must have either allow or deny, such as allow: [predict]", name)
	}
}

// words reads a list of texts, each of which check may refuse with a reason.
func (p *parser) words(path string, into *[]string, check func(string) string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		*into = []string{}
		if n.Kind == yaml.SequenceNode && len(n.Content) > maxWords {
			p.misread(path, n, "%s has more than %d items", partName(path), maxWords)
			return
		}
		p.sequence(path, n, func(i int, item *yaml.Node) {
			var word string
			at := fmt.Sprintf("%s[%d]", path, i)
			p.text(at, &word)(item)
			if !p.bad[at] {
				p.refuse(item, check(word))
			}
			*into = append(*into, word)
		})
		if path == "Access.Roles" {
			p.notEmpty(n, "roles must name at least one; leave out access to let only "+AdminRole+" in")
			return
		}
		p.notEmpty(n, partName(path)+" is empty, so that it holds for nobody; leave it out, or name at least one")
	}
}

func (p *parser) refuse(n *yaml.Node, reason string) {
	if reason != "" {
		p.report(n.Line, "%s", reason)
	}
}

func (p *parser) notEmpty(n *yaml.Node, reason string) {
	if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		p.report(n.Line, "%s", reason)
	}
}

// anyText refuses what can be nobody's name.
func anyText(word string) string {
	switch {
	case word == "":
		return "a text must not be empty"
	case len(word) > maxWord:
		return fmt.Sprintf("%q is longer than %d bytes", truncated(word), maxWord)
	}
	return ""
}

func checkRole(word string) string {
	if !identity.IsRole(word) {
		return fmt.Sprintf("role %q must be 1 to 64 characters of a-z, 0-9, _ and -, beginning with a letter", truncated(word))
	}
	return anyText(word)
}

// checkScope holds a scope to RFC 6749 section 3.3: visible ASCII without
// quotation marks and backslashes.
func checkScope(word string) string {
	if word == "" || strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
		return fmt.Sprintf("scope %q must be one word of visible ASCII, such as models:predict", truncated(word))
	}
	return anyText(word)
}

func checkTenant(word string) string {
	if word == ShareAll {
		return `tenants cannot hold "*"; leave tenants out for every tenant that sees the model`
	}
	return tenantName(word)
}

func checkShare(word string) string {
	if word == ShareAll {
		return ""
	}
	return tenantName(word)
}

func tenantName(word string) string {
	if !identity.IsTenant(word) {
		return fmt.Sprintf("tenant %q must be 1 to 63 characters of a-z, 0-9 and -, beginning with a letter or a digit", truncated(word))
	}
	return ""
}

func oneOf(what string, words []string) func(string) string {
	return func(word string) string {
		if !slices.Contains(words, word) {
			return fmt.Sprintf("%s must be one of %s, not %q", what, strings.Join(words, ", "), truncated(word))
		}
		return ""
	}
}

func firstRepeated(words []string) string {
	for i, word := range words {
		if slices.Contains(words[:i], word) {
			return word
		}
	}
	return ""
}

func (p *parser) addresses(path string, n *yaml.Node, r *AccessRule) {
	var words []string
	p.words(path, &words, func(word string) string {
		network, reason := parseNetwork(word)
		r.Addresses = append(r.Addresses, network)
		return reason
	})(n)
}

// parseNetwork reads a network, or one address; the second result says why a
// text is neither.
func parseNetwork(text string) (netip.Prefix, string) {
	network, err := netip.ParsePrefix(text)
	if addr, single := netip.ParseAddr(text); single == nil && addr.Zone() == "" {
		network, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	switch {
	case err != nil:
		return network, fmt.Sprintf("address %q must be a network such as 10.1.0.0/16, or one address", truncated(text))
	case network.Addr().Is4In6():
		return network, fmt.Sprintf("address %q: write the IPv4 address itself, such as %s", text, network.Addr().Unmap())
	case network != network.Masked():
		return network, fmt.Sprintf("address %q has bits behind its prefix; the network is %s", text, network.Masked())
	}
	return network, ""
}

// when reads claims, each with the values that it may have.
func (p *parser) when(path string, n *yaml.Node, r *AccessRule) {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		p.misread(path, n, "when must be claims with the values that they may have, such as {email_verified: [true]}, not %s", show(n))
		return
	}
	seen := map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		name, list := n.Content[i], n.Content[i+1]
		switch {
		case name.Kind != yaml.ScalarNode || name.ShortTag() != "!!str" || name.Value == "":
			p.report(name.Line, "when: %s must be the name of a claim; quotes make it a text", show(name))
		case seen[name.Value]:
			p.report(name.Line, "when: the claim %s appears twice", show(name))
		case list.Kind != yaml.SequenceNode || len(list.Content) == 0 || len(list.Content) > maxWords:
			p.report(list.Line, "when: the claim %s needs a list of 1 to %d values, such as [true]", show(name), maxWords)
		}
		seen[name.Value] = true
		claim := ClaimRule{Claim: name.Value, Values: []any{}}
		for j, item := range list.Content {
			var value any
			p.scalar(fmt.Sprintf("%s[%d].Values[%d]", path, i/2, j), &value)(item)
			claim.Values = append(claim.Values, value)
		}
		r.When = append(r.When, claim)
	}
}
