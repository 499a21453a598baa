package filekind_test

import (
	"archive/zip"
	"bytes"
	"strings"
	"testing"

	"onnxgate/internal/filekind"
)

// archive returns a ZIP archive with a large entry before those of the names.
func archive(t *testing.T, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i, name := range append([]string{"first"}, names...) {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil && i == 0 {
			_, err = f.Write(bytes.Repeat([]byte{1}, 1<<18))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFilesAreKnownByTheirBeginnings(t *testing.T) {
	for name, c := range map[string]struct {
		what func([]byte) string
		file []byte
		want string
	}{
		"xlsx":             {filekind.Data, archive(t, "[Content_Types].xml", "xl/workbook.xml"), "an Excel workbook; save it as CSV"},
		"xls":              {filekind.Data, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00\x00"), "an Excel workbook; save it as CSV"},
		"ods":              {filekind.Data, []byte("PK\x03\x04…mimetypeapplication/vnd.oasis.opendocument.spreadsheet"), "OpenDocument"},
		"npz":              {filekind.Data, archive(t, "a.npy", "b.npy"), ".npz archive"},
		"other archive":    {filekind.Data, archive(t, "a.txt"), "a ZIP archive"},
		"parquet":          {filekind.Data, []byte("PAR1\x15\x04"), "a Parquet file"},
		"feather":          {filekind.Data, []byte("ARROW1\x00\x00"), "a Feather file"},
		"pickled table":    {filekind.Data, []byte("\x80\x05\x95"), "a pickle"},
		"UTF-16":           {filekind.Data, []byte("\xff\xfea\x00"), "UTF-16"},
		"CSV":              {filekind.Data, []byte("a,b\n1,2\n"), ""},
		"JSON":             {filekind.Data, []byte(`{"learner":1}`), ""},
		"array":            {filekind.Data, []byte("\x93NUMPY\x01\x00"), ""},
		"nothing":          {filekind.Data, nil, ""},
		"empty":            {filekind.Model, nil, "an empty file"},
		"pickle":           {filekind.Model, []byte("\x80\x04\x95"), "skl2onnx.to_onnx"},
		"pickle, text":     {filekind.Model, []byte("ccopy_reg\n_reconstructor\np0"), "skl2onnx.to_onnx"},
		"safetensors":      {filekind.Model, []byte("<\x00\x00\x00\x00\x00\x00\x00{\"w\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}"), "in safetensors, and no model"},
		"LZMA":             {filekind.Model, []byte("\x5d\x00\x00\x80\x00\xff"), "joblib.load"},
		"numpy":            {filekind.Model, []byte("\x93NUMPY\x01\x00"), "an array of numpy"},
		"Parquet":          {filekind.Model, []byte("PAR1\x15\x04"), "Parquet"},
		"PDF":              {filekind.Model, []byte("%PDF-1.7\n"), "a PDF document"},
		"tar":              {filekind.Model, append(make([]byte, 257), "ustar\x0000"...), "a tar archive"},
		"zlib":             {filekind.Model, []byte("\x78\x9c\xed\xbd"), "joblib.load"},
		"zlib, stored":     {filekind.Model, []byte("\x78\x01\x01\x00"), "joblib.load"},
		"zlib, best":       {filekind.Model, []byte("\x78\xda\xed\xbd"), "joblib.load"},
		"bzip2":            {filekind.Model, []byte("BZh91AY"), "joblib.load"},
		"PyTorch":          {filekind.Model, archive(t, "model/data.pkl", "model/data/0"), "torch.onnx.export"},
		"Keras":            {filekind.Model, archive(t, "metadata.json", "config.json", "model.weights.h5"), "a Keras model"},
		"Keras, HDF5":      {filekind.Model, []byte("\x89HDF\r\n\x1a\n"), "a Keras model"},
		"zipped ONNX":      {filekind.Model, archive(t, "model.onnx"), "unpack it and give the .onnx file"},
		"zipped something": {filekind.Model, archive(t, "model.txt"), "holds no .onnx file"},
		"TFLite":           {filekind.Model, []byte("\x1c\x00\x00\x00TFL3\x14\x00"), "tf2onnx.convert --tflite"},
		"CatBoost":         {filekind.Model, []byte("CBM1\x00\x01"), `format="onnx"`},
		"CatBoost, JSON":   {filekind.Model, []byte("{\n\"features_info\":{},\"oblivious_trees\":[]}"), "a CatBoost model"},
		"LightGBM":         {filekind.Model, []byte("tree\nversion=v4\n"), "convert_lightgbm"},
		"LightGBM, CRLF":   {filekind.Model, []byte("tree\r\nversion=v4\r\n"), "convert_lightgbm"},
		"LightGBM, JSON":   {filekind.Model, []byte(`{"name":"tree","tree_info":[]}`), "convert_lightgbm"},
		"XGBoost, JSON":    {filekind.Model, []byte(`{"learner":{"gradient_booster":{"model":{"tree_info":[0]}}}}`), "convert_xgboost"},
		"XGBoost, UBJSON":  {filekind.Model, []byte("{L\x00\x00\x00\x00\x00\x00\x00\x07learner{"), "convert_xgboost"},
		"XGBoost, old":     {filekind.Model, []byte("binf\x00\x00"), "convert_xgboost"},
		"PMML":             {filekind.Model, []byte("<?xml version=\"1.0\"?>\n<PMML version=\"4.4\">"), "a PMML model"},
		"page":             {filekind.Model, []byte("\n<!DOCTYPE html>"), "an HTML or XML page"},
		"other JSON":       {filekind.Model, []byte("\ufeff {}"), "JSON; give"},
		"LFS":              {filekind.Model, []byte("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"},
		"ONNX":             {filekind.Model, []byte("\x08\x0a\x12\x08skl2onnx"), ""},
		"short":            {filekind.Model, []byte("\x08"), ""},
	} {
		if got := c.what(c.file); !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
