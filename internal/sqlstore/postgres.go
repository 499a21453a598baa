package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	postgresConns = 8
	// connLifetime has connections made anew from time to time, so that they
	// follow a server that moves.
	connLifetime = 30 * time.Minute
)

// postgresDialect is PostgreSQL's. Every writer takes one advisory lock, the
// number of which is ours alone, and a statement after it sees what the writer
// before has committed (READ COMMITTED).
func postgresDialect() *dialect {
	return &dialect{
		name: "postgres", mark: numbered, position: "strpos",
		view:       sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead},
		lock:       "SELECT pg_advisory_xact_lock(8029465617261814631)",
		enter:      "SELECT set_config('onnxgate.tenant', $1, true)",
		unhurried:  "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0",
		version:    postgresVersion,
		setVersion: "UPDATE onnxgate_schema SET version = %d",
		transient:  postgresTransient,
	}
}

// connectPostgres opens the database without looking into it.
func connectPostgres(url string) (*Store, error) {
	cfg, warnings, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	c := &connector{}
	c.use(cfg)
	s := newStore(postgresDialect(), sql.OpenDB(c), postgresConns)
	s.connector = c
	s.db.SetConnMaxLifetime(connLifetime)
	s.warnings, s.prepare = warnings, s.lookAround
	s.revision = func(ctx context.Context) (revision int64, err error) {
		err = s.db.QueryRowContext(ctx, readRevision).Scan(&revision)
		return revision, err
	}
	return s, nil
}

func postgresVersion(ctx context.Context, q querier) (version int, err error) {
	var ours bool
	var tables int
	row := q.QueryRowContext(ctx, `SELECT to_regclass('onnxgate_schema') IS NOT NULL,
		(SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace)`)
	if err := row.Scan(&ours, &tables); err != nil {
		return 0, err
	}
	if ours {
		err = q.QueryRowContext(ctx, "SELECT version FROM onnxgate_schema").Scan(&version)
		return version, err
	}
	if tables > 0 {
		return 0, errors.New("it holds tables of another program: give onnxgate a database of its own")
	}
	return 0, nil
}

// lookAround finds what takes from the promises of this package.
func (s *Store) lookAround(ctx context.Context) error {
	var bypasses, loses bool
	row := s.db.QueryRowContext(ctx, `SELECT rolsuper OR rolbypassrls,
		current_setting('fsync') = 'off' OR current_setting('synchronous_commit') = 'off'
		FROM pg_roles WHERE rolname = current_user`)
	if err := row.Scan(&bypasses, &loses); err != nil {
		return err
	}
	if bypasses {
		s.warnings = append(s.warnings, "the database role is a superuser or has BYPASSRLS, which row-level security does not hold: "+
			"give onnxgate a role of its own (see docs/database.md)")
	}
	if loses {
		s.warnings = append(s.warnings, "fsync or synchronous_commit is off in the database: a change that was acknowledged can be lost when its machine fails")
	}
	return nil
}

// Classes of SQLSTATE that speak of the database rather than of the statement
// (PostgreSQL documentation, appendix A), and single codes from other classes.
var postgresTransients = []string{
	"08",    // connection exception
	"25006", // read-only transaction: it became a standby
	"28",    // the password or the role was changed
	"3D000", // the database is being made again
	"40",    // serialization failure, deadlock
	"53",    // out of connections, disk or memory
	"55P03", // lock not available
	"57",    // shut down, starting up, statement timeout
	"58",    // input or output error
	"XX001", // data corrupted
	"XX002", // index corrupted
}

func postgresTransient(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		for _, prefix := range postgresTransients {
			if strings.HasPrefix(e.Code, prefix) {
				return true
			}
		}
		return false
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return errors.Is(err, pgconn.ErrConnClosed) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || pgconn.SafeToRetry(err)
}

// timeouts are what a session asks of the database unless the URL says
// otherwise, so that a server that went away in the middle holds no lock.
func timeouts() map[string]string {
	milliseconds := func(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }
	return map[string]string{
		"application_name":                    "onnxgate",
		"statement_timeout":                   milliseconds(callTimeout),
		"lock_timeout":                        milliseconds(lockTimeout),
		"idle_in_transaction_session_timeout": milliseconds(callTimeout),
	}
}
