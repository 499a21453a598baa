package sqlstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// connector makes the connections of a pool by the URL in force. It is a
// driver.Connector.
type connector struct{ now atomic.Pointer[origin] }

// origin is what the connections of one URL are made by.
type origin struct {
	driver.Connector

	config *pgx.ConnConfig
}

// use has new connections made by the configuration. No connection before is used again.
func (c *connector) use(config *pgx.ConnConfig) {
	c.now.Store(&origin{stdlib.GetConnector(*config), config})
}

// Connect makes a connection. One that fails while the URL changes is tried by the new one.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	for {
		o := c.now.Load()
		made, err := o.Connect(ctx)
		if conn, ok := made.(*stdlib.Conn); ok && err == nil {
			return &connection{conn, c, o}, nil
		}
		if c.now.Load() == o {
			return made, err
		}
	}
}

// connection is pgx's, which a pool closes instead of using it again when the URL is
// another one.
type connection struct {
	*stdlib.Conn

	by *connector
	of *origin
}

// IsValid is asked when a connection is given back.
func (c *connection) IsValid() bool { return c.by.now.Load() == c.of }

// ResetSession is called before a connection is used again.
func (c *connection) ResetSession(ctx context.Context) error {
	if !c.IsValid() {
		return driver.ErrBadConn
	}
	return c.Conn.ResetSession(ctx)
}

// Driver returns pgx's.
func (c *connector) Driver() driver.Driver { return c.now.Load().Driver() }

// lacking names the tables that the role may not do with what a server does.
const lacking = `SELECT coalesce(string_agg(relname, ', ' ORDER BY relname), '') FROM pg_class
	WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace AND relname NOT IN ('onnxgate_schema', 'revision')
	AND NOT (has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
		AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE'))`

// Try opens what may be another way to a PostgreSQL database in use, for Use: as it is,
// by a role that may do what a server does. The caller must close it, or use it.
func Try(ctx context.Context, cfg Config) (*Store, error) {
	s, status, err := Look(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if status.Version == 0 {
		err = errors.New("it is empty; to begin with another database, restart the server")
	}
	var tables string
	if err == nil {
		err = s.db.QueryRowContext(ctx, lacking).Scan(&tables)
	}
	if err == nil && tables != "" {
		err = fmt.Errorf("the role lacks SELECT, INSERT, UPDATE or DELETE on %s", tables)
	}
	if err == nil {
		err = s.lookAround(ctx)
	}
	if err != nil {
		return nil, errors.Join(cfg.explain(err), s.Close())
	}
	return s, nil
}

// Use has the store make its connections as another does that Try has opened, which is
// closed. What is under way ends on the connection that it has. The caller has made sure
// that both are the same database.
func (s *Store) Use(other *Store) {
	s.connector.use(other.connector.now.Load().config)
	s.location.Store(other.location.Load())
	s.db.SetMaxIdleConns(0)
	s.db.SetMaxIdleConns(postgresConns)
	_ = other.Close() // nothing is under way there
}
