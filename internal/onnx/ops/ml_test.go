package ops

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/onnxtest"
	"onnxgate/internal/tensor"
)

func tensorOf[T tensor.Element](tb testing.TB, shape tensor.Shape, data ...T) *tensor.Tensor {
	tb.Helper()
	x, err := tensor.New(shape, data)
	if err != nil {
		tb.Fatal(err)
	}
	return x
}

func mapOf[K, V tensor.Element](tb testing.TB, keys []K, values ...V) *tensor.Tensor {
	tb.Helper()
	m, err := tensor.NewMap(tensorOf(tb, tensor.Shape{len(keys)}, keys...), tensorOf(tb, tensor.Shape{len(values)}, values...))
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// typeOf is the type of x with nothing known of its extents.
func typeOf(x *tensor.Tensor) onnx.Type {
	if x.Kind() == tensor.KindMap {
		return onnx.MapOf(x.Items()[0].DType(), x.Items()[1].DType())
	}
	return onnx.UnrankedTensor(x.DType())
}

// runML parses a node of ai.onnx.ml and runs it.
func runML(ctx context.Context, op string, version int64, attributes []onnx.Attribute, in ...*tensor.Tensor) ([]*tensor.Tensor, error) {
	o := NewIndex().Find(ML, op, version)
	values, out := make([]Value, len(in)), make([]*tensor.Tensor, o.out.most)
	for i, x := range in {
		values[i].Type = typeOf(x)
	}
	for i := range out {
		out[i] = &tensor.Tensor{}
	}
	n := NewNode(&onnx.Node{Attributes: attributes}, version, values)
	k, err := o.Parse(n, len(out))
	if err != nil {
		return nil, err
	}
	b := &Budget{}
	b.Start(1 << 24)
	f := NewFrame(in, out, n.Scratches(), b)
	return out, k(ctx, &f)
}

func TestMapsBecomeRowsInTheOrderOfTheirKeys(t *testing.T) {
	texts := mapOf(t, []int64{5, 2, 9}, "12", " 7", "-3.5")
	for _, c := range []struct {
		attributes []onnx.Attribute
		want       string
	}{
		{nil, "[7 12 -3.5]"},
		{[]onnx.Attribute{onnxtest.String("cast_to", "TO_INT64")}, "[7 12 -3]"},
		{
			[]onnx.Attribute{onnxtest.String("cast_to", "TO_STRING"), onnxtest.String("map_form", "SPARSE"), onnxtest.Int("max_map", 10)},
			"[0.f 0.f  7 0.f 0.f 12 0.f 0.f 0.f -3.5]",
		},
	} {
		out, err := runML(t.Context(), "CastMap", 1, c.attributes, texts)
		if err != nil {
			t.Fatal(err)
		}
		y := out[0]
		if got := fmt.Sprint(either(tensor.Of[float32](y), tensor.Of[int64](y), tensor.Of[string](y))); got != c.want {
			t.Errorf("%v: %v, want %v", c.attributes, got, c.want)
		}
	}
	names := mapOf(t, []int64{3, -1}, "three", "none")
	out, err := runML(t.Context(), "DictVectorizer", 1, []onnx.Attribute{onnxtest.Ints("int64_vocabulary", 1, 3, 3)}, names)
	if err != nil {
		t.Fatal(err)
	}
	if got := tensor.Of[string](out[0]); !slices.Equal(got, []string{"", "three", "three"}) {
		t.Errorf("%q", got)
	}
}

func either(lists ...any) any {
	i := slices.IndexFunc(lists, func(l any) bool { return fmt.Sprint(l) != "[]" })
	return lists[i]
}

func TestKeysAreSortedUntilTheRequestEnds(t *testing.T) {
	const n = 1000
	keys, order := make([]int64, n), make([]int32, n)
	for i := range keys {
		keys[i], order[i] = int64(i*389%n)-n/2, int32(i)
	}
	if err := sortByKey(t.Context(), order, keys); err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(order, func(a, b int32) int { return cmp.Compare(keys[a], keys[b]) }) {
		t.Errorf("%v", order)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sortByKey(ctx, order, keys); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestWhatDoesNotFitIsRefused(t *testing.T) {
	row := tensorOf[float32](t, tensor.Shape{1, 2}, 1, 2)
	numbers := mapOf[int64, float32](t, []int64{4}, 1)
	a := func(list ...onnx.Attribute) []onnx.Attribute { return list }
	regressor := a(onnxtest.Int("n_supports", 2), onnxtest.Floats("support_vectors", 1, 2, 3, 4), onnxtest.Floats("coefficients", 1, 2), onnxtest.Floats("rho", 0))
	classifier := a(onnxtest.Ints("vectors_per_class", 1, 1), onnxtest.Floats("support_vectors", 1, 2, 3, 4), onnxtest.Floats("coefficients", 1, 2), onnxtest.Floats("rho", 0),
		onnxtest.Ints("classlabels_ints", 0, 1))
	with := func(list []onnx.Attribute, changed ...onnx.Attribute) []onnx.Attribute {
		n := &onnx.Node{Attributes: slices.Clone(list)}
		for _, c := range changed {
			n = onnxtest.With(n, c)
		}
		return n.Attributes
	}
	for name, c := range map[string]struct {
		op         string
		version    int64
		attributes []onnx.Attribute
		in         *tensor.Tensor
		want       string
	}{
		"keys without values":              {"LabelEncoder", 4, a(onnxtest.Floats("keys_floats", 1)), row, "values_*"},
		"two lists of keys":                {"LabelEncoder", 4, a(onnxtest.Floats("keys_floats", 1), onnxtest.Ints("keys_int64s", 1), onnxtest.Ints("values_int64s", 1)), row, "keys_*"},
		"more keys than values":            {"LabelEncoder", 2, a(onnxtest.Floats("keys_floats", 1, 2), onnxtest.Ints("values_int64s", 1)), row, "2 keys for 1"},
		"keys of another type":             {"LabelEncoder", 2, a(onnxtest.Ints("keys_int64s", 1), onnxtest.Ints("values_int64s", 1)), row, "allowed are [int64]"},
		"an attribute of another version":  {"LabelEncoder", 2, a(onnxtest.Strings("classes_strings", "a")), row, "keys_*"},
		"classes for numbers":              {"LabelEncoder", 1, a(onnxtest.Strings("classes_strings", "a")), row, "allowed are"},
		"categories of two lengths":        {"CategoryMapper", 1, a(onnxtest.Strings("cats_strings", "a"), onnxtest.Ints("cats_int64s", 1, 2)), row, "allowed are"},
		"no categories":                    {"OneHotEncoder", 1, nil, row, "cats_int64s"},
		"categories that are strings":      {"OneHotEncoder", 1, a(onnxtest.Strings("cats_strings", "a")), row, "float32"},
		"an unknown category":              {"OneHotEncoder", 1, a(onnxtest.Ints("cats_int64s", 1), onnxtest.Int("zeros", 0)), row, "column 1 of row 0 of its input"},
		"integers imputed in floats":       {"Imputer", 1, a(onnxtest.Ints("imputed_value_int64s", 1)), row, "imputed_value_floats"},
		"imputed values for three columns": {"Imputer", 1, a(onnxtest.Floats("imputed_value_floats", 1, 2, 3)), row, "[1 2]"},
		"an imputed value that is too big": {"Imputer", 1, a(onnxtest.Ints("imputed_value_int64s", 1<<40)), tensorOf[int32](t, tensor.Shape{1}, 1), "does not fit"},
		"dimensions of two inputs":         {"FeatureVectorizer", 1, a(onnxtest.Ints("inputdimensions", 1, 2)), row, "2 entries"},
		"a negative dimension":             {"FeatureVectorizer", 1, a(onnxtest.Ints("inputdimensions", -1)), row, "-1"},
		"dimensions beyond memory":         {"FeatureVectorizer", 1, a(onnxtest.Ints("inputdimensions", 1<<30)), row, "memory"},
		"a vocabulary of strings":          {"DictVectorizer", 1, a(onnxtest.Strings("string_vocabulary", "a")), numbers, "int64_vocabulary"},
		"no map":                           {"DictVectorizer", 1, a(onnxtest.Strings("string_vocabulary", "a")), row, "map"},
		"a key beyond the row":             {"CastMap", 1, a(onnxtest.String("map_form", "SPARSE"), onnxtest.Int("max_map", 4)), numbers, "key 4"},
		"a row without places":             {"CastMap", 1, a(onnxtest.String("map_form", "SPARSE"), onnxtest.Int("max_map", 0)), numbers, "max_map"},
		"a row beyond memory":              {"CastMap", 1, a(onnxtest.String("map_form", "SPARSE"), onnxtest.Int("max_map", 1<<30)), numbers, "memory"},
		"an unknown target":                {"CastMap", 1, a(onnxtest.String("cast_to", "TO_DOUBLE")), numbers, "TO_DOUBLE"},
		"an unknown kernel":                {"SVMRegressor", 1, with(regressor, onnxtest.String("kernel_type", "COSINE")), row, "COSINE"},
		"kernel parameters":                {"SVMRegressor", 1, with(regressor, onnxtest.Floats("kernel_params", 1)), row, "degree"},
		"a negative number of supports":    {"SVMRegressor", 1, with(regressor, onnxtest.Int("n_supports", -1)), row, "n_supports"},
		"more supports than vectors":       {"SVMRegressor", 1, with(regressor, onnxtest.Int("n_supports", 5)), row, "5 vectors"},
		"more supports than coefficients":  {"SVMRegressor", 1, with(regressor, onnxtest.Int("n_supports", 4)), row, "4 support vectors"},
		"no rho":                           {"SVMRegressor", 1, with(regressor, onnxtest.Floats("rho")), row, "rho"},
		"features":                         {"SVMRegressor", 1, regressor, tensorOf[float32](t, tensor.Shape{1, 3}, 1, 2, 3), "2 features"},
		"three axes":                       {"SVMRegressor", 1, regressor, tensorOf[float32](t, tensor.Shape{1, 1, 2}, 1, 2), "[N, C]"},
		"a class with -1 vectors":          {"SVMClassifier", 1, with(classifier, onnxtest.Ints("vectors_per_class", -1, 3)), row, "vectors_per_class"},
		"vectors beyond counting":          {"SVMClassifier", 1, with(classifier, onnxtest.Ints("vectors_per_class", 1<<62, 1<<62)), row, "vectors_per_class"},
		"vectors of three classes":         {"SVMClassifier", 1, with(classifier, onnxtest.Ints("vectors_per_class", 1, 1, 0)), row, "3 entries"},
		"rho for fewer pairs":              {"SVMClassifier", 1, with(classifier, onnxtest.Ints("classlabels_ints", 1, 2, 3), onnxtest.Ints("vectors_per_class", 1, 1, 0), onnxtest.Floats("coefficients", 1, 2, 3, 4)), row, "3 pairs"},
		"one class":                        {"SVMClassifier", 1, with(classifier, onnxtest.Ints("classlabels_ints", 1), onnxtest.Ints("vectors_per_class", 2)), row, "one class"},
		"prob_a alone":                     {"SVMClassifier", 1, with(classifier, onnxtest.Floats("prob_a", 1)), row, "prob_b"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := runML(t.Context(), c.op, c.version, c.attributes, c.in)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if k := fault.KindOf(err); k != fault.Content && k != fault.KindOf(errors.New("at load")) {
				t.Errorf("a fault of kind %v", k)
			}
		})
	}
}
