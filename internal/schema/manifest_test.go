package schema_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"

	"onnxgate/internal/fault"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

func TestBrokenManifestsAreRefusedByLine(t *testing.T) {
	feature := func(rules string) string { return "features:\n  - name: x\n    " + rules + "\n" }
	var out strings.Builder
	for _, tc := range []struct{ name, text string }{
		{"empty", ""},
		{"only a comment", "# nothing\n"},
		{"null", "~\n"},
		{"a list", "- name: x\n"},
		{"a scalar", "features"},
		{"not YAML", "name: x\nfeatures: [\n"},
		{"a tab", "name: x\n\tdescription: y\n"},
		{"bad UTF-8", "name: \xff\n"},
		{"two documents", "name: x\n---\nname: y\n"},
		{"alias", "name: &n x\ndescription: *n\n"},
		{"laughs", "a: &a [x,x]\nb: &b [*a,*a]\nname: *b\n"},
		{"merge key", "access:\n  <<: {roles: [admin]}\n"},
		{"tag", "name: !!str 7\nfeatures:\n  - name: !exec x\n"},
		{"deep", "name: " + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "\n"},
		{"too large", "name: x\n#" + strings.Repeat(" ", 1<<20)},
		{"unknown keys", "neme: x\nfeatures:\n  - name: x\n    minimum: 3\n    zzz: 4\noutput: {}\naccess:\n  role: [admin]\n"},
		{"keys twice", "name: x\nname: y\nfeatures:\n  - name: x\n    min: 1\n    min: 2\n"},
		{"wrong types", "name: 7\nfeatures: {x: 1}\nlabels: x\noutputs: [a]\naccess: admin\n"},
		{"wrong types in a feature", feature("type: 3\n    unit: [cm]\n    min: low\n    max: .nan\n    exclusive_max: .inf\n    nullable: 1\n    max_length: 0\n    enum: 3\n    pattern: 7\n    example: {a: 1}")},
		{"no features", "features: []\n"},
		{"no name", "features:\n  - type: float32\n  - 7\n"},
		{"unknown type", feature("type: float23")},
		{"features twice", "features:\n  - name: x\n  - name: y\n  - name: x\n"},
		{"range upside down", feature("type: float32\n    min: 3\n    max: 2")},
		{"range of one excluded", feature("type: int64\n    exclusive_min: 2\n    exclusive_max: 3")},
		{"range empty between floats", feature("type: float64\n    min: 1\n    exclusive_max: 1")},
		{"range outside the type", feature("type: uint8\n    min: 256")},
		{"range ends at the type", feature("type: int64\n    exclusive_min: 9223372036854775807")},
		{"limits that exclude each other", feature("type: float32\n    min: 0\n    exclusive_min: 0\n    max: 1\n    exclusive_max: 1")},
		{"limits of another type", feature("type: int32\n    min: 0.5\n    max: 18446744073709551615")},
		{"limit beyond the integers", feature("type: uint64\n    min: -1\n    max: 18446744073709551616")},
		{"rules for numbers on a string", feature("type: string\n    min: 0\n    exclusive_max: 3")},
		{"rules for strings on a number", feature("type: float32\n    pattern: x\n    max_length: 3")},
		{"rules on a bool", feature("type: bool\n    enum: [true]\n    nullable: true\n    min: 1")},
		{"pattern beyond RE2", feature("type: string\n    pattern: (?=a)b")},
		{"pattern broken", feature("type: string\n    pattern: '['")},
		{"pattern too large", feature("type: string\n    pattern: '((a{100}){100}){100}'")},
		{"enum", feature("type: int64\n    max: 3\n    enum:\n      - 1\n      - 4\n      - 1\n      - two\n      - 1.5")},
		{"enum empty", feature("enum: []")},
		{"everything at once", "features:\n  - name: x\n    enum: []\n  - name: y\n    min: 3\n    max: 1\n  - type: float32\n  - name: z\n    min: 0\n    exclusive_min: 0\nlabels: [a, '']\n"},
		{"a null example", feature("type: float32\n    example: null")},
		{"enum of lists", feature("enum: [[1]]")},
		{"enum breaks a rule", feature("type: string\n    pattern: ^a\n    max_length: 2\n    enum: [a, b, abc]")},
		{"example breaks a rule", feature("type: float32\n    max: 3\n    example: 3.5")},
		{"example of another type", feature("type: string\n    example: 3")},
		{"example beyond the type", feature("type: float32\n    example: 1e39")},
		{"nullable integer", feature("type: int64\n    nullable: true")},
		{"labels", "labels: {0: a, 0: b, 1.5: c, true: d}\n"},
		{"labels of the same name", "labels: [a, b, a]\n"},
		{"labels that are no texts", "labels: [yes, 1, true, null]\n"},
		{"roles", "access:\n  roles: [Admin, ok, a b, '', 7, über, 1a, -x]\n"},
		{"no roles", "access:\n  roles: []\n"},
		{"access without roles", "access: {}\n"},
		{"access of null", "access:\n"},
		{"access of other words", "access:\n  require: [bearer, password, bearer]\n  share: [Acme, 7, '']\n  rules: {}\n  role: [x]\n"},
		{"empty parts of access", "access:\n  require: []\n  share: []\n  rules: []\n"},
		{"rules without a verb, and with two", "access:\n  rules:\n    - {roles: [a]}\n    - {allow: [predict], deny: [read]}\n    - {}\n    - x\n"},
		{"verbs", "access:\n  rules:\n    - allow: []\n    - allow: [predict, run]\n    - deny: Predict\n    - deny: {predict: true}\n    - deny: [1]\n"},
		{"unknown lines of a rule", "access:\n  rules:\n    - allow: [predict]\n      role: [a]\n      subject: [b]\n      methods: [c]\n    - allow: [predict]\n      roles: [a]\n      roles: [b]\n"},
		{"words of a rule", "access:\n  rules:\n    - allow: [predict]\n      tenants: ['*', Acme]\n      roles: [Admin]\n      scopes: ['a b', '', 'ü']\n      subjects: ['', 7, true]\n      issuers: [~]\n"},
		{"empty lines of a rule", "access:\n  rules:\n    - allow: [predict]\n      tenants: []\n      roles: []\n      scopes: []\n      subjects: []\n      issuers: []\n      addresses: []\n      when: {}\n"},
		{"lines of a rule that are no lists", "access:\n  rules:\n    - allow: [predict]\n      tenants: acme\n      roles:\n      addresses: 10.0.0.0/8\n      when: [email]\n"},
		{"addresses", "access:\n  rules:\n    - allow: [predict]\n      addresses: [10.1.2.3/16, 10.1.0.0/33, example.com, '::ffff:10.0.0.0/104', 'fe80::1%eth0', 10.1]\n"},
		{"claims", "access:\n  rules:\n    - allow: [predict]\n      when:\n        email: a@b\n        level: []\n        team: [a, ~, [b], {c: d}, .nan]\n        1: [x]\n        '': [x]\n        team: [b]\n        other:\n"},
		{"too long", "name: " + strings.Repeat("x", 200) + "\nfeatures:\n  - name: " + strings.Repeat("y", 300) + "\n"},
		{"many problems", strings.Repeat("- x\n", 0) + "features:\n" + strings.Repeat("  - {nam: x}\n", 200)},
	} {
		m, err := schema.Parse("model.yaml", []byte(tc.text))
		if err == nil {
			t.Errorf("%s: accepted as %+v", tc.name, m)
			continue
		}
		if fault.KindOf(err) != fault.Content {
			t.Errorf("%s: kind %v", tc.name, fault.KindOf(err))
		}
		text := tc.text
		if len(text) > 400 {
			text = fmt.Sprintf("%s… (%d bytes)\n", text[:100], len(text))
		}
		fmt.Fprintf(&out, "== %s\n%s-- \n%s\n\n", tc.name, text, fault.As(err).Msg)
	}
	golden(t, "manifest.golden", out.String())
}

