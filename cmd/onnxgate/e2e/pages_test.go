package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"onnxgate/internal/testkit"
)

// visit is one server, and the pages of docs that a reader pastes beside it, all of
// them, in this order.
type visit struct {
	name string
	// settings of the server, NAME=VALUE.
	settings []string
	// idle is without a server until a page starts it.
	idle  bool
	pages []page
}

// page is how a page is pasted: all of its blocks of shell, from top to bottom, into
// one bash in the folder of the server. What a page shows behind a block the block
// must print.
type page struct {
	name string
	// first is typed before any block.
	first string
	// with is what the reader writes instead: old and new, one after the other.
	with []string
	// at is what happens before the first block that holds the text.
	at acts
	// not are texts of blocks that are not pasted, and why.
	not map[string]string
	// static needs a program without shared libraries, which one with the race detector
	// is not.
	static bool
	// counts says that numbers of what is shown are those of another day.
	counts bool
}

// act is what happens between two blocks, and acts by a text of the second.
type (
	act  func(*testing.T, *reader)
	acts map[string]act
)

// block is what a page has its reader paste.
type block struct {
	text string
	// shown is what the page says that it prints; empty where it does not say.
	shown string
}

// fence is a block of a page, with its language.
var fence = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

// blocksOf returns the blocks of a page that are pasted into a shell. Of a console
// they are the lines behind "$ ", and the others are what it shows; what stands right
// behind a block of shell is what that one prints.
func blocksOf(t *testing.T, name string) []block {
	t.Helper()
	text, err := os.ReadFile(source(t, "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	shell, end := false, 0
	for _, at := range fence.FindAllSubmatchIndex(text, -1) {
		body, near := string(text[at[4]:at[5]]), strings.TrimSpace(string(text[end:at[0]])) == ""
		switch language := string(text[at[2]:at[3]]); {
		case language == "sh":
			all = append(all, block{text: body})
		case language == "console":
			all = append(all, console(body))
		case shell && near && (language == "json" || language == ""):
			all[len(all)-1].shown = body
		}
		shell, end = string(text[at[2]:at[3]]) == "sh", at[1]
	}
	return all
}

// example returns the first block of a page that begins with the text.
func example(t *testing.T, page, begin string) string {
	t.Helper()
	text, err := os.ReadFile(source(t, "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range fence.FindAllStringSubmatch(string(text), -1) {
		if strings.HasPrefix(block[2], begin) {
			return block[2]
		}
	}
	t.Fatalf("%s has no example that begins with %q", page, begin)
	return ""
}

func console(body string) (b block) {
	typed := false
	for line := range strings.Lines(body) {
		command, prompt := strings.CutPrefix(line, "$ ")
		if typed = prompt || typed; typed {
			b.text += command
		} else {
			b.shown += line
		}
		typed = typed && strings.HasSuffix(line, "\\\n")
	}
	return b
}

// varies is what is another each time, and white space.
var varies = regexp.MustCompile(`…|\d{4}-\d\d-\d\d(T[\d:.]+Z)?|[0-9a-f]{8,}|\d+|\s+`)

// pattern matches what a page shows: … is anything, a time any time, a fingerprint or
// an id any other, and white space none or more. Numbers are others where they count.
func pattern(shown string, counts bool) *regexp.Regexp {
	var b strings.Builder
	end := 0
	for _, at := range varies.FindAllStringIndex(shown, -1) {
		b.WriteString(regexp.QuoteMeta(shown[end:at[0]]))
		switch found := shown[at[0]:at[1]]; {
		case found == "…":
			b.WriteString(`.*?`)
		case strings.TrimSpace(found) == "":
			b.WriteString(`\s*`)
		case strings.Contains(found, "-"):
			b.WriteString(`\d{4}-\d\d-\d\d(T[\d:.]+Z)?`)
		case strings.ContainsAny(found, "abcdef"):
			b.WriteString(`[0-9a-f]{8,}`)
		case counts:
			b.WriteString(`\d+`)
		default:
			b.WriteString(found)
		}
		end = at[1]
	}
	b.WriteString(regexp.QuoteMeta(shown[end:]))
	return regexp.MustCompile(strings.TrimSuffix(b.String(), `\s*`))
}

// reader is a shell beside a server.
type reader struct {
	*server
	settings []string
	page     *page
	in       io.WriteCloser
	out      *bufio.Reader
}

// record ends what a block prints.
const record = '\036'

// read opens a shell for the page, which ends with the first command that fails.
func read(t *testing.T, s *server, settings []string, p *page) *reader {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail")
	cmd.Dir = s.dir
	cmd.Env = s.environ(append(slices.Clone(settings), "EDITOR=true",
		"PATH="+filepath.Join(s.dir, "tools")+string(os.PathListSeparator)+os.Getenv("PATH"))...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() })
	return &reader{server: s, settings: settings, page: p, in: in, out: bufio.NewReader(out)}
}

// paste runs the lines and returns what they print.
func (r *reader) paste(t *testing.T, lines string) string {
	t.Helper()
	r.replaceAddresses(&lines)
	file := filepath.Join(r.dir, "tools", "block")
	put(t, file, lines)
	if _, err := fmt.Fprintf(r.in, ". tools/block < /dev/null; printf '%c'\n", record); err != nil {
		t.Fatal(err)
	}
	printed, err := r.out.ReadString(record)
	if err != nil {
		t.Fatalf("%s: it failed, and printed\n%s\nfrom\n%s\nbeside\n%s", r.page.name, printed, lines, r.log)
	}
	return strings.TrimSuffix(printed, string(record))
}

// replaceAddresses puts the server's in the place of those that it has by default.
func (r *reader) replaceAddresses(text *string) {
	var all []string
	for port, addr := range map[string]string{"8443": r.addr, "8444": r.admin, "8445": r.grpc} {
		all = append(all, "127.0.0.1:"+port, addr, "localhost:"+port, strings.Replace(addr, "127.0.0.1", "localhost", 1))
	}
	*text = strings.NewReplacer(all...).Replace(*text)
}

// serves is a line that starts the server.
var serves = regexp.MustCompile(`(?m)^(bin/onnxgate serve.*)\n`)

// follow pastes the page.
func (r *reader) follow(t *testing.T) {
	t.Helper()
	defer r.in.Close() //nolint:errcheck // it is a pipe
	p, used := r.page, map[string]bool{}
	var whole strings.Builder
	if p.first != "" {
		r.paste(t, p.first)
	}
	for _, b := range blocksOf(t, p.name) {
		whole.WriteString(b.text)
		if p.leavesOut(b.text, used) {
			continue
		}
		for text, do := range p.at {
			if strings.Contains(b.text, text) && !used[text] {
				used[text] = true
				do(t, r)
			}
		}
		if line := serves.FindStringSubmatch(b.text); line != nil {
			r.restart(t, strings.Fields(line[1])...)
			b.text = serves.ReplaceAllString(b.text, "")
		}
		printed := r.paste(t, strings.NewReplacer(p.with...).Replace(b.text))
		if want := pattern(b.shown, p.counts); b.shown != "" && !want.MatchString(printed) {
			t.Errorf("%s shows\n%s\nand it is\n%s\nfrom\n%s", p.name, b.shown, printed, b.text)
		}
	}
	for text := range p.at {
		if !used[text] {
			t.Errorf("%s has no block with %q", p.name, text)
		}
	}
	for text := range p.not {
		if !used[text] {
			t.Errorf("%s has no block with %q", p.name, text)
		}
	}
	for i := 0; i < len(p.with); i += 2 {
		if !strings.Contains(whole.String(), p.with[i]) {
			t.Errorf("%s has no %q to write something else for", p.name, p.with[i])
		}
	}
}

// leavesOut says whether a block is one of those that are not pasted.
func (p *page) leavesOut(text string, used map[string]bool) (out bool) {
	for part := range p.not {
		if strings.Contains(text, part) {
			used[part], out = true, true
		}
	}
	return out
}

// restart has a command serve, and stops whatever served.
func (r *reader) restart(t *testing.T, command ...string) {
	t.Helper()
	r.terminate(t)
	r.command = command
	if err := r.start(context.WithoutCancel(t.Context()), r.settings...); err != nil {
		t.Fatal(err)
	}
}

// TestPagesArePasted pastes the pages of docs as a reader does who begins at the top,
// and compares what they show.
func TestPagesArePasted(t *testing.T) {
	t.Parallel()
	for tool, install := range map[string]string{"bash": "bash", "curl": "curl", "openssl": "openssl", "age": "age"} {
		testkit.Tool(t, tool, install)
	}
	for i := range visits {
		t.Run(visits[i].name, func(t *testing.T) {
			t.Parallel()
			visits[i].paste(t)
		})
	}
}

// paste pastes the pages beside one server, in a folder like that of the repository.
func (v *visit) paste(t *testing.T) {
	t.Helper()
	s := inRepository(t)
	s.log = &testkit.Buffer{}
	t.Cleanup(func() { s.terminate(t) })
	// A refusal is a failure; and what is made of settings is looked at, not run.
	put(t, filepath.Join(s.dir, ".curlrc"), "fail-with-body\nsilent\nshow-error\n")
	put(t, filepath.Join(s.dir, "tools", "make"), "#!/bin/sh\nexec bin/onnxgate config check\n")
	if err := os.Chmod(filepath.Join(s.dir, "tools", "make"), 0o700); err != nil {
		t.Fatal(err)
	}
	settings := slices.Concat(ratesOff, v.settings)
	if !v.idle {
		if err := s.start(context.WithoutCancel(t.Context()), settings...); err != nil {
			t.Fatal(err)
		}
	}
	for i := range v.pages {
		if p := &v.pages[i]; !p.static || !raceDetector {
			read(t, s, settings, p).follow(t)
		}
	}
}

// TestEveryPageIsPasted holds the tables to the pages: one with something to paste is
// in one of them.
func TestEveryPageIsPasted(t *testing.T) {
	t.Parallel()
	listed := map[string]bool{}
	for i := range visits {
		for j := range visits[i].pages {
			listed[visits[i].pages[j].name] = true
		}
	}
	pages, err := filepath.Glob(filepath.Join(filepath.Dir(source(t, "docs", "settings.md")), "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	for _, page := range pages {
		name := filepath.Base(page)
		_, elsewhere := notPasted[name]
		if has := len(blocksOf(t, name)) > 0; has != (listed[name] || elsewhere) || listed[name] && elsewhere {
			t.Errorf("%s: something to paste: %v; in the table of pages: %v, of others: %v", name, has, listed[name], elsewhere)
		}
	}
}
