package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"onnxgate/internal/testkit"
)

var pasteable = regexp.MustCompile(`^\s*(?:\$ )?((?:curl|[A-Za-z_][A-Za-z0-9_]*=|bin/onnxgate).*)$`)

// pasteLines returns the lines of the text that a reader pastes into a shell:
// those that begin with curl, NAME= or bin/onnxgate after blanks and an optional
// "$ ". A backslash at the end continues a line.
func pasteLines(text string) []string {
	var lines []string
	continued := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if found := pasteable.FindStringSubmatch(line); found != nil && !continued {
			line = found[1]
		} else if !continued {
			continue
		}
		lines = append(lines, line)
		continued = strings.HasSuffix(line, `\`)
	}
	return lines
}

// paste runs the lines in one bash in dir, and fails when any of them fails.
func paste(t *testing.T, dir string, lines []string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail")
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s\nfrom\n%s", err, out, strings.Join(lines, "\n"))
	}
	return string(out)
}

// TestPrintedLinesWork pastes what `make run` prints, from top to bottom, with
// the rates as they are by default, and once more the next day.
func TestPrintedLinesWork(t *testing.T) {
	testkit.Tool(t, "bash", "bash")
	t.Parallel()
	s := inRepository(t)
	for _, day := range []string{"first", "second"} {
		if err := s.start(t.Context(), "ONNXGATE_DOCS=on"); err != nil {
			t.Fatal(err)
		}
		lines := pasteLines(s.log.String())
		if len(lines) == 0 {
			t.Fatalf("no line to paste:\n%s", s.log)
		}
		checkPasted(t, day, lines, paste(t, s.dir, lines))
		s.terminate(t)
	}
}

// TestPrintedLinesWorkInOtherConfigurations pastes them where names need quotes,
// the password is the operator's, and no model is the default one.
func TestPrintedLinesWorkInOtherConfigurations(t *testing.T) {
	testkit.Tool(t, "bash", "bash")
	t.Parallel()
	s := inRepository(t)
	if err := os.WriteFile(filepath.Join(s.dir, "the password"), []byte("violet-river-lantern-42\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		if err := os.CopyFS(filepath.Join(s.dir, "models", name), os.DirFS(source(t, "models/iris"))); err != nil {
			t.Fatal(err)
		}
	}
	s.ca = filepath.Join(s.dir, "my data", "tls", "cert.pem")
	for _, day := range []string{"first", "second"} {
		if err := s.start(t.Context(), "ONNXGATE_DATA_DIR=my data", "ONNXGATE_ADMIN_PASSWORD_FILE=the password", "ONNXGATE_MODELS_DIR=models"); err != nil {
			t.Fatal(err)
		}
		out := paste(t, s.dir, pasteLines(s.log.String()))
		for _, want := range []string{`"label":"setosa"`, `"model":"a"`, "Operation not permitted"} {
			if !strings.Contains(out, want) {
				t.Errorf("on the %s day the lines do not print %s:\n%s\n%s", day, want, out, s.log)
			}
		}
		s.terminate(t)
	}
}

// TestPrintedLinesWorkWithoutTokensForPasswords pastes them where /token takes no
// passwords.
func TestPrintedLinesWorkWithoutTokensForPasswords(t *testing.T) {
	testkit.Tool(t, "bash", "bash")
	t.Parallel()
	s := inRepository(t)
	for _, day := range []string{"first", "second"} {
		if err := s.start(t.Context(), "ONNXGATE_PASSWORD_GRANT=off"); err != nil {
			t.Fatal(err)
		}
		out := paste(t, s.dir, pasteLines(s.log.String()))
		for _, want := range []string{`"label":"setosa"`, "Operation not permitted"} {
			if !strings.Contains(out, want) {
				t.Errorf("on the %s day the lines do not print %s:\n%s\n%s", day, want, out, s.log)
			}
		}
		s.terminate(t)
	}
}

// TestPrintedLinesAskForAPasswordThatWasChanged reads what is printed once the
// file of the first password has gone.
func TestPrintedLinesAskForAPasswordThatWasChanged(t *testing.T) {
	t.Parallel()
	s := inRepository(t)
	for range 2 {
		if err := s.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		change := exec.CommandContext(t.Context(), "bin/onnxgate", "user", "passwd", "admin", "--password-stdin")
		change.Dir, change.Env = s.dir, s.environ()
		change.Stdin = strings.NewReader("violet-river-lantern-42")
		if out, err := change.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		s.terminate(t)
	}
	if log := s.log.String(); strings.Contains(log, "$(cat data/initial-admin-password)") || !strings.Contains(log, "ADMIN_PASSWORD=$(read ") {
		t.Errorf("the lines after the password was changed:\n%s", log)
	}
}

// shellLines returns the lines of the text's shell examples, but for those that
// call make: what they do is done.
func shellLines(text string) []string {
	var lines []string
	inside := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```sh"
		case inside && !strings.HasPrefix(line, "make "):
			lines = append(lines, line)
		}
	}
	return lines
}

// TestReadmeLinesWork does the same with the examples of the README, and looks
// for the answers that it shows.
func TestReadmeLinesWork(t *testing.T) {
	testkit.Tool(t, "bash", "bash")
	t.Parallel()
	readme, err := os.ReadFile(source(t, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	s := inRepository(t)
	text := strings.NewReplacer(
		"127.0.0.1:8443", s.addr, "localhost:8443", strings.Replace(s.addr, "127.0.0.1", "localhost", 1), "127.0.0.1:8444", s.admin,
	).Replace(string(readme))
	for _, day := range []string{"first", "second"} {
		if err := s.start(t.Context(), "ONNXGATE_DOCS=on"); err != nil {
			t.Fatal(err)
		}
		out := paste(t, s.dir, shellLines(text))
		shown := 0
		for _, block := range fence.FindAllStringSubmatch(text, -1) {
			if block[1] != "json" {
				continue
			}
			if shown++; !pattern(block[2], false).MatchString(out) {
				t.Errorf("on the %s day the examples do not print %s but\n%s", day, block[2], out)
			}
		}
		if shown == 0 {
			t.Error("the README shows no answer")
		}
		s.terminate(t)
	}
}

// checkPasted looks for what the lines promise: a prediction, and a second user
// who is refused.
func checkPasted(t *testing.T, day string, lines []string, out string) {
	t.Helper()
	for _, want := range []string{`"label":"setosa"`, "Operation not permitted"} {
		if !strings.Contains(out, want) {
			t.Errorf("on the %s day the lines do not print %s:\n%s", day, want, out)
		}
	}
	for _, unwanted := range []string{"rate-limited", "temporarily_unavailable", "invalid_grant"} {
		if strings.Contains(out, unwanted) {
			t.Errorf("on the %s day the lines print %s:\n%s", day, unwanted, out)
		}
	}
	all := strings.Join(lines, "\n")
	if strings.Contains(all, " -k ") || strings.Contains(all, "--insecure") || !strings.Contains(all, "--cacert data/tls/cert.pem") {
		t.Errorf("the lines do not check the certificate:\n%s", all)
	}
}

// inRepository prepares a folder that looks to the lines like the repository
// after make build, and a server that is started there as make run does it.
func inRepository(t *testing.T) *server {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(binary, filepath.Join(dir, "bin", "onnxgate")); err != nil {
		t.Fatal(err)
	}
	s, err := newServer(dir)
	if err != nil {
		t.Fatal(err)
	}
	s.command = []string{"bin/onnxgate", "serve", "--print-examples"} // named as make run does
	return s
}
