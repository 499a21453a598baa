package oip_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/fault"
	"onnxgate/internal/oip"
	"onnxgate/internal/tensor"
)

// read reads a request whose inputs are a, b, … of the types.
func read(m oip.Message, rows int, types ...tensor.DType) (*oip.Request, error) {
	in := specs(types...)
	into := make([]*tensor.Tensor, len(in))
	for i := range into {
		into[i] = new(tensor.Tensor)
	}
	return new(oip.Reader).Read(m, oip.Contract{Inputs: in, Outputs: in, MaxRows: rows}, into)
}

func TestEveryDatatypeComesBackAsTheSameBytes(t *testing.T) {
	for name, c := range map[string]struct {
		dtype tensor.DType
		shape string
		raw   string
		json  string // of the same elements
	}{
		"BOOL":            {tensor.Bool, "[2]", "\x00\x01", `[false,true]`},
		"UINT8":           {tensor.Uint8, "[2]", "\x00\xff", `[0,255]`},
		"INT8":            {tensor.Int8, "[2]", "\x80\x7f", `[-128,127]`},
		"UINT16":          {tensor.Uint16, "[1]", "\x01\x02", `[513]`},
		"INT16":           {tensor.Int16, "[1]", "\x00\x80", `[-32768]`},
		"FP16":            {tensor.Half, "[2]", "\x00\x3c\x00\xfc", `[1,"-Infinity"]`},
		"UINT32":          {tensor.Uint32, "[1]", "\xff\xff\xff\xff", `[4294967295]`},
		"INT32":           {tensor.Int32, "[1]", "\xfe\xff\xff\xff", `[-2]`},
		"FP32":            {tensor.Float32, "[1,2]", "\x00\x00\x80\x3f\x00\x00\x00\x80", `[1,-0]`},
		"UINT64":          {tensor.Uint64, "[1]", "\x00\x00\x00\x00\x00\x00\x00\x80", `[9223372036854775808]`},
		"INT64":           {tensor.Int64, "[1]", "\xff\xff\xff\xff\xff\xff\xff\xff", `[-1]`},
		"FP64":            {tensor.Float64, "[1]", "\x00\x00\x00\x00\x00\x00\xf8\x3f", `[1.5]`},
		"BYTES":           {tensor.String, "[3]", "\x02\x00\x00\x00é\x00\x00\x00\x00\x01\x00\x00\x00a", `["é","","a"]`},
		"nothing":         {tensor.Float32, "[0,4]", "", `[]`},
		"texts, but none": {tensor.String, "[0]", "", `[]`},
	} {
		t.Run(name, func(t *testing.T) {
			text := fmt.Sprintf(`{"parameters":{"binary_data_output":true},"inputs":[{"name":"a","shape":%s,"datatype":%q,"parameters":{"binary_data_size":%d}}]}`,
				c.shape, oip.Datatype(c.dtype), len(c.raw))
			req, err := read(oip.Message{JSON: []byte(text), Tensors: []byte(c.raw)}, 0, c.dtype)
			if err != nil {
				t.Fatal(err)
			}
			in := specs(c.dtype)
			r := &oip.Response{Model: "m", Specs: in, Outputs: req.Inputs, Wanted: req.Outputs, Binary: req.Binary}
			got, header := oip.AppendResponse([]byte("before"), r)
			want := fmt.Sprintf(`{"model_name":"m","outputs":[{"name":"a","shape":%s,"datatype":%q,"parameters":{"binary_data_size":%d}}]}`+"\n",
				c.shape, oip.Datatype(c.dtype), len(c.raw))
			if diff := cmp.Diff("before"+want+c.raw, string(got)); diff != "" || header != len(want) {
				t.Errorf("header %d (-want +got):\n%s", header, diff)
			}
			r.Binary = nil
			if got := answer(r); !strings.Contains(got, `"data":`+c.json+"}") {
				t.Errorf("as JSON %s, want %s", got, c.json)
			}
		})
	}
}

