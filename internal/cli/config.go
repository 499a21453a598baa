package cli

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"onnxgate/internal/app"
	"onnxgate/internal/config"
)

func configCommand(p *Process) *cobra.Command {
	check := &cobra.Command{
		Use: "check", Short: "Show the settings in force, secrets redacted, and what they expose", Args: exactly(),
	}
	s := addSettings(check, p)
	check.Flags().BoolVar(&s.insecureHTTP, "insecure-http", false, "check for a server that is started with this flag")
	asJSON := check.Flags().Bool("json", false, "print one JSON object")
	check.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := s.load(cmd)
		if err != nil {
			return err
		}
		warnings, err := app.Check(cfg)
		if err != nil {
			return err
		}
		for _, w := range warnings {
			p.complain("warning: " + w)
		}
		if *asJSON {
			return p.checkJSON(cfg)
		}
		return p.checkTable(cfg)
	}
	return group("config", "Check the configuration, seal files with settings", check, configEncrypt(p), configDecrypt(p))
}

func (p *Process) checkTable(cfg *config.Config) error {
	w := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "SETTING\tVALUE\tFROM")
	for _, s := range config.Settings() {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", s.Name, s.Show(cfg), cfg.Origin(s.Name))
	}
	_, _ = fmt.Fprintln(w, "\nROUTE\tWHO\tFROM\tLIMIT")
	for _, e := range app.Exposure(cfg) {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", e.Route, e.Who, e.From, e.Limit)
	}
	return w.Flush()
}

func (p *Process) checkJSON(cfg *config.Config) error {
	type setting struct {
		Name  string `json:"name"`
		Value string `json:"value"`
		From  string `json:"from"`
	}
	var report struct {
		Settings []setting     `json:"settings"`
		Exposure []app.Exposed `json:"exposure"`
	}
	for _, s := range config.Settings() {
		report.Settings = append(report.Settings, setting{s.Name, s.Show(cfg), cfg.Origin(s.Name)})
	}
	report.Exposure = app.Exposure(cfg)
	return p.printJSON(report)
}

func (p *Process) printJSON(v any) error {
	enc := json.NewEncoder(p.Stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
