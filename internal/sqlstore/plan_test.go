package sqlstore

import (
	"path/filepath"
	"strings"
	"testing"
)

// Among any number of keys, every statement goes to its rows by an index.
func TestNoStatementOfKeysReadsTheWholeTable(t *testing.T) {
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "onnxgate.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // nothing was written
	statements := apiKeys.sql.all()
	statements["key or another"] = apiKeys.sql.selected + keyOrAnother
	statements["key used"], statements["bootstrap keys"] = keyUsed, bootstrapKeys
	delete(statements, "insert")
	for name, statement := range statements {
		steps := plan(t, s, statement)
		if len(steps) == 0 {
			t.Errorf("%s has no plan", name)
		}
		for _, step := range steps {
			if strings.HasPrefix(step, "SCAN api_keys") && !strings.Contains(step, "INDEX api_keys_bootstrap") {
				t.Errorf("%s: %s", name, step)
			}
		}
	}
}

// plan returns the steps of a statement as SQLite tells them.
func plan(t *testing.T, s *Store, statement string) (steps []string) {
	t.Helper()
	rows, err := s.db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+statement, make([]any, strings.Count(statement, "?"))...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close() //nolint:errcheck // nothing was written
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}
