package cli

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"onnxgate/internal/app"
	"onnxgate/internal/authz"
	"onnxgate/internal/fault"
	"onnxgate/internal/inference"
	"onnxgate/internal/regular"
)

func authzCommand(p *Process) *cobra.Command {
	return group("authz", "Explain and test access rules", authzExplain(p), authzTest(p))
}

// errRefused is the failure of a question whose answer is no. The answer has
// been printed.
var errRefused = errors.New("refused")

func authzExplain(p *Process) *cobra.Command {
	cmd := &cobra.Command{
		Use: "explain --model MODEL --as SUBJECT", Short: "Show whether somebody may use a model, and by which rule or what is missing", Args: exactly(),
	}
	s := addSettings(cmd, p, "ONNXGATE_DATA_DIR", "ONNXGATE_MODELS_DIR")
	model := cmd.Flags().String("model", "", "`NAME` of the model, as a caller would write it")
	as := cmd.Flags().String("as", "", "who asks: a user's name, a client's id, or apikey:ID")
	tokenFile := cmd.Flags().String("token-file", "", "`FILE` with the access token of whoever asks, instead of --as")
	action := cmd.Flags().String("action", string(authz.Predict), "requested action: predict, read or write")
	address := cmd.Flags().String("address", "", "`ADDRESS` that the request comes from")
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		q, err := accessQuestion(*model, *as, *tokenFile, *action, *address)
		if err != nil {
			return err
		}
		cfg, err := s.loadForUsers(cmd)
		if err != nil {
			return err
		}
		if err := app.HasAccounts(cfg); err != nil {
			return err
		}
		answer, err := app.Explain(cmd.Context(), cfg, *q)
		if err != nil {
			return err
		}
		return p.printAnswer(*asJSON, answer)
	}
	return cmd
}

// accessQuestion reads the flags.
func accessQuestion(model, as, tokenFile, action, address string) (*app.AccessQuestion, error) {
	q := &app.AccessQuestion{Model: model, As: as, Action: authz.Action(action)}
	words := make([]string, 0, len(authz.Actions()))
	known := false
	for _, a := range authz.Actions() {
		words = append(words, string(a))
		known = known || a == q.Action
	}
	switch {
	case model == "":
		return nil, usagef("say which model: --model NAME")
	case (as == "") == (tokenFile == ""):
		return nil, usagef("say who asks: --as with a user, a client or apikey:ID, or --token-file FILE")
	case !known:
		return nil, usagef("unknown action %q; choose %s", action, strings.Join(words, ", "))
	}
	if address != "" {
		var err error
		if q.Address, err = netip.ParseAddr(address); err != nil {
			return nil, usagef("%q is not an address; write one such as 10.1.2.3", address)
		}
	}
	if tokenFile == "" {
		return q, nil
	}
	data, _, err := regular.ReadFile(tokenFile, maxTokenFile)
	if err != nil {
		return nil, err
	}
	q.Token = strings.TrimSpace(string(data))
	if q.Token == "" {
		return nil, fmt.Errorf("%s is empty; it should hold an access token", tokenFile)
	}
	return q, nil
}

func (p *Process) printAnswer(asJSON bool, answer *app.AccessAnswer) error {
	rule, outcome := "none", "refused"
	if answer.Rule != nil {
		rule = strconv.Itoa(*answer.Rule)
	}
	if answer.Allow {
		outcome = "allowed"
	}
	var err error
	if asJSON {
		err = p.printJSON(answer)
	} else {
		err = p.printf("%s (rule: %s): %s\n", outcome, rule, answer.Reason)
	}
	if err == nil && !answer.Allow {
		return errRefused
	}
	return err
}

// testView is how the tests of one version are printed.
type testView struct {
	Model   string   `json:"model"`
	Version string   `json:"version"`
	Tests   int      `json:"tests"`
	Failed  []string `json:"failed"`
}

func authzTest(p *Process) *cobra.Command {
	cmd := &cobra.Command{
		Use: "test [MODEL]", Short: "Run the access_test.yaml of one model, or of all",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return exactly("MODEL")(cmd, args)
		},
	}
	s := addSettings(cmd, p, "ONNXGATE_DATA_DIR", "ONNXGATE_MODELS_DIR")
	asJSON := cmd.Flags().Bool("json", false, "print a JSON array")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := s.loadForUsers(cmd)
		if err != nil {
			return err
		}
		results, err := app.TestAccess(cmd.Context(), cfg, strings.Join(args, ""))
		if fault.KindOf(err) == fault.NotFound {
			return fmt.Errorf("there is no model %s in %s; `onnxgate authz test` tests all there are", strings.Join(args, ""), cmp.Or(cfg.ModelsDir, "the binary"))
		}
		if printed := p.printTests(*asJSON, results); printed != nil {
			return errors.Join(err, printed)
		}
		return err
	}
	return cmd
}

// printTests prints the outcome, and returns an error when a test failed.
func (p *Process) printTests(asJSON bool, results []inference.TestResult) error {
	views, failed := make([]testView, len(results)), 0
	for i, r := range results {
		views[i] = testView{Model: r.Model, Version: r.Version, Tests: r.Tests, Failed: append([]string{}, r.Failed...)}
		failed += len(r.Failed)
	}
	show := func() error { return p.printTestTable(views) }
	if asJSON {
		show = func() error { return p.printJSON(views) }
	}
	if err := show(); err != nil {
		return err
	}
	switch failed {
	case 0:
		return nil
	case 1:
		return errors.New("one access test failed")
	}
	return fmt.Errorf("%d access tests failed", failed)
}

func (p *Process) printTestTable(views []testView) error {
	w := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "MODEL\tVERSION\tTESTS\tFAILED")
	for _, v := range views {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%d\n", v.Model, v.Version, v.Tests, len(v.Failed))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, v := range views {
		for _, line := range v.Failed {
			if err := p.printf("%s\n", line); err != nil {
				return err
			}
		}
	}
	return nil
}
