package npy_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/fault"
	"onnxgate/internal/npy"
	"onnxgate/internal/tensor"
	"onnxgate/internal/testkit"
)

// file makes a file of a version with a header and elements.
func file(version byte, header string, data ...byte) []byte {
	b := append([]byte("\x93NUMPY"), version, 0)
	if version == 1 {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(header)))
	} else {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(header)))
	}
	return append(append(b, header...), data...)
}

func header(descr, fortran, shape string) string {
	return fmt.Sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': %s, }\n", descr, fortran, shape)
}

// NumPy wrote the files of testdata, all of the same numbers: see
// testdata/files.py.
func TestFilesOfNumPyAreRead(t *testing.T) {
	names, err := filepath.Glob("testdata/*.npy")
	if err != nil || len(names) < 40 {
		t.Fatalf("%d files: %v", len(names), err)
	}
	for _, name := range names {
		base := strings.TrimSuffix(filepath.Base(name), ".npy")
		t.Run(base, func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got, err := npy.Decode(data)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tensor.Shape{2, 3}, got.Shape()); diff != "" {
				t.Errorf("shape (-want +got):\n%s", diff)
			}
			want := map[string]string{
				"b": "[false true true false true true]", "U": "[null eins zwei drei vier  fünf]", "S": "[null eins zwei drei vier  fünf]",
				"f2": "[0 15360 16384 16896 17408 50432]", "f": "[0 1 2 3 4 -5]", "i": "[0 1 2 3 4 -5]", "u": "[0 1 2 3 4 5]",
			}
			kind, _, _ := strings.Cut(base, "_")
			if _, ok := want[kind]; !ok {
				kind = kind[:1]
			}
			if s := fmt.Sprint(testkit.Elements(got)); s != want[kind] {
				t.Errorf("elements %s, want %s", s, want[kind])
			}
		})
	}
}

