package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// report is one run over one server.
type report struct {
	Server  string    `json:"server"` // name and version, as the metadata say
	URL     string    `json:"url"`
	Time    time.Time `json:"time"`
	Models  []string  `json:"models"`
	Results []result  `json:"results"`
}

func (t *target) report(results []result) report {
	r := report{Server: strings.TrimSpace(t.info.Name + " " + t.info.Version), URL: t.base, Time: time.Now().UTC().Truncate(time.Second), Results: results}
	for _, m := range t.models {
		r.Models = append(r.Models, m.Name)
	}
	return r
}

// count counts the results of a level by outcome.
func count(results []result, l level) map[outcome]int {
	n := make(map[outcome]int)
	for _, r := range results {
		if r.Level == l {
			n[r.Status]++
		}
	}
	return n
}

// writers are the formats of --format.
var writers = map[string]func(io.Writer, report) error{"table": writeTable, "json": writeJSON, "junit": writeJUnit}

// writeTable shows every case in a line, with more below what did not hold, and ends
// with the counts.
func writeTable(out io.Writer, r report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %s, models %s\n\n", r.Server, r.URL, strings.Join(r.Models, ", "))
	for _, c := range r.Results {
		fmt.Fprintf(&b, "%-4s  %-6s  %-40s %s\n", c.Status, c.Level, c.Name, c.Clause)
		switch c.Status {
		case passed:
		case notApplicable:
			fmt.Fprintf(&b, "      because: %s\n", c.Got)
		case failed:
			fmt.Fprintf(&b, "      expected: %s\n      got: %s\n", c.Expected, c.Got)
			if c.Request != "" {
				fmt.Fprintf(&b, "      %s\n", c.Request)
			}
		}
	}
	b.WriteByte('\n')
	for _, l := range []level{must, should, may} {
		n := count(r.Results, l)
		fmt.Fprintf(&b, "%-6s  %3d hold, %d fail, %d not applicable\n", l, n[passed], n[failed], n[notApplicable])
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func writeJSON(out io.Writer, r report) error {
	return json.MarshalWrite(out, r, jsontext.WithIndent("  "))
}

type junitCase struct {
	Class   string      `xml:"classname,attr"`
	Name    string      `xml:"name,attr"`
	Time    string      `xml:"time,attr"`
	Failure *junitCause `xml:"failure"`
	Skipped *junitCause `xml:"skipped"`
}

type junitCause struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

// writeJUnit writes what CI systems read. Its class is the level, so that a reader
// may tell a failed MUST from a failed MAY.
func writeJUnit(out io.Writer, r report) error {
	suite := junitSuite{Name: r.Server, Tests: len(r.Results)}
	for _, c := range r.Results {
		j := junitCase{Class: string(c.Level), Name: c.Name, Time: fmt.Sprintf("%.3f", c.Seconds)}
		switch c.Status {
		case passed:
		case notApplicable:
			suite.Skipped++
			j.Skipped = &junitCause{Message: c.Got}
		case failed:
			suite.Failures++
			j.Failure = &junitCause{c.Got, fmt.Sprintf("%s\nexpected: %s\ngot: %s\n%s", c.Clause, c.Expected, c.Got, c.Request)}
		}
		suite.Cases = append(suite.Cases, j)
	}
	if _, err := io.WriteString(out, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(out)
	enc.Indent("", "  ")
	if err := enc.Encode(suite); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out)
	return err
}

// writeList shows the cases without running them.
func writeList(out io.Writer, cases []testCase) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, c := range cases {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", c.level, c.name, c.clause, c.want)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%d cases\n", len(cases))
	return err
}
