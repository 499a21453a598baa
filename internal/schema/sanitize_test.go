package schema_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/fault"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

// reviewSchema takes one text, with the lines of its feature.
func reviewSchema(tb testing.TB, lines string) *schema.Schema {
	tb.Helper()
	m, err := schema.Parse("model.yaml", []byte("features:\n  - name: review\n"+lines))
	if err != nil {
		tb.Fatal(err)
	}
	s, err := schema.Compile(m, "reviews", []tensor.Spec{spec("x", tensor.String, -1, 1)}, []tensor.Spec{spec("y", tensor.Float32, -1, 1)})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// ways are those by which a text reaches a model: a row, one of several rows, a
// table, and a tensor.
var ways = map[string]func(ctx context.Context, s *schema.Schema, b *schema.Batch, text string) error{
	"a row": func(ctx context.Context, s *schema.Schema, b *schema.Batch, text string) error {
		return s.Decode(ctx, b, rowOf(text), 1)
	},
	"rows": func(ctx context.Context, s *schema.Schema, b *schema.Batch, text string) error {
		return s.Decode(ctx, b, []byte("["+string(rowOf(text))+"]"), 1)
	},
	"tensor": func(ctx context.Context, s *schema.Schema, b *schema.Batch, text string) error {
		return admit(ctx, s, b, text)
	},
	"a table": func(ctx context.Context, s *schema.Schema, b *schema.Batch, text string) error {
		_, err := s.DecodeTable(ctx, b, strings.NewReader("review\n\""+strings.ReplaceAll(text, `"`, `""`)+"\"\n"), 1, nil)
		return err
	},
}

func rowOf(text string) []byte {
	quoted, err := json.Marshal(map[string]string{"review": text})
	if err != nil {
		panic(err)
	}
	return quoted
}

func admit(ctx context.Context, s *schema.Schema, b *schema.Batch, text string) error {
	x, err := tensor.New(tensor.Shape{1, 1}, []string{text})
	if err != nil {
		return err
	}
	b.Inputs[0] = x
	return s.Admit(ctx, b, 1)
}

func TestTextsAreCleanedAsTheirOwnerSaysInEveryProtocol(t *testing.T) {
	for name, c := range map[string]struct{ lines, given, want string }{
		"as it comes":                   {"", " <b>A</b>\u0301 &amp; ", " <b>A</b>\u0301 &amp; "},
		"trim":                          {"    sanitize: [trim]\n", " \t\u00a0\u2003A b\u3000\n", "A b"},
		"lower":                         {"    sanitize: [lower]\n", "ÀΣ İß K", "àσ iß k"},
		"nfc":                           {"    sanitize: [nfc]\n", "e\u0301 \u212b \ufb01", "é Å ﬁ"},
		"tags":                          {"    sanitize: [strip_html]\n", `<p onclick="x">good & <b>bold</b> <!-- no --><script>alert(1)</script><style>p{}</style></p>`, "good & bold "},
		"references":                    {"    sanitize: [strip_html]\n", "&quot;1 &lt; 2&quot; &#39;&amp;&#x27; it's \"so\"", `"1 < 2" '&' it's "so"`},
		"escaped tags":                  {"    sanitize: [strip_html]\n", "&lt;script&gt;alert(1)&lt;/script&gt;x &amp;lt;b&amp;gt;y", "x y"},
		"tags made of tags":             {"    sanitize: [strip_html]\n", "<scr<script>ipt>x</scr</script>ipt>", "ipt>xipt>"},
		"what no page shows":            {"    sanitize: [strip_html]\n", "a<object>b<template>c</object>d</template>e</title>f<noscript>g", "aef"},
		"comparisons":                   {"    sanitize: [strip_html]\n", "1 < 2 && 3 > 2", "1 < 2 && 3 > 2"},
		"an open tag":                   {"    sanitize: [strip_html]\n", "x <a href=", "x "},
		"truncate":                      {"    sanitize: [truncate: 3]\n", "äöüß", "äöü"},
		"truncate characters of 4":      {"    sanitize: [truncate: 1]\n", "😀😀", "😀"},
		"truncate leaves what is short": {"    sanitize: [truncate: 64]\n", "äöü", "äöü"},
		"in their order, trim first":    {"    sanitize: [trim, truncate: 2]\n", "  abc", "ab"},
		"in their order, truncate":      {"    sanitize: [truncate: 3, trim]\n", "  abc", "a"},
		"again until it is clean":       {"    sanitize: [trim, truncate: 2]\n", " a bc", "a"},
		"a blank that a tag hides":      {"    sanitize: [trim, strip_html]\n", "<b> a</b>", "a"},
		"all, then the rules":           {"    sanitize: [strip_html, trim, lower, nfc, truncate: 5]\n    enum: [red, blue]\n", " <i>RED</i>\n", "red"},
		"lengths of what is clean":      {"    sanitize: [trim]\n    max_length: 3\n    pattern: ^a\n", "   abc   ", "abc"},
		"lines, tabs and directions":    {"", "a\tb\r\nc \u200f\u2028", "a\tb\r\nc \u200f\u2028"},
		"control characters for once":   {"    control: allow\n", "a\x1b[31m\u202e\u0085", "a\x1b[31m\u202e\u0085"},
	} {
		s := reviewSchema(t, c.lines)
		for way, read := range ways {
			if way == "a table" && strings.Contains(c.given, "\r\n") {
				continue // encoding/csv makes one line feed of them
			}
			b := s.NewBatch()
			if err := read(t.Context(), s, b, c.given); err != nil {
				t.Errorf("%s, %s: %s", name, way, faultText(err))
				continue
			}
			if got := tensor.Of[string](b.Inputs[0])[0]; got != c.want {
				t.Errorf("%s, %s: %q, want %q", name, way, got, c.want)
			}
		}
	}
}

// U06, W02: what would act on a terminal, a log or a reader never comes in.
func TestTextsThatAreNotCleanAreRefusedInEveryProtocol(t *testing.T) {
	for name, c := range map[string]struct{ lines, given, want string }{
		"a terminal's command":          {"", "a\x1b[2J", "must not hold control characters, as U+001B is"},
		"DEL":                           {"", "\x7f", "as U+007F is"},
		"C1":                            {"", "a\u0080", "as U+0080 is"},
		"the last of C1":                {"", "\u009f", "as U+009F is"},
		"a vertical tab":                {"    sanitize: [trim]\n", "\va", "as U+000B is"},
		"a text that turns":             {"", "user\u202egnp.exe", "as U+202E is"},
		"an isolate":                    {"", "\u2066a", "as U+2066 is"},
		"the last isolate":              {"", "a\u2069", "as U+2069 is"},
		"one that truncate would hide":  {"    sanitize: [truncate: 1]\n", "abc\x01", "as U+0001 is"},
		"one that a reference makes":    {"    sanitize: [strip_html]\n", "a&#x202e;b", "as U+202E is"},
		"one that two references make":  {"    sanitize: [strip_html]\n", "a&amp;#27;b", "as U+001B is"},
		"too long when clean":           {"    sanitize: [trim]\n    max_length: 3\n", " abcd ", "must be at most 3 characters long"},
		"not in the list when clean":    {"    sanitize: [lower, trim]\n    enum: [red]\n", " GREEN", `must be one of "red", not "green"`},
		"not in the pattern when clean": {"    sanitize: [strip_html]\n    pattern: ^.+$\n", "<b></b>", "must match the pattern ^.+$"},
		"escaped again and again":       {"    sanitize: [strip_html]\n", "&" + strings.Repeat("amp;", 1000) + "lt;b>", "is not clean after 8 passes"},
	} {
		s := reviewSchema(t, c.lines)
		for way, read := range ways {
			err := read(t.Context(), s, s.NewBatch(), c.given)
			if fault.KindOf(err) != fault.Content || len(fault.As(err).Fields) != 1 || !strings.Contains(fault.As(err).Fields[0].Detail, c.want) {
				t.Errorf("%s, %s: %s, want %q", name, way, faultText(err), c.want)
			}
		}
	}
	s := reviewSchema(t, "")
	for way, c := range map[string]struct {
		text string
		want fault.Kind
	}{"a row": {"\x00", fault.Content}, "rows": {"\x00", fault.Content}, "tensor": {"\x00", fault.Content}, "a table": {"\x00", fault.Syntax}} {
		if err := ways[way](t.Context(), s, s.NewBatch(), c.text); fault.KindOf(err) != c.want {
			t.Errorf("NUL, %s: %v", way, err)
		}
	}
}

// A model without a manifest has no owner who allows anything.
func TestModelsWithoutAManifestTakeNoControlCharacters(t *testing.T) {
	s, err := schema.Compile(nil, "m", []tensor.Spec{spec("review", tensor.String, -1, 1)}, []tensor.Spec{spec("y", tensor.Float32, -1, 1)})
	if err != nil {
		t.Fatal(err)
	}
	for way, read := range ways {
		if err := read(t.Context(), s, s.NewBatch(), "\x1b"); fault.KindOf(err) != fault.Content {
			t.Errorf("%s: %v", way, err)
		}
	}
	keyed, err := schema.Compile(nil, "m", []tensor.Spec{{Name: "x", Kind: tensor.KindMap, Key: tensor.String, DType: tensor.Float32}}, []tensor.Spec{spec("y", tensor.Float32, -1, 1)})
	if err != nil {
		t.Fatal(err)
	}
	if err := keyed.Decode(t.Context(), keyed.NewBatch(), []byte(`{"x":{"a\u001b":1}}`), 1); fault.KindOf(err) != fault.Content {
		t.Errorf("a key of a map: %v", err)
	}
	b, m := keyed.NewBatch(), new(tensor.Tensor)
	tensor.ResetMap(m, newTensor(t, []string{"\u202e", "\xc2"}, 2), newTensor(t, []float32{1, 2}, 2))
	b.Inputs[0] = m
	if err := keyed.CheckTensors(t.Context(), b.Inputs); err != nil {
		t.Errorf("a bare graph of a tool: %v", err)
	}
	if err := keyed.Admit(t.Context(), b, 1); fault.KindOf(err) != fault.Content {
		t.Errorf("a key of a map in a tensor: %v", err)
	}
}

func TestSanitizeThatCannotStandIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ lines, want string }{
		"no list":              {"    sanitize: trim\n", `3: sanitize must be a list, not "trim"; as a list: [trim]`},
		"an unknown step":      {"    sanitize: [trim, strip]\n", `3: sanitize: there is no step "strip"; did you mean "strip_html"?`},
		"capitals":             {"    sanitize: [NFC]\n", `3: sanitize: there is no step "NFC"; did you mean "nfc"?`},
		"something else":       {"    sanitize: [punctuation]\n", `there is no step "punctuation"; there are trim, lower, nfc, strip_html, truncate`},
		"truncate to nothing":  {"    sanitize: [truncate]\n", "truncate needs a length, such as truncate: 64"},
		"truncate to 0":        {"    sanitize: [truncate: 0]\n", `must be an integer of at least 1, not "0"`},
		"truncate to a text":   {"    sanitize: [truncate: long]\n", `must be an integer of at least 1, not "long"`},
		"another key":          {"    sanitize: [trim: 4]\n", `unknown key "trim" in a step of sanitize`},
		"a number":             {"    sanitize: [64]\n", `must be a text, not "64"`},
		"too many":             {"    sanitize: [" + strings.Repeat("trim, ", 17) + "]\n", "sanitize must have at most 16 items"},
		"another word":         {"    control: yes please\n", `control must be one of allow, refuse, not "yes please"`},
		"a number's":           {"    type: float32\n    sanitize: [trim]\n    control: allow\n", "sanitize is for strings, not for float32"},
		"a value never clean":  {"    type: string\n    sanitize: [lower]\n    enum: [Red]\n", `enum value "Red" can never come: sanitize makes it "red"`},
		"a value with control": {"    type: string\n    enum: [\"a\\e\"]\n", "breaks another rule: it must not hold control characters"},
		"an example":           {"    type: string\n    example: \"a\\u202e\"\n", "example must not hold control characters, as U+202E is"},
	} {
		_, err := schema.Parse("model.yaml", []byte("features:\n  - name: review\n"+c.lines))
		if fault.KindOf(err) != fault.Content || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestTheContractSaysHowTextsAreCleaned(t *testing.T) {
	s := reviewSchema(t, "    description: What was written\n    sanitize: [strip_html, trim, lower, nfc, truncate: 64]\n    max_length: 64\n    enum: [good, bad]\n")
	feature, err := json.Marshal(s.Features()[0])
	if err != nil {
		t.Fatal(err)
	}
	const steps = `["strip_html","trim","lower","nfc",{"truncate":64}]`
	if want := `"sanitize":` + steps; !strings.Contains(string(feature), want) {
		t.Errorf("%s, want %s", feature, want)
	}
	row, err := json.Marshal(s.RowSchema()["properties"])
	if err != nil {
		t.Fatal(err)
	}
	want := `{"review":{"description":"What was written. Cleaned before it is checked: HTML stripped, blanks trimmed, lower case, Unicode NFC, cut to 64 characters.",` +
		`"not":{"pattern":"[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f]"},"type":"string","x-sanitize":` + steps + `,"x-sanitized":{"enum":["good","bad"],"maxLength":64}}}`
	if diff := cmp.Diff(want, string(row)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	open := reviewSchema(t, "    control: allow\n")
	if row, err := json.Marshal(open.RowSchema()["properties"]); err != nil || strings.Contains(string(row), `"not"`) {
		t.Errorf("%s, error %v", row, err)
	}
}

// V03: cleaning takes time in proportion to the text.
func TestCleaningIsBounded(t *testing.T) {
	s := reviewSchema(t, "    sanitize: [strip_html, trim, lower, nfc]\n")
	const size = 1 << 20
	for name, unit := range map[string]string{
		"open tags": "<", "tags": "<b>", "tags in tags": "<<b>", "ends": "</", "comments": "<!--", "comments that end": "<!---->", "references": "&amp;",
		"nested references": "amp;", "quotes": `<a b="`, "marks": "\u0301", "decomposed": "e\u0301\u0323", "jamo": "\u1100\u1161\u11a8", "blanks": " ", "plain": "a",
	} {
		start := time.Now()
		err := ways["tensor"](t.Context(), s, s.NewBatch(), "&"+strings.Repeat(unit, size/len(unit)))
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s: %v for %d bytes (%v)", name, took, size, err)
		}
	}
}

// FuzzSanitize holds for any text and any list of steps: what is let in is UTF-8
// without control characters, is what a second cleaning leaves, and is the same in
// every protocol.
func FuzzSanitize(f *testing.F) {
	for i, text := range []string{
		" <B>A</b> ", "&lt;b&gt;", "&amp;amp;amp;lt;", "e\u0301\u202e", "a&#0;&#x1b;&nGt;&nvlt;", "\u0344\ufb2c\u1e9b\u0323", "İΣ\u212a", "<<a>b>", "a\x00", "<svg><style><img src=x onerror=alert(1)>",
		"<textarea><b>", "<plaintext>&amp;", "&#55296;", "\u2028\ufeff a",
	} {
		f.Add(uint(i*7919), text)
		f.Add(uint(i*31), text)
	}
	// Each schema is made once: there are as many as lists of three of six steps.
	made := map[uint]*schema.Schema{}
	words := []string{"trim", "lower", "nfc", "strip_html", "truncate: 5", "truncate: 1"}
	f.Fuzz(func(t *testing.T, which uint, text string) {
		n := uint(len(words))
		which %= n * n * n
		s := made[which]
		if s == nil {
			s = reviewSchema(t, fmt.Sprintf("    sanitize: [%s, %s, %s]\n", words[which%n], words[which/n%n], words[which/n/n]))
			made[which] = s
		}
		b := s.NewBatch()
		err := ways["tensor"](t.Context(), s, b, text)
		if !utf8.ValidString(text) {
			if err == nil {
				t.Errorf("%q is let in", text)
			}
			return
		}
		other := s.NewBatch()
		if again := ways["rows"](t.Context(), s, other, text); (again == nil) != (err == nil) {
			t.Fatalf("%q as a tensor: %v; as JSON: %v", text, err, again)
		}
		if err != nil {
			return
		}
		clean := tensor.Of[string](b.Inputs[0])[0]
		if got := tensor.Of[string](other.Inputs[0])[0]; got != clean {
			t.Errorf("%q is %q as a tensor, %q as JSON", text, clean, got)
		}
		if err := ways["tensor"](t.Context(), s, b, clean); err != nil || tensor.Of[string](b.Inputs[0])[0] != clean {
			t.Errorf("%q is cleaned to %q, and that to %q, error %v", text, clean, tensor.Of[string](b.Inputs[0])[0], err)
		}
		if !utf8.ValidString(clean) || strings.ContainsAny(clean, "\x00\x1b\x7f\u0080\u202e\u2066") {
			t.Errorf("%q is let in as %q", text, clean)
		}
	})
}
