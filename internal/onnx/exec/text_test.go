package exec_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/exec"
	. "onnxgate/internal/onnx/onnxtest" //nolint:revive // the models below read as what they are
	"onnxgate/internal/tensor"
)

// onText is a model whose input is strings of any number.
func onText(nodes ...*onnx.Node) *onnx.Model {
	m := Model(nodes...)
	in := onnx.TensorOf(tensor.String, tensor.Dim{Size: -1})
	m.Graph.Inputs[0].Type = &in
	m.Opsets = append(m.Opsets, onnx.Opset{Domain: "com.microsoft", Version: 1})
	return m
}

func microsoft(op string, attributes ...onnx.Attribute) *onnx.Node {
	n := Node(op, Names("x"), Names("y"), attributes...)
	n.Domain = "com.microsoft"
	return n
}

func tokenizer(attributes ...onnx.Attribute) *onnx.Node {
	return microsoft("Tokenizer", append([]onnx.Attribute{Int("mark", 0), String("pad_value", ""), Int("mincharnum", 1)}, attributes...)...)
}

func vectorizer(attributes ...onnx.Attribute) *onnx.Node {
	n := Node("TfIdfVectorizer", Names("x"), Names("y"), String("mode", "TF"), Int("min_gram_length", 1), Int("max_gram_length", 2),
		Int("max_skip_count", 0), Ints("ngram_counts", 0, 1), Ints("ngram_indexes", 0, 1), Strings("pool_strings", "a", "a", "b"))
	for _, a := range attributes {
		n = With(n, a)
	}
	return n
}

func matching(pattern string) *onnx.Node {
	return Node("RegexFullMatch", Names("x"), Names("y"), String("pattern", pattern))
}

func TestOperatorsOnTextRefuseWhatDoesNotFit(t *testing.T) {
	many := func(n int, of func() *onnx.Node) []*onnx.Node {
		nodes := []*onnx.Node{matching("a")}
		for i := range n {
			nodes = append(nodes, of())
			nodes[i+1].Outputs = Names(fmt.Sprint("y", i))
		}
		return nodes
	}
	for _, c := range []struct {
		name  string
		nodes []*onnx.Node
		want  string
	}{
		{"a pattern that is none", []*onnx.Node{matching("a(")}, "no regular expression"},
		{"no pattern", []*onnx.Node{Node("RegexFullMatch", Names("x"), Names("y"))}, `"pattern" is missing`},
		{"a pattern that looks ahead", []*onnx.Node{matching("a(?=b)")}, "no regular expression"},
		{"a long pattern", []*onnx.Node{matching(strings.Repeat("a", 1<<17))}, "at most 65536"},
		{"a pattern of large counts", []*onnx.Node{matching(strings.Repeat("[a-c]{1000}", 100))}, "too large"},
		{"nested counts", []*onnx.Node{matching("((a{100}){100}){100}")}, "no regular expression"},
		{"many Unicode classes", []*onnx.Node{matching(strings.Repeat(`\pL\PN`, 1000))}, "too large"},
		{"many patterns", many(500, func() *onnx.Node { return matching("a{1000}") }), "too large"},
		{"many small patterns", many(5000, func() *onnx.Node { return tokenizer(String("tokenexp", `[^a]`)) }), "too large"},

		{"no form", []*onnx.Node{tokenizer()}, "needs separators"},
		{"no separator", []*onnx.Node{tokenizer(Strings("separators"))}, "needs separators"},
		{"too many separators", []*onnx.Node{tokenizer(Strings("separators", make([]string, 2000)...))}, "at most 1024"},
		{"no least length", []*onnx.Node{With(tokenizer(String("tokenexp", "a")), Int("mincharnum", 0))}, "must be positive"},
		{"long characters", []*onnx.Node{With(tokenizer(String("tokenexp", ".")), Int("mincharnum", 2))}, "every token is one character"},
		{"no mark", []*onnx.Node{microsoft("Tokenizer", String("pad_value", ""), Int("mincharnum", 1))}, `"mark" is missing`},

		{"an action", []*onnx.Node{Node("StringNormalizer", Names("x"), Names("y"), String("case_change_action", "TITLE"))}, "LOWER, UPPER or NONE"},
		{"a sign", []*onnx.Node{microsoft("MurmurHash3", Int("positive", 2))}, "0 or 1"},
		{"a metric", []*onnx.Node{{Op: "CDist", Domain: "com.microsoft", Inputs: Names("x", "x"), Outputs: Names("y"), Attributes: []onnx.Attribute{String("metric", "cosine")}}}, "sqeuclidean"},

		{"a mode", []*onnx.Node{vectorizer(String("mode", "BM25"))}, "TF, IDF or TFIDF"},
		{"lengths", []*onnx.Node{vectorizer(Int("min_gram_length", 3))}, "not possible"},
		{"more lengths than counts", []*onnx.Node{vectorizer(Int("max_gram_length", 3))}, "one for each length"},
		{"a skip", []*onnx.Node{vectorizer(Int("max_skip_count", -1))}, "not possible"},
		{"a column", []*onnx.Node{vectorizer(Ints("ngram_indexes", 0, -1))}, "out of range"},
		{"a far column", []*onnx.Node{vectorizer(Ints("ngram_indexes", 0, 1<<40))}, "out of range"},
		{"no column", []*onnx.Node{vectorizer(Ints("ngram_indexes"))}, "empty"},
		{"more n-grams than columns", []*onnx.Node{vectorizer(Ints("ngram_indexes", 0))}, "more n-grams"},
		{"broken n-grams", []*onnx.Node{vectorizer(Ints("ngram_counts", 0, 2), Strings("pool_strings", "a", "c", "b"))}, "whole n-grams"},
		{"counts backwards", []*onnx.Node{vectorizer(Ints("ngram_counts", 1, 0))}, "whole n-grams"},
		{"counts beyond the pool", []*onnx.Node{vectorizer(Ints("ngram_counts", 0, 9))}, "whole n-grams"},
		{"a negative count", []*onnx.Node{vectorizer(Ints("ngram_counts", -1, 1))}, "whole n-grams"},
		{"an n-gram twice", []*onnx.Node{vectorizer(Ints("ngram_counts", 0, 3), Strings("pool_strings", "a", "b", "a"), Ints("ngram_indexes", 0, 1, 2))}, "twice"},
		{"weights", []*onnx.Node{vectorizer(Floats("weights", 1))}, "must agree"},
		{"two pools", []*onnx.Node{vectorizer(Ints("pool_int64s", 1))}, "not both"},
		{"a pool of numbers", []*onnx.Node{vectorizer(Ints("pool_int64s", 1, 1, 2), Strings("pool_strings"))}, "which the pool has not"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := exec.Load(Encode(onText(c.nodes...)), onnx.Limits{})
			if fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v: %v; want it to say %q", fault.KindOf(err), err, c.want)
			}
		})
	}
}

