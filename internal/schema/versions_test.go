package schema_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/schema"
)

func TestVersionsSayWhatIsServedAndWhatItIsCalled(t *testing.T) {
	for text, want := range map[string]*schema.Versions{
		"versions: {serve: latest}\n": {Latest: true},
		"versions: {serve: all}\n":    {},
		"versions: {serve: [3, 1], labels: {stable: 1, canary: 3}}\n": {
			Only: []string{"3", "1"}, Labels: map[string]string{"stable": "1", "canary": "3"},
		},
		"versions: {labels: {A.b_c-9: 9223372036854775807}}\n": {Labels: map[string]string{"A.b_c-9": "9223372036854775807"}},
		"name: no versions\n": nil,
	} {
		if diff := cmp.Diff(want, parse(t, text).Serving()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestVersionsThatCannotBeMeantAreRefusedByLine(t *testing.T) {
	for text, want := range map[string]string{
		"versions: [1]\n":                              "m.yaml:1: versions must be a mapping",
		"versions: {}\n":                               "m.yaml:1: versions is empty",
		"versions:\n  serve: newest\n":                 `m.yaml:2: serve must be latest, all, or a list of version numbers such as [1, 3], not "newest"`,
		"versions:\n  serve: []\n":                     "m.yaml:2: serve is empty",
		"versions:\n  serve: [1, 1]\n":                 "m.yaml:2: serve names version 1 twice",
		"versions: {serve: [0]}\n":                     "m.yaml:1: serve: a version is a whole number from 1",
		"versions: {serve: [01]}\n":                    "m.yaml:1: serve: a version is a whole number from 1",
		"versions: {serve: ['1']}\n":                   "m.yaml:1: serve: a version is a whole number from 1",
		"versions: {serve: [9223372036854775808]}\n":   "m.yaml:1: serve: a version is a whole number from 1",
		"versions: {labels: {}}\n":                     "m.yaml:1: labels must be up to 1024 names",
		"versions: {labels: [stable]}\n":               "m.yaml:1: labels must be up to 1024 names",
		"versions:\n  labels:\n    1: 3\n":             `m.yaml:3: labels: "1" must be a text`,
		"versions:\n  labels:\n    '2': 3\n":           `m.yaml:3: labels: "2" must be a text of up to 63 letters`,
		"versions: {labels: {v2: 3}}\n":                `m.yaml:1: labels: "v2" could be taken for the version 2`,
		"versions: {labels: {../x: 3}}\n":              `m.yaml:1: labels: "../x" must be a text`,
		"versions: {labels: {stable: canary}}\n":       "m.yaml:1: labels: stable: a version is a whole number from 1",
		"versions: {labels: {stable: 1, stable: 2}}\n": `m.yaml:1: labels: "stable" appears twice`,
		"versions: {label: {stable: 1}}\n":             `m.yaml:1: unknown key "label" in versions; did you mean "labels"?`,
	} {
		_, err := schema.Parse("m.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestVersionsAreHeldToWhatIsThere(t *testing.T) {
	for text, want := range map[string]string{
		"versions: {serve: [1, 3], labels: {stable: 1}}\n": "",
		"versions: {serve: latest, labels: {stable: 3}}\n": "",
		"name: x\n":                                                       "",
		"versions:\n  serve: [1, 2]\n":                                    "m.yaml:2: serve: there is no version 2",
		"versions:\n  labels:\n    canary: 4\n":                           "m.yaml:3: labels: canary is version 4, which is not there",
		"versions:\n  serve: [3]\n  labels:\n    stable: 1\n":             "m.yaml:4: labels: stable is version 1, which serve leaves out",
		"versions: {serve: latest, labels: {stable: 1}}\n":                "m.yaml:1: labels: stable is version 1, which serve leaves out",
		"versions:\n  serve: [2]\n  labels:\n    stable: 4\n    old: 1\n": "m.yaml:2: serve: there is no version 2\nm.yaml:4: labels: stable is version 4, which is not there\nm.yaml:5: labels: old is version 1, which serve leaves out",
	} {
		m, err := schema.Parse("m.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := m.CheckVersions([]string{"1", "3"}); err != nil {
			got = err.Error()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}
