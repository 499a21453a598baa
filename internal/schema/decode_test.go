package schema_test

import (
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with the file of that name under testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// herd has several inputs of different types, each [N, 1].
const herd = `
features:
  - {name: species, enum: [cow, "", "sheep\n"], example: cow}
  - {name: tag, pattern: "^[A-Z]{2}-[0-9]+$", max_length: 8}
  - {name: age, input: years, min: 0, max: 40, unit: years}
  - {name: legs, enum: [2, 3, 4]}
  - {name: id, exclusive_max: 18446744073709551615}
  - {name: alive}
  - {name: weight, exclusive_min: 0, exclusive_max: 1500, unit: kg}
  - {name: "a/b~c é%", input: odd, max: 3}
`

func herdSchema(tb testing.TB) *schema.Schema {
	tb.Helper()
	return compile(tb, herd, []tensor.Spec{
		spec("species", tensor.String, -1, 1),
		spec("tag", tensor.String, -1, 1),
		spec("years", tensor.Int64, -1, 1),
		spec("legs", tensor.Int8, -1, 1),
		spec("id", tensor.Uint64, -1),
		spec("alive", tensor.Bool, -1, 1),
		spec("weight", tensor.Float64, -1, 1),
		spec("odd", tensor.Half, -1, 1),
	}, []tensor.Spec{spec("price", tensor.Float32, -1, 1)})
}

const herdRow = `{"species":"cow","tag":"DE-7","age":3,"legs":4,"id":18446744073709551614,"alive":true,"weight":612.5,"a/b~c é%":-0.1}`

// herdWith returns herdRow with the value of one member replaced.
func herdWith(member, value string) string {
	quoted := `"` + member + `":`
	start := strings.Index(herdRow, quoted) + len(quoted)
	end := start + strings.IndexAny(herdRow[start:], ",}")
	return herdRow[:start] + value + herdRow[end:]
}

// gallery has nested arrays: one of a fixed and one of a free shape.
func gallerySchema(tb testing.TB) *schema.Schema {
	tb.Helper()
	return compile(tb, "", []tensor.Spec{
		spec("image", tensor.Uint8, -1, 2, 3),
		spec("tokens", tensor.Int64, -1, -1),
		spec("scale", tensor.Float32, -1, 1),
		spec("size", tensor.Float64, -1, 2),
	}, []tensor.Spec{spec("caption", tensor.String, -1, -1)})
}

const galleryRow = `{"image":[[1,2,3],[4,5,255]],"tokens":[7,8],"scale":0.5,"size_0":1,"size_1":2}`

func TestEveryTypeReachesItsTensor(t *testing.T) {
	s := herdSchema(t)
	b := s.NewBatch()
	second := `{"species":"sheep\n","tag":"\u0041T-9","age":1e1,"legs":2.0,"id":0,"alive":false,"weight":5e-324,"a\/b~c é%":null}`
	second = strings.Replace(second, "null", "3", 1)
	if err := s.Decode(t.Context(), b, []byte("["+herdRow+","+second+"]"), 2); err != nil {
		t.Fatal(faultText(err))
	}
	if b.Rows != 2 || b.Single {
		t.Errorf("Rows = %d, Single = %v", b.Rows, b.Single)
	}
	for i, want := range []*tensor.Tensor{
		newTensor(t, []string{"cow", "sheep\n"}, 2, 1),
		newTensor(t, []string{"DE-7", "AT-9"}, 2, 1),
		newTensor(t, []int64{3, 10}, 2, 1),
		newTensor(t, []int8{4, 2}, 2, 1),
		newTensor(t, []uint64{math.MaxUint64 - 1, 0}, 2),
		newTensor(t, []bool{true, false}, 2, 1),
		newTensor(t, []float64{612.5, 5e-324}, 2, 1),
		newTensor(t, []tensor.Float16{0xAE66, 0x4200}, 2, 1),
	} {
		equalTensors(t, want, b.Inputs[i])
	}
}

func TestNestedArraysReachTheirTensor(t *testing.T) {
	s := gallerySchema(t)
	b := s.NewBatch()
	body := "[" + galleryRow + "," + strings.Replace(galleryRow, "[7,8]", "[-9223372036854775808, 9223372036854775807]", 1) + "]"
	for range 2 { // a batch is used again
		if err := s.Decode(t.Context(), b, []byte(body), 10); err != nil {
			t.Fatal(faultText(err))
		}
		equalTensors(t, newTensor(t, []uint8{1, 2, 3, 4, 5, 255, 1, 2, 3, 4, 5, 255}, 2, 2, 3), b.Inputs[0])
		equalTensors(t, newTensor(t, []int64{7, 8, math.MinInt64, math.MaxInt64}, 2, 2), b.Inputs[1])
		equalTensors(t, newTensor(t, []float32{0.5, 0.5}, 2, 1), b.Inputs[2])
		equalTensors(t, newTensor(t, []float64{1, 2, 1, 2}, 2, 2), b.Inputs[3])
	}
	if err := s.Decode(t.Context(), b, []byte(strings.Replace(galleryRow, "[7,8]", "[1,2,3]", 1)), 10); err != nil {
		t.Fatal(faultText(err))
	}
	equalTensors(t, newTensor(t, []int64{1, 2, 3}, 1, 3), b.Inputs[1])
}

func TestInputsWithoutABatchTakeOneRow(t *testing.T) {
	out := []tensor.Spec{spec("y", tensor.Float32, 1)}
	for name, tc := range map[string]struct {
		in   tensor.Spec
		body string
		want *tensor.Tensor
	}{
		"one fixed row":      {spec("x", tensor.Float32, 1, 2), `[{"x_0":1,"x_1":2}]`, newTensor(t, []float32{1, 2}, 1, 2)},
		"scalar":             {spec("x", tensor.Float32), `{"x":1}`, newTensor(t, []float32{1})},
		"fixed vector":       {spec("x", tensor.Float32, 3), `{"x":[1,2,3]}`, newTensor(t, []float32{1, 2, 3}, 3)},
		"fixed matrix":       {spec("x", tensor.Float32, 2, 1), `{"x":[[1],[2]]}`, newTensor(t, []float32{1, 2}, 2, 1)},
		"unranked, a matrix": {tensor.Spec{Name: "x", DType: tensor.Float32}, `{"x":[[1,2,3],[4,5,6]]}`, newTensor(t, []float32{1, 2, 3, 4, 5, 6}, 2, 3)},
		"unranked, a vector": {tensor.Spec{Name: "x", DType: tensor.Float32}, `{"x":[1]}`, newTensor(t, []float32{1}, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			s := compile(t, "", []tensor.Spec{tc.in}, out)
			b := s.NewBatch()
			if err := s.Decode(t.Context(), b, []byte(tc.body), 10); err != nil {
				t.Fatal(faultText(err))
			}
			equalTensors(t, tc.want, b.Inputs[0])
			row := strings.Trim(tc.body, "[]")
			if !strings.HasPrefix(tc.body, "[") {
				row = tc.body
			}
			want := "content: the input does not fit the model\n# must hold one row, as the model takes one at a time, not 2"
			if got := faultText(s.Decode(t.Context(), b, []byte("["+row+","+row+"]"), 10)); got != want {
				t.Errorf("two rows: %s", got)
			}
		})
	}
}

func equalTensors(t *testing.T, want, got *tensor.Tensor) {
	t.Helper()
	if want.DType() != got.DType() || !cmp.Equal(want.Shape(), got.Shape(), cmpopts.EquateEmpty()) {
		t.Errorf("tensor is %v %v, want %v %v", got.DType(), got.Shape(), want.DType(), want.Shape())
		return
	}
	if diff := cmp.Diff(elements(want), elements(got), cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("elements (-want +got):\n%s", diff)
	}
}

func elements(x *tensor.Tensor) any {
	for _, e := range []any{
		tensor.Of[float32](x), tensor.Of[float64](x), tensor.Of[tensor.Float16](x), tensor.Of[int8](x), tensor.Of[int16](x),
		tensor.Of[int32](x), tensor.Of[int64](x), tensor.Of[uint8](x), tensor.Of[uint16](x), tensor.Of[uint32](x),
		tensor.Of[uint64](x), tensor.Of[string](x), tensor.Of[bool](x),
	} {
		if fmt.Sprint(e) != "[]" {
			return e
		}
	}
	return nil
}

func TestNullIsNaNWhereAllowed(t *testing.T) {
	s := pondSchema(t)
	b := s.NewBatch()
	for _, body := range []string{`{"depth":1,"area":2,"acidity (pH)":null}`, `[{"depth":1,"area":2,"acidity (pH)":null}]`} {
		if err := s.Decode(t.Context(), b, []byte(body), 1); err != nil {
			t.Fatal(faultText(err))
		}
		equalTensors(t, newTensor(t, []float32{1, 2, float32(math.NaN())}, 1, 3), b.Inputs[0])
	}
	// The number that comes next is held against the rules again.
	want := "content: the input does not fit the model\n#/acidity%20(pH) must be at most 14"
	if got := faultText(s.Decode(t.Context(), b, []byte(`{"depth":1,"area":2,"acidity (pH)":15}`), 1)); got != want {
		t.Errorf("got %s", got)
	}
}

// body is a request of a golden test.
type body struct {
	name, text string
}

// refusals writes what each body is answered.
func refusals(ctx context.Context, s *schema.Schema, maxRows int, bodies []body) string {
	var out strings.Builder
	b := s.NewBatch()
	for _, tc := range bodies {
		err := s.Decode(ctx, b, []byte(tc.text), maxRows)
		answer := faultText(err)
		if err == nil {
			answer = "accepted"
		}
		text := tc.text
		if len(text) > 200 {
			text = fmt.Sprintf("%s… (%d bytes)", text[:100], len(text))
		}
		fmt.Fprintf(&out, "== %s\n%q\n%s\n\n", tc.name, text, answer)
	}
	return out.String()
}

func TestSyntaxIsRefusedWithItsPlace(t *testing.T) {
	good := `{"depth":1.5,"area":120,"acidity (pH)":7}`
	bodies := []body{
		{"empty", ""},
		{"blank", " \n"},
		{"byte order mark", "\xEF\xBB\xBF" + good},
		{"byte order mark inside", "[\xEF\xBB\xBF" + good + "]"},
		{"UTF-16", "{\x00\"\x00"},
		{"NaN", `{"depth":NaN,"area":120,"acidity (pH)":7}`},
		{"Infinity", `{"depth":-Infinity,"area":120,"acidity (pH)":7}`},
		{"leading plus", `{"depth":+1}`},
		{"leading zero", `{"depth":01}`},
		{"bare point", `{"depth":.5}`},
		{"hexadecimal", `{"depth":0x10}`},
		{"single quotes", `{'depth':1}`},
		{"comment", "{\"depth\":1 /* metres */}"},
		{"trailing comma", `{"depth":1,}`},
		{"missing comma", `[` + good + ` ` + good + `]`},
		{"missing colon", `{"depth" 1}`},
		{"number as name", `{1:2}`},
		{"invalid UTF-8 in a value", "{\"depth\":\"\xff\"}"},
		{"invalid UTF-8 in a name", "{\"de\xffpth\":1}"},
		{"lone surrogate", `{"depth":"\ud800"}`},
		{"lone surrogate in a name", `{"\udc00":1}`},
		{"control character", "{\"depth\":\"a\nb\"}"},
		{"bad escape", `{"depth":"\x41"}`},
		{"truncated", `{"depth":1.5,"area":`},
		{"truncated in a row", `[` + good + `,{"depth"`},
		{"closed wrongly", `[` + good + `}`},
		{"second value", good + good},
		{"trailing text", good + " x"},
		{"trailing NUL", good + "\x00"},
		{"name twice", `[` + good + `,{"depth":1,"area":2,"depth":1}]`},
		{"name twice, once escaped", `{"depth":1,"\u0064epth":1}`},
		{"unknown name twice", `{"deep":1,"deep":1}`},
		{"name twice within a value", `[` + good + `,{"depth":[{"x":{"y":1,"y":2}}]}]`},
		{"name twice beyond the rows", `[` + strings.Repeat(good+",", 3) + `{"a":1,"a":1}]`},
		{"nested too deep, in a value", `{"depth":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`},
		{"nested too deep, at the top", strings.Repeat("[", 100000)},
		{"nested too deep, in objects", strings.Repeat(`{"a":`, 100000)},
		{"more members than can be", `{` + members(1005) + `"depth":1}`},
		{"more members than can be, within a value", `{"depth":{` + members(1005) + `"x":1}}`},
		{"syntax behind faults of content", `{"depth":"x","area":[],"foo":1`},
		{"syntax behind too many rows", `[{},{},{},{},{},nul]`},
		{"long name", `{"` + strings.Repeat("é/", 1000) + `":tru}`},
	}
	golden(t, "syntax.golden", refusals(t.Context(), pondSchema(t), 3, bodies))
}

func members(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"m%d":0,`, i)
	}
	return b.String()
}

func TestContentIsRefusedByField(t *testing.T) {
	pondRow := `{"depth":1.5,"area":120,"acidity (pH)":7}`
	bodies := []body{
		{"text at the top", `"depth"`},
		{"number at the top", `1`},
		{"null at the top", `null`},
		{"no rows", `[]`},
		{"too many rows", `[` + pondRow + `,` + pondRow + `,` + pondRow + `,{"depth":"not read"}]`},
		{"rows that are no objects", `[1,` + pondRow + `,[[{}]]]`},
		{"empty object", `{}`},
		{"every fault of every row", `[{"depth":0,"area":0.5,"acidity (pH)":14.000000000000002},{"acidity (pH)":"7","depth":true},` + pondRow + `]`},
		{"order of the columns, then unknown names", `{"zebra":1,"acidity (pH)":-1,"apple":2,"depth":-1,"area":-1}`},
		{"strings and booleans for numbers", `{"depth":"1.5","area":true,"acidity (pH)":false}`},
		{"null, arrays, objects for numbers", `{"depth":null,"area":[1],"acidity (pH)":{"x":[{}]}}`},
		{"beyond float64", `{"depth":1e999,"area":-1e999,"acidity (pH)":1e999}`},
		{"just inside the limits", `{"depth":30,"area":1,"acidity (pH)":-0}`},
		{"just outside the limits", `{"depth":30.000000000000004,"area":0.9999999999999999,"acidity (pH)":-5e-324}`},
		{"above zero, though 0 in float32", `{"depth":1e-300,"area":1,"acidity (pH)":0}`},
		{"another case", `{"Depth":1,"AREA":2,"acidity_ph":7}`},
		{"a slip", `{"depht":1,"aera":2,"acidity":7}`},
		{"nothing near", `{"depth":1,"area":2,"acidity (pH)":7,"x":1,"":2,"\u0000":3}`},
		{"name to be escaped", `{"depth":1,"area":2,"acidity (pH)":7,"a/b~c%\"é<\u2028":1}`},
		{"long name", `{"depth":1,"area":2,"acidity (pH)":7,"` + strings.Repeat("é", 5000) + `":1}`},
	}
	golden(t, "content.golden", refusals(t.Context(), pondSchema(t), 3, bodies))

	bodies = bodies[:0]
	for _, m := range [][2]string{
		{"species", `"goat"`},
		{"species", `"COW"`},
		{"species", `""`},
		{"species", `null`},
		{"species", `7`},
		{"tag", `"de-7"`},
		{"tag", `"DE-1234567"`},
		{"tag", `"DE-123\u00e4"`},
		{"age", `3.5`},
		{"age", `40.0`},
		{"age", `41`},
		{"age", `-0`},
		{"age", `9223372036854775807`},
		{"age", `9223372036854775808`},
		{"age", `-9223372036854775809`},
		{"age", `1e400`},
		{"age", `1e-400`},
		{"age", `"3"`},
		{"legs", `5`},
		{"legs", `128`},
		{"legs", `-129`},
		{"id", `18446744073709551615`},
		{"id", `18446744073709551616`},
		{"id", `-1`},
		{"id", `-0.0`},
		{"id", `9007199254740993`},
		{"alive", `1`},
		{"alive", `"true"`},
		{"alive", `null`},
		{"weight", `0`},
		{"weight", `1500`},
		{"weight", `1499.9999999999998`},
		{"a/b~c é%", `4`},
		{"a/b~c é%", `-65504`},
		{"a/b~c é%", `-65520`},
		{"a/b~c é%", `null`},
	} {
		bodies = append(bodies, body{m[0] + " " + m[1], herdWith(m[0], m[1])})
	}
	golden(t, "types.golden", refusals(t.Context(), herdSchema(t), 3, bodies))

	with := func(member, value string) string {
		for _, old := range []string{`"image":[[1,2,3],[4,5,255]]`, `"tokens":[7,8]`} {
			if strings.HasPrefix(old, `"`+member) {
				return strings.Replace(galleryRow, old, `"`+member+`":`+value, 1)
			}
		}
		return ""
	}
	golden(t, "nested.golden", refusals(t.Context(), gallerySchema(t), 3, []body{
		{"no array", with("image", "1")},
		{"too shallow", with("image", "[1,2]")},
		{"too deep", with("image", "[[1,2,[3]],[4,5,6]]")},
		{"too short", with("image", "[[1,2,3]]")},
		{"ragged", with("image", "[[1,2,3],[4,5]]")},
		{"empty", with("image", "[]")},
		{"empty where free", with("tokens", "[]")},
		{"elements", with("image", `[[1,-2,"3"],[4.5,256,null]]`)},
		{"other shape in a later row", "[" + galleryRow + "," + with("tokens", "[1,2,3]") + "]"},
		{"null", with("tokens", "null")},
	}))
}

func TestValuesOfAnEarlierRequestDoNotCount(t *testing.T) {
	s := pondSchema(t)
	b := s.NewBatch()
	if err := s.Decode(t.Context(), b, []byte(`{"depth":31,"area":0,"acidity (pH)":15}`), 1); err == nil {
		t.Fatal("accepted")
	}
	want := "content: the input does not fit the model\n#/depth is required\n#/area must be a number, not null\n#/acidity%20(pH) is required"
	if got := faultText(s.Decode(t.Context(), b, []byte(`{"area":null}`), 1)); got != want {
		t.Errorf("got %s", got)
	}
	if err := s.Decode(t.Context(), b, s.Example(), 1); err != nil {
		t.Error(faultText(err))
	}
}
