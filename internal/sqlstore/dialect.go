package sqlstore

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
)

// dialect is all that differs between the databases: the tables and their
// statements are the same.
type dialect struct {
	// name is also the folder of the migrations.
	name string
	// mark puts the database's own place holders where a statement has "?".
	mark func(statement string) string
	// position is the function that returns where a text begins in another.
	position string
	// view is how a transaction begins that sees one state of everything.
	view sql.TxOptions
	// lock has a transaction be the only writer until it ends; empty where it
	// is when it begins.
	lock string
	// enter names the tenant that the following statements of the transaction
	// are about, to a database that holds them to it; empty where none does.
	enter string
	// unhurried lets the statements of a transaction take as long as they need, and
	// wait as long for other writers; empty where nothing hurries them.
	unhurried string
	// version returns the version of the schema, 0 for an empty database. It
	// refuses a database of another program.
	version func(ctx context.Context, q querier) (int, error)
	// setVersion is the statement that notes the version, a number in place of
	// "%d": not every database takes a parameter there.
	setVersion string
	// transient reports whether the database or the way to it is the cause of
	// an error, rather than what was asked.
	transient func(error) bool
}

// countAdmins returns the statement that counts the enabled administrators of
// the installation.
func (d *dialect) countAdmins() string {
	return "SELECT count(*) FROM users WHERE tenant = 'default' AND NOT disabled AND " +
		d.position + "(' ' || roles || ' ', ' admin ') > 0"
}

// asIs leaves the place holders as the statements have them.
func asIs(statement string) string { return statement }

// numbered returns the statement with $1, $2 and so on. No statement has a
// question mark that is none.
func numbered(statement string) string {
	var b strings.Builder
	for n := 1; ; n++ {
		before, after, found := strings.Cut(statement, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString("$" + strconv.Itoa(n))
		statement = after
	}
}
