package expression_test

import (
	"errors"
	"regexp/syntax"
	"strings"
	"testing"

	"onnxgate/internal/expression"
)

func TestAProgramHasNoMoreInstructionsThanItsBound(t *testing.T) {
	for _, expr := range []string{
		``, `a`, `abc`, `^.+$`, `a|b|cd`, `(?:ab|cd|ef)+?x*y?`, `(a(b(c)))`, `x{3}`, `x{0}`, `x{0,3}`, `x{2,}`, `(?:x{2,5}y?){3,7}`, `[^a-z]{1,64}`,
		`[a-z0-9._-]{1,64}@[a-z0-9.-]{1,255}`, `(?i)straße`, `\bword\b`, `(?:a*)*`, `(?:(?:a?){10}){10}`, `(?:x?){900}`, `(?:(a)|b*){2,30}`, `\pL+\PN`, `(?m)^x$`, `()`, `(|a)+`, `[[:alpha:]]{0,}`,
	} {
		re, bound, err := (&expression.Budget{Each: 1 << 20, Total: 1 << 20}).Parse(expr)
		if err != nil {
			t.Fatalf("%s: %v", expr, err)
		}
		program, err := syntax.Compile(re.Simplify())
		if err != nil {
			t.Fatalf("%s: %v", expr, err)
		}
		if n := len(program.Inst); n > bound || bound > n+n/4+4 {
			t.Errorf("%s has %d instructions, and the bound is %d", expr, n, bound)
		}
	}
}

func TestWhatIsTooMuchIsRefused(t *testing.T) {
	folded := `(?i)` + strings.Repeat(`[B-\x{1e942}]`, 300)
	for name, c := range map[string]struct {
		expr string
		want error
	}{
		"repeated texts":                   {strings.Repeat(`x{1000}`, 500), expression.ErrEach},
		"nested counts":                    {`(?:(?:x{10}){10}){10}y`, expression.ErrEach},
		"open counts":                      {strings.Repeat(`(?:abc){300,}`, 2), expression.ErrEach},
		"Unicode classes":                  {strings.Repeat(`\pL`, 300), expression.ErrTotal},
		"no Unicode classes":               {`[` + strings.Repeat(`\PN`, 300) + `]`, expression.ErrTotal},
		"ranges of both cases":             {folded, expression.ErrTotal},
		"ranges of both cases, by flags":   {`(?s-U:x)(?mi-s:` + folded[4:] + `)`, expression.ErrTotal},
		"ranges of both cases, as letters": {strings.ReplaceAll(folded, `\x{1e942}`, "\U0001e942"), expression.ErrTotal},
	} {
		if _, _, err := (&expression.Budget{Each: 1000, Total: 1 << 17}).Parse(c.expr); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	b := &expression.Budget{Each: 1000, Total: 2000}
	for i := range 3 {
		if _, _, err := b.Parse(`x{700}`); (err != nil) != (i == 2) || err != nil && !errors.Is(err, expression.ErrTotal) {
			t.Errorf("expression %d: %v", i, err)
		}
	}
	if _, _, err := b.Parse(`(`); err == nil {
		t.Error("a parenthesis alone is no expression")
	}
}
