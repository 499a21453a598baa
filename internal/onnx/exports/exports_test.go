package exports_test

import (
	"cmp"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/exec"
	"onnxgate/internal/onnx/exports"
	"onnxgate/internal/tensor"
)

// doubtful are the models of the zoo (scripts/zoo) with a sign of what their
// export has lost, each with a part of what is said of it. Those in testdata are
// committed, written by build.py DIR --only NAME…; the others are looked at where
// the zoo has been built.
var doubtful = []struct{ pattern, says string }{
	{"xgboost_classifier_softmax", "train with multi:softprob"},
	{"xgboost_regressor_of_three", "has 3 targets, and its trees answer 1 of them"},
	{"xgboost_regressor_quantiles", "has 2 targets, and its trees answer 1 of them"},
	{"lightgbm_*_random_forest", "by 100, as exports of LightGBM's boosting_type=\"rf\" do"},
	{"catboost_classifier_ova", "MultiClassOneVsAll, and its scores are scaled otherwise"},
	{"catboost_classifier_of_marks", "MultiLogloss, and the export answers one class"},
	{"catboost_regressor_poisson", "apply exp to the answers"},
	{"catboost_regressor_tweedie", "apply exp to the answers"},
	{"nearest_neighbours_by_distance_*", "weights=\"uniform\""},
	{"sgd_modified_huber_classifier", "train with log_loss"},
	{"tuned_threshold_*", "it is 0.5 again"},
	{"recursive_elimination_*", "passes some of its columns on and predicts nothing"},
	{"xgboost_classifier_parallel_two", "leave num_parallel_tree out"},
	{"calibrated_lightgbm*", "probabilities that are calibrated as if they were decision values"},
	{"calibrated_svc_probability*", "probabilities that are calibrated as if they were decision values"},
	{"calibrated_quadratic_discriminant", "probabilities that are calibrated as if they were decision values"},
	{"calibrated_isotonic_logistic", "takes the nearest step"},
	{"calibrated_isotonic_forest", "takes the nearest step"},
	{"bagging_of_linear_svc", "adds the votes of all rows"},
	{"bagging_of_svc", "adds the votes of all rows"},
	{"bagging_of_svc_two_strings", "adds the votes of all rows"},
	{"voting_of_linear_svc_two", "takes the first class of a member whatever it answers"},
	{"ada_boost_of_linear_svc_two", "takes the first class of a member whatever it answers"},
	{"*_of_svc_probability*", "takes the class with the highest probability"},
	{"voting_of_svc_two", "in exchanged columns, as exports of SVC and NuSVC do; other values are made of them"},
	{"ada_boost_of_svc_two", "in exchanged columns, as exports of SVC and NuSVC do; other values are made of them"},
	{"one_vs_rest_of_svc*", "in exchanged columns, as exports of SVC and NuSVC do; other values are made of them"},
	{"one_vs_rest_of_linear_svc*", "takes decision values for probabilities"},
	{"normalizer_max*", "divides each row by its greatest number"},
	{"svc_probability_raw_scores_two", "the opposite sign"},
	{"*svc_*_two", "in exchanged columns, as exports of SVC and NuSVC do; the labels are right"},
	{"svc_two_far_integers", "in exchanged columns, as exports of SVC and NuSVC do; the labels are right"},
	{"svc_booleans", "in exchanged columns, as exports of SVC and NuSVC do; the labels are right"},
	{"tree_missing", "down the false branch everywhere"},
	{"forest_missing", "down the false branch everywhere"},
	{"mlp_of_three", "puts 3 targets of each row into one column"},
	{"text_tfidf_sublinear", "computes log(1 + n)"},
	{"text_*", "words that the expression [a-zA-Z0-9_]+ of the export never finds"},
}

// well is what a pattern above fits, and nothing is wrong with.
var well = []string{
	"svc_raw_scores_two", "svc_probability_classifier*", "svc_probability_without_zipmap", "text_counts_characters", "text_counts_character_pairs", "text_tfidf_characters",
	"text_counts_plain_pattern", "text_counts_pattern", "text_counts_vocabulary", "linear_svc_*",
}

func fits(name, pattern string) bool {
	ok, err := filepath.Match(pattern, name)
	return ok && err == nil
}

func doubts(t *testing.T, file string) []string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m, err := exec.Decode(data, onnx.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return exports.Doubts(m, strings.HasSuffix(file, "_missing.onnx"))
}