// Text that grows is paid for before it is made.
func TestTextIsChargedBeforeItIsMade(t *testing.T) {
	var doubled []*onnx.Node
	last := "x"
	for i := range 40 {
		next := fmt.Sprint("x", i)
		doubled = append(doubled, Node("StringConcat", Names(last, last), Names(next)))
		last = next
	}
	doubled[len(doubled)-1].Outputs = Names("y")
	long, short := strings.Repeat("a b ", 1<<18), slices.Repeat([]string{""}, 1000)
	for _, c := range []struct {
		name  string
		nodes []*onnx.Node
		in    []string
		want  string
	}{
		{"text doubled", doubled, []string{"a"}, "more text than one prediction"},
		{"parts filled up", []*onnx.Node{Node("StringSplit", Names("x"), Names("y", "z"))}, append(slices.Clone(short), long), "more memory"},
		{"tokens filled up", []*onnx.Node{tokenizer(String("tokenexp", `\w`))}, append(slices.Clone(short), long), "more memory"},
		{"tokens collected", []*onnx.Node{tokenizer(String("tokenexp", `.`))}, []string{strings.Repeat("a", 1<<20), long, long, long, long, long, long}, "more memory"},
		{"columns", []*onnx.Node{vectorizer(Ints("ngram_indexes", 0, 1<<30))}, []string{"a"}, "more memory"},
		{
			"upper case",
			[]*onnx.Node{Node("StringNormalizer", Names("x"), Names("y"), String("case_change_action", "UPPER"))},
			strings.Fields(strings.Repeat(strings.Repeat("ΐ", 1<<9)+" ", 1<<13)), "more text than one prediction",
		},
		{"a text too long to read", []*onnx.Node{tokenizer(String("tokenexp", `a`))}, []string{strings.Repeat("a", 1<<21+1)}, "text may have up to"},
		{"no UTF-8", []*onnx.Node{matching(`.`)}, []string{"\xff"}, "not valid UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := loadModel(t, onText(c.nodes...), onnx.Limits{RunMemory: 16 << 20})
			in, err := tensor.New(tensor.Shape{len(c.in)}, c.in)
			if err != nil {
				t.Fatal(err)
			}
			err = p.Run(t.Context(), []*tensor.Tensor{in}, results(len(p.Outputs())))
			if fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v: %v; want it to say %q", fault.KindOf(err), err, c.want)
			}
		})
	}
}

