package oidc_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/oidc"
)

func TestAFileWithEverythingIsAccepted(t *testing.T) {
	p := newProvider(t, newEC(t, "k1").jwk())
	keys := place(t, "keys.json", `{"keys":[]}`)
	file := place(t, "issuers.yaml", `
# every key
issuers:
  - issuer: https://idp.example/realms/ml
    audience: [ml]
    jwks_uri: https://idp.example/realms/ml/jwks.json
    algorithms: [RS256, ES256, EdDSA]
    typ: [at+jwt, JWT, ""]
    token: access
    ca_file: `+p.caFile(t)+`
    networks: [10.0.0.0/8, fd12::/16, 192.0.2.7]
    bearer_token_file: `+place(t, "token", "x")+`
    max_stale: 7d
    claims: {subject: sub, tenant: tenant, roles: [realm_access.roles], scopes: scope}
    roles: {ml-admins: admin, "Group One": user}
    tenant: default
  - {issuer: "https://idp.example/realms/ml/", audience: [ml], token: id, jwks_file: `+keys+`}
`)
	issuers, err := oidc.New(oidc.Config{File: file, Own: "https://own.example"})
	if err != nil {
		t.Fatal(err)
	}
	want := []oidc.Status{
		{Issuer: "https://idp.example/realms/ml", From: "https://idp.example/realms/ml/jwks.json"},
		{Issuer: "https://idp.example/realms/ml/", From: keys},
	}
	if diff := cmp.Diff(want, issuers.Status()); diff != "" {
		t.Error(diff)
	}
}

func TestAFileThatCannotBeRightIsRefused(t *testing.T) {
	const head = "issuers:\n  - issuer: https://idp.example\n    audience: [ml]\n"
	line := func(l string) string { return head + "    " + l + "\n" }
	empty := place(t, "empty", "")
	for name, tc := range map[string]struct{ file, want string }{
		"nothing":                    {"", ":1: the file is empty"},
		"a comment":                  {"# nothing\n", ":1: the file is empty"},
		"no list of issuers":         {"{}", "issuers is missing"},
		"an empty list":              {"issuers: []", ":1: issuers is an empty list"},
		"not YAML":                   {"issuers: [", "not YAML"},
		"a second document":          {head + "---\nissuers: []\n", "a second document"},
		"an alias":                   {"issuers: &a [*a]", "anchors and aliases"},
		"a tag":                      {line("tenant: !!str acme"), ":4: tags such as"},
		"nested without end":         {"issuers: " + strings.Repeat("[", 40) + strings.Repeat("]", 40), "nested more than"},
		"an unknown key at the top":  {"issuer: []\n" + head, `:1: unknown key "issuer" in the file; known are issuers`},
		"an unknown key":             {line("algorithm: [RS256]"), `:4: unknown key "algorithm" in an issuer; known are issuer, audience, jwks_uri`},
		"a key in capitals":          {line("Audience: [ml]"), `:4: unknown key "Audience"`},
		"a key twice":                {line("audience: [other]"), `:4: key "audience" appears twice`},
		"an unknown claim":           {line("claims: {subjekt: sub}"), `:4: unknown key "subjekt" in claims; known are subject, tenant, roles, scopes`},
		"an issuer twice":            {head + head[9:], `:4: the issuer "https://idp.example" stands in line 2 already`},
		"our own issuer":             {strings.Replace(head, "idp", "own", 1), `:2: "https://own.example" is this server's own issuer`},
		"no issuer":                  {"issuers:\n  - audience: [ml]\n", ":2: an issuer lacks its issuer"},
		"no audience":                {"issuers:\n  - issuer: https://idp.example\n", "lacks its audience"},
		"an empty audience":          {line("typ: [JWT]") + "  - {issuer: https://b.example, audience: []}\n", ":5: audience is an empty list"},
		"an audience that is a text": {"issuers:\n  - {issuer: https://b.example, audience: ml}\n", `:2: audience must be a list, not "ml"; as a list: [ml]`},
		"an audience of a number":    {"issuers:\n  - {issuer: https://b.example, audience: [1]}\n", `each item must be a text, not "1"; quotes make it one`},
		"an issuer in the clear":     {strings.Replace(head, "https", "http", 1), `:2: issuer: "http://idp.example" does not begin with https://`},
		"an issuer with a query":     {strings.Replace(head, ".example", ".example?a=b", 1), "has a query"},
		"an issuer with a fragment":  {strings.Replace(head, ".example", ".example#a", 1), "a fragment"},
		"an issuer with a password":  {strings.Replace(head, "idp", "u:canary@idp", 1), "must not hold a user"},
		"keys in the clear":          {line("jwks_uri: http://idp.example/keys"), ":4: jwks_uri: "},
		"keys from two places":       {line("jwks_uri: https://idp.example/keys\n    jwks_file: keys.json"), "jwks_uri and jwks_file are both there"},
		"a file of keys that is not": {line("jwks_file: /no/such/file"), "jwks_file: open /no/such/file: no such file"},
		"a file of keys that is none": {
			line("jwks_file: " + empty), "not a JWK Set",
		},
		"an authority that is not":     {line("ca_file: /no/such/file"), "ca_file: open /no/such/file"},
		"an authority that is none":    {line("ca_file: " + empty), "holds no certificate in PEM"},
		"a token file that is not":     {line("bearer_token_file: /no/such/file"), "bearer_token_file: open /no/such/file"},
		"the algorithm none":           {line("algorithms: [RS256, none]"), ":4: algorithms: none is no signature"},
		"a symmetric algorithm":        {line("algorithms: [HS256]"), ":4: algorithms: HS256 is symmetric"},
		"an algorithm in small":        {line("algorithms: [rs256]"), `"rs256" is not supported; write some of EdDSA`},
		"an algorithm twice":           {line("algorithms: [RS256, RS256]"), `:4: algorithms holds "RS256" twice`},
		"no algorithms":                {line("algorithms: []"), "algorithms is an empty list"},
		"another kind of token":        {line("token: refresh"), `:4: token: "refresh" is neither access nor id`},
		"a network that is none":       {line("networks: [ten]"), `:4: networks: "ten" is not a network`},
		"a network with bits behind":   {line("networks: [10.0.0.1/8]"), "the network is 10.0.0.0/8"},
		"a network of link-local ones": {line("networks: [169.254.169.254/32]"), "is never connected to"},
		"a network of IPv6 ones":       {line("networks: ['fe80::/64']"), "is never connected to"},
		"a mapped network":             {line("networks: ['::ffff:10.0.0.0/104']"), "is not a network"},
		"keys kept too short":          {line("max_stale: 59s"), ":4: max_stale: 59s is under 1m"},
		"keys kept for no time":        {line("max_stale: 0s"), "is under 1m"},
		"keys kept for a number":       {line("max_stale: 24"), `max_stale must be a text, not "24"`},
		"keys kept for a while":        {line("max_stale: a while"), `"a while" is not a duration`},
		"keys kept for ages":           {line("max_stale: 99999999999d"), "is not a duration"},
		"a role that is none":          {line("roles: {theirs: Not A Role}"), `"Not A Role" is not a role`},
		"a role that is a list":        {line("roles: {theirs: [admin]}"), "must be a text, not a list"},
		"a role twice":                 {line("roles: {theirs: admin, theirs: user}"), `key "theirs" appears twice in roles`},
		"claims of roles, no roles":    {line("claims: {roles: [groups]}"), "no roles say what their words are here"},
		"an empty tenant":              {line("tenant: ''"), ":4: tenant is empty"},
		"a tenant that is nothing":     {line("tenant:"), ":4: tenant must be a text, not nothing"},
		"an entry that is a text":      {"issuers: [https://idp.example]", "an issuer must be a mapping"},
	} {
		t.Run(name, func(t *testing.T) {
			file := place(t, "issuers.yaml", tc.file)
			_, err := oidc.New(oidc.Config{File: file, Own: "https://own.example"})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("%v, want %q", err, tc.want)
			}
			if !strings.HasPrefix(err.Error(), file+":") {
				t.Errorf("%v names no file", err)
			}
		})
	}
}

