package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestThePageOnCSVShowsWhatComesBack pastes the first lines of docs/csv.md behind
// a token.
func TestThePageOnCSVShowsWhatComesBack(t *testing.T) {
	need(t, "bash", "on Debian: apt-get install bash")
	t.Parallel()
	s := begin(t)
	page, err := os.ReadFile(source(t, "docs/csv.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```")
	lines := strings.ReplaceAll(strings.TrimPrefix(blocks[1], "sh\n"), "https://127.0.0.1:8443", s.url())
	out := paste(t, s.dir, []string{"TOKEN=" + adminToken(t, s), lines})
	if diff := cmp.Diff(strings.TrimPrefix(blocks[3], "\n"), out); diff != "" {
		t.Errorf("(-page +server):\n%s", diff)
	}
}
