package sqlstore_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"onnxgate/internal/sqlstore"
)

func contains(part string) func(string) bool {
	return func(s string) bool { return strings.Contains(s, part) }
}

func TestADatabaseBeyondThisMachineIsReachedByTLSOnly(t *testing.T) {
	const canary = "canary-password"
	for name, tc := range map[string]struct {
		url, refused, warned string
	}{
		"nothing written is verified":    {url: "postgres://u:canary-password@db.example/x"},
		"verified in full":               {url: "postgres://u:canary-password@db.example/x?sslmode=verify-full"},
		"an authority of one's own":      {url: "postgres://u:canary-password@db.example/x?sslmode=verify-ca"},
		"a socket needs none":            {url: "postgres:///x?host=/run/postgresql&user=u&password=canary-password"},
		"loopback needs none":            {url: "postgres://u:canary-password@127.0.0.1:5433/x?sslmode=disable"},
		"loopback of IPv6 by preference": {url: "postgresql://u:canary-password@[::1]/x?sslmode=prefer"},
		"in the clear by preference":     {url: "postgres://u:canary-password@db.example/x?sslmode=prefer", refused: "sslmode=verify-full"},
		"encrypted when asked to":        {url: "postgres://u:canary-password@db.example/x?sslmode=allow", refused: "sslmode=verify-full"},
		"in the clear as it is written":  {url: "postgres://u:canary-password@db.example/x?sslmode=disable", warned: "in the clear"},
		"encrypted to anybody":           {url: "postgres://u:canary-password@db.example/x?sslmode=require", warned: "pose as the database"},
		"encrypted in JDBC's words":      {url: "postgres://u:canary-password@db.example/x?ssl=true", warned: "sslmode=require"},
		"one of several in the clear":    {url: "postgres://u:canary-password@localhost,db.example/x?sslmode=prefer", refused: "sslmode=verify-full"},
		"a host in the query":            {url: "postgres://u:canary-password@/x?host=db.example&sslmode=prefer", refused: "sslmode=verify-full"},
		"a mode that there is not":       {url: "postgres://u:canary-password@db.example/x?sslmode=perhaps", refused: "sslmode is invalid"},
		"another database":               {url: "mysql://u:canary-password@db.example/x", refused: "no PostgreSQL URL"},
		"no URL":                         {url: "host=db.example password=canary-password", refused: "no PostgreSQL URL"},
		"no server":                      {url: "postgres:///x", refused: "no PostgreSQL URL"},
		"a password with a slash":        {url: "postgres://u:canary-password/x@db.example/x", refused: "percent-encoded"},
		"a password with a number sign":  {url: "postgres://u:canary-password#x@db.example/x", refused: "percent-encoded"},
		"a password with a bad escape":   {url: "postgres://u:canary-password%@db.example/x", refused: "percent-encoded"},
		"a file that is not there":       {url: "postgres://u:canary-password@db.example/x?sslrootcert=/no/such/file", refused: "/no/such/file"},
	} {
		t.Run(name, func(t *testing.T) {
			warnings, err := sqlstore.CheckURL(tc.url)
			switch {
			case tc.refused == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.refused != "" && (err == nil || !strings.Contains(err.Error(), tc.refused)):
				t.Errorf("error %v, want %q", err, tc.refused)
			}
			if (tc.warned != "") != slices.ContainsFunc(warnings, contains(tc.warned)) && tc.refused == "" {
				t.Errorf("warnings %q, want %q", warnings, tc.warned)
			}
			_, open := sqlstore.Open(canceled(t), sqlstore.Config{URL: tc.url})
			if open == nil || strings.Contains(open.Error()+strings.Join(warnings, ""), canary) || err != nil && strings.Contains(err.Error(), canary) {
				t.Errorf("a password is shown, or a context that ended was not seen: %v, %v, %q", err, open, warnings)
			}
		})
	}
}

func canceled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
