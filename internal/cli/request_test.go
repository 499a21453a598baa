package cli

import (
	"errors"
	"strings"
	"testing"

	"onnxgate/internal/fault"
	"onnxgate/internal/schema"
)

func TestTheFormatIsThatOfTheNameElseOfTheLook(t *testing.T) {
	for _, c := range []struct{ file, from, body, want string }{
		{"rows.csv", "", "{}", formatCSV},
		{"ROWS.CSV", "", "", formatCSV},
		{"a.b/rows.json", "", "a,b\n1,2", formatJSON},
		{"x.npy", "", "", formatNPY},
		{"x.npy", formatCSV, "\x93NUMPY", formatCSV},
		{"-", "", "\x93NUMPY\x01\x00", formatNPY},
		{"-", "", "PK\x03\x04\x00", ""},
		{"x.bin", "", "\x00\x01", ""},
		{"rows.txt", "", " \n[{}]", formatJSON},
		{"-", "", "{\"a\":1}\n", formatJSON},
		{"-", "", "a,b\n1,2\n", formatCSV},
		{"-", "", "\ufeffa\r\n1\r\n", formatCSV},
		{"-", "", "", formatJSON},
		{"-", "", "nothing\n", formatJSON},
	} {
		if got := formatOf(c.file, c.from, []byte(c.body)); got != c.want {
			t.Errorf("%s, --from %q, %q: %s, want %s", c.file, c.from, c.body, got, c.want)
		}
	}
}

func TestWhatIsWrongIsOneLine(t *testing.T) {
	content := func(truncated bool, fields ...fault.Field) error {
		return &fault.Error{Kind: fault.Content, Msg: "the input does not fit the model", Fields: fields, Truncated: truncated}
	}
	field := fault.Field{Pointer: "#/1/a", Detail: "must be a number"}
	cell := fault.Field{Line: 3, Column: 2, Name: "a", Detail: "must be a number"}
	for want, err := range map[string]error{
		"#/1/a must be a number":                                            content(false, field),
		"#/1/a must be a number; and 2 others":                              content(false, field, cell, field),
		"#/1/a must be a number; and more than 1 others":                    content(true, field, cell),
		"line 3, column 2 (a): must be a number; and 1 other":               content(false, cell, field),
		`line 3, column 2 ("\x1b[2J"): must be a number`:                    content(false, fault.Field{Line: 3, Column: 2, Name: "\x1b[2J", Detail: "must be a number"}),
		"line 3: has 2 columns":                                             content(false, fault.Field{Line: 3, Detail: "has 2 columns"}),
		"the request must hold at least one row":                            content(false, fault.Field{Pointer: "#", Detail: "must hold at least one row"}),
		"the table is not valid CSV: line 2, byte 5: extraneous or missing": fault.New(fault.Syntax, "the table is not valid CSV: line 2, byte 5: extraneous or missing"),
		"no such file": errors.New("no such file"),
	} {
		if got := schema.InOneLine(err).Error(); got != want || strings.Contains(got, "\n") {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if schema.InOneLine(nil) != nil {
		t.Error("no error became one")
	}
}

func TestARequestIsOfTheProtocolByItsInputs(t *testing.T) {
	for body, want := range map[string]bool{
		`{"inputs":[]}`:                       true,
		` {"id":"a","inputs":[{"data":[NaN]}`: true,
		`{}`:                                  true,
		`{"age":NaN,"income":1}`:              false,
		`{"age":1,}`:                          false,
		`{"age":1,"age":2,"inputs":1}`:        true,
		`{"age":NaN,"inputs":1}`:              false,
		`{`:                                   false,
		`{"age`:                               false,
		`[{"inputs":1}]`:                      false,
		`nothing`:                             false,
		``:                                    false,
	} {
		if got := isProtocol([]byte(body)); got != want {
			t.Errorf("%s: %t", body, got)
		}
	}
}

func TestWhatIsNoRequestIsNamed(t *testing.T) {
	for body, want := range map[string]string{
		"": "the input is empty", " \n": "the input is empty",
		"PK\x03\x04\x00[Content_Types].xml xl/workbook.xml": "the input is an Excel workbook; save it as CSV",
		"\x00\x01": "the input is neither JSON nor a CSV table nor a NumPy .npy file",
	} {
		r := &request{}
		if err := r.read(t.Context(), []byte(body), formatOf("rows.xlsx", "", []byte(body))); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", body, err, want)
		}
	}
}