func TestManifestThatDoesNotFitTheGraphIsRefused(t *testing.T) {
	matrix := []tensor.Spec{spec("X", tensor.Float32, -1, 3)}
	two := []tensor.Spec{spec("a", tensor.Float32, -1, 1), spec("b", tensor.String, -1, 1)}
	class := []tensor.Spec{spec("label", tensor.Int64, -1), maps[int64](t, "scores", 0, 1, 2)}
	number := []tensor.Spec{spec("y", tensor.Float32, -1, 1)}
	named := classifier(spec("label", tensor.String, -1), spec("scores", tensor.Float32, -1, 2), newTensor(t, []string{"rot", "weiß"}, 2))
	xyz := "features: [{name: x}, {name: y}, {name: z}]\n"
	var out strings.Builder
	for _, tc := range []struct {
		name, text string
		in, out    []tensor.Spec
	}{
		{"too few features", "# first\nfeatures:\n  - name: x\n  - name: y\n", matrix, class},
		{"too many features", "features: [{name: x}, {name: y}, {name: z}, {name: w}]\n", matrix, class},
		{"another type", "features:\n  - name: x\n    type: int64\n  - name: y\n  - name: z\n", matrix, class},
		{"rules that the graph's type refuses", "features:\n  - name: x\n    pattern: y\n  - name: y\n    min: 1e39\n  - name: z\n    example: [1]\n", matrix, class},
		{"unknown input", "features:\n  - name: a\n  - name: c\n    input: bb\n", two, class},
		{"which input", "features:\n  - name: a\n  - name: c\n", two, class},
		{"an input without features", "features:\n  - name: a\n", two, class},
		{"two features for one column", "features:\n  - name: a\n  - name: b\n  - name: c\n    input: a\n", two, class},
		{"labels", xyz + "labels: [a, b]\n", matrix, class},
		{"labels by number", xyz + "labels:\n  0: a\n  1: b\n  7: c\n", matrix, class},
		{"labels and the width of the scores", xyz + "labels: [a, b]\n", matrix, []tensor.Spec{spec("label", tensor.Int64, -1), spec("scores", tensor.Float32, -1, 3)}},
		{"labels that the classifier does not have", xyz + "labels: {rott: red, weiß: white}\n", matrix, named},
		{"labels in another order than the graph's", xyz + "labels: [weiß, rot]\n", matrix, named},
		{"labels of a regressor", xyz + "labels: [a]\n", matrix, number},
		{"targets of a classifier", xyz + "outputs: {targets: [a, b, c]}\n", matrix, class},
		{"more targets than numbers", xyz + "outputs:\n  targets: [a, b]\n", matrix, number},
		{"outputs that are not there", xyz + "outputs:\n  label: y\n  scores: z\n", matrix, class},
		{"outputs the wrong way round", xyz + "outputs:\n  label: scores\n  scores: label\n", matrix, class},
		{"example of an array", "features:\n  - name: x\n    max: 9\n    example:\n      - [1, 2, 30]\n      - [1, two]\n", []tensor.Spec{spec("x", tensor.Float32, -1, 2, 3)}, number},
		{"no inputs", "access: {roles: [user]}\n", nil, class},
		{"no outputs", "access: {roles: [user]}\n", matrix, nil},
		{"extent zero", "access: {roles: [user]}\n", []tensor.Spec{spec("x", tensor.Float32, -1, 0)}, number},
		{"names that collide", "access: {roles: [user]}\n", []tensor.Spec{spec("x", tensor.Float32, -1, 2), spec("x_1", tensor.Int64, -1, 1)}, number},
		{"sequence as input", "access: {roles: [user]}\n", []tensor.Spec{maps[int64](t, "x", 1)}, number},
		{
			"map with an example", "features:\n  - {name: x, example: 1}\naccess: {roles: [user]}\n",
			[]tensor.Spec{{Name: "x", Kind: tensor.KindMap, Key: tensor.String, DType: tensor.Float32}},
			number,
		},
		{
			"map of a type that nobody knows", "access: {roles: [user]}\n",
			[]tensor.Spec{{Name: "x", Kind: tensor.KindMap, Key: tensor.String}},
			number,
		},
		{"unknown element type", "access: {roles: [user]}\n", []tensor.Spec{spec("x", tensor.Undefined, -1, 2)}, number},
	} {
		s, err := schema.Compile(parse(t, tc.text), "pond", tc.in, tc.out)
		if err == nil {
			t.Errorf("%s: accepted, features %+v", tc.name, s.Features())
			continue
		}
		if fault.KindOf(err) != fault.Content {
			t.Errorf("%s: kind %v", tc.name, fault.KindOf(err))
		}
		fmt.Fprintf(&out, "== %s\n%s-- \n%s\n\n", tc.name, tc.text, fault.As(err).Msg)
	}
	golden(t, "compile.golden", out.String())
}

