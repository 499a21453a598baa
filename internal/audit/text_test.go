package audit_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"onnxgate/internal/audit"
)

// U06: whatever somebody calls themselves, it is one JSON string on one line that
// steers nothing.
func TestNamesSteerNothing(t *testing.T) {
	for name, tc := range map[string]struct{ value, want string }{
		"line ends":            {"a\r\nb", `"a\u000d\u000ab"`},
		"a break out of JSON":  {`","outcome":"ok`, `"\",\"outcome\":\"ok"`},
		"a backslash":          {`a\`, `"a\\"`},
		"an escape sequence":   {"\x1b[2J\u009b1m", `"\u001b[2J\u009b1m"`},
		"turned around":        {"a\u202eb\u2066c\u200fd", `"a\u202eb\u2066c\u200fd"`},
		"NUL and DEL":          {"a\x00\x7f", `"a\u0000\u007f"`},
		"line and paragraph":   {"a\u2028b\u2029c\u0085", `"a\u2028b\u2029c\u0085"`},
		"not UTF-8":            {"a\xff\xc0\xafb", `"a\ufffd\ufffd\ufffdb"`},
		"a mark without width": {"a\u200bb\ufeff", `"a\u200bb\ufeff"`},
		"beyond 16 bits":       {"😀\U000e0001", `"😀\udb40\udc01"`},
		"other scripts stay":   {"Łódź 東京", `"Łódź 東京"`},
		"an odd blank":         {"a\u00a0b\u3000", `"a\u00a0b\u3000"`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := string(audit.AppendString(nil, tc.value)); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestLongNamesAreCutAndSaySo(t *testing.T) {
	for _, unit := range []string{"x", "é", "東", "\x00", "\xff", "😀"} {
		value := strings.Repeat(unit, 10<<20/len(unit))
		got := audit.AppendString(nil, value)
		var text string
		if err := json.Unmarshal(got, &text); err != nil || len(got) > 4000 || !strings.HasSuffix(text, " bytes more]") {
			t.Errorf("%q: %d bytes, %v", unit, len(got), err)
		}
	}
}

func FuzzAnyTextIsOneString(f *testing.F) {
	for _, seed := range []string{"", "ann", "\"\\\r\n", "\u202e\u2028\x1b", "\xff\xfe", strings.Repeat("😀", 200), strings.Repeat("\xf0\x9f", 400)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := audit.AppendString(nil, s)
		var text string
		if err := json.Unmarshal(got, &text); err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		if len(s) <= 512 && text != strings.ToValidUTF8(s, "\ufffd") && utf8.ValidString(s) {
			t.Errorf("%q became %q", s, text)
		}
		for _, r := range string(got) {
			if !unicode.IsGraphic(r) || unicode.IsSpace(r) && r != ' ' {
				t.Errorf("%q holds %U", got, r)
			}
		}
	})
}

func TestCellsAreNoFormulas(t *testing.T) {
	e := &audit.Entry{Event: audit.Login, Actor: "=cmd|' /C calc'!A0", Object: `a"b\c`}
	row := map[string]string{}
	for i, cell := range e.CSVRow() {
		row[audit.CSVHeader()[i]] = cell
	}
	if row["actor"] != `'=cmd|' /C calc'!A0` || row["object"] != `a"b\c` || row["rule"] != "" {
		t.Errorf("%q", row)
	}
}
