package internal_test

import (
	"bytes"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"onnxgate/internal/cli"
	"onnxgate/internal/config"
)

var (
	// codeSpan is code within a line, and codeLine a command in an example.
	codeSpan = regexp.MustCompile("`(?:bin/)?(onnxgate [^`]+)`")
	codeLine = regexp.MustCompile(`(?m)^[^#\n]*\b(?:bin/)?(onnxgate [a-z].*)$`)
	// commandWord is the name of a command.
	commandWord = regexp.MustCompile(`^[a-z]+$`)
	// longFlag is a flag, and lastWord what ends a command within a line.
	longFlag = regexp.MustCompile(`(?:^| )(--[a-z][a-z-]*)`)
	lastWord = regexp.MustCompile(`[|<>;&#]|\\$`)
)

// commandHelp is what the program says of its commands, by their words.
type commandHelp map[string]string

func (h commandHelp) of(t *testing.T, words ...string) string {
	t.Helper()
	name := strings.Join(words, " ")
	if _, ok := h[name]; !ok {
		var out bytes.Buffer
		cli.Run(t.Context(), &cli.Process{
			Args: slices.Concat([]string{"onnxgate"}, words, []string{"--help"}), Stdout: &out, Stderr: &out,
			Lookup: func(string) (string, bool) { return "", false }, Environ: func() []string { return nil },
		})
		h[name] = out.String()
	}
	return h[name]
}

// check compares a command of a page with the program.
func (h commandHelp) check(t *testing.T, page, line string) {
	t.Helper()
	command := line
	if at := lastWord.FindStringIndex(line); at != nil {
		command = line[:at[0]]
	}
	words := strings.Fields(command)[1:]
	if len(words) == 0 || !commandWord.MatchString(words[0]) {
		return // a folder or a user of that name
	}
	has := func(help, word string) bool {
		return regexp.MustCompile(`(?m)^ +` + regexp.QuoteMeta(word) + `\b`).MatchString(help)
	}
	if !has(h.of(t), words[0]) {
		t.Errorf("%s: there is no command %q: %s", page, words[0], line)
		return
	}
	help := h.of(t, words[0])
	if strings.Contains(help, "Available Commands:") && len(words) > 1 && !strings.HasPrefix(words[1], "-") {
		if !has(help, words[1]) {
			t.Errorf("%s: %s has no command %q: %s", page, words[0], words[1], line)
			return
		}
		help = h.of(t, words[0], words[1])
	}
	for _, flag := range longFlag.FindAllStringSubmatch(command, -1) {
		if !strings.Contains(help, flag[1]+" ") && !strings.Contains(help, flag[1]+"\n") {
			t.Errorf("%s: the command has no flag %s: %s", page, flag[1], line)
		}
	}
}

func TestPagesNameCommandsAndFlagsThatThereAre(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	help, checked := commandHelp{}, 0
	for _, page := range append(pages, "../README.md", "../CHANGELOG.md") {
		text := readPage(t, page)
		lines := codeSpan.FindAllStringSubmatch(text, -1)
		for _, block := range regexp.MustCompile("(?ms)^```(?:sh|console)\n(.*?)^```").FindAllStringSubmatch(text, -1) {
			lines = append(lines, codeLine.FindAllStringSubmatch(block[1], -1)...)
		}
		for _, line := range lines {
			checked++
			help.check(t, filepath.Base(page), line[1])
		}
	}
	if checked < 100 {
		t.Errorf("only %d commands were found", checked)
	}
}

var (
	// settingName is one of ours, and settingsBlock an example of a file with settings.
	settingName   = regexp.MustCompile(`\bONNXGATE_[A-Z_]*[A-Z]\b`)
	settingsBlock = regexp.MustCompile("(?ms)^```ini\n(.*?)^```")
)

func TestPagesNameSettingsThatThereAre(t *testing.T) {
	// What no file may hold, and what Kubernetes sets for a service of that name.
	known := map[string]bool{"ONNXGATE_ENV_IDENTITY_FILE": true, "ONNXGATE_SERVICE_HOST": true}
	for _, s := range config.Settings() {
		known[s.Name], known[s.Name+"_FILE"] = true, s.Secret || known[s.Name+"_FILE"]
	}
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := 0
	for _, page := range append(pages, "../README.md") {
		text := readPage(t, page)
		for _, name := range settingName.FindAllString(text, -1) {
			if !known[name] {
				t.Errorf("%s: there is no setting %s", filepath.Base(page), name)
			}
		}
		for _, block := range settingsBlock.FindAllStringSubmatch(text, -1) {
			examples++
			if err := config.CheckEnvFile(filepath.Base(page), []byte(block[1])); err != nil {
				t.Error(err)
			}
		}
	}
	if examples < 5 {
		t.Errorf("only %d examples of settings were found", examples)
	}
}