func TestNullIsAnExampleOfANullableFeature(t *testing.T) {
	m := parse(t, "features:\n  - name: x\n    example: null\n    nullable: true\n    min: 2\n")
	s, err := schema.Compile(m, "pond", []tensor.Spec{spec("x", tensor.Float32, -1, 1)}, []tensor.Spec{spec("y", tensor.Float32, -1, 1)})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Features()[0].Example; got != nil {
		t.Errorf("the example is %v", got)
	}
}

func TestManifestWithAccessAloneLeavesTheRestToTheGraph(t *testing.T) {
	in := []tensor.Spec{spec("X", tensor.Float32, -1, 2), spec("k", tensor.Int64, -1, 1)}
	out := []tensor.Spec{spec("y", tensor.Float32, -1, 1)}
	want := []schema.Feature{
		{Name: "X_0", Type: "float32", Input: "X"},
		{Name: "X_1", Type: "float32", Input: "X"},
		{Name: "k", Type: "int64", Input: "k"},
	}
	s := compile(t, "access:\n  roles: [user, analyst-2]\n", in, out)
	if diff := cmp.Diff([]string{"user", "analyst-2"}, s.Roles()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, s.Features()); diff != "" {
		t.Error(diff)
	}
	s = compile(t, "", in, out)
	if diff := cmp.Diff([]string{"admin"}, s.Roles()); diff != "" {
		t.Errorf("without manifest: %s", diff)
	}
	if diff := cmp.Diff(want, s.Features()); diff != "" {
		t.Errorf("without manifest: %s", diff)
	}
	s = compile(t, "description: no access given\n", in, out)
	if diff := cmp.Diff([]string{"admin"}, s.Roles()); diff != "" {
		t.Errorf("without access: %s", diff)
	}
}

