package schema_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"onnxgate/internal/fault"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

// trial is a schema of one feature and values at and around its limits.
type trial struct {
	schema *schema.Schema
	rules  string
	values []string // as JSON
}

// floatTrial draws limits of every kind for a floating-point feature.
func floatTrial(t *testing.T, r *rand.Rand) trial {
	t.Helper()
	d := []tensor.DType{tensor.Half, tensor.Float32, tensor.Float64}[r.IntN(3)]
	magnitude := math.Pow(10, float64(r.IntN(9)-4))
	draw := func() float64 { return math.Round(r.NormFloat64()*100) * magnitude / 100 }
	lo := draw()
	hi := lo + math.Abs(draw()) + magnitude
	var rules []string
	var values []float64
	limit := func(key string, x float64) {
		rules = append(rules, key+": "+strconv.FormatFloat(x, 'g', -1, 64))
		values = append(values, x, math.Nextafter(x, math.Inf(1)), math.Nextafter(x, math.Inf(-1)), float64(float32(x)), -x)
	}
	switch r.IntN(4) {
	case 0:
		limit("min", lo)
	case 1:
		limit("exclusive_min", lo)
	}
	switch r.IntN(4) {
	case 0:
		limit("max", hi)
	case 1:
		limit("exclusive_max", hi)
	}
	if len(rules) == 0 && r.IntN(2) == 0 {
		rules = append(rules, fmt.Sprintf("enum: [%v, %v, 0.1]", lo, hi))
		values = append(values, lo, hi, 0.1, math.Nextafter(0.1, 1), float64(float32(0.1)))
	}
	if r.IntN(3) == 0 {
		rules = append(rules, "nullable: true")
	}
	values = append(values, 0, math.Copysign(0, -1), draw(), math.SmallestNonzeroFloat64, 65504, 65504.5, math.MaxFloat32,
		math.Nextafter(math.MaxFloat32, math.Inf(1)), -math.MaxFloat32, 1e39, math.MaxFloat64, (lo+hi)/2)
	texts := []string{"null", `"1"`, "true", "[1]", "{}"}
	for _, x := range values {
		texts = append(texts, strconv.FormatFloat(x, "eg"[r.IntN(2)], -1, 64))
	}
	return trial{featureSchema(t, d, rules), fmt.Sprint(d, rules), texts}
}

// intTrial does the same for integers.
func intTrial(t *testing.T, r *rand.Rand) trial {
	t.Helper()
	types := []struct {
		dtype tensor.DType
		ends  [2]string
	}{
		{tensor.Int8, [2]string{"-128", "127"}},
		{tensor.Int16, [2]string{"-32768", "32767"}},
		{tensor.Int32, [2]string{"-2147483648", "2147483647"}},
		{tensor.Int64, [2]string{"-9223372036854775808", "9223372036854775807"}},
		{tensor.Uint8, [2]string{"0", "255"}},
		{tensor.Uint16, [2]string{"0", "65535"}},
		{tensor.Uint32, [2]string{"0", "4294967295"}},
		{tensor.Uint64, [2]string{"0", "18446744073709551615"}},
	}
	kind := types[r.IntN(len(types))]
	d, ends := kind.dtype, kind.ends
	lo := int64(r.IntN(50))
	hi := lo + int64(r.IntN(60)) + 2
	var rules []string
	switch r.IntN(5) {
	case 0:
		rules = append(rules, fmt.Sprint("min: ", lo))
	case 1:
		rules = append(rules, fmt.Sprint("exclusive_min: ", lo))
	case 2:
		rules = append(rules, "min: "+ends[0])
	}
	switch r.IntN(5) {
	case 0:
		rules = append(rules, fmt.Sprint("max: ", hi))
	case 1:
		rules = append(rules, fmt.Sprint("exclusive_max: ", hi))
	case 2:
		rules = append(rules, "exclusive_max: "+ends[1])
	}
	if len(rules) == 0 {
		rules = append(rules, fmt.Sprintf("enum: [%d, %d]", lo, hi))
	}
	texts := []string{
		"null", `"1"`, "false", ends[0], ends[1], ends[0] + ".0", ends[1] + "0", ends[1] + ".0", ends[1] + ".5",
		"-1", "-0", "1e1", "1e-1", "150e-1", "10.00", "1e19", "1e20", "9223372036854775808", "-9223372036854775809", "18446744073709551616",
	}
	for _, x := range []int64{lo - 1, lo, lo + 1, hi - 1, hi, hi + 1} {
		texts = append(texts, strconv.FormatInt(x, 10))
	}
	return trial{featureSchema(t, d, rules), fmt.Sprint(d, rules), texts}
}

