// Package filekind tells by their beginnings the files that people give where a
// model or a table belongs, and says what to do with each. It must not know who
// asks, nor read more of a file than that.
package filekind

import "bytes"

// kind is one kind of file.
type kind struct {
	prefix string
	at     int    // where the prefix stands
	within string // what must also be near the beginning or the end
	what   string
}

const (
	zip  = "PK\x03\x04"
	gzip = "a gzip archive; unpack it first"
)

// data are files that are given for tables and arrays. Of two that fit, the
// first counts.
var data = []kind{
	{prefix: zip, within: "xl/", what: "an Excel workbook; save it as CSV"},
	{prefix: "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", what: "an Excel workbook; save it as CSV"},
	{prefix: zip, within: "opendocument.spreadsheet", what: "an OpenDocument table; save it as CSV"},
	{prefix: zip, within: ".npy", what: "a .npz archive of several arrays; save one with numpy.save"},
	{prefix: zip, what: "a ZIP archive; unpack it first"},
	{prefix: "PAR1", what: "a Parquet file; write it as CSV with df.to_csv(FILE, index=False)"},
	{prefix: "ARROW1", what: "a Feather file; write it as CSV with df.to_csv(FILE, index=False)"},
	{prefix: "\x80\x02", what: pickledData},
	{prefix: "\x80\x03", what: pickledData},
	{prefix: "\x80\x04", what: pickledData},
	{prefix: "\x80\x05", what: pickledData},
	{prefix: "\x89HDF", what: "an HDF5 file; save the array with numpy.save"},
	{prefix: "\x1f\x8b", what: gzip},
	{prefix: "\xff\xfe", what: "text in UTF-16; save it as UTF-8"},
	{prefix: "\xfe\xff", what: "text in UTF-16; save it as UTF-8"},
}

const pickledData = "a pickle, which is a program and not data; save the array with numpy.save, or the table as CSV"

// models are files that are given for ONNX models.
var models = []kind{
	{prefix: "\x80\x02", what: pickle},
	{prefix: "\x80\x03", what: pickle},
	{prefix: "\x80\x04", what: pickle},
	{prefix: "\x80\x05", what: pickle},
	{prefix: "ccopy_reg\n", what: pickle}, // protocol 0
	{prefix: "ccopyreg\n", what: pickle},
	{prefix: "{\"", at: 8, within: `"data_offsets"`, what: "the weights of a model, in safetensors, and no model; export the model with its library's ONNX exporter"},
	{prefix: "\x5d\x00\x00", what: compressed}, // LZMA
	{prefix: "\x78\x01", what: compressed},
	{prefix: "\x78\x5e", what: compressed},
	{prefix: "\x78\x9c", what: compressed},
	{prefix: "\x78\xda", what: compressed},
	{prefix: "BZh", what: compressed},
	{prefix: "\xfd7zXZ\x00", what: compressed},
	{prefix: zip, within: "data.pkl", what: "a PyTorch file; load it and write torch.onnx.export(model, inputs, \"model.onnx\")"},
	{prefix: zip, within: "model.weights.h5", what: keras},
	{prefix: zip, within: ".onnx", what: "a ZIP archive; unpack it and give the .onnx file in it"},
	{prefix: zip, what: "a ZIP archive, and holds no .onnx file; export the model with its library's ONNX exporter"},
	{prefix: "\x1f\x8b", what: gzip},
	{prefix: "\x89HDF", what: keras},
	{prefix: "TFL3", at: 4, what: "a TensorFlow Lite model; convert it with python -m tf2onnx.convert --tflite FILE --output model.onnx"},
	{prefix: "CBM1", what: catboost},
	{prefix: "{", within: `"oblivious_trees"`, what: catboost},
	{prefix: "tree\nversion=", what: lightgbm},
	{prefix: "tree\r\nversion=", what: lightgbm},
	{prefix: "{", within: `"learner"`, what: xgboost},
	{prefix: "{", within: `"tree_info"`, what: lightgbm},
	{prefix: "{L\x00\x00\x00\x00\x00\x00\x00\x07learner", what: xgboost},
	{prefix: "binf", what: xgboost},
	{prefix: "{", what: "JSON; give the binary .onnx file"},
	{prefix: "<", within: "<PMML", what: "a PMML model; export it from the library that trained it, for scikit-learn with skl2onnx.to_onnx"},
	{prefix: "<", what: "an HTML or XML page; was a download refused?"},
	{prefix: "version https://git-lfs", what: "a Git LFS pointer; run git lfs pull"},
	{prefix: "\x93NUMPY", what: "an array of numpy; give the model's .onnx file"},
	{prefix: "PAR1", what: "a table in Parquet; give the model's .onnx file"},
	{prefix: "%PDF", what: "a PDF document; give the model's .onnx file"},
	{prefix: "ustar", at: 257, what: "a tar archive; unpack it and give the .onnx file in it"},
}

const (
	pickle     = "a Python pickle; export the model with skl2onnx.to_onnx or its library's own ONNX exporter"
	compressed = "a compressed file, such as a pickle of joblib; load it with joblib.load and export the model with skl2onnx.to_onnx or its library's own ONNX exporter"
	keras      = "a Keras model; load it and write model.export(\"model.onnx\", format=\"onnx\"), or convert it with tf2onnx"
	catboost   = "a CatBoost model; load it and write model.save_model(\"model.onnx\", format=\"onnx\")"
	lightgbm   = "a LightGBM model; load it and export it with onnxmltools.convert_lightgbm"
	xgboost    = "an XGBoost model; load it and export it with onnxmltools.convert_xgboost"
)

// Data says what a file is that was given for a table or an array, and what to
// do with it; empty for what it does not know.
func Data(file []byte) string { return find(data, file) }

// Model says what a file is that was given for an ONNX model, and what to do
// with it; empty for what it does not know.
func Model(file []byte) string {
	if len(file) == 0 {
		return "an empty file"
	}
	return find(models, file)
}

// near is how far from its ends a file is looked through.
const near = 64 << 10

func find(kinds []kind, file []byte) string {
	text := bytes.TrimLeft(file[:min(len(file), 64)], " \t\r\n\ufeff")
	head, tail := file[:min(len(file), near)], file[max(0, len(file)-near):]
	for i := range kinds {
		k := &kinds[i]
		begins := len(file) > k.at && bytes.HasPrefix(file[k.at:], []byte(k.prefix)) ||
			k.at == 0 && k.prefix[0] >= ' ' && bytes.HasPrefix(text, []byte(k.prefix))
		if begins && (bytes.Contains(head, []byte(k.within)) || bytes.Contains(tail, []byte(k.within))) {
			return k.what
		}
	}
	return ""
}