func TestInputsAndOutputsMayBeMixed(t *testing.T) {
	text := `{"inputs":[{"name":"b","shape":[2],"datatype":"INT8","parameters":{"binary_data_size":2,"x":null,"y":"z","w":1.5,"v":true}},
		{"name":"a","shape":[1],"datatype":"FP32","data":[1]},
		{"name":"c","shape":[1],"datatype":"UINT8","parameters":{"binary_data_size":1}}],
		"outputs":[{"name":"c","parameters":{"binary_data":true}},{"name":"a"},{"name":"b","parameters":{"binary_data":false}}],"parameters":{"binary_data_output":true}}`
	req, err := read(oip.Message{JSON: []byte(text), Tensors: []byte("\x01\x02\x03")}, 0, tensor.Float32, tensor.Int8, tensor.Uint8)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{2, 0, 1}, req.Outputs); diff != "" {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]bool{true, true, false}, req.Binary); diff != "" {
		t.Errorf("as bytes (-want +got):\n%s", diff)
	}
	if b, c := tensor.Of[int8](req.Inputs[1]), tensor.Of[uint8](req.Inputs[2]); !cmp.Equal(b, []int8{1, 2}) || c[0] != 3 {
		t.Errorf("%v, %v", b, c)
	}
}

func TestBytesThatDoNotFitAreRefused(t *testing.T) {
	entry := func(datatype, shape, size string) string {
		return `{"name":"a","shape":` + shape + `,"datatype":"` + datatype + `","parameters":{"binary_data_size":` + size + `}}`
	}
	for name, c := range map[string]struct {
		dtype     tensor.DType
		text, raw string
		kind      fault.Kind
		want      string
	}{
		"fewer than the shape":     {tensor.Float32, entry("FP32", "[2]", "4"), "\x00\x00\x00\x00", fault.Content, `input "a": shape [2] of FP32 takes 8 bytes, not 4`},
		"a huge shape":             {tensor.Float32, entry("FP32", "[1000000000,1000000000]", "0"), "", fault.Content, "too many elements"},
		"a large shape":            {tensor.Float32, entry("FP32", "[2000000000]", "0"), "", fault.Content, "takes 8000000000 bytes, not 0"},
		"more than there are":      {tensor.Float32, entry("FP32", "[1]", "8"), "\x00\x00\x00\x00", fault.Content, "says 8 bytes, and 4 are left"},
		"without a header":         {tensor.Float32, entry("FP32", "[1]", "4"), "", fault.Content, "0 are left behind the JSON"},
		"more than are announced":  {tensor.Float32, entry("FP32", "[1]", "4"), "\x00\x00\x00\x00\x00", fault.Content, "1 bytes follow"},
		"a size below zero":        {tensor.Float32, entry("FP32", "[1]", "-4"), "", fault.Content, "a whole number of bytes, not -4"},
		"a size that wraps":        {tensor.Float32, entry("FP32", "[1]", "18446744073709551615"), "", fault.Content, "a whole number of bytes"},
		"a size as text":           {tensor.Float32, entry("FP32", "[1]", `"4"`), "\x00\x00\x00\x00", fault.Content, "a whole number of bytes"},
		"a truth value of 2":       {tensor.Bool, entry("BOOL", "[2]", "2"), "\x00\x02", fault.Content, "element 1 is not a byte of 0 or 1"},
		"a text without length":    {tensor.String, entry("BYTES", "[1]", "3"), "\x00\x00\x00", fault.Content, "takes 4 bytes at least, not 3"},
		"a text longer than there": {tensor.String, entry("BYTES", "[1]", "5"), "\x02\x00\x00\x00a", fault.Content, "element 0 has 2 bytes, and 1 are left"},
		"a text of 4 GiB":          {tensor.String, entry("BYTES", "[1]", "4"), "\xff\xff\xff\xff", fault.Content, "element 0 has 4294967295 bytes, and 0 are left"},
		"the second text missing":  {tensor.String, entry("BYTES", "[2]", "8"), "\x04\x00\x00\x00abcd", fault.Content, "end before the length of element 1"},
		"something behind a text":  {tensor.String, entry("BYTES", "[1]", "5"), "\x00\x00\x00\x00a", fault.Content, "1 bytes follow the last of 1 elements"},
		"a text of other bytes":    {tensor.String, entry("BYTES", "[1]", "5"), "\x01\x00\x00\x00\xff", fault.Content, "element 0 is not UTF-8"},
		"2^31 texts":               {tensor.String, entry("BYTES", "[2147483647]", "0"), "", fault.Content, "takes 8589934588 bytes at least"},
		"data, too": {
			tensor.Float32, `{"name":"a","shape":[1],"datatype":"FP32","data":[1],"parameters":{"binary_data_size":4}}`, "\x00\x00\x00\x00", fault.Content,
			"has data and binary_data_size",
		},
		"shared memory": {
			tensor.Float32, `{"name":"a","shape":[1],"datatype":"FP32","parameters":{"shared_memory_region":"r"}}`, "", fault.Unsupported, "shared memory is not served",
		},
		"too many rows":    {tensor.Float32, entry("FP32", "[11,1]", "44"), strings.Repeat("\x00", 44), fault.Content, `input "a" must hold at most 10 rows, not 11`},
		"too many extents": {tensor.Float32, entry("FP32", "["+strings.Repeat("1,", 64)+"1]", "4"), "\x00\x00\x00\x00", fault.Content, "at most 64 extents"},
	} {
		t.Run(name, func(t *testing.T) {
			in := specs(c.dtype)
			if strings.HasPrefix(name, "too many rows") {
				in[0].Ranked, in[0].Dims = true, []tensor.Dim{{Size: -1}, {Size: 1}}
			}
			into := []*tensor.Tensor{new(tensor.Tensor)}
			_, err := new(oip.Reader).Read(oip.Message{JSON: []byte(`{"inputs":[` + c.text + `]}`), Tensors: []byte(c.raw)}, oip.Contract{Inputs: in, MaxRows: 10}, into)
			if fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v, want one that says %q", err, c.want)
			}
			if into[0].Len() > 2 {
				t.Errorf("memory was taken for %d elements", into[0].Len())
			}
		})
	}
}

