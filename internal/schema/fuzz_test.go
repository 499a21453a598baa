package schema_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"onnxgate/internal/fault"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

// FuzzDecode holds for any body: what is not JSON is a fault of syntax and
// nothing else is, every answer is bounded and well formed, a batch that was
// used before gives the same verdict as a new one, and a row alone gives that
// of a row in an array.
func FuzzDecode(f *testing.F) {
	schemas := []*schema.Schema{pondSchema(f), herdSchema(f), gallerySchema(f)}
	for _, seed := range []string{
		`{"depth":1.5,"area":120,"acidity (pH)":7}`, herdRow, galleryRow, "[" + galleryRow + "," + galleryRow + "]",
		`[{"depth":null,"area":"1","acidity (pH)":1e999,"x":[{}]},1]`, `{"a":{"a":1,"a":2}}`, `{"\u0064epth":1,"depth":2}`,
		"", "[]", "[[[[]]]]", "{\"\xff\":1}", `{"depth":NaN}`, `{"tokens":[[1],[2,3]],"image":[[1,2,3],[4,5,6]]} x`, "\xEF\xBB\xBF{}",
	} {
		f.Add(uint8(0), []byte(seed))
		f.Add(uint8(1), []byte(seed))
		f.Add(uint8(2), []byte(seed))
	}
	batches := make([]*schema.Batch, len(schemas))
	for i, s := range schemas {
		batches[i] = s.NewBatch()
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		i := int(which) % len(schemas)
		s := schemas[i]
		before := bytes.Clone(body)
		fresh := s.NewBatch()
		err := s.Decode(t.Context(), fresh, body, 4)
		if again := s.Decode(t.Context(), batches[i], body, 4); faultText(again) != faultText(err) {
			t.Errorf("a used batch: %s\na new one: %s", faultText(again), faultText(err))
		}
		if !bytes.Equal(before, body) {
			t.Error("the body was changed")
		}
		checkSyntax(t, body, err)
		if err != nil {
			checkFault(t, err)
			return
		}
		checkInputs(t, s, fresh)
		if fresh.Single {
			wrapped := s.NewBatch()
			if err := s.Decode(t.Context(), wrapped, append(append([]byte{'['}, body...), ']'), 4); err != nil {
				t.Fatalf("accepted alone, but not in an array: %s", faultText(err))
			}
			for k := range fresh.Inputs {
				equalTensors(t, fresh.Inputs[k], wrapped.Inputs[k])
			}
		}
	})
}

// checkSyntax compares the kind of fault with what jsontext says of the body,
// which has other bounds only on depth and on the members of one object.
func checkSyntax(t *testing.T, body []byte, err error) {
	t.Helper()
	valid := jsontext.Value(body).IsValid()
	switch kind := fault.KindOf(err); {
	case err == nil && !valid, kind == fault.Content && !valid:
		t.Errorf("no fault of syntax in what is not JSON: %s", faultText(err))
	case kind == fault.Syntax && valid && !strings.Contains(err.Error(), "deep") && !strings.Contains(err.Error(), "members"):
		t.Errorf("a fault of syntax in JSON: %s", faultText(err))
	}
}

func checkFault(t *testing.T, err error) {
	t.Helper()
	e := fault.As(err)
	if e.Kind != fault.Syntax && e.Kind != fault.Content || e.Msg == "" || len(e.Fields) == 0 || len(e.Fields) > fault.MaxFields {
		t.Errorf("kind %v, message %q, %d fields", e.Kind, e.Msg, len(e.Fields))
	}
	for _, f := range e.Fields {
		if !strings.HasPrefix(f.Pointer, "#") || strings.ContainsAny(f.Pointer, " \"<>\\^`{|}\n") || len(f.Pointer) > 40*400 || f.Detail == "" || !utf8.ValidString(f.Detail) {
			t.Errorf("field %+v", f)
		}
	}
}

// checkInputs holds every tensor against the number of rows.
func checkInputs(t *testing.T, s *schema.Schema, b *schema.Batch) {
	t.Helper()
	if b.Rows < 1 || b.Rows > 4 || len(s.Features()) == 0 {
		t.Errorf("%d rows", b.Rows)
	}
	for _, in := range b.Inputs {
		if shape := in.Shape(); len(shape) == 0 || shape[0] != b.Rows || in.Len() == 0 {
			t.Errorf("shape %v for %d rows", shape, b.Rows)
		}
	}
}

