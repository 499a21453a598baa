package main

import (
	"bytes"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// serve starts the fake behind a change of its answers.
func serve(t *testing.T, change func(*http.Request, *httptest.ResponseRecorder)) string {
	t.Helper()
	m := new(mutator)
	m.now.Store(&mutation{answer: func(r *http.Request, _ []byte, w *httptest.ResponseRecorder) {
		if change != nil {
			change(r, w)
		}
	}})
	s := httptest.NewServer(m.wrap(newFake().handler()))
	t.Cleanup(s.Close)
	return s.URL
}

func TestExitStatus(t *testing.T) {
	right := serve(t, nil)
	noLive := serve(t, func(r *http.Request, w *httptest.ResponseRecorder) {
		if r.URL.Path == "/v2/health/live" {
			w.Code = http.StatusServiceUnavailable
		}
	})
	noBody := serve(t, func(r *http.Request, w *httptest.ResponseRecorder) {
		if r.URL.Path == "/v2/health/live" {
			replace(w, http.StatusOK, "")
		}
	})
	listsNone := serve(t, func(r *http.Request, w *httptest.ResponseRecorder) {
		if strings.HasPrefix(r.URL.Path, "/v2/repository") {
			replace(w, http.StatusNotFound, "{}")
		}
	})
	for name, tt := range map[string]struct {
		args []string
		want int
		text string
	}{
		"0 when all holds":                {[]string{right, "-m", "simple", "--only", "server/"}, exitConforms, ""},
		"0 with the models that it lists": {[]string{right, "--only", "infer/"}, exitConforms, ""},
		"1 when a MUST fails":             {[]string{noLive, "-m", "simple", "--only", "server/"}, exitDeviates, ""},
		"0 when a SHOULD fails":           {[]string{noBody, "-m", "simple", "--only", "server/"}, exitConforms, ""},
		"2 without an address":            {nil, exitUsage, "URL"},
		"2 with two addresses":            {[]string{right, right}, exitUsage, "URL"},
		"2 for another scheme":            {[]string{"ftp://127.0.0.1"}, exitUsage, "http"},
		"2 for an unknown flag":           {[]string{right, "--fast"}, exitUsage, "--fast"},
		"2 for an unknown format":         {[]string{right, "--format", "pdf"}, exitUsage, "junit"},
		"2 for a pattern of no case":      {[]string{right, "--only", "nothing"}, exitUsage, "nothing"},
		"2 for a broken pattern":          {[]string{right, "--only", "("}, exitUsage, "--only"},
		"2 for a header without value":    {[]string{right, "-H", "Authorization"}, exitUsage, "--header"},
		"2 for a model without a name":    {[]string{right, "-m", "simple,"}, exitUsage, "--model"},
		"2 when nobody is there":          {[]string{"http://127.0.0.1:1", "-m", "simple"}, exitUsage, "no answer"},
		"2 when no model is named":        {[]string{listsNone}, exitUsage, "--model"},
		"0 for the list":                  {[]string{"--list"}, exitConforms, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			got, err := run(t.Context(), tt.args, &out)
			if got != tt.want || (err != nil) != (tt.want == exitUsage) || err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%d, %v; want %d and %q\n%s", got, err, tt.want, tt.text, out.String())
			}
		})
	}
}

func TestBrokenMetadataFailTheirCases(t *testing.T) {
	url := serve(t, func(r *http.Request, w *httptest.ResponseRecorder) {
		if r.URL.Path == "/v2/models/simple" {
			replace(w, http.StatusOK, strings.ReplaceAll(w.Body.String(), "INT32", "int"))
		}
	})
	target, err := newTarget(t.Context(), options{url: url, models: []string{"simple"}, timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer target.close()
	want := map[string]outcome{"model/metadata": passed, "model/metadata-inputs": failed, "infer/flat": notApplicable}
	for _, r := range runAll(t.Context(), target, allCases()) {
		if status, ok := want[r.Name]; ok && r.Status != status {
			t.Errorf("%s: %s %s; want %s", r.Name, r.Status, r.Got, status)
		}
	}
}

func TestFormatsSayWhatCame(t *testing.T) {
	url := serve(t, func(r *http.Request, w *httptest.ResponseRecorder) {
		if r.URL.Path == "/v2/health/live" {
			replace(w, http.StatusServiceUnavailable, "asleep")
		}
	})
	outputs := map[string]string{}
	for format := range writers {
		var out bytes.Buffer
		code, err := run(t.Context(), []string{url, "-m", "simple", "-H", "Authorization: secret", "--only", "server/live$|grpc/health", "--format", format}, &out)
		if err != nil || code != exitDeviates {
			t.Fatalf("%d, %v", code, err)
		}
		outputs[format] = out.String()
		for _, want := range []string{"server/live", "503 asleep", "no address of a gRPC service", "$TOKEN", url + "/v2/health/live"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s lacks %q:\n%s", format, want, out.String())
			}
		}
		if strings.Contains(out.String(), "secret") {
			t.Errorf("%s shows the credential:\n%s", format, out.String())
		}
	}
	var r report
	if err := json.Unmarshal([]byte(outputs["json"]), &r); err != nil || len(r.Results) != 2 || r.Results[0].Status != failed {
		t.Errorf("JSON: %v, %+v", err, r)
	}
	var suite junitSuite
	if err := xml.Unmarshal([]byte(outputs["junit"]), &suite); err != nil || suite.Tests != 2 || suite.Failures != 1 || suite.Skipped != 1 {
		t.Errorf("JUnit: %v, %+v", err, suite)
	}
}

func TestPageHoldsTheTablesOfReports(t *testing.T) {
	dir := t.TempDir()
	page, file := filepath.Join(dir, "page.md"), filepath.Join(dir, "fake.json")
	var out bytes.Buffer
	url := serve(t, func(_ *http.Request, w *httptest.ResponseRecorder) {
		if w.Code == http.StatusMethodNotAllowed {
			w.Code = http.StatusOK
		}
	})
	if _, err := run(t.Context(), []string{url, "-m", "simple", "--format", "json"}, &out); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{page: "before\n" + pageBegin + "yesterday\n" + pageEnd + "after\n", file: out.String()} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if code, err := run(t.Context(), []string{"--page", page, file}, &out); code != exitConforms || err != nil {
		t.Fatalf("%d, %v", code, err)
	}
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, want := range []string{"before\n", "\nafter\n", "| fake 1 |", "| server/live | MUST |", "| **✗** |", "## What fake 1 answers instead"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "yesterday") {
		t.Error("the page holds the former tables")
	}
}
