package httpapi_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTokenThenPrediction(t *testing.T) {
	f := newAPI(t, nil).serve()
	got := f.do(request{method: "POST", path: "/token", body: "username=admin&password=right", header: form()})
	want := `{"access_token":"admin","token_type":"bearer","expires_in":900,"scope":"models:read models:predict"}` + "\n"
	if got.StatusCode != http.StatusOK || got.body != want {
		t.Fatalf("token: %d %s", got.StatusCode, got.body)
	}
	if got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("Pragma") != "no-cache" {
		t.Errorf("a token may be stored by a cache: %v", got.Header)
	}
	token, _ := got.json(t)["access_token"].(string)
	got = f.do(request{method: "POST", path: "/predict", token: token, body: row})
	if got.StatusCode != http.StatusOK || got.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("predict: %d %s", got.StatusCode, got.body)
	}
	if diff := cmp.Diff(map[string]any{
		"prediction": 0.0, "label": "setosa", "model": "iris", "version": "2",
		"probabilities": map[string]any{"setosa": 1.0, "versicolor": 0.0, "virginica": 0.0},
	}, got.json(t)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got = f.do(request{method: "POST", path: "/models/iris/versions/1/predict", token: token, body: "[" + row + "," + row + "]"})
	if rows, _ := got.json(t)["predictions"].([]any); len(rows) != 2 || got.json(t)["version"] != "1" {
		t.Errorf("array: %d %s", got.StatusCode, got.body)
	}
}