func TestEverythingThatIsWrongIsNamedAtOnce(t *testing.T) {
	file := place(t, "issuers.yaml", "issuers:\n  - {issuer: http://a, algorithms: [none], max_stale: 1s}\n  - {isuer: b}\n")
	_, err := oidc.New(oidc.Config{File: file})
	if err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("%v, want four lines", err)
	}
}

func TestAPasswordInAURLIsNotShown(t *testing.T) {
	file := place(t, "issuers.yaml", "issuers:\n  - {issuer: 'https://u:canary@idp.example', audience: [ml]}\n")
	if _, err := oidc.New(oidc.Config{File: file}); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("%v", err)
	}
}

func TestAReloadTakesOverAGoodFileAlone(t *testing.T) {
	a, b := newEC(t, "k1"), newEC(t, "k2")
	p := newProvider(t, a.jwk())
	keysFile := place(t, "keys.json", string(mustJSON(object{"keys": []object{a.jwk()}})))
	const static = "https://static.example"
	entry := "  - {issuer: '" + static + "', audience: [ml], jwks_file: " + keysFile + "}\n"
	fetched := p.entry(t)
	g := newGate(t, fetched, entry)
	ofA := a.sign(t, g.claims(static), nil)
	g.accepts(t, "the file's first key", ofA)
	g.accepts(t, "the provider", a.sign(t, g.claims(p.server.URL), nil))

	overwrite(t, g.file, "issuers: [")
	if err := g.issuers.Reload(); err == nil {
		t.Error("a bad file is taken over")
	}
	g.accepts(t, "after a bad file", ofA)

	overwrite(t, g.file, "issuers:\n"+fetched+entry)
	overwrite(t, keysFile, string(mustJSON(object{"keys": []object{b.jwk()}})))
	g.accepts(t, "before the reload", ofA)
	if err := g.issuers.Reload(); err != nil {
		t.Fatal(err)
	}
	g.refuses(t, "the file's old key", ofA)
	g.accepts(t, "the file's new key", b.sign(t, g.claims(static), nil))
	p.answer(down)
	g.accepts(t, "the provider, by the keys that were known", a.sign(t, g.claims(p.server.URL), nil))

	overwrite(t, g.file, "issuers:\n"+entry)
	if err := g.issuers.Reload(); err != nil {
		t.Fatal(err)
	}
	g.refuses(t, "an issuer that is gone", a.sign(t, g.claims(p.server.URL), nil))

	if err := os.Remove(g.file); err != nil {
		t.Fatal(err)
	}
	if err := g.issuers.Reload(); err == nil {
		t.Error("a missing file is taken over")
	}
	g.accepts(t, "after a missing file", b.sign(t, g.claims(static), nil))
}