func TestAccessSaysWhoMayDoWhat(t *testing.T) {
	m := parse(t, `access:
  roles: [admin]
  require: [bearer, api_key]
  share: [acme, "*"]
  rules:
    - allow: [predict]
      tenants: [acme]
      roles: [analyst]
      scopes: [models:predict]
      subjects: [svc-scoring]
      issuers: [https://idp.example/realms/ml]
      addresses: [10.1.0.0/16, 192.0.2.7, "2001:db8::/32"]
      when: {email: [person_a@company.com], email_verified: [true], level: [3, 0.5], since: [2026-01-31]}
    - deny: [read]
      subjects: [mallory]
`)
	want := &schema.Access{
		Roles: []string{"admin"}, Require: []string{"bearer", "api_key"}, Share: []string{"acme", "*"},
		Rules: []schema.AccessRule{
			{
				Actions: []string{"predict"}, Tenants: []string{"acme"}, Roles: []string{"analyst"}, Scopes: []string{"models:predict"},
				Subjects: []string{"svc-scoring"}, Issuers: []string{"https://idp.example/realms/ml"},
				Addresses: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("2001:db8::/32")},
				When: []schema.ClaimRule{
					{Claim: "email", Values: []any{"person_a@company.com"}},
					{Claim: "email_verified", Values: []any{true}},
					{Claim: "level", Values: []any{int64(3), 0.5}},
					{Claim: "since", Values: []any{"2026-01-31"}},
				},
			},
			{Deny: true, Actions: []string{"read"}, Subjects: []string{"mallory"}},
		},
	}
	if diff := cmp.Diff(want, m.Access, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
	for text, roles := range map[string][]string{
		"access: {require: [api_key]}\n":            {"admin"},
		"access: {share: [acme]}\n":                 {"admin"},
		"access: {rules: [{allow: [predict]}]}\n":   nil,
		"access: {roles: [r], share: [a-1, '*']}\n": {"r"},
	} {
		if diff := cmp.Diff(roles, parse(t, text).Access.Roles); diff != "" {
			t.Errorf("roles of %s%s", text, diff)
		}
	}
}

func TestAccessTests(t *testing.T) {
	cases, err := schema.ParseAccessTest("access_test.yaml", []byte(`
- as: {subject: svc, tenant: acme, roles: [analyst], scopes: [models:predict], issuer: "https://idp.example", address: 10.1.2.3, claims: {level: 3, groups: [a, {b: ~}]}}
  action: read
  expect: allow
  rule: 1
- {as: {}, expect: deny, rule: null}
- {expect: deny}
`))
	if err != nil {
		t.Fatal(err)
	}
	one, none := 1, schema.NoRule
	want := []schema.AccessCase{
		{
			As: schema.AccessAs{
				Subject: "svc", Tenant: "acme", Roles: []string{"analyst"}, Scopes: []string{"models:predict"}, Issuer: "https://idp.example",
				Address: netip.MustParseAddr("10.1.2.3"), Claims: map[string]any{"level": int64(3), "groups": []any{"a", map[string]any{"b": nil}}},
			},
			Action: "read", Allow: true, Rule: &one, Line: 2,
		},
		{Action: "predict", Rule: &none, Line: 6},
		{Action: "predict", Line: 7},
	}
	if diff := cmp.Diff(want, cases, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Error(diff)
	}
}

