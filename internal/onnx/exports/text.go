package exports

import (
	"fmt"
	"regexp"
	"slices"
	"unicode/utf8"

	"onnxgate/internal/expression"
	"onnxgate/internal/onnx"
)

// shaping are the operators that pass text on as it is, or nearly.
var shaping = []string{
	"Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Concat", "ArrayFeatureExtractor", "Gather", "Slice",
	"StringNormalizer", "StringConcat", "RegexReplace",
}

// TextInputs returns the inputs whose texts are cut into words or letters: free
// text, and no categories.
func TextInputs(m *onnx.Model) []string {
	g := newGraph(m)
	seen := map[string]bool{}
	var open []string
	for _, n := range m.Graph.Nodes {
		if slices.Contains([]string{"Tokenizer", "StringSplit", "TfIdfVectorizer"}, n.Op) {
			open = append(open, n.Inputs...)
		}
	}
	for len(open) > 0 {
		name := open[len(open)-1]
		open = open[:len(open)-1]
		if made := g.makers[name]; !seen[name] && made != nil && slices.Contains(shaping, made.Op) {
			open = append(open, made.Inputs...)
		}
		seen[name] = true
	}
	var found []string
	for i := range m.Graph.Inputs {
		if name := m.Graph.Inputs[i].Name; seen[name] {
			found = append(found, name)
		}
	}
	return found
}

// sublinearCounts finds TfidfVectorizer with sublinear_tf.
func sublinearCounts(g *graph) []string {
	return g.each(func(n *onnx.Node) string {
		plus := g.maker(n)
		if one, ok := g.number(plus, 1); !ok || one != 1 || plus.Op != "Add" || g.maker(plus).Op != "TfIdfVectorizer" {
			return ""
		}
		return where(n) + " computes log(1 + n) of a word's count, as exports of sublinear_tf do, where scikit-learn computes 1 + log(n); train without sublinear_tf"
	}, "Log")
}

// wordExpression returns that by which the export finds the words of a vectoriser;
// empty when it is none of words.
func (g *graph) wordExpression(n *onnx.Node) string {
	from := g.maker(n)
	for range 3 { // Flatten, Reshape and the like
		if from.Op == "Tokenizer" || from.Op == "" {
			break
		}
		from = g.maker(from)
	}
	return attribute(from, "tokenexp").String
}

// unfoundWords finds a vocabulary of words that the export's expression never
// finds in a text, as those with marks: another expression found them.
func unfoundWords(g *graph) []string {
	return g.each(func(n *onnx.Node) string {
		expr := g.wordExpression(n)
		pool := attribute(n, "pool_strings").Strings
		whole := wholeWord(expr, pool)
		if whole == nil {
			return ""
		}
		words, example := 0, ""
		for _, word := range pool {
			if !whole.MatchString(word) {
				words, example = words+1, word
			}
		}
		if words == 0 {
			return ""
		}
		return fmt.Sprintf("%s knows %d words that the expression %s of the export never finds, such as %s: Python found them by another, or with letters that only Unicode has; "+
			"set token_pattern=%s before training", where(n), words, expr, onnx.Quote(example), onnx.Quote(exported))
	}, "TfIdfVectorizer")
}

// maxLookup bounds the work of holding a vocabulary against an expression:
// characters times instructions.
const maxLookup = 1 << 28

// wholeWord returns what matches the words that an expression finds; nil without
// one, and for one that would take long.
func wholeWord(expr string, words []string) *regexp.Regexp {
	budget := expression.Budget{Each: maxLookup, Total: 1 << 16}
	_, instructions, err := budget.Parse(expr)
	if expr == "" || err != nil {
		return nil
	}
	left := maxLookup / instructions
	for _, word := range words {
		left -= len(word)
	}
	whole, err := regexp.Compile("^(?:" + expr + ")$")
	if left < 0 || err != nil {
		return nil
	}
	return whole
}

// exported is what the exporter writes in place of scikit-learn's default
// expression, and also finds words of one letter.
const exported = "[a-zA-Z0-9_]+"

// lostLetters finds a vectoriser of several words at a time that knows no word
// of one letter. It was trained by the default expression, which passes over
// them; the export counts them, so that other words stand together.
func lostLetters(g *graph) []string {
	return g.each(func(n *onnx.Node) string {
		single := func(word string) bool { return utf8.RuneCountInString(word) == 1 }
		words := attribute(n, "pool_strings").Strings
		if g.wordExpression(n) != exported || attribute(n, "max_gram_length").Int < 2 || len(words) == 0 || slices.ContainsFunc(words, single) {
			return ""
		}
		return fmt.Sprintf("%s counts words that stand together and knows none of one letter, which the expression %s of the export finds, and scikit-learn's default does not: "+
			"other words stand together then; set token_pattern=%s before training", where(n), exported, onnx.Quote(exported))
	}, "TfIdfVectorizer")
}
