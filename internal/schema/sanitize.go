package schema

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/text/unicode/norm"
)

// StepName is one way to clean a text.
type StepName string

// The steps of cleaning.
const (
	// StepTrim takes white space (Unicode's White_Space) from both ends.
	StepTrim StepName = "trim"
	// StepLower writes each code point in lower case.
	StepLower StepName = "lower"
	// StepNFC composes canonically equivalent spellings (Unicode UAX #15).
	StepNFC StepName = "nfc"
	// StepStripHTML leaves the text of HTML: no tags, no scripts, no styles and no
	// comments, and characters in the place of their references.
	StepStripHTML StepName = "strip_html"
	// StepTruncate keeps the first Length code points.
	StepTruncate StepName = "truncate"
)

// Step is one step of cleaning a text.
type Step struct {
	Name StepName
	// Length is that of StepTruncate, and 0 for every other.
	Length int
}

// MarshalJSON writes a step as model.yaml has it.
func (s Step) MarshalJSON() ([]byte, error) {
	if s.Name == StepTruncate {
		return json.Marshal(map[string]int{string(s.Name): s.Length})
	}
	return json.Marshal(s.Name)
}

// steps are all that there are.
var steps = []StepName{StepTrim, StepLower, StepNFC, StepStripHTML, StepTruncate}

// wrong says what is wrong with a step that somebody wrote.
func (s Step) wrong() string {
	if s.Name == StepTruncate && s.Length == 0 {
		return "truncate needs a length, such as truncate: 64"
	}
	if slices.Contains(steps, s.Name) {
		return ""
	}
	words := make([]string, len(steps))
	for i, name := range steps {
		words[i] = string(name)
	}
	text := fmt.Sprintf("there is no step %q", truncated(string(s.Name)))
	if near := nearest(string(s.Name), words, new(suggestWork)); near >= 0 {
		return text + fmt.Sprintf("; did you mean %q?", words[near])
	}
	return text + "; there are " + strings.Join(words, ", ")
}

// String says in words what the step does.
func (s Step) String() string {
	switch s.Name {
	case StepTrim:
		return "blanks trimmed"
	case StepLower:
		return "lower case"
	case StepNFC:
		return "Unicode NFC"
	case StepStripHTML:
		return "HTML stripped"
	case StepTruncate:
		return "cut to " + count(s.Length, "character")
	}
	return string(s.Name)
}

// Control says what becomes of control characters in texts.
type Control string

// What can become of them. The zero value is ControlRefuse.
const (
	ControlRefuse Control = "refuse"
	ControlAllow  Control = "allow"
)

// maxPasses bounds how often a text is cleaned until it is clean. HTML that is
// escaped so often that more would be needed is written by nobody but to make
// work: each pass opens one layer.
const maxPasses = 8

// cleaner cleans the texts of one feature. The zero value refuses control
// characters, and changes nothing.
type cleaner struct {
	steps   []Step
	control bool // control characters are allowed
}

func newCleaner(f *Feature) cleaner {
	return cleaner{steps: f.Sanitize, control: f.Control == ControlAllow}
}

// clean returns a text, which is UTF-8, as its feature's owner wants it, and what
// is wrong with it if anything is. The steps are taken in their order, and again
// until they change nothing: what is clean stays as it is. Control characters are
// refused before and after, since a step may hide one or make one.
func (c *cleaner) clean(text string) (cleaned, detail string) {
	if detail = c.refusal(text); detail != "" || len(c.steps) == 0 {
		return text, detail
	}
	for range maxPasses {
		cleaned = c.pass(text)
		if cleaned == text {
			return text, c.refusal(text)
		}
		text = cleaned
	}
	return text, "is not clean after " + strconv.Itoa(maxPasses) + " passes; do not escape it so often"
}

// pass takes every step once.
func (c *cleaner) pass(text string) string {
	for _, s := range c.steps {
		switch s.Name {
		case StepTrim:
			text = strings.TrimSpace(text)
		case StepLower:
			text = strings.ToLower(text)
		case StepNFC:
			text = norm.NFC.String(text)
		case StepStripHTML:
			text = stripHTML(text)
		case StepTruncate:
			text = truncate(text, s.Length)
		}
	}
	return text
}

// stripHTML returns the text of HTML, with the characters that references stand
// for: what is between the tags, but not in elements of which a page shows nothing.
func stripHTML(text string) string {
	if !strings.ContainsAny(text, "<&") {
		return text
	}
	var shown strings.Builder
	hidden := 0 // elements that are open and not shown
	for tokens := html.NewTokenizer(strings.NewReader(text)); ; {
		switch tokens.Next() {
		case html.ErrorToken: // the end
			return shown.String()
		case html.StartTagToken:
			if name, _ := tokens.TagName(); isHidden(name) {
				hidden++
			}
		case html.EndTagToken:
			if name, _ := tokens.TagName(); isHidden(name) {
				hidden = max(0, hidden-1)
			}
		case html.TextToken:
			if hidden == 0 {
				shown.Write(tokens.Text())
			}
		case html.SelfClosingTagToken, html.CommentToken, html.DoctypeToken: // which show nothing
		}
	}
}

// isHidden reports whether a page shows nothing of what is in an element.
func isHidden(element []byte) bool {
	switch string(element) {
	case "iframe", "noembed", "noframes", "noscript", "object", "script", "style", "template", "title":
		return true
	}
	return false
}

// truncate returns the first n code points of a text.
func truncate(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for i := range text {
		if n == 0 {
			return text[:i]
		}
		n--
	}
	return text
}

// refusal says which control character a text holds, if it may hold none.
func (c *cleaner) refusal(text string) string {
	if c.control {
		return ""
	}
	i := controlIn(text)
	if i < 0 {
		return ""
	}
	r, _ := utf8.DecodeRuneInString(text[i:])
	return fmt.Sprintf("must not hold control characters, as U+%04X is", r)
}

// controlPattern finds what controlIn does as far as RE2 and ECMA-262 write it
// alike, which is up to U+009F.
const controlPattern = `[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]`

// controlIn returns where a text, which is UTF-8, has its first control character,
// -1 where it has none: C0 but tab, line feed and carriage return, DEL, C1, and
// what makes text look like another by turning its direction (CVE-2021-42574:
// U+202A to U+202E, U+2066 to U+2069).
func controlIn(text string) int {
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ':
			if c != '\t' && c != '\n' && c != '\r' {
				return i
			}
		case c == 0x7f:
			return i
		case c == 0xc2 && text[i+1] < 0xa0:
			return i
		case c == 0xe2 && (text[i+1] == 0x80 && text[i+2] >= 0xaa && text[i+2] <= 0xae || text[i+1] == 0x81 && text[i+2] >= 0xa6 && text[i+2] <= 0xa9):
			return i
		}
	}
	return -1
}