func TestBrokenAccessTestsAreRefusedByLine(t *testing.T) {
	var out strings.Builder
	for _, text := range []string{
		"", "{}\n", "[]\n", "- x\n", "- {}\n", "- {expect: maybe}\n", "- {expect: [allow]}\n",
		"- {expect: allow, action: run}\n", "- {expect: allow, rule: first}\n", "- {expect: allow, rule: -1}\n", "- {expect: allow, rule: 1.5}\n",
		"- {expect: allow, who: x}\n", "- {expect: allow, as: alice}\n", "- {expect: allow, as: {user: alice, subject: 7, roles: admin, tenant: A}}\n",
		"- {expect: allow, as: {address: 10.0.0.0/8}}\n", "- {expect: allow, as: {claims: [a]}}\n", "- {expect: allow, as: {claims: {a: 1, a: 2}}}\n", "- {expect: allow, as: {claims: {a: .nan}}}\n",
		"- &a {expect: allow}\n- *a\n", "- {expect: allow}\n---\n- {expect: deny}\n",
	} {
		cases, err := schema.ParseAccessTest("access_test.yaml", []byte(text))
		if err == nil {
			t.Errorf("%q: accepted as %+v", text, cases)
			continue
		}
		fmt.Fprintf(&out, "== %s-- \n%s\n\n", text, fault.As(err).Msg)
	}
	golden(t, "accesstest.golden", out.String())
}

func TestShippedManifestsParse(t *testing.T) {
	files, err := filepath.Glob("../../models/*/model.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d manifests: %v", len(files), err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = schema.Parse(path, data); err != nil {
			t.Error(err)
		}
	}
}

func TestCompiledFeaturesSayWhatTheManifestSays(t *testing.T) {
	s := pondSchema(t)
	want := []schema.Feature{
		{Name: "depth", Type: "float32", Unit: "m", Description: "Depth in the middle", Example: 1.5, ExclusiveMin: 0.0, Max: 30.0},
		{Name: "area", Type: "float32", Unit: "m²", Example: 120.0, Min: 1.0, Max: 1e6},
		{Name: "acidity (pH)", Type: "float32", Example: 7.0, Min: 0.0, Max: 14.0, Nullable: true},
	}
	if diff := cmp.Diff(want, s.Features()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"carp", "newt", "none"}, s.Labels()); diff != "" {
		t.Error(diff)
	}
	if s.Name() != "pond" || s.Title() != "pond" || s.Description() != "Tells what lives in a pond." {
		t.Errorf("name %q, title %q, description %q", s.Name(), s.Title(), s.Description())
	}
	if diff := cmp.Diff([]schema.Output{{Name: "kind", Type: "int64", Role: "label"}, {Name: "likelihood", Type: "float32", Role: "scores"}}, s.Outputs()); diff != "" {
		t.Error(diff)
	}
}

// A manifest that is wrong everywhere costs no more than one that is wrong in some
// places: what is not told is not looked at.
func TestWhatIsNotToldOfAManifestIsNotLookedAt(t *testing.T) {
	for name, text := range map[string]string{
		"keys at the top":  strings.Repeat("x: 1\n", 100_000),
		"keys of features": "features:\n" + strings.Repeat("  - {a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, g: 7, h: 8}\n", 18_000),
	} {
		t.Run(name, func(t *testing.T) {
			var before, read, after runtime.MemStats
			runtime.ReadMemStats(&before)
			var doc yaml.Node
			if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&read)
			_, err := schema.Parse("model.yaml", []byte(text))
			runtime.ReadMemStats(&after)
			if err == nil || !strings.HasSuffix(err.Error(), "and more") {
				t.Errorf("got %.300v", err)
			}
			alone, whole := read.TotalAlloc-before.TotalAlloc, after.TotalAlloc-read.TotalAlloc
			if whole > 2*alone {
				t.Errorf("%d bytes are allocated, and %d to read it alone", whole, alone)
			}
		})
	}
}
