package internal_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/app"
)

func TestDoctorPageIsTheListOfDiagnoses(t *testing.T) {
	const page, begin, end = "../docs/doctor.md", "<!-- begin diagnoses -->\n", "<!-- end diagnoses -->"
	head, rest, ok := strings.Cut(readPage(t, page), begin)
	table, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s lacks %q or %q", page, begin, end)
	}
	var want strings.Builder
	want.WriteString("| id | |\n|---|---|\n")
	for _, d := range app.Diagnoses() {
		fmt.Fprintf(&want, "| `%s` | %s |\n", d.ID, d.Means)
	}
	if *update {
		if err := os.WriteFile(page, []byte(head+begin+want.String()+end+tail), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want.String(), table); diff != "" {
		t.Errorf("run go test ./internal -run DoctorPage -update (-want +have):\n%s", diff)
	}
}