func TestABodyIsSplitWhereItsHeaderSays(t *testing.T) {
	for name, c := range map[string]struct {
		lengths    []string
		json, rest string
		raw        bool
		want       string
	}{
		"no header":        {nil, "abcdef", "", false, ""},
		"in the middle":    {[]string{"2"}, "ab", "cdef", false, ""},
		"at the end":       {[]string{"6"}, "abcdef", "", false, ""},
		"zero":             {[]string{"0"}, "", "abcdef", true, ""},
		"beyond the end":   {[]string{"7"}, "", "", false, "is 7, and the body has 6 bytes"},
		"2^64":             {[]string{"18446744073709551616"}, "", "", false, "number of bytes"},
		"negative":         {[]string{"-1"}, "", "", false, "number of bytes"},
		"a plus":           {[]string{"+1"}, "", "", false, "number of bytes"},
		"hexadecimal":      {[]string{"0x2"}, "", "", false, "number of bytes"},
		"a blank":          {[]string{" 2"}, "", "", false, "number of bytes"},
		"empty":            {[]string{""}, "", "", false, "number of bytes"},
		"a list":           {[]string{"2, 2"}, "", "", false, "number of bytes"},
		"twice":            {[]string{"2", "2"}, "", "", false, "twice"},
		"twice, different": {[]string{"2", "3"}, "", "", false, "twice"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := oip.Split([]byte("abcdef"), c.lengths)
			if c.want != "" {
				if fault.KindOf(err) != fault.BadRequest || !strings.Contains(err.Error(), c.want) {
					t.Errorf("error = %v, want one that says %q", err, c.want)
				}
				return
			}
			if err != nil || string(m.JSON) != c.json || string(m.Tensors) != c.rest || m.Raw != c.raw {
				t.Errorf("%q, %q, %v, %v", m.JSON, m.Tensors, m.Raw, err)
			}
		})
	}
}

