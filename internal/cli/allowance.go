package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"onnxgate/internal/accounts"
)

// allowance is what a tenant or a key may use: flags that hold commas, or are
// repeated.
type allowance struct {
	cmd         *cobra.Command
	rate, quota *[]string
}

// addAllowance adds the flags; whose is what they are about.
func addAllowance(cmd *cobra.Command, whose, otherwise string) *allowance {
	flags := cmd.Flags()
	return &allowance{
		cmd:  cmd,
		rate: flags.StringSlice("rate", nil, "rate limit of "+whose+", in requests and rows, such as 100/minute or \"100/minute, 5000 rows/minute\" ("+otherwise+")"),
		quota: flags.StringSlice("quota", nil,
			"how much "+whose+" may use per day or month (UTC), in calls, rows, bytes or compute_ms, such as calls=10000/day,rows=1e6/month; "+
				"soft:calls=8000/day only warns ("+otherwise+")"),
	}
}

func joined(list *[]string) string { return strings.Join(*list, ",") }

// changed returns what was named; off is the empty text. It is a usage error to
// name nothing.
func (a *allowance) changed() (rate, quota *string, err error) {
	flags := a.cmd.Flags()
	for flag, to := range map[string]**string{"rate": &rate, "quota": &quota} {
		if !flags.Changed(flag) {
			continue
		}
		list, err := flags.GetStringSlice(flag)
		if err != nil {
			return nil, nil, err
		}
		text := joined(&list)
		if text == "" {
			return nil, nil, usagef("--%s is empty; write --%s off for none", flag, flag)
		}
		if text == "off" {
			text = ""
		}
		*to = &text
	}
	if rate == nil && quota == nil {
		return nil, nil, usagef("say what to change: --rate or --quota")
	}
	return rate, quota, nil
}

// allowanceCommand changes what one record may use; whose is what it is called.
func allowanceCommand[T any](
	m *managed[T], whose, short string, change func(ctx context.Context, s *accounts.Service, id string, rate, quota *string) error,
) *cobra.Command {
	cmd := &cobra.Command{Use: "change " + m.argument, Short: short}
	flags := addAllowance(cmd, whose, "off for none; unchanged if left out")
	var rate, quota *string
	cmd.PreRunE = func(*cobra.Command, []string) (err error) {
		rate, quota, err = flags.changed()
		return err
	}
	return m.changeCommand(cmd, func(ctx context.Context, s *accounts.Service, id string) error {
		return change(ctx, s, id, rate, quota)
	})
}
