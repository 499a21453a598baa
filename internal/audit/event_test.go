package audit_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"

	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
)

func TestTheListOfEventsHasEveryOneOnce(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []audit.Event
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && spec.Type != nil {
			if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Event" {
				literal, ok := spec.Values[0].(*ast.BasicLit)
				if !ok {
					t.Fatalf("%v is no literal", spec.Names)
				}
				word, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				declared = append(declared, audit.Event(word))
			}
		}
		return true
	})
	if got := audit.Events; !slices.Equal(got, declared) || len(got) < 50 {
		t.Errorf("the list has %v; declared are %v", got, declared)
	}
	seen := slices.Clone(declared)
	slices.Sort(seen)
	if once := slices.Compact(seen); len(once) != len(declared) {
		t.Errorf("of %d events, %d are different", len(declared), len(once))
	}
}

func TestOnlyWhatOthersMayWaitForIsDurable(t *testing.T) {
	for name, c := range map[string]struct {
		record  audit.Record
		durable bool
	}{
		"a login":              {audit.Record{Event: audit.Login}, true},
		"a change":             {audit.Record{Event: audit.UserDelete}, true},
		"a refusal":            {audit.Record{Event: audit.Refused, Outcome: fault.Forbidden.String()}, true},
		"a use of a key":       {audit.Record{Event: audit.KeyDecrypt}, true},
		"a prediction":         {audit.Record{Event: audit.Predict}, false},
		"a look":               {audit.Record{Event: audit.UserRead}, false},
		"a refused credential": {audit.Record{Event: audit.Refused, Outcome: fault.Unauthenticated.String()}, false},
	} {
		if got := c.record.Durable(); got != c.durable {
			t.Errorf("%s: durable is %v", name, got)
		}
	}
}

func TestARuleIsANumberOrNone(t *testing.T) {
	var none audit.Rule
	for rule, want := range map[audit.Rule]int{audit.RuleOf(0): 0, audit.RuleOf(7): 7} {
		if got, ok := rule.Number(); !ok || got != want {
			t.Errorf("the rule %d is %d, %v", want, got, ok)
		}
	}
	for _, rule := range []audit.Rule{none, audit.RuleOf(-1), audit.RuleOf(-7)} {
		if number, ok := rule.Number(); ok {
			t.Errorf("no rule has the number %d", number)
		}
	}
}