// textTrial does the same for strings.
func textTrial(t *testing.T, r *rand.Rand) trial {
	t.Helper()
	var rules []string
	if r.IntN(2) == 0 {
		rules = append(rules, fmt.Sprint("max_length: ", 1+r.IntN(5)))
	}
	if r.IntN(2) == 0 {
		rules = append(rules, "pattern: "+[]string{"a", "^a", "a+b?$", "^[a-c,|]*$", "'é'", "'^.$'"}[r.IntN(6)])
	}
	if len(rules) == 0 {
		rules = append(rules, `enum: [a, "", "aé", "a,b|c"]`)
	}
	texts := []string{"null", "1", "true", "[]"}
	for _, s := range []string{"", "a", "b", "ab", "aé", "éééé", "ééééé", "aaaab", "a,b|c", "abcabc", "\u2028", "\x00", "😀😀"} {
		texts = append(texts, quoted(s))
	}
	return trial{featureSchema(t, tensor.String, rules), fmt.Sprint(rules), texts}
}

func featureSchema(t *testing.T, d tensor.DType, rules []string) *schema.Schema {
	t.Helper()
	manifest := "features:\n  - name: x\n"
	for _, r := range rules {
		manifest += "    " + r + "\n"
	}
	return compile(t, manifest, []tensor.Spec{spec("x", d, -1, 1)}, []tensor.Spec{spec("y", tensor.Float32, -1, 1)})
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// eachTrial runs check over many trials of every kind.
func eachTrial(t *testing.T, check func(*testing.T, trial)) {
	t.Helper()
	r := rand.New(rand.NewPCG(7, 11))
	for range 150 {
		for _, draw := range []func(*testing.T, *rand.Rand) trial{floatTrial, intTrial, textTrial} {
			check(t, draw(t, r))
		}
	}
}

// A single row is judged by package validator, a row in an array by the
// compiled comparisons: they must agree, in the verdict and in its words.
func TestSingleRowsAndArraysGetTheSameVerdict(t *testing.T) {
	accepted, refused := 0, 0
	eachTrial(t, func(t *testing.T, tr trial) {
		t.Helper()
		b := tr.schema.NewBatch()
		for _, v := range tr.values {
			one := tr.schema.Decode(t.Context(), b, []byte(`{"x":`+v+`}`), 10)
			many := tr.schema.Decode(t.Context(), b, []byte(`[{"x":`+v+`}]`), 10)
			if diff := cmp.Diff(faultText(one), strings.ReplaceAll(faultText(many), "#/0", "#")); diff != "" {
				t.Errorf("%s, value %s (-one +array):\n%s", tr.rules, v, diff)
			}
			if one == nil {
				accepted++
			} else {
				refused++
			}
		}
	})
	if accepted < 1000 || refused < 1000 {
		t.Errorf("%d accepted, %d refused: the trials do not try both", accepted, refused)
	}
}

func TestRowSchemaGivesTheVerdictOfDecode(t *testing.T) {
	eachTrial(t, func(t *testing.T, tr trial) {
		t.Helper()
		validate := compileJSONSchema(t, tr.schema.RowSchema())
		for _, v := range tr.values {
			if !roundsToALimit(tr.schema, v) {
				sameVerdict(t, tr.schema, validate, `{"x":`+v+`}`)
			}
		}
	})
}

// roundsToALimit reports whether a number is a limit, or one of a list, but for digits
// that its type does not hold: Decode takes it for that, and JSON Schema knows no
// rounding.
func roundsToALimit(s *schema.Schema, text string) bool {
	v, err := strconv.ParseFloat(text, 64)
	f := s.Features()[0]
	for _, limit := range append([]any{f.Min, f.Max, f.ExclusiveMin, f.ExclusiveMax}, f.Enum...) {
		limit, ok := limit.(float64)
		if !ok || err != nil || v == limit {
			continue
		}
		if f.Type == "float32" && float32(v) == float32(limit) || f.Type == "float16" && tensor.NewFloat16(v) == tensor.NewFloat16(limit) {
			return true
		}
	}
	return false
}

func TestALimitHoldsForWhatFloat32Holds(t *testing.T) {
	s := compile(t, "features: [{name: x, type: float32, min: 0.1, max: 0.6638}]", []tensor.Spec{spec("x", tensor.Float32, -1, 1)}, []tensor.Spec{spec("y", tensor.Float32, -1)})
	for text, fits := range map[string]bool{
		"0.6638": true, "0.6638000011": true, "0.66380000114440918": true, "0.6638001": false, "0.66380006": false,
		"0.1": true, "0.09999999999": true, "0.0999999": false, "0.10000000149011612": true,
	} {
		for _, row := range []string{`{"x":` + text + `}`, `[{"x":` + text + `}]`} {
			err := s.Decode(t.Context(), s.NewBatch(), []byte(row), 1)
			if (err == nil) != fits {
				t.Errorf("%s: %s", row, faultText(err))
			}
			if err != nil && !strings.Contains(faultText(err), "must be at most 0.6638") && !strings.Contains(faultText(err), "must be at least 0.1") {
				t.Errorf("%s", faultText(err))
			}
		}
	}
}

// The model gets the number after rounding: it must not be one that the rules exclude,
// nor may one be refused that the rules allow.
func TestWhatTheModelGetsKeepsTheRules(t *testing.T) {
	for _, tc := range []struct {
		d             tensor.DType
		rules         string
		fits, refused []string
	}{
		{tensor.Float32, "exclusive_min: 0", []string{"1e-45", "7.1e-46"}, []string{"0", "7e-46", "1e-50", "5e-324", "1e-400"}},
		{tensor.Float32, "exclusive_max: 1", []string{"0.99999994"}, []string{"1", "0.99999999", "0.9999999999"}},
		{tensor.Float32, "exclusive_max: 0.1", []string{"0.09999999"}, []string{"0.1", "0.0999999999", "0.10000000149011612"}},
		{tensor.Float32, "enum: [0.1, 3]", []string{"0.1", "0.10000000149011612", "3"}, []string{"0.1000001", "3.0000003"}},
		{tensor.Float32, "nullable: false", []string{"3.4028235e38", "-3.4028235e38", "3.4028235677973362e38"}, []string{"3.4028235677973366e38", "3.4028236e38"}},
		{tensor.Float64, "exclusive_min: 0", []string{"5e-324"}, []string{"0", "1e-400"}},
		{tensor.Float64, "enum: [0.1]", []string{"0.1"}, []string{"0.10000000149011612"}},
		{tensor.Half, "exclusive_min: 0", []string{"6e-8"}, []string{"0", "2e-8"}},
		{tensor.Half, "exclusive_max: -2", []string{"-2.002"}, []string{"-2", "-2.0009"}},
		{tensor.Half, "exclusive_min: -2", []string{"-1.999"}, []string{"-2", "-1.9999"}},
		{tensor.Half, "min: 0.1\n    max: 0.3", []string{"0.1", "0.0999755859375", "0.300048828125"}, []string{"0.0999", "0.3002"}},
		{tensor.Half, "enum: [0.1]", []string{"0.1", "0.0999755859375"}, []string{"0.1001"}},
		{tensor.Half, "nullable: false", []string{"65504", "65519"}, []string{"65520"}},
	} {
		s := compile(t, "features:\n  - name: x\n    "+tc.rules+"\n", []tensor.Spec{spec("x", tc.d, -1, 1)}, []tensor.Spec{spec("y", tensor.Float32, -1)})
		b := s.NewBatch()
		for _, row := range []string{`{"x":%s}`, `[{"x":%s}]`} {
			for _, text := range tc.fits {
				if err := s.Decode(t.Context(), b, fmt.Appendf(nil, row, text), 1); err != nil {
					t.Errorf("%v, %s: %s is refused: %s", tc.d, tc.rules, text, faultText(err))
				} else if err := s.Admit(t.Context(), b, 1); err != nil {
					t.Errorf("%v, %s: what %s becomes is refused: %s", tc.d, tc.rules, text, faultText(err))
				}
			}
			for _, text := range tc.refused {
				if s.Decode(t.Context(), b, fmt.Appendf(nil, row, text), 1) == nil {
					t.Errorf("%v, %s: %s is taken", tc.d, tc.rules, text)
				}
			}
		}
	}
}

func TestRowSchemaOfWholeRowsGivesTheVerdictOfDecode(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 5))
	for name, tc := range map[string]struct {
		schema *schema.Schema
		row    string
		values []string
	}{
		"pond":    {pondSchema(t), `{"depth":1.5,"area":120,"acidity (pH)":7}`, []string{"0", "-1", "30", "31", "null", `"x"`, "1e6", "14", "1e39"}},
		"herd":    {herdSchema(t), herdRow, []string{"0", "-1", "4", "41", "null", `"cow"`, `""`, `"AB-1"`, "true", "1.5", "18446744073709551615"}},
		"gallery": {gallerySchema(t), galleryRow, []string{"[]", "[1]", "[[1,2,3],[4,5,6]]", "[[1,2,3],[4,5]]", "[[1,2,3],[4,5,256]]", "[[1,2,3],[4,5,null]]", "1", "null", "[1.5]", "[[1]]"}},
	} {
		t.Run(name, func(t *testing.T) {
			validate := compileJSONSchema(t, tc.schema.RowSchema())
			var members map[string]json.RawMessage
			if err := json.Unmarshal([]byte(tc.row), &members); err != nil {
				t.Fatal(err)
			}
			sameVerdict(t, tc.schema, validate, tc.row)
			for range 500 {
				changed := map[string]json.RawMessage{}
				for k, v := range members {
					switch r.IntN(8) {
					case 0:
						v = json.RawMessage(tc.values[r.IntN(len(tc.values))])
					case 1:
						if r.IntN(4) == 0 {
							continue
						}
					case 2:
						if r.IntN(8) == 0 {
							k += "x"
						}
					}
					changed[k] = v
				}
				row, err := json.Marshal(changed)
				if err != nil {
					t.Fatal(err)
				}
				sameVerdict(t, tc.schema, validate, string(row))
			}
		})
	}
}

