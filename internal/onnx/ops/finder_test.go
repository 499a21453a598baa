package ops

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/onnx"
)

// texts are such that expressions find something, at their ends too.
func texts(n int) []string {
	r := rand.New(rand.NewPCG(1, 2))
	alphabet := []rune("aab_1 .,-\n'ü日")
	list := []string{"", "a", " ", "\n", "ab"}
	for range n {
		var b strings.Builder
		for range r.IntN(24) {
			b.WriteRune(alphabet[r.IntN(len(alphabet))])
		}
		list = append(list, b.String())
	}
	return list
}

// allOf returns the matches of f that are not empty, each sought behind the
// last.
func allOf(t *testing.T, f finder, text string) [][]int {
	t.Helper()
	var all [][]int
	for from := 0; from <= len(text); {
		m, err := f(t.Context(), text, from)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case !m.found:
			return all
		case m.begin < from || m.end < m.begin || m.end > len(text):
			t.Fatalf("match %v in %q from %d", m, text, from)
		case m.begin < m.end:
			all = append(all, []int{m.begin, m.end})
			from = m.end
		default:
			_, size := utf8.DecodeRuneInString(text[m.begin:])
			from = m.begin + max(size, 1)
		}
	}
	return all
}

// Go's own search for all matches sees the characters before each, as RE2's
// does when it is given a place to begin.
func TestFindersFindWhatRegularExpressionsDo(t *testing.T) {
	simple := []string{
		`a`, `ab`, `[.]`, `\.`, `a+`, `[a-z]`, `[a-z]+`, `\w+`, `\W+`, `\s+`, `[^a]`, `[^\n]`, `.`, `(?s).`, `(?s).+`, `\w{2,}`, `\w\w+`, `\w\w\w*`,
		`(\w)(?:\w+)`, `\b\w+\b`, `\b\w\w+\b`, `\b\w{3,}\b`, ` +`, `ü`, `[ü日]+`, `\pL+`, `[[:alpha:]]+`, `a+?`,
	}
	general := []string{
		`(?i)A`, `a*`, `\b`, `\B`, `\ba`, `a\b`, `\Ba`, `^a`, `a$`, `(?m)^.`, `(?m).$`, `a|ab`, `(?:a|ab)(?:b|1)?`, `a?b`, `a{2}`, `a{2,3}`, `\w+,`,
		`(a+)(b+)`, `\b[a-z]+\b`, `(?m)^\w+|\b\d`, `\A.`, `.\z`, `$`, `^`, `\b\W+\b`, `\Q.\E.`, ``, `\b\w+`, `\w+\b`,
	}
	for i, expr := range append(simple, general...) {
		n := NewNode(&onnx.Node{}, 1, nil)
		f := n.finder(expr)
		if n.err != nil {
			t.Fatal(n.err)
		}
		re := regexp.MustCompile(expr)
		parsed, _ := (&Node{}).expression(expr)
		_, isRun := runOf(parsed)
		if plain := isRun || regexp.QuoteMeta(expr) == expr && expr != ""; plain != (i < len(simple)) && expr != `[.]` && expr != `\.` {
			t.Errorf("%s: found by hand is %v", expr, plain)
		}
		re.Longest()
		for _, text := range texts(300) {
			var want [][]int
			for _, m := range re.FindAllStringIndex(text, -1) {
				if m[0] < m[1] {
					want = append(want, m)
				}
			}
			if diff := cmp.Diff(want, allOf(t, f, text)); diff != "" {
				t.Fatalf("%s in %q (-want +got):\n%s", expr, text, diff)
			}
		}
	}
}

// A search may begin anywhere, also within a match.
func TestASearchBeginsWhereItIsTold(t *testing.T) {
	for _, c := range []struct {
		expr, text string
		from       int
		want       string
	}{
		{`\w+`, "abc de", 1, "bc"},
		{`\b\w+\b`, "abc de", 1, "de"},
		{`\b\w+`, "abc de", 1, "de"},
		{`\B\w+`, "abc de", 1, "bc"},
		{`^\w+`, "abc de", 1, ""},
		{`(?m)^\w+`, "abc\nde", 1, "de"},
		{`\w{2,}`, "abc de", 2, "de"},
		{`.`, "日本", 3, "本"},
		{`b|^a`, "ab", 0, "a"},
		{`b|^a`, "ab", 1, "b"},
	} {
		n := NewNode(&onnx.Node{}, 1, nil)
		m, err := n.finder(c.expr)(t.Context(), c.text, c.from)
		if got := c.text[m.begin:m.end]; err != nil || got != c.want || m.found != (c.want != "") {
			t.Errorf("%s in %q from %d: %q (%v), want %q", c.expr, c.text, c.from, got, err, c.want)
		}
	}
}