// svcOfTwo is an SVC of two classes, with what follows it.
func svcOfTwo(t *testing.T) *onnx.Model {
	t.Helper()
	data, err := os.ReadFile("testdata/svc_two_far_integers.onnx")
	if err != nil {
		t.Fatal(err)
	}
	m, err := exec.Decode(data, onnx.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// What an ensemble makes of such columns is wrong, its labels too.
func TestExchangedColumnsInsideAnEnsembleMakeLabelsDoubtful(t *testing.T) {
	m := svcOfTwo(t)
	m.Graph.Outputs = m.Graph.Outputs[1:] // without the label, as a member
	all := exports.Doubts(m, false)
	if len(all) != 1 || !strings.Contains(all[0], "may be wrong, labels too: use SVC by itself, or train with probability=True") {
		t.Errorf("%q, want that what is made of it may be wrong", all)
	}
}

// An ensemble that counts the labels of its members does not look at the columns.
func TestExchangedColumnsThatNothingTakesAreNotDoubted(t *testing.T) {
	m := svcOfTwo(t)
	m.Graph.Outputs = m.Graph.Outputs[:1]
	m.Graph.Nodes = slices.DeleteFunc(m.Graph.Nodes, func(n *onnx.Node) bool { return n.Op == "ZipMap" })
	if all := exports.Doubts(m, false); len(all) > 0 {
		t.Errorf("%q", all)
	}
}

func named(t *testing.T, folder string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, file := range files {
		names[strings.TrimSuffix(filepath.Base(file), ".onnx")] = file
	}
	return names
}

// check holds what is said of one model against the list above.
func check(t *testing.T, name string, all []string) {
	t.Helper()
	at := slices.IndexFunc(doubtful, func(d struct{ pattern, says string }) bool { return fits(name, d.pattern) })
	good := at < 0 || slices.ContainsFunc(well, func(p string) bool { return fits(name, p) })
	if !good && !slices.ContainsFunc(all, func(text string) bool { return strings.Contains(text, doubtful[at].says) }) {
		t.Errorf("%s: %q, want %q among it", name, all, doubtful[at].says)
	}
	if good && len(all) > 0 {
		t.Errorf("%s: %q", name, all)
	}
}

func TestExportsThatAreWrongAreDoubtedAndNoOthers(t *testing.T) {
	for _, folder := range []string{"testdata", "../exec/testdata/zoo", "../../../testdata/sklearn"} {
		models := named(t, folder)
		if len(models) < 10 {
			t.Errorf("%d models in %s", len(models), folder)
		}
		for name, file := range models {
			check(t, name, doubts(t, file))
		}
	}
}

// hanging is said of exports that are wrong for some rows, or by what they are for,
// and may agree in what the zoo asks.
var hanging = []string{"passes some of its columns on", "divides each row by its greatest number", "takes the nearest step"}

// What is doubted differs from its library, as the zoo has measured; and what
// is on the list is doubted.
func TestDoubtsAreWhatTheZooMeasured(t *testing.T) {
	zoo := cmp.Or(os.Getenv("ZOO_DIR"), "../../../.cache/zoo")
	text, err := os.ReadFile(filepath.Join(zoo, "zoo.json"))
	if err != nil {
		t.Skipf("the zoo has not been built: %v; make test builds a part of it", err)
	}
	var measured []struct {
		Name    string
		Library []struct {
			Differ int
			Far    *int // of numbers alone
		}
	}
	if err := json.Unmarshal(text, &measured); err != nil {
		t.Fatal(err)
	}
	models := named(t, zoo)
	for _, line := range measured {
		file, built := models[line.Name]
		if !built {
			continue
		}
		differs := false
		for _, l := range line.Library {
			differs = differs || l.Far != nil && *l.Far > 0 || l.Far == nil && l.Differ > 0
		}
		all := doubts(t, file)
		all = slices.DeleteFunc(all, func(text string) bool {
			return !differs && slices.ContainsFunc(hanging, func(part string) bool { return strings.Contains(text, part) })
		})
		if !differs && len(all) > 0 {
			t.Errorf("%s agrees with its library: %q", line.Name, all)
		}
		if differs && !strings.HasPrefix(line.Name, "drawn_") {
			check(t, line.Name, all)
		}
	}
}

func TestWordsOfOneLetterThatThePatternFindsAreDoubted(t *testing.T) {
	for name, c := range map[string]struct {
		longest int64
		words   []string
		doubted bool
	}{
		"pairs":                {2, []string{"big", "cat"}, true},
		"pairs and a letter":   {2, []string{"a", "cat"}, false},
		"single words":         {1, []string{"big", "cat"}, false},
		"pairs without a pool": {2, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			all := exports.Doubts(&onnx.Model{Graph: &onnx.Graph{Nodes: []*onnx.Node{
				{Op: "Tokenizer", Outputs: []string{"t"}, Attributes: []onnx.Attribute{{Name: "tokenexp", String: "[a-zA-Z0-9_]+"}}},
				{Op: "Flatten", Inputs: []string{"t"}, Outputs: []string{"f"}},
				{Op: "TfIdfVectorizer", Inputs: []string{"f"}, Outputs: []string{"y"}, Attributes: []onnx.Attribute{
					{Name: "max_gram_length", Int: c.longest}, {Name: "pool_strings", Strings: c.words},
				}},
			}}}, false)
			if doubted := len(all) == 1 && strings.Contains(all[0], "knows none of one letter"); doubted != c.doubted || len(all) > 1 {
				t.Errorf("%q", all)
			}
		})
	}
}

func TestTheLossOfCatBoostIsTheParameters(t *testing.T) {
	for name, c := range map[string]struct {
		metadata []onnx.Property
		doubted  bool
	}{
		"parameters":         {[]onnx.Property{{Key: "params", Value: `{"loss_function":{"type":"Poisson"}}`}}, true},
		"a metric beside it": {[]onnx.Property{{Key: "params", Value: `{"loss_function":{"type":"RMSE"}}`}, {Key: "training", Value: `{"metrics":{"learn_best_error":{"Poisson":1,"RMSE":2}}}`}}, false},
		"the training alone": {[]onnx.Property{{Key: "training", Value: `{"metrics":{"learn_best_error":{"Tweedie:variance_power=1.5":1}}}`}}, true},
		"nothing":            {nil, false},
		"no JSON":            {[]onnx.Property{{Key: "params", Value: `{`}, {Key: "training", Value: `[]`}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := &onnx.Model{Producer: "CatBoost", Graph: &onnx.Graph{}, Metadata: c.metadata}
			if all := exports.Doubts(m, false); len(all) > 0 != c.doubted {
				t.Errorf("%q", all)
			}
		})
	}
}

func TestCategoriesAreThoseOfEncodersThatRefuseOthers(t *testing.T) {
	column := func(name string) *onnx.ValueInfo {
		return &onnx.ValueInfo{Name: name, Type: &onnx.Type{Of: onnx.TensorType, Elem: tensor.String, Ranked: true, Dims: []tensor.Dim{{Size: -1}, {Size: 1}}}}
	}
	encoder := func(input string, zeros int64, words ...string) *onnx.Node {
		return &onnx.Node{Op: "OneHotEncoder", Inputs: []string{input}, Outputs: []string{input + "_coded"}, Attributes: []onnx.Attribute{
			{Name: "cats_strings", Strings: words}, {Name: "zeros", Int: zeros},
		}}
	}
	at, err := tensor.New(tensor.Shape{1}, []int64{1})
	if err != nil {
		t.Fatal(err)
	}
	m := &onnx.Model{Graph: &onnx.Graph{
		Inputs:       []*onnx.ValueInfo{column("town"), column("kind"), column("colour"), column("any"), column("cut")},
		Initializers: []onnx.Initializer{{Name: "one", Tensor: at}},
		Nodes: []*onnx.Node{
			encoder("town", 0, "Bern", "Ulm"), encoder("any", 1, "x"), encoder("short", 0, "y"), encoder("picked", 0, "red", "blue"),
			{Op: "Concat", Inputs: []string{"kind", "colour"}, Outputs: []string{"both"}},
			{Op: "ArrayFeatureExtractor", Inputs: []string{"both", "one"}, Outputs: []string{"picked"}},
			{Op: "StringNormalizer", Inputs: []string{"cut"}, Outputs: []string{"short"}},
		},
	}}
	want := map[string][]string{"town": {"Bern", "Ulm"}, "colour": {"red", "blue"}}
	if got := exports.Categories(m); !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestTextInputsAreThoseThatAreCutIntoWords(t *testing.T) {
	node := func(op, in, out string) *onnx.Node {
		return &onnx.Node{Op: op, Inputs: strings.Fields(in), Outputs: strings.Fields(out)}
	}
	var inputs []*onnx.ValueInfo
	for _, name := range []string{"age", "city", "note", "title", "kind"} {
		inputs = append(inputs, &onnx.ValueInfo{Name: name})
	}
	m := &onnx.Model{Graph: &onnx.Graph{Inputs: inputs, Nodes: []*onnx.Node{
		node("LabelEncoder", "city", "code"),
		node("Flatten", "note", "flat"), node("StringNormalizer", "flat", "low"), node("Tokenizer", "low", "words"), node("TfIdfVectorizer", "words", "counts"),
		node("Concat", "title round", "both"), node("Identity", "both", "round"), node("StringSplit", "both", "parts"),
		node("LabelEncoder", "kind", "number"), node("TfIdfVectorizer", "number", "more"),
	}}}
	if got := exports.TextInputs(m); !slices.Equal(got, []string{"note", "title"}) {
		t.Errorf("%q", got)
	}
}

// FuzzDoubts holds for any file that can be decoded: it is looked at without a
// panic, twice with the same result.
func FuzzDoubts(f *testing.F) {
	files, err := filepath.Glob("testdata/*.onnx")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := exec.Decode(data, onnx.Limits{})
		if err != nil {
			return
		}
		if first, second := exports.Doubts(m, true), exports.Doubts(m, true); !slices.Equal(first, second) {
			t.Errorf("%q, and then %q", first, second)
		}
	})
}