// A search that takes long ends with its request.
func TestALongSearchStopsWithItsRequest(t *testing.T) {
	text := strings.Repeat("a", 1<<20)
	for _, c := range []struct {
		name string
		node *onnx.Node
		in   []string
	}{
		{"a match of the whole", matching("(?:[ab]*c?){300}d"), []string{text}},
		{"a search", tokenizer(String("tokenexp", "(?:a?b?){900}c")), []string{text}},
		{"a search behind a word", tokenizer(String("tokenexp", `\b(?:a?b?){900}c|a\B`)), []string{text}},
		{"searches without end", tokenizer(String("tokenexp", `a[ab]*c|a`)), []string{text}},
		{
			"matches that are too short", With(tokenizer(String("tokenexp", `a+`)), Int("mincharnum", 1<<20)),
			[]string{"b" + text[1:]},
		},
		{"many short texts", tokenizer(String("tokenexp", `(?:a?a?b?){300}c|aa`)), slices.Repeat([]string{text[:1<<9]}, 1<<11)},
		{"separators", tokenizer(Strings("separators", "b", "[ab]*c|a")), []string{text}},
		{"n-grams of any distance", vectorizer(Int("max_skip_count", 1<<40)), strings.Split(strings.Repeat("a", 1<<18), "")},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := loadModel(t, onText(c.node), onnx.Limits{})
			in, err := tensor.New(tensor.Shape{len(c.in)}, c.in)
			if err != nil {
				t.Fatal(err)
			}
			const patience = 100 * time.Millisecond
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			begin := time.Now()
			err = p.Run(ctx, []*tensor.Tensor{in}, results(len(p.Outputs())))
			if took := time.Since(begin); fault.KindOf(err) != fault.Timeout || took > patience+5*time.Second {
				t.Errorf("%v after %v", err, took)
			} else {
				t.Logf("stopped %v late", took-patience)
			}
		})
	}
}

// Words that stand in the text as they are in the pool cost a warm run nothing,
// and no rows are as good as any.
func TestAWarmRunOnTextAllocatesNothing(t *testing.T) {
	p := loadModel(t, onText(
		Node("StringNormalizer", Names("x"), Names("n"), String("case_change_action", "LOWER"), Strings("stopwords", "none")),
		&onnx.Node{
			Op: "Tokenizer", Domain: "com.microsoft", Inputs: Names("n"), Outputs: Names("t"),
			Attributes: []onnx.Attribute{Int("mark", 0), String("pad_value", "#"), Int("mincharnum", 1), String("tokenexp", "[a-z]+")},
		},
		&onnx.Node{Op: "TfIdfVectorizer", Inputs: Names("t"), Outputs: Names("y"), Attributes: vectorizer().Attributes},
	), onnx.Limits{})
	in, err := tensor.New(tensor.Shape{3}, []string{"a b a", "", "b a b"})
	if err != nil {
		t.Fatal(err)
	}
	out := results(1)
	run := func() {
		if err := p.Run(context.Background(), []*tensor.Tensor{in}, out); err != nil {
			t.Fatal(err)
		}
	}
	run()
	if diff := cmp.Diff([]float32{2, 1, 0, 0, 1, 1}, tensor.Of[float32](out[0])); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	if n := testing.AllocsPerRun(100, run); n > 0 {
		t.Errorf("a run takes %v allocations", n)
	}
	if in, err = tensor.New(tensor.Shape{0}, []string{}); err != nil {
		t.Fatal(err)
	}
	run()
	if diff := cmp.Diff(tensor.Shape{0, 2}, out[0].Shape()); diff != "" {
		t.Errorf("shape of no rows (-want +got):\n%s", diff)
	}
}