func TestATensorAloneHasTheShapeThatItsLengthSays(t *testing.T) {
	dims := func(sizes ...int) []tensor.Dim {
		all := make([]tensor.Dim, len(sizes))
		for i, n := range sizes {
			all[i].Size = n
		}
		return all
	}
	for name, c := range map[string]struct {
		dtype tensor.DType
		dims  []tensor.Dim
		raw   string
		shape tensor.Shape
		want  string
	}{
		"rows":                {tensor.Float32, dims(-1, 2), strings.Repeat("\x00", 24), tensor.Shape{3, 2}, ""},
		"columns":             {tensor.Int8, dims(2, -1), "\x01\x02\x03\x04", tensor.Shape{2, 2}, ""},
		"nothing free":        {tensor.Int8, dims(2), "\x01\x02", tensor.Shape{2}, ""},
		"one text":            {tensor.String, dims(1), "abc", tensor.Shape{1}, ""},
		"one text, free":      {tensor.String, dims(-1, 1), "", tensor.Shape{1, 1}, ""},
		"two texts":           {tensor.String, dims(2), "abc", nil, "takes 8 bytes at least"},
		"no whole row":        {tensor.Float32, dims(-1, 2), strings.Repeat("\x00", 12), nil, "12 bytes are no whole number of rows of 8"},
		"no row":              {tensor.Float32, dims(-1, 0), "", nil, "no whole number of rows"},
		"another number":      {tensor.Int8, dims(3), "\x01\x02", nil, "takes 3 bytes, not 2"},
		"two free extents":    {tensor.Int8, dims(-1, -1), "\x01\x02", nil, "more than one extent is free"},
		"extents beyond ints": {tensor.Int8, dims(math.MaxInt32, math.MaxInt32, -1), "\x01", nil, "no whole number of rows"},
		"a rank of any":       {tensor.Int8, nil, "\x01", nil, "one input whose rank is declared"},
		"too many rows":       {tensor.Int8, dims(-1), strings.Repeat("\x00", 11), nil, "at most 10 rows, not 11"},
	} {
		t.Run(name, func(t *testing.T) {
			in := specs(c.dtype)
			in[0].Ranked, in[0].Dims = c.dims != nil, c.dims
			into := []*tensor.Tensor{new(tensor.Tensor)}
			req, err := new(oip.Reader).ReadRaw([]byte(c.raw), oip.Contract{Inputs: in, Outputs: in, MaxRows: 10}, into)
			if c.want != "" {
				if fault.KindOf(err) != fault.Content || !strings.Contains(err.Error(), c.want) {
					t.Errorf("error = %v, want one that says %q", err, c.want)
				}
				return
			}
			if err != nil || !cmp.Equal(into[0].Shape(), c.shape) || !cmp.Equal(req.Binary, []bool{true}) {
				t.Errorf("shape %v, %v", into[0].Shape(), err)
			}
		})
	}
	two := specs(tensor.Int8, tensor.Int8)
	if _, err := new(oip.Reader).ReadRaw([]byte("a"), oip.Contract{Inputs: two}, make([]*tensor.Tensor, 2)); fault.KindOf(err) != fault.Content {
		t.Errorf("two inputs: %v", err)
	}
}