func compileJSONSchema(t *testing.T, s map[string]any) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", asJSON(t, s)); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func asJSON(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func sameVerdict(t *testing.T, s *schema.Schema, validate *jsonschema.Schema, row string) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(row))
	if err != nil {
		t.Fatalf("%s: %v", row, err)
	}
	theirs := validate.Validate(doc)
	ours := s.Decode(t.Context(), s.NewBatch(), []byte(row), 10)
	if ours != nil && fault.KindOf(ours) != fault.Content {
		t.Errorf("row %s: kind %v", row, fault.KindOf(ours))
	}
	if (theirs == nil) != (ours == nil) {
		t.Errorf("row %s: JSON Schema says %v, Decode %s", row, theirs, faultText(ours))
	}
}

func TestExamplesAreValidWhateverTheRules(t *testing.T) {
	eachTrial(t, func(t *testing.T, tr trial) {
		t.Helper()
		example := tr.schema.Example()
		if example == nil {
			t.Errorf("%s: no example", tr.rules)
			return
		}
		sameVerdict(t, tr.schema, compileJSONSchema(t, tr.schema.RowSchema()), string(example))
		if err := tr.schema.Decode(t.Context(), tr.schema.NewBatch(), example, 1); err != nil {
			t.Errorf("%s: example %s: %s", tr.rules, example, faultText(err))
		}
	})
	for name, tc := range map[string]struct{ rules, want string }{
		"digits":          {"pattern: '^[0-9]{3}-[A-F]+$'", `{"x":"000-A"}`},
		"alternatives":    {"pattern: '^(?:left|right)(?P<n>\\d)?$'", `{"x":"left"}`},
		"beyond making":   {"pattern: '\\bé\\b'\n    max_length: 1", ""},
		"given":           {"pattern: '^\\bx\\b$'\n    example: x", `{"x":"x"}`},
		"impossible ever": {"pattern: 'a\\bb'", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := featureSchema(t, tensor.String, strings.Split(tc.rules, "\n    "))
			if got := string(s.Example()); got != tc.want {
				t.Errorf("Example = %s, want %s", got, tc.want)
			}
		})
	}
}

