package schema

import (
	"fmt"
	"net/netip"

	"go.yaml.in/yaml/v3"
)

// AccessCase is one line of an access_test.yaml: who asks, for what, and what
// the model's owner expects to be decided.
type AccessCase struct {
	As AccessAs
	// Action is "predict" where the file names none.
	Action string
	// Allow is the expected outcome.
	Allow bool
	// Rule is the rule that is expected to decide, NoRule for none; nil when
	// any will do.
	Rule *int
	// Line is where the case begins in its file.
	Line int
}

// NoRule is AccessCase.Rule where no rule is expected to match.
const NoRule = -1

// AccessAs is the principal of a case. An empty tenant is the owner's.
type AccessAs struct {
	Subject, Issuer, Tenant string
	Roles, Scopes           []string
	Address                 netip.Addr
	Claims                  map[string]any
}

// maxCases bounds how many cases one file has.
const maxCases = 1 << 14

// ParseAccessTest reads an access_test.yaml. Errors are as those of Parse.
func ParseAccessTest(file string, data []byte) ([]AccessCase, error) {
	p := &parser{file: file, lines: map[string]int{}, bad: map[string]bool{}}
	var cases []AccessCase
	if root := p.root(data); root != nil {
		cases = p.cases(root)
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return cases, nil
}

func (p *parser) cases(root *yaml.Node) []AccessCase {
	if root.Kind != yaml.SequenceNode || len(root.Content) == 0 || len(root.Content) > maxCases {
		p.report(root.Line, "must be a list of 1 to %d cases such as {as: {roles: [analyst]}, action: predict, expect: allow, rule: 1}", maxCases)
		return nil
	}
	cases := make([]AccessCase, len(root.Content))
	for i, item := range root.Content {
		p.accessCase(item, fmt.Sprintf("Cases[%d]", i), &cases[i])
	}
	return cases
}

func (p *parser) accessCase(n *yaml.Node, path string, c *AccessCase) {
	c.Line, c.Action = n.Line, actions[0]
	expect := ""
	p.mapping(path, n, "a case", []key{
		{"as", func(n *yaml.Node) { p.caseAs(n, path+".As", &c.As) }},
		{"action", p.word(path+".Action", &c.Action, oneOf("action", actions))},
		{"expect", p.word(path+".Expect", &expect, oneOf("expect", []string{"allow", "deny"}))},
		{"rule", func(n *yaml.Node) { p.caseRule(n, path+".Rule", c) }},
	})
	if expect == "" && n.Kind == yaml.MappingNode && !p.bad[path+".Expect"] {
		p.report(n.Line, "the case must say expect: allow or expect: deny")
	}
	c.Allow = expect == "allow"
}

// word reads one text that check may refuse.
func (p *parser) word(path string, into *string, check func(string) string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		p.text(path, into)(n)
		if !p.bad[path] {
			p.refuse(n, check(*into))
		}
	}
}

func (p *parser) caseRule(n *yaml.Node, path string, c *AccessCase) {
	rule := NoRule
	if n.ShortTag() != "!!null" && (n.ShortTag() != "!!int" || n.Decode(&rule) != nil || rule < 0) {
		p.misread(path, n, "rule must be the number of a rule, 0 for roles, or null for none, not %s", show(n))
		return
	}
	c.Rule = &rule
}

func (p *parser) caseAs(n *yaml.Node, path string, as *AccessAs) {
	p.mapping(path, n, "as", []key{
		{"subject", p.text(path+".Subject", &as.Subject)},
		{"issuer", p.text(path+".Issuer", &as.Issuer)},
		{"tenant", p.word(path+".Tenant", &as.Tenant, tenantName)},
		{"roles", p.texts(path+".Roles", &as.Roles)},
		{"scopes", p.texts(path+".Scopes", &as.Scopes)},
		{"address", func(n *yaml.Node) {
			var text string
			p.text(path+".Address", &text)(n)
			addr, err := netip.ParseAddr(text)
			if err != nil && !p.bad[path+".Address"] {
				p.report(n.Line, "address must be that of a client, such as 10.1.2.3, not %s", show(n))
			}
			as.Address = addr
		}},
		{"claims", func(n *yaml.Node) {
			claims, ok := claimValue(n)
			if as.Claims, _ = claims.(map[string]any); !ok || as.Claims == nil {
				p.misread(path+".Claims", n, "claims must be a mapping of names to values as in a token, each name once")
			}
		}},
	})
}

// texts reads a list of any texts, which may be empty.
func (p *parser) texts(path string, into *[]string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		p.sequence(path, n, func(i int, item *yaml.Node) {
			var text string
			p.text(fmt.Sprintf("%s[%d]", path, i), &text)(item)
			*into = append(*into, text)
		})
	}
}

// claimValue reads a value as a token can hold it.
func claimValue(n *yaml.Node) (any, bool) {
	switch {
	case n.Kind == yaml.MappingNode:
		return claimObject(n)
	case n.Kind == yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			v, ok := claimValue(item)
			if !ok {
				return nil, false
			}
			list[i] = v
		}
		return list, true
	case n.ShortTag() == "!!null":
		return nil, true
	}
	return plainValue(n)
}

func claimObject(n *yaml.Node) (map[string]any, bool) {
	object := map[string]any{}
	for i := 0; i < len(n.Content); i += 2 {
		name := n.Content[i]
		v, ok := claimValue(n.Content[i+1])
		if _, twice := object[name.Value]; twice || !ok || name.Kind != yaml.ScalarNode {
			return nil, false
		}
		object[name.Value] = v
	}
	return object, true
}
