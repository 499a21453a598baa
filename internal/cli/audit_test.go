package cli_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"onnxgate/internal/app"
	"onnxgate/internal/audit"
	"onnxgate/internal/cli"
	"onnxgate/internal/config"
	"onnxgate/internal/seal"
)

// command is what a command printed.
type command struct {
	code        int
	out, errors string
}

func run(t *testing.T, dir string, args ...string) command {
	t.Helper()
	var stdout, stderr bytes.Buffer
	env := map[string]string{"ONNXGATE_DATA_DIR": dir}
	code := cli.Run(t.Context(), &cli.Process{
		Args:    append([]string{"onnxgate"}, args...),
		Lookup:  func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		Environ: func() []string { return []string{"ONNXGATE_DATA_DIR=" + dir} },
		Stdin:   strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Now: time.Now,
	})
	return command{code, stdout.String(), stderr.String()}
}

// audited makes a data directory with an audit log of three records.
func audited(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "audit"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := seal.MakeKEK(filepath.Join(dir, "kek")); err != nil {
		t.Fatal(err)
	}
	l, err := app.OpenAuditLog(&config.Config{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range []*audit.Record{
		{Event: audit.Login, Actor: "ann", Tenant: "acme", Method: "password", RequestID: "0123456789abcdef0123456789abcdef", Outcome: audit.OK},
		{Event: audit.UserAdd, Actor: "ann", Tenant: "acme", Object: "bob", Outcome: audit.OK},
		{Event: audit.Login, Actor: "bob", Tenant: "globex", Method: "password", Outcome: audit.OK},
	} {
		if err := l.Record(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestAuditCommandsAnswer(t *testing.T) {
	whole := audited(t)
	dir, kept := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "checkpoint")
	checkpoint := run(t, whole, "audit", "checkpoint")
	if err := os.WriteFile(kept, []byte(checkpoint.out), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args []string
		code int
		// out and errors are what is printed among others; lines below 0 are as many
		// as there are.
		out, errors string
		lines       int
	}{
		"verified":                      {args: []string{"verify"}, out: "3 records in onnxgate/audit/", lines: 1},
		"verified, as JSON":             {args: []string{"verify", "--json", "--checkpoint", kept}, out: "\"ok\": true,\n  \"size\": 3,\n  \"first_bad\": null,\n  \"reason\": \"\"", lines: 9},
		"verified from a checkpoint on": {args: []string{"verify", "--checkpoint", kept}, out: "; consistent with the checkpoint of 3 records", lines: 1},
		"no checkpoint":                 {args: []string{"verify", "--checkpoint", filepath.Join(dir, "kek")}, code: 1, errors: "none of this log"},
		"shown by request":              {args: []string{"show", "0123456789abcdef0123456789abcdef"}, out: "onnxgate/audit/", lines: -1},
		"shown by index":                {args: []string{"show", "1", "--json"}, out: `"object": "bob"`, lines: -1},
		"not shown":                     {args: []string{"show", "99"}, code: 1, errors: "has no record 99; each server has its own log"},
		"exported":                      {args: []string{"export"}, out: `{"index":0,`, lines: 3},
		"exported of a tenant":          {args: []string{"export", "--tenant", "globex", "--format", "csv"}, out: "index,time,event,actor,", lines: 2},
		"exported of the past":          {args: []string{"export", "--to", "2020-01-01"}},
		"exported of no time":           {args: []string{"export", "--from", "yesterday"}, code: 2, errors: "is not a time"},
		"exported in no format":         {args: []string{"export", "--format", "xml"}, code: 2, errors: "neither json nor csv"},
		"the newest":                    {args: []string{"tail", "-n", "1"}, out: `{"index":2,`, lines: 1},
		"found":                         {args: []string{"search", "event=user.*", "actor=ann"}, out: `"object":"bob"`, lines: 1},
		"found nothing":                 {args: []string{"search", "actor=nobody"}},
		"searched nowhere":              {args: []string{"search", "colour=red"}, code: 2, errors: "the fields are index,"},
		"erased nobody":                 {args: []string{"erase"}, code: 2, errors: "--subject NAME"},
		"erased in no tenant":           {args: []string{"erase", "--subject", "bob", "--tenant", ""}, code: 2, errors: "--tenant is empty"},
		"expired in no tenant":          {args: []string{"expire", "--older-than", "400d", "--tenant", ""}, code: 2, errors: "--tenant is empty"},
		"the server, erased":            {args: []string{"erase", "--subject", "server"}, code: 1, errors: "nobody's person"},
		"nobody to erase":               {args: []string{"erase", "--subject", "nobody"}, code: 1, errors: "names nobody: it is written otherwise there, or was erased before"},
		"nobody of a tenant to erase":   {args: []string{"erase", "--subject", "nobody", "--tenant", "acme"}, code: 1, errors: "names nobody in the tenant acme"},
		"nothing to expire":             {args: []string{"expire", "--older-than", "400d"}, out: "nothing to do", lines: 1},
		"nothing to expire, as JSON":    {args: []string{"expire", "--older-than", "400d", "--tenant", "acme", "--json"}, out: `"keys": 0`, lines: 3},
		"a tenant that is mistyped":     {args: []string{"expire", "--older-than", "400d", "--tenant", "acmee"}, code: 1, errors: "no record is one of a tenant acmee"},
		"no age":                        {args: []string{"expire"}, code: 2, errors: "--older-than"},
		"the newest, a table":           {args: []string{"tail", "-n", "1", "--format", "csv"}, out: "\r\n2,", lines: 2},
		"the newest of one":             {args: []string{"tail", "-n", "1", "--tenant", "globex"}, out: `"tenant":"globex"`, lines: 1},
		"the newest of none":            {args: []string{"tail", "--tenant", "nobody"}},
		"searched in no format":         {args: []string{"search", "actor=ann", "--format", "xml"}, code: 2, errors: "neither json nor csv"},
	} {
		t.Run(name, func(t *testing.T) {
			// Whoever looks leaves a record, too.
			if err := errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(whole))); err != nil {
				t.Fatal(err)
			}
			got := run(t, dir, append([]string{"audit"}, tc.args...)...)
			if got.code != tc.code || !strings.Contains(got.out, tc.out) || !strings.Contains(got.errors, tc.errors) {
				t.Errorf("%+v", got)
			}
			if n := strings.Count(got.out, "\n"); n != tc.lines && tc.lines >= 0 {
				t.Errorf("%d lines: %s", n, got.out)
			}
		})
	}
	if got := run(t, t.TempDir(), "audit", "verify"); got.code != 1 || !strings.Contains(got.errors, "no audit log") {
		t.Errorf("without a log: %+v", got)
	}
}

func TestAnErasedPersonIsInNoExport(t *testing.T) {
	dir := audited(t)
	checkpoint := run(t, dir, "audit", "checkpoint").out
	if got := run(t, dir, "audit", "erase", "--subject", "bob", "--json"); got.code != 0 || !strings.Contains(got.out, `"keys": 2`) {
		t.Fatalf("%+v", got)
	}
	got := run(t, dir, "audit", "export")
	if strings.Contains(got.out, "bob") || strings.Count(got.out, `"missing":"erased"`) != 2 || !strings.Contains(got.out, `"event":"audit.erase"`) {
		t.Errorf("%+v", got)
	}
	kept := filepath.Join(t.TempDir(), "checkpoint")
	if err := os.WriteFile(kept, []byte(checkpoint), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := run(t, dir, "audit", "verify", "--checkpoint", kept); got.code != 0 {
		t.Errorf("%+v", got)
	}
}

// Who read the log is in the log, but not where nothing can be written: that keeps
// nobody from reading.
func TestWhoeverLooksAtRecordsIsOnRecord(t *testing.T) {
	dir := audited(t)
	for _, args := range [][]string{{"show", "0"}, {"export"}, {"search", "actor=ann"}, {"tail"}} {
		if got := run(t, dir, append([]string{"audit"}, args...)...); got.code != 0 || got.errors != "" || strings.Contains(got.out, "audit."+args[0]) {
			t.Errorf("%s: %+v", args, got)
		}
	}
	got := run(t, dir, "audit", "search", "event=audit.*", "method=command", "--format", "csv")
	var seen []string
	for _, line := range strings.Split(got.out, "\r\n")[1:] {
		if cells := strings.Split(line, ","); len(cells) > 2 {
			seen = append(seen, cells[2]+" "+cells[17])
		}
	}
	if want := "audit.read show audit.export export audit.read search audit.read tail"; strings.Join(seen, " ") != want {
		t.Errorf("on record is %q, want %q", seen, want)
	}
	lock := filepath.Join(dir, "audit", "lock") // in the place of which nobody writes a file
	if err := errors.Join(os.Remove(lock), os.Mkdir(lock, 0o700)); err != nil {
		t.Fatal(err)
	}
	if got := run(t, dir, "audit", "show", "0"); got.code != 0 || !strings.Contains(got.out, "ann") || !strings.Contains(got.errors, "this access to the records could not be recorded: ") {
		t.Errorf("where nothing can be written: %+v", got)
	}
}

// Whoever verifies needs neither the server nor any secret, and learns which record
// is wrong.
func TestALogIsVerifiedWithoutItsSecrets(t *testing.T) {
	dir := audited(t)
	if err := os.Remove(filepath.Join(dir, "kek")); err != nil {
		t.Fatal(err)
	}
	if got := run(t, dir, "audit", "verify"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	if got := run(t, dir, "audit", "export"); got.code != 1 || !strings.Contains(got.errors, "the key-encryption key is not there") {
		t.Errorf("exported without the key: %+v", got)
	}
	path := filepath.Join(dir, "audit", "000000000000.jsonl")
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, bytes.Replace(data, []byte("user.add"), []byte("user.del"), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	got := run(t, dir, "audit", "verify", "--json")
	var report audit.Report
	if err := json.Unmarshal([]byte(got.out), &report); err != nil || got.code != 1 || report.OK || report.FirstBad == nil || *report.FirstBad != 1 || report.Reason == "" {
		t.Errorf("%+v, %v", got, err)
	}
}
