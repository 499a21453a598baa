package app_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"onnxgate/internal/testkit"
)

// Statistics of a model that is shared are of the tenant that asks, and not of one that
// had its name before.
func TestATenantMadeAgainReadsNoStatisticsOfTheFormer(t *testing.T) {
	models := t.TempDir()
	if err := os.CopyFS(models, os.DirFS(filepath.Join("..", "..", "models"))); err != nil {
		t.Fatal(err)
	}
	rules := []byte("access: {roles: [admin], share: ['*']}\n")
	if err := os.WriteFile(filepath.Join(models, "iris", "model.yaml"), rules, 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, t.TempDir(), map[string]string{"MODELS_DIR": models})
	root, admin := s.token(t), "https://"+s.AdminAddr()+"/admin/v1/"
	call := func(method, address, token, body string) string {
		t.Helper()
		status, answer := s.call(t, method, address, token, "application/json", body)
		if status/100 != 2 {
			t.Fatal(method, address, status, answer)
		}
		return answer
	}
	signIn := func(name string) string {
		t.Helper()
		const password = "lamp-violet-orbit-42"
		call(http.MethodPost, admin+"tenants", root, `{"name":"beta"}`)
		call(http.MethodPost, admin+"users", root, `{"name":"`+name+`","tenant":"beta","roles":["admin"],"password":"`+password+`"}`)
		_, body := s.call(t, http.MethodPost, "https://"+s.Addr()+"/token", "", "application/x-www-form-urlencoded",
			url.Values{"username": {name}, "password": {password}}.Encode())
		var answer struct {
			AccessToken string `json:"access_token"`
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Fatal(body)
		}
		return answer.AccessToken
	}
	idle := func(token string) bool {
		return strings.Contains(call(http.MethodGet, "https://"+s.Addr()+"/v2/models/iris/versions/1/stats", token, ""), `"inference_count":0`)
	}
	former := signIn("former")
	call(http.MethodPost, "https://"+s.Addr()+"/v2/models/iris/infer", former,
		`{"inputs":[{"name":"X","shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}]}`)
	if idle(former) {
		t.Fatal("a tenant is not told of its own prediction")
	}
	time.Sleep(time.Second) // tenants are made in whole seconds
	call(http.MethodDelete, admin+"tenants/beta", root, "")
	present := signIn("present")
	testkit.Eventually(t, "a tenant made again is not told of the former's prediction", func() bool { return idle(present) })
}
