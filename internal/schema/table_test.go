package schema_test

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/fault"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

// fleetSchema has a column of every class, and one that holds JSON.
func fleetSchema(t *testing.T) *schema.Schema {
	t.Helper()
	m := parse(t, `features:
  - {name: speed, input: x, min: 0, max: 300}
  - {name: weight, input: x, nullable: true}
  - {name: doors}
  - {name: colour, enum: [red, "deep blue"]}
  - {name: electric}
  - {name: track}
`)
	s, err := schema.Compile(m, "fleet", []tensor.Spec{
		spec("x", tensor.Float32, -1, 2), spec("doors", tensor.Int64, -1, 1), spec("colour", tensor.String, -1, 1),
		spec("electric", tensor.Bool, -1), spec("track", tensor.Int32, -1, 2, 1),
	}, []tensor.Spec{spec("y", tensor.Float32, -1, 1)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const fleetHeader = "doors,speed,weight,colour,electric,track\n"

func TestATableReachesItsTensors(t *testing.T) {
	s := fleetSchema(t)
	b := s.NewBatch()
	body := "\ufeffdoors, speed ,weight,\"colour\",note,electric,track\r\n" +
		"3,+12.50,,red,\"a \"\"b\"\", c\",True,\"[[1],[2]]\"\r\n" +
		"05.0,.5,1e3,\"deep blue\",,0,\"[[3],[4]]\"\r\n"
	texts, err := s.DecodeTable(t.Context(), b, strings.NewReader(body), 10, []string{"note"})
	if err != nil {
		t.Fatal(faultText(err))
	}
	if diff := cmp.Diff([][]string{{`a "b", c`}, {""}}, texts); diff != "" || b.Rows != 2 || b.Single {
		t.Errorf("%d rows, aside (-want +got):\n%s", b.Rows, diff)
	}
	for i, want := range []*tensor.Tensor{
		newTensor(t, []float32{12.5, float32(math.NaN()), 0.5, 1000}, 2, 2), newTensor(t, []int64{3, 5}, 2, 1),
		newTensor(t, []string{"red", "deep blue"}, 2, 1), newTensor(t, []bool{true, false}, 2), newTensor(t, []int32{1, 2, 3, 4}, 2, 2, 1),
	} {
		equalTensors(t, want, b.Inputs[i])
	}
	// The same batch reads JSON again.
	row := `{"speed":1,"weight":2,"doors":3,"colour":"red","electric":false,"track":[[1],[2]]}`
	if err := s.Decode(t.Context(), b, []byte(row), 1); err != nil {
		t.Error(faultText(err))
	}
}

// Some tables name their columns with blanks, and models are trained on them.
func TestBlanksInNamesOfColumnsCountWhereAFeatureHasThem(t *testing.T) {
	s := compile(t, "features: [{name: ' Income '}, {name: age}]", []tensor.Spec{spec("x", tensor.Float32, -1, 2)}, []tensor.Spec{spec("y", tensor.Float32, -1, 1)})
	b := s.NewBatch()
	if _, err := s.DecodeTable(t.Context(), b, strings.NewReader(" age, Income \n30,5\n"), 1, nil); err != nil {
		t.Fatal(places(err))
	}
	equalTensors(t, newTensor(t, []float32{5, 30}, 1, 2), b.Inputs[0])
	for header, want := range map[string]string{
		"Income,age":                    "1:1 Income is not a feature of this model; did you mean \" Income \"?\n1:0  Income  is required",
		" Income ,age, age ":            "1:3 age is there twice",
		"\" Income \",age,\" Income \"": "1:3  Income  is there twice",
	} {
		if _, err := s.DecodeTable(t.Context(), b, strings.NewReader(header+"\n1,2\n"), 1, nil); places(err) != want {
			t.Errorf("%s: %s", header, places(err))
		}
	}
}

// places writes faults one a line.
func places(err error) string {
	if err == nil {
		return ""
	}
	var lines []string
	for _, f := range fault.As(err).Fields {
		lines = append(lines, fmt.Sprintf("%d:%d %s %s", f.Line, f.Column, f.Name, f.Detail))
	}
	return strings.Join(lines, "\n")
}

func TestATableThatDoesNotFitIsRefusedByLineAndColumn(t *testing.T) {
	s := fleetSchema(t)
	const rest = `,red,true,"[[1],[2]]"` + "\n"
	for name, c := range map[string]struct{ body, want string }{
		"unknown, repeated and missing": {
			"doors,doors,Speed,weight,colour,track\n",
			"1:2 doors is there twice\n1:3 Speed is not a feature of this model; did you mean \"speed\"?\n1:0 speed is required\n1:0 electric is required",
		},
		"no number":       {fleetHeader + "3,fast,1" + rest, `2:2 speed must be a number, not "fast"`},
		"truth":           {fleetHeader + "False,True,1" + rest, "2:1 doors must be an integer, not \"False\"; write 1 or 0\n2:2 speed must be a number, not \"True\"; write 1 or 0"},
		"hexadecimal":     {fleetHeader + "3,0x10,1" + rest, `2:2 speed must be a number, not "0x10"`},
		"infinite":        {fleetHeader + "3,Inf,1" + rest, `2:2 speed must be a number, not "Inf"`},
		"missing":         {fleetHeader + "3,,NaN" + rest, `2:2 speed must be a number, and is missing`},
		"missing integer": {fleetHeader + ",1,1" + rest, `2:1 doors must be an integer, and is missing`},
		"fraction":        {fleetHeader + "3.5,1,1" + rest, `2:1 doors must be an integer, without a fraction`},
		"out of range":    {fleetHeader + "3,301,1" + rest + "4,-1,1e39" + rest, "2:2 speed must be at most 300\n3:2 speed must be at least 0\n3:3 weight must be a number that float32 can hold, at most 3.4028234663852886e+38 in magnitude"},
		"none of the enum": {
			fleetHeader + `3,1,1,green,true,"[[1],[2]]"` + "\n", `2:4 colour must be one of "red", "deep blue", not "green"`,
		},
		"blanks count":  {fleetHeader + `3,1,1, red,true,"[[1],[2]]"` + "\n", `2:4 colour must be one of "red", "deep blue", not " red"`},
		"no truth":      {fleetHeader + `3,1,1,red,maybe,"[[1],[2]]"` + "\n", `2:5 electric must be true or false, not "maybe"`},
		"array":         {fleetHeader + `3,1,1,red,true,"[[1],[true]]"` + "\n", `2:6 track /1/0 must be an integer, not a boolean; write 1 or 0`},
		"no JSON":       {fleetHeader + `3,1,1,red,true,1;2` + "\n", `2:6 track must be JSON: something follows the value`},
		"nothing":       {fleetHeader + `3,1,1,red,true,` + "\n", `2:6 track must be JSON: the body is empty`},
		"short":         {fleetHeader + "3,1\n", "2:3 weight the line has 2 columns, and the header has 6"},
		"long":          {fleetHeader + `3,1,1,red,true,"[[1],[2]]",7` + "\n", "2:7  the line has 7 columns, and the header has 6"},
		"lines in text": {fleetHeader + "3,1,1,\"a\nb\",true,\"[[1],[2]]\"\nx,1,1" + rest, "2:4 colour must be one of \"red\", \"deep blue\", not \"a\\nb\"\n4:1 doors must be an integer, not \"x\""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.DecodeTable(t.Context(), s.NewBatch(), strings.NewReader(c.body), 10, nil)
			if diff := cmp.Diff(c.want, places(err)); diff != "" || fault.KindOf(err) != fault.Content {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	for name, c := range map[string]struct {
		body, want string
		kind       fault.Kind
	}{
		"semicolons":   {strings.ReplaceAll(fleetHeader, ",", ";"), "the columns are separated by semicolons; write commas", fault.Content},
		"tabs":         {strings.ReplaceAll(fleetHeader, ",", "\t"), "the columns are separated by tabs; write commas", fault.Content},
		"quoted names": {`"doors, all";"speed"` + "\n", "separated by semicolons", fault.Content},
		"commas":       {"a;b,c\n", "the input does not fit", fault.Content},
		"a workbook":   {"PK\x03\x04\x00[Content_Types].xml xl/workbook.xml", "an Excel workbook; save it as CSV", fault.Content},
		"nothing":      {"", "the table is empty", fault.Content},
		"no header":    {"3,12.5,1,red,true,x\n", "line 1 holds values such as \"3\"; it must name the columns", fault.Content},
		"an index":     {"Unnamed: 0," + fleetHeader + "1", "the input does not fit", fault.Content},
		"Latin-1":      {fleetHeader + "3,1,1,gr\xfcn" + rest, "is not UTF-8; save it as UTF-8", fault.Syntax},
		"UTF-16":       {"\xff\xfed\x00o\x00", "text in UTF-16; save it as UTF-8", fault.Content},
		"UTF-16, bare": {"d\x00o\x00", "is not UTF-8", fault.Syntax},
		"header alone": {fleetHeader, "the table has no row", fault.Content},
		"many":         {fleetHeader + strings.Repeat(`3,1,1,red,true,"[[1],[2]]"`+"\n", 11), "must hold at most 10 rows", fault.Content},
		"open quote":   {fleetHeader + "3,\"1", "line 2, byte 5: extraneous or missing \" in quoted-field", fault.Syntax},
		"bare quote":   {fleetHeader + "3,a\"1,1" + rest, "bare \" in non-quoted-field", fault.Syntax},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := s.DecodeTable(t.Context(), s.NewBatch(), strings.NewReader(c.body), 10, nil); !strings.Contains(fmt.Sprint(err), c.want) || fault.KindOf(err) != c.kind {
				t.Errorf("%v, want %v: %s", err, c.kind, c.want)
			}
		})
	}
	if _, err := s.DecodeTable(t.Context(), s.NewBatch(), strings.NewReader(fleetHeader+"3,1,1"+rest), 10, []string{"answer"}); places(err) != "1:0 answer is required" {
		t.Errorf("%v: %s", err, places(err))
	}
	if _, err := s.DecodeTable(t.Context(), s.NewBatch(), strings.NewReader(fleetHeader+strings.Repeat("x,y,z"+rest, 200)), 1000, nil); len(fault.As(err).Fields) != fault.MaxFields || !fault.As(err).Truncated {
		t.Errorf("%d faults", len(fault.As(err).Fields))
	}
}

func TestATableThatLostItsLineEndsSaysHowToSendIt(t *testing.T) {
	s := fleetSchema(t)
	for name, rows := range map[string]int{"two rows": 2, "more columns than are read": 1000} {
		body := strings.ReplaceAll(fleetHeader+strings.Repeat("3,12.5,1,red,true,x\n", rows), "\n", "")
		_, err := s.DecodeTable(t.Context(), s.NewBatch(), strings.NewReader(body), 5000, nil)
		f := fault.As(err)
		if len(f.Fields) == 0 || f.Fields[0].Line != 1 || !strings.Contains(f.Msg+f.Fields[0].Detail, "send it with --data-binary") {
			t.Errorf("%s: %v %+v", name, err, f.Fields)
		}
	}
}

func TestNoRowsAreATableOfAHeader(t *testing.T) {
	for want, out := range map[string][]tensor.Spec{
		"prediction,label,x,y\n":   {spec("label", tensor.String, -1), maps[string](t, "scores", "x", "y")},
		"prediction\n":             {spec("y", tensor.Float32, -1, 1)},
		"a,b_0,b_1,c_k\n":          {spec("a", tensor.String, -1), spec("b", tensor.Float32, -1, 2), maps[string](t, "c", "k")},
		"label,probabilities\n":    {spec("label", tensor.Float32, -1), sequenceOf("probabilities", spec("", tensor.Float32, -1, 2))},
		"prediction,label,n,m,o\n": {spec("scores", tensor.Float32, -1, 3)},
	} {
		manifest := "access: {roles: [user]}\n"
		if strings.Contains(want, "n,m,o") {
			manifest += "labels: [n, m, o]\n"
		}
		s, err := schema.Compile(parse(t, manifest), "pond", oneNumber, out)
		if err != nil {
			t.Fatal(err)
		}
		var values []*tensor.Tensor
		for _, o := range out {
			shape := []int{0}
			switch {
			case o.Kind == tensor.KindSequence:
				values = append(values, tensor.NewSequence(newTensor(t, []float32{}, 0, 2)))
				continue
			case o.Keys != nil:
				shape = append(shape, o.Keys.Len())
			case len(o.Dims) > 1:
				shape = append(shape, o.Dims[1].Size)
			}
			if o.DType == tensor.String {
				values = append(values, newTensor(t, []string{}, shape...))
			} else {
				values = append(values, newTensor(t, []float32{}, shape...))
			}
		}
		if got, err := s.AppendTable(nil, s.NewBatch(), values); string(got) != want || err != nil {
			t.Errorf("%q, error %v, want %q", got, err, want)
		}
	}
}

func TestAnswersAsTables(t *testing.T) {
	label, text := spec("label", tensor.Int64, -1), spec("label", tensor.String, -1)
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for name, c := range map[string]struct {
		manifest string
		out      []tensor.Spec
		values   []*tensor.Tensor
		want     string
	}{
		"classes": {
			"labels: {7: \"a, b\", -3: c}\n",
			[]tensor.Spec{label, maps[int64](t, "scores", 7, -3)},
			[]*tensor.Tensor{newTensor(t, []int64{-3, 7}, 2), newTensor(t, []float32{0.25, 0.75, 1, 0}, 2, 2)},
			"prediction,label,\"a, b\",c\n-3,c,0.25,0.75\n7,\"a, b\",1,0\n",
		},
		"classes of texts": {
			"",
			[]tensor.Spec{text, maps[string](t, "scores", "x", "y")},
			[]*tensor.Tensor{newTensor(t, []string{"y", "z"}, 2), newTensor(t, []float32{0.25, 0.75, 1, 0}, 2, 2)},
			"prediction,label,x,y\ny,y,0.25,0.75\nz,z,1,0\n",
		},
		"texts that are no formulas": {
			"labels: {a: \"=1+1\", b: \"-1\", c: \"@b\\r\\nx\"}\n",
			[]tensor.Spec{text, maps[string](t, "scores", "a", "b", "c")},
			[]*tensor.Tensor{newTensor(t, []string{"b", "+cmd|' /C calc'!A0"}, 2), newTensor(t, []float32{-1, 0, 0, 1, 0, 0}, 2, 3)},
			"prediction,label,'=1+1,-1,\"'@b\r\nx\"\nb,-1,-1,0,0\n'+cmd|' /C calc'!A0,'+cmd|' /C calc'!A0,1,0,0\n",
		},
		"texts that are formulas in full width": {
			"",
			[]tensor.Spec{spec("y", tensor.String, -1)},
			[]*tensor.Tensor{newTensor(t, []string{"＝1+1", "ä=1"}, 2)},
			"prediction,label\n'＝1+1,'＝1+1\nä=1,ä=1\n",
		},
		"empty texts, blanks and quotation marks": {
			"",
			[]tensor.Spec{spec("y", tensor.String, -1)},
			[]*tensor.Tensor{newTensor(t, []string{"", " \"a\","}, 2)},
			"prediction,label\n,\n\" \"\"a\"\",\",\" \"\"a\"\",\"\n",
		},
		"scores alone": {
			"labels: [n, m]\n",
			[]tensor.Spec{spec("scores", tensor.Float32, -1, 2)},
			[]*tensor.Tensor{newTensor(t, []float32{0.25, 0.75, 1, 0}, 2, 2)},
			"prediction,label,n,m\n1,m,0.25,0.75\n0,n,1,0\n",
		},
		"a number": {"", []tensor.Spec{spec("y", tensor.Float32, -1, 1)}, []*tensor.Tensor{newTensor(t, []float32{nan, -inf}, 2, 1)}, "prediction\nNaN\n-Infinity\n"},
		"numbers":  {"", []tensor.Spec{spec("y", tensor.Float64, -1, 2)}, []*tensor.Tensor{newTensor(t, []float64{1, 2.5, 3, 4}, 2, 2)}, "prediction_0,prediction_1\n1,2.5\n3,4\n"},
		"outputs": {
			"",
			[]tensor.Spec{spec("a", tensor.Bool, -1), spec("b", tensor.Float32, -1, 2), maps[string](t, "c", "k"), sequenceOf("d", spec("", tensor.Float32, -1, 1))},
			[]*tensor.Tensor{
				newTensor(t, []bool{true, false}, 2), newTensor(t, []float32{inf, 2, 3, 4}, 2, 2), newTensor(t, []float32{5, 6}, 2, 1),
				tensor.NewSequence(newTensor(t, []float32{7, 8}, 2, 1), newTensor(t, []float32{9, 10}, 2, 1)),
			},
			"a,b_0,b_1,c_k,d\ntrue,Infinity,2,5,\"[7,9]\"\nfalse,3,4,6,\"[8,10]\"\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := schema.Compile(parse(t, c.manifest+"access: {roles: [user]}\n"), "pond", oneNumber, c.out)
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.AppendTable(nil, decoded(t, s, 2), c.values)
			if diff := cmp.Diff(c.want, string(got)); diff != "" || err != nil {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// FuzzDecodeTable holds for any table: the verdict does not depend on what a
// batch read before, faults are bounded and have a place, and what is accepted
// has one result for each row in every input.
func FuzzDecodeTable(f *testing.F) {
	schemas := []*schema.Schema{pondSchema(f), herdSchema(f), gallerySchema(f)}
	for i, seed := range []string{"depth,area,acidity (pH)\n1.5,120,7\n", "a,b\n\"1\n\"\n", "image,tokens\n\"[[1,2,3],[4,5,6]]\",[[1]]\n", ",\n,,\n", "\ufeffdepth\r\n"} {
		f.Add(uint8(i), []byte(seed))
	}
	batches := make([]*schema.Batch, len(schemas))
	for i, s := range schemas {
		batches[i] = s.NewBatch()
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		i := int(which) % len(schemas)
		fresh := schemas[i].NewBatch()
		_, err := schemas[i].DecodeTable(t.Context(), fresh, bytes.NewReader(body), 4, nil)
		if _, again := schemas[i].DecodeTable(t.Context(), batches[i], bytes.NewReader(body), 4, nil); places(again) != places(err) || fault.KindOf(again) != fault.KindOf(err) {
			t.Errorf("a used batch: %v\na new one: %v", again, err)
		}
		if err == nil {
			checkInputs(t, schemas[i], fresh)
			return
		}
		e := fault.As(err)
		if e.Kind != fault.Syntax && e.Kind != fault.Content || e.Msg == "" || len(e.Fields) > fault.MaxFields {
			t.Errorf("kind %v, message %q, %d fields", e.Kind, e.Msg, len(e.Fields))
		}
		for _, field := range e.Fields {
			if field.Line < 1 || field.Column < 0 || field.Pointer != "" || field.Detail == "" {
				t.Errorf("field %+v", field)
			}
		}
	})
}

// The documentation names the words, and the list is that of pandas 3.1
// (pandas._libs.parsers.STR_NA_VALUES).
func TestMissingNumbersAreThoseOfPandas(t *testing.T) {
	words := []string{
		"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
		"<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
	}
	page, err := os.ReadFile("../../docs/serve-your-own-model.md")
	if err != nil {
		t.Fatal(err)
	}
	s := fleetSchema(t)
	const rest = ",red,true,\"[[1],[2]]\"\n"
	for _, word := range words {
		b := s.NewBatch()
		if _, err := s.DecodeTable(t.Context(), b, strings.NewReader(fleetHeader+"3,1, "+word+rest), 1, nil); err != nil {
			t.Errorf("%q: %s", word, faultText(err))
		} else if x := tensor.Of[float32](b.Inputs[0])[1]; x == x {
			t.Errorf("%q is %v", word, x)
		}
		sample, err := schema.ReadSample(strings.NewReader("a,b\n1," + word + "\n"))
		if err != nil || sample.Columns[1].Missing != 1 {
			t.Errorf("%q of a sample: %v, error %v", word, sample, err)
		}
		if word != "" && !strings.Contains(string(page), "`"+word+"`") {
			t.Errorf("the documentation does not name %q", word)
		}
	}
	for _, word := range []string{"none", "NAN", "Null", "missing", "?", "-", "N/a", "1.#INF"} {
		if _, err := s.DecodeTable(t.Context(), s.NewBatch(), strings.NewReader(fleetHeader+"3,1,"+word+rest), 1, nil); err == nil {
			t.Errorf("%q is missing", word)
		}
	}
}

// An empty line is what a table of one column has for an empty cell.
func TestAnEmptyLineIsNoCellAndNoNothing(t *testing.T) {
	one, err := schema.Compile(nil, "m", []tensor.Spec{spec("s", tensor.String, -1, 1)}, []tensor.Spec{spec("y", tensor.Float32, -1, 1)})
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]string{
		"s\na\n\nc\n":                  "line 3, column 1 (s) is an empty line",
		"s\n\na\n":                     "line 2, column 1 (s) is an empty line",
		"s\r\n\"a\n\nb\"\r\n\r\nc\r\n": "line 5, column 1 (s) is an empty line",
		"s\n\"a\n\nb\"\n\"\"\nc\n\n\n": "",
		"\n\ns\na\nb":                  "",
	} {
		_, err := one.DecodeTable(t.Context(), one.NewBatch(), strings.NewReader(body), 10, nil)
		if got := tableFault(err); want == "" && got != "" || !strings.HasPrefix(got, want) {
			t.Errorf("%q: %q, want %q", body, got, want)
		}
	}
	several := fleetSchema(t)
	b := several.NewBatch()
	body := fleetHeader + "\n3,1,1,red,0,\"[[1],[2]]\"\n\n4,1,1,red,0,\"[[1],[2]]\"\n"
	if _, err := several.DecodeTable(t.Context(), b, strings.NewReader(body), 10, nil); err != nil || b.Rows != 2 {
		t.Errorf("%d rows between empty lines of a table of several columns: %v", b.Rows, err)
	}
}

// tableFault is the first place of a refusal, empty without one.
func tableFault(err error) string {
	e := fault.As(err)
	if e == nil {
		return ""
	}
	if len(e.Fields) == 0 {
		return e.Error()
	}
	f := e.Fields[0]
	return fmt.Sprintf("line %d, column %d (%s) %s", f.Line, f.Column, f.Name, f.Detail)
}

func TestRowsInTheEnvelopeOfAnotherProtocolAreToldWhereToGo(t *testing.T) {
	s := fleetSchema(t)
	for body, want := range map[string]string{
		`{"instances":[{"doors":3}]}`: "go to /v1/models/{model}:predict",
		`{"inputs":[]}`:               "go to /v2/models/{model}/infer",
	} {
		err := s.Decode(t.Context(), s.NewBatch(), []byte(body), 10)
		if f := fault.As(err); !strings.Contains(fmt.Sprint(f.Fields), want) {
			t.Errorf("%s: %+v", body, f.Fields)
		}
	}
}
