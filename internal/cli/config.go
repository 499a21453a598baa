package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"onnxgate/internal/app"
	"onnxgate/internal/config"
)

func configCommand(p *Process) *cobra.Command {
	check := &cobra.Command{
		Use: "check", Short: "Show the effective settings, with secrets redacted, and what they expose", Args: exactly(),
	}
	s := addSettings(check, p)
	check.Flags().BoolVar(&s.insecureHTTP, "insecure-http", false, "check for a server started with this flag")
	asJSON := check.Flags().Bool("json", false, "print one JSON object")
	check.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := s.load(cmd)
		if err != nil {
			return err
		}
		checked, err := app.Check(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		for _, w := range checked.Warnings {
			p.complain("warning: " + w)
		}
		if checked.Untried != "" {
			p.complain("the key-encryption key was not tested against the database: " + checked.Untried)
		}
		issuers, err := app.TrustedIssuers(cfg)
		if err != nil {
			return err
		}
		if *asJSON {
			return p.checkJSON(cfg, issuers)
		}
		return p.checkTable(cfg, issuers)
	}
	return group("config", "Check the configuration and encrypt settings files", check, configEncrypt(p), configDecrypt(p))
}

func (p *Process) checkTable(cfg *config.Config, issuers []app.TrustedIssuer) error {
	w := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "SETTING\tVALUE\tFROM")
	for _, s := range config.Settings() {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", s.Name, s.Show(cfg), cfg.Origin(s.Name))
	}
	_, _ = fmt.Fprintln(w, "\nROUTE\tWHO\tFROM\tLIMIT")
	for _, e := range app.Exposure(cfg) {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", e.Route, e.Who, e.From, e.Limit)
	}
	if len(issuers) > 0 {
		_, _ = fmt.Fprintln(w, "\nISSUER\tKEYS FROM\tAUDIENCE\tTENANT\tROLES")
	}
	for i := range issuers {
		issuer := &issuers[i]
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", issuer.Issuer, issuer.Keys, strings.Join(issuer.Audience, ","),
			orElse(issuer.Tenant, "as its tokens say"), orElse(grants(issuer.Roles), "none"))
	}
	return w.Flush()
}

// grants returns the words of an issuer with what they stand for here.
func grants(roles map[string]string) string {
	var all []string
	for _, word := range slices.Sorted(maps.Keys(roles)) {
		all = append(all, word+"="+roles[word])
	}
	return strings.Join(all, ",")
}

func (p *Process) checkJSON(cfg *config.Config, issuers []app.TrustedIssuer) error {
	type setting struct {
		Name  string `json:"name"`
		Value string `json:"value"`
		From  string `json:"from"`
	}
	var report struct {
		Settings []setting           `json:"settings"`
		Exposure []app.Exposed       `json:"exposure"`
		Issuers  []app.TrustedIssuer `json:"issuers"`
	}
	report.Issuers = append([]app.TrustedIssuer{}, issuers...) // [] when there are none
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
