package ops

import (
	"testing"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// The short way to lower case is that of Unicode for each letter, in any place.
func TestLatinInLowerCaseIsThatOfUnicode(t *testing.T) {
	for r := range rune(0x400) {
		for _, s := range []string{string(r), "A" + string(r), string(r) + " B", "É" + string(r) + "\u0307c", "Å\xffB" + string(r)} {
			if got, want := lowerCase.apply(s), cases.Lower(language.Und).String(s); got != want {
				t.Errorf("%q in lower case is %q, want %q", s, got, want)
			}
		}
	}
}
