package cli

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestEveryCommandHasExamplesThatItTakes parses each example with the flags and the
// arguments of the command that it stands under.
func TestEveryCommandHasExamplesThatItTakes(t *testing.T) {
	left := map[string]bool{}
	for path := range exampleLines {
		left[path] = true
	}
	for _, cmd := range leaves(rootCommand(&Process{})) {
		_, path, _ := strings.Cut(cmd.CommandPath(), " ")
		delete(left, path)
		if cmd.Example == "" {
			t.Errorf("%s has no example", path)
		}
		for _, line := range exampleLines[path] {
			takes(t, path, line)
		}
	}
	for path := range left {
		t.Errorf("there is no command %q", path)
	}
}

// leaves are the commands that do something, but for those that cobra adds and
// those that nobody types.
func leaves(cmd *cobra.Command) []*cobra.Command {
	if !cmd.HasSubCommands() {
		return []*cobra.Command{cmd}
	}
	var all []*cobra.Command
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			all = append(all, leaves(c)...)
		}
	}
	return all
}

// takes holds a line of a shell to the command that it names.
func takes(t *testing.T, path, line string) {
	t.Helper()
	_, words, found := strings.Cut(line, "onnxgate "+path)
	if !found {
		t.Errorf("%s: the example is of another command: %s", path, line)
		return
	}
	words, _, _ = strings.Cut(words, ">")
	words, _, _ = strings.Cut(words, "<")
	cmd, _, err := rootCommand(&Process{}).Find(strings.Fields(path))
	if err != nil {
		t.Error(err)
		return
	}
	if err := cmd.ParseFlags(strings.Fields(strings.ReplaceAll(words, "'", ""))); err != nil {
		t.Errorf("%s: %v", line, err)
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
		t.Errorf("%s: %v", line, err)
	}
}