// FuzzParse holds for any file: a manifest is accepted or refused by lines,
// and what is accepted compiles for a graph or is refused, without a panic; an
// example that comes out is a valid row.
func FuzzParse(f *testing.F) {
	f.Add([]byte(pond))
	f.Add([]byte(herd))
	f.Add([]byte(fourMeasures))
	golden, err := os.ReadFile("testdata/manifest.golden")
	if err != nil {
		f.Fatal(err)
	}
	for block := range strings.SplitSeq(string(golden), "\n== ") {
		_, text, _ := strings.Cut(block, "\n")
		text, _, _ = strings.Cut(text, "-- \n")
		f.Add([]byte(text))
	}
	matrix := []tensor.Spec{spec("X", tensor.Float32, -1, 3)}
	open := []tensor.Spec{spec("X", tensor.String, -1, -1)}
	class := []tensor.Spec{spec("kind", tensor.Int64, -1), maps[int64](f, "likelihood", 0, 1, 2)}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := schema.Parse("model.yaml", data)
		if err != nil {
			for line := range strings.SplitSeq(fault.As(err).Msg, "\n") {
				if !strings.HasPrefix(line, "model.yaml:") {
					t.Errorf("a problem without its file: %q", line)
				}
			}
			return
		}
		for _, in := range [][]tensor.Spec{matrix, open} {
			s, err := schema.Compile(m, "pond", in, class)
			if err != nil {
				continue
			}
			if example := s.Example(); example != nil {
				if err := s.Decode(t.Context(), s.NewBatch(), example, 1); err != nil {
					t.Errorf("example %s: %s", example, faultText(err))
				}
			}
			if _, err := json.Marshal(s.RowSchema()); err != nil {
				t.Error(err)
			}
			if required, ok := s.RowSchema()["required"].([]string); !ok || len(required) != len(s.Features()) {
				t.Errorf("required: %v", required)
			}
		}
	})
}

// FuzzAccess holds for any file: what says who may do what is either refused
// with a line, or every rule of it has a verb and no empty list.
func FuzzAccess(f *testing.F) {
	for _, seed := range []string{
		"access:\n  roles: [admin]\n  require: [bearer, api_key]\n  share: [acme, '*']\n  rules:\n    - allow: [predict]\n      when: {email: [a@b], level: [3]}\n    - deny: [read]\n      addresses: [10.0.0.0/8]\n",
		"access: {rules: [{allow: [predict], tenants: [], when: {}}]}", "access: {rules: [{}]}", "access: {rules: [~, [], {allow: ~}]}", "access: {roles: {a: b}}",
		"- {as: {subject: a, claims: {a: [1, {b: ~}]}}, expect: allow, rule: 1}\n", "- {expect: deny, rule: null}\n- ~\n", "- as\n", "{", "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := schema.Parse("f", data)
		if err != nil && fault.KindOf(err) != fault.Content {
			t.Errorf("Parse: %v", err)
		}
		if m != nil && m.Access != nil {
			checkAccess(t, m.Access)
		}
		cases, err := schema.ParseAccessTest("f", data)
		if (err == nil) == (len(cases) == 0) || err != nil && fault.KindOf(err) != fault.Content {
			t.Errorf("ParseAccessTest: %d cases, %v", len(cases), err)
		}
	})
}

func checkAccess(t *testing.T, a *schema.Access) {
	t.Helper()
	if len(a.Roles) == 0 && len(a.Rules) == 0 {
		t.Errorf("nobody is named: %+v", a)
	}
	for _, r := range a.Rules {
		if len(r.Actions) == 0 {
			t.Errorf("a rule without a verb: %+v", r)
		}
		for _, list := range [][]string{r.Tenants, r.Roles, r.Scopes, r.Subjects, r.Issuers} {
			if list != nil && len(list) == 0 {
				t.Errorf("an empty list: %+v", r)
			}
		}
		for _, c := range r.When {
			if c.Claim == "" || len(c.Values) == 0 {
				t.Errorf("an empty claim: %+v", c)
			}
		}
	}
}