func TestRowSchemaInFull(t *testing.T) {
	var out strings.Builder
	for _, s := range []*schema.Schema{pondSchema(t), herdSchema(t), gallerySchema(t)} {
		for _, doc := range []any{s.RowSchema(), s.ResponseSchema(), s.Features(), json.RawMessage(s.Example())} {
			text, err := json.MarshalIndent(doc, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			out.Write(append(text, '\n'))
		}
	}
	golden(t, "schemas.golden", out.String())
}

func TestPatternsBeyondECMAStandApart(t *testing.T) {
	for pattern, portable := range map[string]bool{
		`^[a-z]+(?:-[0-9]{2})?$`: true, `\d\.\w`: true,
		`(?i)x`: false, `\Ax\z`: false, `[[:alpha:]]`: false, `\pL`: false, `(?P<n>x)`: false, `\x{10FFFF}`: false,
	} {
		s := featureSchema(t, tensor.String, []string{"pattern: '" + pattern + "'"})
		properties, _ := s.RowSchema()["properties"].(map[string]any)
		x, _ := properties["x"].(map[string]any)
		if _, ok := x["pattern"]; ok != portable {
			t.Errorf("%s: pattern %v, want %v", pattern, ok, portable)
		}
		if _, ok := x["x-re2-pattern"]; ok == portable {
			t.Errorf("%s: x-re2-pattern %v", pattern, ok)
		}
	}
}