func vector[T tensor.Element](t *testing.T, shape tensor.Shape, data ...T) *tensor.Tensor {
	t.Helper()
	v, err := tensor.New(shape, data)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	for _, want := range []*tensor.Tensor{
		vector(t, tensor.Shape{2, 2}, float32(1), -0.5, float32(math.Inf(1)), 0),
		vector(t, tensor.Shape{2}, math.Pi, -1),
		vector[tensor.Float16](t, tensor.Shape{1}, 0x3c00),
		vector[int8](t, tensor.Shape{3}, -128, 0, 127),
		vector[int16](t, tensor.Shape{1}, -2),
		vector[int32](t, tensor.Shape{1}, -3),
		vector[int64](t, tensor.Shape{}, math.MinInt64),
		vector[uint8](t, tensor.Shape{1}, 255),
		vector[uint16](t, tensor.Shape{1}, 65535),
		vector[uint32](t, tensor.Shape{1}, 1<<31),
		vector[uint64](t, tensor.Shape{0, 4}),
		vector(t, tensor.Shape{2}, true, false),
		vector(t, tensor.Shape{3}, "", "größer", "日本"),
		vector(t, tensor.Shape{2}, "", ""),
	} {
		data, err := npy.Append(nil, want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := npy.Decode(data)
		if err != nil {
			t.Fatalf("%v: %v", want.DType(), err)
		}
		if diff := cmp.Diff(want.Shape(), got.Shape()); diff != "" || fmt.Sprint(testkit.Elements(want)) != fmt.Sprint(testkit.Elements(got)) || got.DType() != want.DType() {
			t.Errorf("%v: %v of %v, want %v", want.DType(), testkit.Elements(got), got.Shape(), testkit.Elements(want))
		}
		if n := bytes.IndexByte(data, '\n') + 1; n%64 != 0 {
			t.Errorf("%v: the elements begin at byte %d", want.DType(), n)
		}
	}
	if _, err := npy.Append(nil, tensor.NewSequence()); err == nil {
		t.Error("a sequence was written")
	}
}

func TestWhatIsWrongIsRefused(t *testing.T) {
	good := header("<f4", "False", "(1, 2)")
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":            {nil, "this is no .npy file; numpy.save writes one"},
		"text":               {[]byte("a,b\n1,2\n"), "this is no .npy file"},
		"archive":            {[]byte("PK\x03\x04…x.npy"), "a .npz archive of several arrays"},
		"pickle":             {[]byte("\x80\x04\x95"), "a pickle, which is a program"},
		"only magic":         {[]byte("\x93NUMPY"), "ends in its header"},
		"version 0":          {file(0, good), "format version 0.0"},
		"version 4":          {file(4, good), "format version 4.0; 1.0 to 3.0 are known"},
		"length cut":         {[]byte("\x93NUMPY\x02\x00\x01\x00"), "ends in its header"},
		"header cut":         {file(1, good)[:20], "ends in its header"},
		"header huge":        {[]byte("\x93NUMPY\x02\x00\xff\xff\xff\xff{"), "ends in its header"},
		"objects":            {file(1, header("|O", "False", "(2,)"), '\x80', 4), "save numbers with X.astype(numpy.float32) or texts with X.astype(str)"},
		"records":            {file(1, "{'descr': [('a', '<f4'), ('b', [('c', '<i8')])], 'fortran_order': False, 'shape': (2,), }"), "save its fields one by one"},
		"complex":            {file(1, header("<c8", "False", "(2,)")), `of type "<c8", which no tensor has`},
		"times":              {file(1, header("<M8[ns]", "False", "(2,)")), "X.astype(numpy.int64)"},
		"quadruple":          {file(1, header("<f16", "False", "(2,)")), `"<f16"`},
		"no type":            {file(1, header("", "False", "(2,)")), `of type ""`},
		"order alone":        {file(1, header("<", "False", "(2,)")), `of type "<"`},
		"short":              {file(1, good, 1, 2, 3), "shape [1 2] takes 8 bytes, and there are 3"},
		"long":               {file(1, good, make([]byte, 9)...), "has 1 bytes behind its array"},
		"huge":               {file(1, header("<f4", "False", "(1000000, 1000000)")), "too large"},
		"wrapping":           {file(1, header("|i1", "False", "(4294967296, 4294967296)")), "too large"},
		"huge texts":         {file(1, header("<U2000000000", "False", "(1,)")), "texts of length 2000000000"},
		"texts of nothing":   {file(1, header("<U0", "False", "(2000000000,)")), "texts of length 0"},
		"many texts":         {file(1, header("<U9", "False", "(200000000,)")), "ends too early"},
		"negative extent":    {file(1, header("<f4", "False", "(-1,)")), "whole number"},
		"no tuple":           {file(1, header("<f4", "False", "3")), `there should be "("`},
		"axes":               {file(1, header("<f4", "False", "("+strings.Repeat("1, ", 65)+")")), "more than 64 axes"},
		"order no boolean":   {file(1, header("<f4", "0", "(1,)")), "True or False"},
		"member unknown":     {file(1, "{'descr': '<f4', 'order': 1}"), `it has "order"`},
		"member twice":       {file(1, "{'descr': '<f4', 'descr': '<f4'}"), "or has it twice"},
		"member missing":     {file(1, "{'descr': '<f4', 'shape': (1,)}"), "it needs descr, fortran_order and shape"},
		"no comma":           {file(1, "{'descr': '<f4' 'shape': (1,)}"), "it goes on with"},
		"text behind":        {file(1, strings.TrimSpace(good)+"x"), "something follows"},
		"unclosed text":      {file(1, "{'descr"), "there should be a text"},
		"unclosed list":      {file(1, "{'descr': [[]"), "the list does not end"},
		"no character":       {file(1, header("<U1", "False", "(1,)"), 0, 0, 0x11, 0), "element 0 of the array holds a character that Unicode does not have"},
		"surrogate":          {file(1, header("<U1", "False", "(1,)"), 0, 0xd8, 0, 0), "that Unicode does not have"},
		"bytes of no UTF-8":  {file(1, header("|S2", "False", "(2,)"), 'a', 0, 0xff, 0xfe), "element 1 of the array is not UTF-8"},
		"texts, no length":   {file(1, header("<U", "False", "(1,)")), `of type "<U"`},
		"texts, signed":      {file(1, header("<U-1", "False", "(0,)")), "texts of length -1"},
		"nothing in braces":  {file(1, "{}"), "it needs descr"},
		"not even a literal": {file(3, "\xff"), `there should be "{"`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := npy.Decode(c.data)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, error %v, want %q", got, err, c.want)
			}
			if k := fault.KindOf(err); k != fault.Syntax && k != fault.Content {
				t.Errorf("kind %v", k)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	names, err := filepath.Glob("testdata/*.npy")
	if err != nil || len(names) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := npy.Decode(data)
		if err != nil {
			return
		}
		back, err := npy.Append(nil, got)
		if err != nil {
			t.Fatal(err)
		}
		again, err := npy.Decode(back)
		if err != nil {
			t.Fatal(err)
		}
		// NaN is not equal to itself, as text it is.
		if fmt.Sprint(testkit.Elements(got), got.Shape()) != fmt.Sprint(testkit.Elements(again), again.Shape()) {
			t.Errorf("%v became %v", testkit.Elements(got), testkit.Elements(again))
		}
	})
}
