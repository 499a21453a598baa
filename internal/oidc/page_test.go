package oidc

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Every example of the page is an issuers' file that is accepted, but for the
// files of a cluster that it names.
func TestTheExamplesOfThePageAreAccepted(t *testing.T) {
	page, err := os.ReadFile("../../docs/outside-issuers.md")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := regexp.MustCompile(`(?m)^    (ca_file|bearer_token_file): /var/run/.*\n`)
	examples := 0
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(page, -1) {
		text := string(block[1])
		if !strings.Contains(text, "issuers:") {
			continue
		}
		examples++
		r := &reader{file: "the page"}
		if root := r.document([]byte(elsewhere.ReplaceAllString(text, ""))); root != nil {
			r.entries(root, "https://own.example")
		}
		if len(r.problems) > 0 {
			t.Errorf("%v in\n%s", r.problems, text)
		}
	}
	if examples != 7 {
		t.Errorf("%d examples, want 7", examples)
	}
}

func TestThePageNamesEveryKey(t *testing.T) {
	page, err := os.ReadFile("../../docs/outside-issuers.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range new(reader).keysOf(&entry{}) {
		if !regexp.MustCompile("(?m)^\\|.*`" + k.name + "`.* \\|").Match(page) {
			t.Errorf("the page does not name %s", k.name)
		}
	}
	for _, alg := range asymmetric {
		if !strings.Contains(string(page), "`"+string(alg)+"`") {
			t.Errorf("the page does not name %s", alg)
		}
	}
}
