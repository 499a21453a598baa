package ops

import (
	"context"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"

	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// caseChange changes the case of text by Unicode's rules, whatever language
// the machine is set to: ß becomes SS, and a sigma at the end of a word ς, as
// in Python.
type caseChange uint8

const (
	keepCase caseChange = iota
	lowerCase
	upperCase
)

// caseGrowth is how many times longer a text can become.
const caseGrowth = 3

const (
	// beyondLatin is above the bytes of ASCII, of the Latin letters up to U+023F, and
	// of what follows the first byte of others. Each of these letters becomes one
	// letter in lower case, whatever stands around it, but for dottedI.
	beyondLatin = 0xc9
	dottedI     = 'İ'
)

// apply returns s in another case. Text that does not change is not copied.
func (c caseChange) apply(s string) string {
	changes, ascii, latin := false, true, true
	for i := range len(s) {
		b := s[i]
		changes = changes || c == lowerCase && 'A' <= b && b <= 'Z' || c == upperCase && 'a' <= b && b <= 'z'
		ascii = ascii && b < utf8.RuneSelf
		latin = latin && b < beyondLatin
	}
	switch {
	case c == keepCase || ascii && !changes:
		return s
	case c == lowerCase && (ascii || latin && utf8.ValidString(s) && !strings.ContainsRune(s, dottedI)):
		return strings.ToLower(s)
	case c == lowerCase:
		return cases.Lower(language.Und).String(s)
	case ascii:
		return strings.ToUpper(s)
	}
	return cases.Upper(language.Und).String(s)
}

// charged is apply, within the run's budget.
func (c caseChange) charged(f *Frame, s string) (string, error) {
	if c == keepCase {
		return s, nil
	}
	if err := f.chargeText(caseGrowth * len(s)); err != nil {
		return "", err
	}
	changed := c.apply(s)
	f.budget.Left += max(0, caseGrowth*len(s)-len(changed))
	return changed, nil
}

// stringNormalizer is StringNormalizer's attributes.
type stringNormalizer struct {
	change caseChange
	// compare is the case in which stop words are looked up, and that they
	// have in stop.
	compare caseChange
	stop    map[string]bool
}

// parseStringNormalizer reads StringNormalizer (ai.onnx 10): [C] or [1, C]
// strings without the stop words, in lower or upper case. When all are stop
// words, one empty string is left. The attribute locale changes nothing.
func parseStringNormalizer(n *Node) Kernel {
	s := stringNormalizer{stop: map[string]bool{}}
	switch action := n.String("case_change_action", "NONE"); action {
	case "NONE":
	case "LOWER":
		s.change = lowerCase
	case "UPPER":
		s.change = upperCase
	default:
		n.Failf("attribute \"case_change_action\" is %s; it must be LOWER, UPPER or NONE", onnx.Quote(action))
	}
	n.String("locale", "")
	if n.Int("is_case_sensitive", 0) == 0 {
		s.compare = max(s.change, lowerCase)
	}
	for _, word := range n.Strings("stopwords") {
		s.stop[s.compare.apply(word)] = true
	}
	n.Elem(0, tensor.String)
	if n.err != nil {
		return nil
	}
	n.SetOut(0, s.outType(n))
	kept := n.NeedScratch()
	return func(ctx context.Context, f *Frame) error { return s.run(ctx, f, kept) }
}

func (s *stringNormalizer) outType(n *Node) onnx.Type {
	t := n.In[0].Type
	switch {
	case !t.Ranked:
		return t
	case len(t.Dims) == 1:
		if len(s.stop) > 0 {
			return onnx.TensorOf(tensor.String, free)
		}
		return t
	case len(t.Dims) == 2 && (t.Dims[0].Size == 1 || t.Dims[0].Size < 0):
		if len(s.stop) > 0 {
			return onnx.TensorOf(tensor.String, tensor.Dim{Size: 1}, free)
		}
		return onnx.TensorOf(tensor.String, tensor.Dim{Size: 1}, t.Dims[1])
	}
	n.Failf("its input is a %v; it takes [C] or [1, C]", &t)
	return t
}

func (s *stringNormalizer) run(ctx context.Context, f *Frame, scratch int) error {
	shape := f.In(0).Shape()
	if len(shape) != 1 && (len(shape) != 2 || shape[0] != 1) {
		return shapeFault("StringNormalizer takes [C] or [1, C]", shape)
	}
	x := Input[string](f, 0)
	kept, err := Scratch[string](f, scratch, len(x))
	if err != nil {
		return err
	}
	n, p := 0, poller{}
	for _, text := range x {
		if err := p.text(ctx, text); err != nil {
			return err
		}
		text, keep, err := s.normalize(f, text)
		if err != nil {
			return err
		}
		if keep {
			kept[n] = text
			n++
		}
	}
	if n == 0 && len(x) > 0 { // all of them were stop words
		n, kept[0] = 1, ""
	}
	f.dims = append(f.dims[:0], shape...)
	f.dims[len(f.dims)-1] = n
	dst, err := Output[string](f, 0, f.dims...)
	copy(dst, kept[:n])
	clear(kept) // the scratch outlives the run, the caller's text need not
	return err
}

// normalize returns what becomes of one string, and whether it is kept.
func (s *stringNormalizer) normalize(f *Frame, text string) (string, bool, error) {
	if len(s.stop) == 0 {
		changed, err := s.change.charged(f, text)
		return changed, true, err
	}
	compared, err := s.compare.charged(f, text)
	switch {
	case err != nil || s.stop[compared]:
		return "", false, err
	case s.change == s.compare:
		return compared, true, nil
	}
	changed, err := s.change.charged(f, text)
	return changed, true, err
}
