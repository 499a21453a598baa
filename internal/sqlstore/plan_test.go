package sqlstore

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"onnxgate/internal/testkit"
)

// unindexed finds, in the plan of a statement, that it reads a whole table or
// sorts one.
var unindexed = regexp.MustCompile(`(?m)Seq Scan on (tenants|users|clients|api_keys|refresh_families|revocations|fernet_keys|model_pins|usage)\b|Sort|SCAN (tenants|users|clients|api_keys|refresh_families|revocations|fernet_keys|model_pins|usage)$|USE TEMP B-TREE`)

// TestEveryStatementIsAnsweredFromAnIndex asks both databases how they would run
// each statement, with enough rows that a look at all of them would not do.
func TestEveryStatementIsAnsweredFromAnIndex(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		testPlans(t, Config{Path: filepath.Join(t.TempDir(), "onnxgate.db")})
	})
	t.Run("postgres", func(t *testing.T) {
		testPlans(t, Config{URL: testkit.StartPostgres(t).Database(t)})
	})
}

func testPlans(t *testing.T, cfg Config) {
	t.Helper()
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	all, _ := every()
	checked := 0
	for table, statements := range all {
		for what, statement := range statements {
			if what == "insert" || table == servers.name { // a row for each running server
				continue
			}
			checked++
			if plan := planOf(t, s, statement); unindexed.MatchString(plan) {
				t.Errorf("%s of %s reads more than it has to:\n%s", what, table, plan)
			}
		}
	}
	for _, statement := range []string{
		s.dialect.countAdmins(), pruneFamilies, pruneRevocations, clients.sql.selected + "certificate = ?",
		apiKeys.sql.selected + keyOrAnother, keyUsed, bootstrapKeys,
		readUsage, readRange, pruneUsage, listKEKs,
	} {
		checked++
		if plan := planOf(t, s, statement); unindexed.MatchString(plan) {
			t.Errorf("%s reads more than it has to:\n%s", statement, plan)
		}
	}
	if checked < 40 {
		t.Errorf("only %d plans were read", checked)
	}
}

// planOf returns how the database runs a statement whatever its arguments are.
func planOf(t *testing.T, s *Store, statement string) string {
	t.Helper()
	var lines []string
	err := s.read(t.Context(), func(tx *transaction) error {
		if s.dialect.name == "sqlite" {
			nulls := make([]any, strings.Count(statement, "?"))
			return tx.each("x", "EXPLAIN QUERY PLAN "+statement, nulls, func(scan func(...any) error) error {
				var line string
				err := scan(new(int), new(int), new(int), &line)
				lines = append(lines, line)
				return err
			})
		}
		// The tables are nearly empty: what the planner does when they are not.
		_, err := tx.q.ExecContext(t.Context(), `SET LOCAL plan_cache_mode = force_generic_plan;
			SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off;
			PREPARE planned AS `+numbered(statement))
		if err != nil {
			return err
		}
		nulls := strings.TrimSuffix(strings.Repeat("NULL, ", strings.Count(statement, "?")), ", ")
		err = tx.each("x", "EXPLAIN (COSTS OFF) EXECUTE planned"+strings.Replace("("+nulls+")", "()", "", 1), nil, func(scan func(...any) error) error {
			var line string
			err := scan(&line)
			lines = append(lines, line)
			return err
		})
		if err != nil {
			return err
		}
		_, err = tx.q.ExecContext(t.Context(), "DEALLOCATE planned")
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return strings.Join(lines, "\n")
}