func TestAReaderKeepsNothingOfARequest(t *testing.T) {
	in := specs(tensor.Float32, tensor.Int64)
	into := []*tensor.Tensor{new(tensor.Tensor), new(tensor.Tensor)}
	var r oip.Reader
	c := oip.Contract{Inputs: in, Outputs: in}
	const a = `{"name":"a","shape":[1],"datatype":"FP32","data":[1]}`
	const b = `{"name":"b","shape":[1],"datatype":"INT64","data":[2]}`
	full := oip.Message{JSON: []byte(`{"id":"x","parameters":{"binary_data_output":true},"outputs":[{"name":"b"}],"inputs":[` + b + `,` + a + `]}`)}
	if req, err := r.Read(full, c, into); err != nil || req.ID != "x" || len(req.Outputs) != 1 || !req.Binary[0] {
		t.Fatalf("%+v, %v", req, err)
	}
	for _, half := range []string{`{"inputs":[` + a + `]}`, `{}`, `{"inputs":[`} {
		if _, err := r.Read(oip.Message{JSON: []byte(half)}, c, into); err == nil {
			t.Errorf("%s is taken for a request", half)
		}
	}
	req, err := r.Read(oip.Message{JSON: []byte(`{"inputs":[` + a + `,` + b + `]}`)}, c, into)
	if err != nil || req.ID != "" || len(req.Outputs) != 2 || req.Binary[0] || req.Binary[1] {
		t.Errorf("%+v, %v", req, err)
	}
}

func FuzzBytesAreReadWithinTheirMessage(f *testing.F) {
	f.Add([]byte(`{"inputs":[{"name":"a","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}},{"name":"b","shape":[1],"datatype":"BYTES","parameters":{"binary_data_size":5}}]}`), []byte("\x00\x00\x80\x3f\x00\x00\x00\x40\x01\x00\x00\x00x"), uint16(171))
	f.Add([]byte(`{"inputs":[{"name":"b","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":9}}]}`), []byte("\xff\xff\xff\xff"), uint16(0))
	f.Add([]byte(`{}`), []byte{}, uint16(3))
	in := specs(tensor.Float32, tensor.String)
	f.Fuzz(func(t *testing.T, text, raw []byte, length uint16) {
		whole := append(append([]byte{}, text...), raw...)
		for _, lengths := range [][]string{{fmt.Sprint(len(text))}, {fmt.Sprint(length)}} {
			m, err := oip.Split(whole, lengths)
			if err != nil || m.Raw {
				continue
			}
			if len(m.JSON)+len(m.Tensors) != len(whole) {
				t.Fatalf("%d and %d bytes of %d", len(m.JSON), len(m.Tensors), len(whole))
			}
			req, err := read(m, 0, tensor.Float32, tensor.String)
			if err != nil {
				if k := fault.KindOf(err); k != fault.Syntax && k != fault.Content && k != fault.Unsupported {
					t.Errorf("error %v is %v", err, k)
				}
				continue
			}
			back, header := oip.AppendResponse(nil, &oip.Response{Specs: in, Outputs: req.Inputs, Wanted: []int{0, 1}, Binary: []bool{true, true}})
			_, outputs, _ := strings.Cut(string(back[:header]), `"outputs":`)
			again, err := read(oip.Message{JSON: []byte(`{"inputs":` + outputs), Tensors: back[header:]}, 0, tensor.Float32, tensor.String)
			if err != nil {
				t.Fatalf("%v: %q", err, back)
			}
			if diff := cmp.Diff(tensor.Of[string](req.Inputs[1]), tensor.Of[string](again.Inputs[1])); diff != "" {
				t.Error(diff)
			}
			for i, x := range tensor.Of[float32](req.Inputs[0]) {
				if y := tensor.Of[float32](again.Inputs[0])[i]; math.Float32bits(x) != math.Float32bits(y) && !math.IsNaN(float64(x)) {
					t.Errorf("element %d: %v came back as %v", i, x, y)
				}
			}
		}
	})
}

func BenchmarkBytes(b *testing.B) {
	const n = 400_000
	raw := make([]byte, 0, 4*n)
	for i := range n {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(i)))
	}
	var into tensor.Tensor
	b.SetBytes(4 * n)
	for b.Loop() {
		if err := oip.SetBytes(&into, tensor.Float32, []int{n}, raw); err != nil {
			b.Fatal(err)
		}
	}
}
