package identity_test

import (
	"regexp"
	"strings"
	"testing"

	"onnxgate/internal/identity"
)

// The grammars as the documentation writes them.
func TestNamesFollowTheirGrammar(t *testing.T) {
	for name, grammar := range map[string]struct {
		is   func(string) bool
		expr string
		most int
	}{
		"role":   {identity.IsRole, `^[a-z][a-z0-9_-]{0,63}$`, 64},
		"tenant": {identity.IsTenant, `^[a-z0-9][a-z0-9-]{0,62}$`, 63},
		"user":   {identity.IsUser, `^[a-z0-9][a-z0-9._@-]{0,63}$`, 64},
		"model":  {identity.IsModel, `^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$`, 128},
	} {
		t.Run(name, func(t *testing.T) {
			expr := regexp.MustCompile(grammar.expr)
			words := []string{"", "\n", "a\n", "é", "aé", strings.Repeat("a", grammar.most), strings.Repeat("a", grammar.most+1)}
			for c := range 256 {
				words = append(words, string([]byte{byte(c)}), string([]byte{'a', byte(c)}), string([]byte{byte(c), 'a'}))
			}
			for _, w := range words {
				if got, want := grammar.is(w), expr.MatchString(w); got != want {
					t.Errorf("%q: %t, want %t", w, got, want)
				}
			}
		})
	}
}
