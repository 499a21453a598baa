package cli

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"onnxgate/internal/app"
	"onnxgate/internal/config"
)

func doctorCommand(p *Process) *cobra.Command {
	cmd := &cobra.Command{
		Use: "doctor", Short: "Report what is insecure, expiring, unreachable or misconfigured, and how to fix it", Args: exactly(),
	}
	s := addSettings(cmd, p)
	cmd.Flags().BoolVar(&s.insecureHTTP, "insecure-http", false, "check for a server started with this flag")
	tokenFile := cmd.Flags().String("token-file", "", "`FILE` with an access token or an API key that holds metrics:read, to read the metrics of the running server")
	asJSON := cmd.Flags().Bool("json", false, "print a JSON array")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		doctor := &app.Doctor{Now: p.Now}
		if *tokenFile != "" {
			var err error
			if doctor.Header, err = credential(*tokenFile); err != nil {
				return err
			}
		}
		found, looked, err := p.diagnose(cmd, s, doctor)
		if err != nil {
			return err
		}
		if *asJSON {
			err = p.printJSON(found)
		} else {
			err = p.printFindings(found, looked)
		}
		return errors.Join(err, verdict(found))
	}
	return cmd
}

// diagnose returns [] in JSON when nothing is found, and what was looked at.
func (p *Process) diagnose(cmd *cobra.Command, s *settings, doctor *app.Doctor) (found []app.Finding, looked []string, err error) {
	cfg, err := s.load(cmd)
	if problems, ok := errors.AsType[config.SettingErrors](err); ok {
		return app.DiagnoseSettings(problems), nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	found, looked = doctor.Diagnose(cmd.Context(), cfg)
	return append([]app.Finding{}, found...), looked, nil
}

func (p *Process) printFindings(found []app.Finding, looked []string) error {
	for _, what := range looked {
		if err := p.printf("looked at %s\n", what); err != nil {
			return err
		}
	}
	if len(found) == 0 {
		return p.printf("nothing found\n")
	}
	w := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "SEVERITY\tID\tWHAT, AND WHAT TO DO")
	for i := range found {
		f := &found[i]
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n\t\t  %s\n", f.Severity, f.ID, f.Detail, f.Fix)
	}
	return w.Flush()
}

// verdict is the error of findings that are errors.
func verdict(found []app.Finding) error {
	bad := 0
	for i := range found {
		if found[i].Severity == app.Error {
			bad++
		}
	}
	if bad == 0 {
		return nil
	}
	return fmt.Errorf("found %s among %s", counted(bad, "error"), counted(len(found), "finding"))
}
