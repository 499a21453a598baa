package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/go-json-experiment/json"
)

const (
	pageBegin = "<!-- reports: written by go run ./scripts/conformance --page -->\n"
	pageEnd   = "<!-- end of the reports -->\n"
)

// writePage writes the tables of reports between the two marks of a page.
func writePage(path string, files []string) error {
	page, err := os.ReadFile(path) //nolint:gosec // the caller's own file
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(page), pageBegin)
	_, after, ends := strings.Cut(rest, pageEnd)
	if !begins || !ends || len(files) == 0 {
		return errors.New("--page: give reports in JSON, and a page with the two marks")
	}
	var reports []report
	for _, file := range files {
		b, err := os.ReadFile(file) //nolint:gosec // the caller's own file
		if err != nil {
			return err
		}
		var r report
		if err := json.Unmarshal(b, &r); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		reports = append(reports, r)
	}
	text := before + pageBegin + "\n" + summary(reports) + cases(reports) + deviations(reports) + pageEnd + after
	return os.WriteFile(path, []byte(text), 0o644) //nolint:gosec // a page for everybody
}

// summary counts the outcomes of each server.
func summary(reports []report) string {
	var b strings.Builder
	b.WriteString("| server | run on | MUST | SHOULD | MAY | not applicable |\n|---|---|---|---|---|---|\n")
	for _, r := range reports {
		na := 0
		fmt.Fprintf(&b, "| %s | %s |", r.Server, r.Time.Format("2006-01-02"))
		for _, l := range []level{must, should, may} {
			n := count(r.Results, l)
			na += n[notApplicable]
			fmt.Fprintf(&b, " %d of %d |", n[passed], n[passed]+n[failed])
		}
		fmt.Fprintf(&b, " %d |\n", na)
	}
	return b.String()
}

// sign is how a table shows an outcome.
func sign(o outcome) string {
	switch o {
	case passed:
		return "✓"
	case failed:
		return "**✗**"
	case notApplicable:
		return "·"
	default:
		return ""
	}
}

// cases is the table of all cases: one line each, one column for each server.
func cases(reports []report) string {
	var b strings.Builder
	b.WriteString("\n## Case by case\n\n✓ holds, **✗** does not, · not applicable.\n\n| case | level | clause |")
	for _, r := range reports {
		fmt.Fprintf(&b, " %s |", r.Server)
	}
	b.WriteString("\n|---|---|---|" + strings.Repeat("---|", len(reports)) + "\n")
	for i, c := range reports[0].Results {
		fmt.Fprintf(&b, "| %s | %s | %s |", c.Name, c.Level, escaped(c.Clause))
		for _, r := range reports {
			fmt.Fprintf(&b, " %s |", sign(r.outcome(i, c.Name)))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// outcome is that of a case, which reports of the same suite have in the same place.
func (r report) outcome(i int, name string) outcome {
	if i < len(r.Results) && r.Results[i].Name == name {
		return r.Results[i].Status
	}
	return ""
}

// deviations says what came instead, server by server.
func deviations(reports []report) string {
	var b strings.Builder
	for _, r := range reports {
		var lines strings.Builder
		for _, c := range r.Results {
			if c.Status == failed {
				fmt.Fprintf(&lines, "| %s | %s | %s |\n", c.Name, escaped(c.Expected), escaped(brief(c.Got)))
			}
		}
		if lines.Len() > 0 {
			fmt.Fprintf(&b, "\n## What %s answers instead\n\n| case | expected | got |\n|---|---|---|\n%s", r.Server, lines.String())
		}
	}
	return b.String() + "\n"
}

// brief leaves out what is different in every run: stacks, addresses, identifiers.
func brief(got string) string {
	const most = 90
	for _, mark := range []string{` File "`, ` Post "`, `"id":"`} {
		if before, _, found := strings.Cut(got, mark); found {
			got = before + "…"
		}
	}
	if len(got) > most {
		got = strings.ToValidUTF8(got[:most], "") + "…"
	}
	return got
}

// escaped is a text in a cell of a table.
func escaped(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "\n", " ").Replace(s)
}
