package ops

import (
	"context"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// textOps works on strings.
var textOps = []Operator{
	{"", "StringNormalizer", 10, one, one, parseStringNormalizer},
	{"", "TfIdfVectorizer", 9, one, one, parseTfIdfVectorizer},
	{"", "StringConcat", 20, two, one, parseStringConcat},
	{"", "StringSplit", 20, one, two, parseStringSplit},
	{"", "RegexFullMatch", 20, one, one, parseRegexFullMatch},
}

// maxText is how many bytes a string may have that is read character by
// character, so that no single one keeps a run from ending in time.
const maxText = 1 << 21

// pollBytes is about how many bytes of text are read between two looks at ctx.
const pollBytes = 1 << 16

// poller looks at ctx now and then. Work is counted in bytes of text, or in
// what takes as long.
type poller struct{ work int }

func (p *poller) spend(ctx context.Context, work int) error {
	if p.work += work; p.work < pollBytes {
		return nil
	}
	p.work = 0
	return ctx.Err()
}

// text fails for a string that is too long to be read, or is no UTF-8.
func (p *poller) text(ctx context.Context, text string) error {
	switch {
	case len(text) > maxText:
		return fault.Newf(fault.Content, "a string has %d bytes; text may have up to %d", len(text), maxText)
	case !utf8.ValidString(text):
		return fault.New(fault.Content, "a string is not valid UTF-8")
	}
	return p.spend(ctx, len(text)+pollBytes/pollRows)
}

// chargeText takes the bytes of new strings from the run's budget; the strings
// themselves, 16 bytes each, are charged with the tensor that holds them. What
// is a part of an input string costs nothing more.
func (f *Frame) chargeText(n int) error {
	if !f.budget.take(n) {
		return fault.New(fault.Content, "the result is more text than one prediction may make; send fewer rows or shorter strings")
	}
	return nil
}

// parseStringConcat reads StringConcat (ai.onnx 20): the strings of two tensors
// put together, with broadcasting.
func parseStringConcat(n *Node) Kernel {
	n.Elem(0, tensor.String)
	n.Elem(1, tensor.String)
	if n.err != nil {
		return nil
	}
	n.SetOut(0, broadcastTypes(n, tensor.String))
	join := binary(n, fit{axis: -1}, rowOf(func(a, b string) string { return a + b }))
	return func(ctx context.Context, f *Frame) error {
		if err := chargeJoined(f); err != nil {
			return err
		}
		return join(ctx, f)
	}
}

// chargeJoined charges the text of StringConcat's result, before any of it is
// made. Shapes that cannot be broadcast are left for the kernel to refuse.
func chargeJoined(f *Frame) error {
	shape, ok := broadcast(f.dims[:0], f.In(0).Shape(), f.In(1).Shape())
	f.dims = shape
	n, err := tensor.Shape(shape).Elements()
	if !ok || err != nil || n == 0 {
		return nil //nolint:nilerr // the kernel says what is wrong with the shapes
	}
	for i := range 2 {
		x := Input[string](f, i)
		times, total := n/len(x), 0
		for _, s := range x {
			total += len(s)
		}
		if total > math.MaxInt/times {
			total = math.MaxInt / times // refused in any case
		}
		if err := f.chargeText(total * times); err != nil {
			return err
		}
	}
	return nil
}

// parseStringSplit reads StringSplit (ai.onnx 20). Y has the parts of each
// string along a new last axis, filled up with empty strings; Z says how many
// there are. Without a delimiter the parts are what stands between runs of
// white space, of Unicode's kind.
func parseStringSplit(n *Node) Kernel {
	s := splitter{delimiter: n.String("delimiter", ""), most: math.MaxInt}
	if limit := n.Int("maxsplit", -1); limit >= 0 && limit < math.MaxInt {
		s.most = int(limit) + 1
	}
	n.Elem(0, tensor.String)
	if n.err != nil {
		return nil
	}
	n.SetOut(0, withTokens(n))
	counts := n.In[0].Type
	counts.Elem = tensor.Int64
	n.SetOut(1, counts)
	return s.run
}

// withTokens is the type of input 0 with an axis more, for parts of strings.
func withTokens(n *Node) onnx.Type {
	in := &n.In[0].Type
	if !in.Ranked {
		return onnx.UnrankedTensor(tensor.String)
	}
	return onnx.TensorOf(tensor.String, append(append([]tensor.Dim(nil), in.Dims...), free)...)
}

type splitter struct {
	delimiter string
	most      int // parts
}

func (s splitter) run(ctx context.Context, f *Frame) error {
	x := Input[string](f, 0)
	counts, err := Output[int64](f, 1, f.In(0).Shape()...)
	if err != nil {
		return err
	}
	most, p := 0, poller{}
	for i, text := range x {
		if err := p.text(ctx, text); err != nil {
			return err
		}
		parts := 0
		for rest, more := s.begin(text); more; parts++ {
			_, rest, more = s.cut(rest, parts)
		}
		counts[i], most = int64(parts), max(most, parts)
	}
	f.dims = append(append(f.dims[:0], f.In(0).Shape()...), most)
	dst, err := Output[string](f, 0, f.dims...)
	if err != nil {
		return err
	}
	for i, text := range x {
		if err := p.text(ctx, text); err != nil {
			return err
		}
		s.fill(dst[i*most:(i+1)*most], text)
	}
	return nil
}

func (s splitter) fill(dst []string, text string) {
	parts := 0
	for rest, more := s.begin(text); more; parts++ {
		dst[parts], rest, more = s.cut(rest, parts)
	}
	clear(dst[parts:])
}

// begin returns what there is to split, and whether there is a part in it: an
// empty string is one part between delimiters, and none between white space.
func (s splitter) begin(text string) (rest string, more bool) {
	if s.delimiter != "" {
		return text, true
	}
	rest = strings.TrimSpace(text)
	return rest, rest != ""
}

// cut takes the next part of a text, after parts others, and returns what is
// left and whether there is another part in it.
func (s splitter) cut(text string, parts int) (part, rest string, more bool) {
	if parts == s.most-1 {
		return text, "", false
	}
	if s.delimiter != "" {
		return strings.Cut(text, s.delimiter)
	}
	end := strings.IndexFunc(text, unicode.IsSpace)
	if end < 0 {
		return text, "", false
	}
	return text[:end], strings.TrimLeftFunc(text[end:], unicode.IsSpace), true
}

// parseRegexFullMatch reads RegexFullMatch (ai.onnx 20): whether the pattern
// matches the whole of each string. The syntax is RE2's.
func parseRegexFullMatch(n *Node) Kernel {
	n.Need("pattern")
	parsed, instructions := n.expression(n.String("pattern", ""))
	n.Elem(0, tensor.String)
	if n.err != nil {
		return nil
	}
	re, err := compile(parsed, instructions, wholeText)
	if err != nil {
		n.Failf("%v", err)
		return nil
	}
	out := n.In[0].Type
	out.Elem = tensor.Bool
	n.SetOut(0, out)
	return func(ctx context.Context, f *Frame) error {
		dst, err := Output[bool](f, 0, f.In(0).Shape()...)
		if err != nil {
			return err
		}
		p := poller{}
		for i, text := range Input[string](f, 0) {
			if err := p.text(ctx, text); err != nil {
				return err
			}
			if dst[i], err = re.matches(ctx, text); err != nil {
				return err
			}
		}
		return nil
	}
}
