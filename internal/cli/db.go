package cli

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"onnxgate/internal/app"
	"onnxgate/internal/config"
)

func dbCommand(p *Process) *cobra.Command {
	return group("db", "Maintain the database of users, keys and tenants",
		dbStatus(p), dbMigrate(p), dbBackup(p), dbRestore(p))
}

func dbStatus(p *Process) *cobra.Command {
	return onDatabase(p, "status", "Show which database is in use and its schema version", func(ctx context.Context, cfg *config.Config, _ []string, asJSON bool) error {
		status, err := app.DatabaseStatus(ctx, cfg)
		if err != nil {
			return err
		}
		if asJSON {
			return p.printJSON(status)
		}
		w := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(w, "DATABASE\tLOCATION\tSCHEMA\tSTATE")
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", status.Backend, status.Location, status.Version, schemaState(status.Version, status.Newest))
		return w.Flush()
	})
}

// onDatabase is a command about the database as a whole.
func onDatabase(p *Process, use, short string, run func(ctx context.Context, cfg *config.Config, args []string, asJSON bool) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: exactly()}
	s := addSettings(cmd, p, "ONNXGATE_DATA_DIR")
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := s.loadForUsers(cmd)
		if err != nil {
			return err
		}
		return run(cmd.Context(), cfg, args, *asJSON)
	}
	return cmd
}

// schemaState says what a version means to this program.
func schemaState(version, newest int) string {
	switch {
	case version == 0:
		return "empty: starting a server or `onnxgate db migrate` fills it"
	case version < newest:
		return fmt.Sprintf("starting a server or `onnxgate db migrate` updates it to %d", newest)
	case version > newest:
		return fmt.Sprintf("from a newer program; this one knows versions up to %d", newest)
	default:
		return "up to date"
	}
}

func dbMigrate(p *Process) *cobra.Command {
	return onDatabase(p, "migrate", "Update the schema, as a server does at startup", func(ctx context.Context, cfg *config.Config, _ []string, asJSON bool) error {
		before, after, err := app.MigrateDatabase(ctx, cfg, localActor().Name)
		if err != nil {
			return err
		}
		if asJSON {
			return p.printJSON(map[string]int{"before": before, "after": after})
		}
		if before == after {
			return p.printf("the schema is up to date, at version %d\n", after)
		}
		return p.printf("the schema was updated from version %d to %d\n", before, after)
	})
}

// databaseCopy is what becomes of the database as a file, for --json.
type databaseCopy struct {
	File string `json:"file"`
}

func dbBackup(p *Process) *cobra.Command {
	cmd := onDatabase(p, "backup FILE", "Back up the database to a file (mode 0600), even while the server runs", func(ctx context.Context, cfg *config.Config, args []string, asJSON bool) error {
		if err := app.BackupDatabase(ctx, cfg, localActor().Name, args[0]); err != nil {
			return err
		}
		if asJSON {
			return p.printJSON(databaseCopy{File: args[0]})
		}
		return p.printf("%s holds the users, keys and tenants; keep it as safe as passwords\n", args[0])
	})
	cmd.Args = exactly("FILE")
	return cmd
}

func dbRestore(p *Process) *cobra.Command {
	var force *bool
	cmd := onDatabase(p, "restore FILE", "Replace the database with a backup, while no server runs", func(ctx context.Context, cfg *config.Config, args []string, asJSON bool) error {
		if err := app.RestoreDatabase(ctx, cfg, localActor().Name, args[0], *force); err != nil {
			return err
		}
		if asJSON {
			return p.printJSON(databaseCopy{File: args[0]})
		}
		return p.printf("restored; whatever was revoked after the backup is valid again: revoke it once more\n")
	})
	cmd.Args = exactly("FILE")
	force = cmd.Flags().Bool("force", false, "overwrite an existing database")
	return cmd
}
