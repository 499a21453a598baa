package testkit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Postgres is a PostgreSQL server of a test's own. It listens on a socket in a
// temporary directory and nowhere else.
type Postgres struct {
	bin, dir string
	account  *syscall.SysProcAttr
	log      *Buffer
	made     atomic.Int64

	server  *exec.Cmd
	keep    io.Closer // ends the server when it is closed, or this process ends
	running bool
}

// Role is who tests connect as. It owns the databases and is no superuser, as
// the documentation tells operators to have it.
const Role = "onnxgate"

const (
	postgresTimeout = 60 * time.Second
	postgresPause   = 20 * time.Millisecond
	superuser       = "postgres"
)

// StartPostgres starts a server for the length of the test. Without PostgreSQL
// it skips the test and says so; under CI it fails.
func StartPostgres(tb testing.TB) *Postgres {
	tb.Helper()
	p := &Postgres{bin: findPostgres(tb), log: &Buffer{}}
	var err error
	// Not the directory of tb: its parent admits this user alone, and the path
	// of a socket has to be short.
	if p.dir, err = os.MkdirTemp("", "onnxgate-pg-"); err != nil { //nolint:usetesting // see above
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		p.Stop(tb)
		_ = os.RemoveAll(p.dir)
	})
	if p.account, err = unprivileged(p.dir); err != nil {
		tb.Fatal(err)
	}
	p.run(tb, "initdb", "--pgdata="+p.data(), "--auth=trust", "--username="+superuser, "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	p.Start(tb)
	p.Exec(tb, "CREATE ROLE "+Role+" LOGIN")
	return p
}

// findPostgres returns the directory of the server's programs: on the PATH, or
// where Debian has them.
func findPostgres(tb testing.TB) string {
	tb.Helper()
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is right
	if len(found) == 0 {
		Missing(tb, "PostgreSQL is not installed: sudo apt-get install -y postgresql")
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1])
}

// unprivileged gives the directory to a user who may run PostgreSQL, which
// refuses to run as root.
func unprivileged(dir string) (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // as this user
	}
	account, err := user.Lookup(superuser)
	if err != nil {
		account, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, err
	}
	uid, errUID := strconv.ParseUint(account.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(account.Gid, 10, 32)
	if err := errors.Join(errUID, errGID); err != nil {
		return nil, err
	}
	credential := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return &syscall.SysProcAttr{Credential: credential}, os.Chown(dir, int(uid), int(gid))
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

func (p *Postgres) command(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(context.Background(), name, args...) //nolint:gosec // programs of PostgreSQL
	cmd.Dir, cmd.SysProcAttr, cmd.Stdout, cmd.Stderr = p.dir, p.account, p.log, p.log
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "HOME=" + p.dir}
	return cmd
}

func (p *Postgres) run(tb testing.TB, program string, args ...string) {
	tb.Helper()
	cmd := p.command(filepath.Join(p.bin, program), args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		tb.Fatalf("%s: %v\n%s", program, err, &out)
	}
}

// supervise runs the server until its standard input ends, which it does when
// the test's process ends, however that comes about.
const supervise = `"$@" & read -r _; kill -QUIT $!; wait`

// Start starts the server, also again after Stop.
func (p *Postgres) Start(tb testing.TB) {
	tb.Helper()
	p.server = p.command("sh", "-c", supervise, "sh", filepath.Join(p.bin, "postgres"),
		"-D", p.data(), "-k", p.dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200")
	keep, err := p.server.StdinPipe()
	if err == nil {
		err = p.server.Start()
	}
	if err != nil {
		tb.Fatal(err)
	}
	p.keep, p.running = keep, true
	for range postgresTimeout / postgresPause {
		if err = p.try("SELECT 1"); err == nil {
			return
		}
		time.Sleep(postgresPause) //nolint:forbidigo // until it answers
	}
	tb.Fatalf("PostgreSQL does not answer: %v\n%s", err, p.log)
}

// Stop has the server end at once, as in a crash. What was committed is there
// when it starts again.
func (p *Postgres) Stop(tb testing.TB) {
	tb.Helper()
	if !p.running {
		return
	}
	p.running = false
	_ = p.keep.Close()
	_ = p.server.Wait() // tells how the server ended, which is by this
}

// URL returns the URL of a database of this server, as a role.
func (p *Postgres) URL(role, database string) string {
	return (&url.URL{
		Scheme: "postgres", User: url.User(role), Path: "/" + database,
		RawQuery: url.Values{"host": {p.dir}}.Encode(),
	}).String()
}

// Database makes an empty database that belongs to Role and returns its URL.
func (p *Postgres) Database(tb testing.TB) string {
	tb.Helper()
	name := fmt.Sprint("test", p.made.Add(1))
	p.Exec(tb, "CREATE DATABASE "+name+" OWNER "+Role)
	return p.URL(Role, name)
}

// Exec runs a statement as the superuser.
func (p *Postgres) Exec(tb testing.TB, statement string) {
	tb.Helper()
	if err := p.try(statement); err != nil {
		tb.Fatal(err)
	}
}

// AskPasswords has the server ask everybody but its superuser for a password, and gives
// Role the first.
func (p *Postgres) AskPasswords(tb testing.TB, password string) {
	tb.Helper()
	p.Exec(tb, "ALTER ROLE "+Role+" PASSWORD '"+password+"'")
	rules := "local all " + superuser + " trust\nlocal all all scram-sha-256\n"
	if err := os.WriteFile(filepath.Join(p.data(), "pg_hba.conf"), []byte(rules), 0o600); err != nil {
		tb.Fatal(err)
	}
	p.Exec(tb, "SELECT pg_reload_conf()")
	Eventually(tb, "a password is asked for", func() bool {
		conn, err := pgconn.Connect(tb.Context(), p.URL(Role, "postgres"))
		if err == nil {
			err = conn.Close(tb.Context())
		}
		return err != nil
	})
}

// WithPassword returns the URL of a database with another role, and its password.
func WithPassword(tb testing.TB, database, role, password string) string {
	tb.Helper()
	u, err := url.Parse(database)
	if err != nil {
		tb.Fatal(err)
	}
	u.User = url.UserPassword(role, password)
	return u.String()
}

func (p *Postgres) try(statement string) error {
	conn, err := pgconn.Connect(context.Background(), p.URL(superuser, "postgres"))
	if err != nil {
		return err
	}
	return errors.Join(conn.Exec(context.Background(), statement).Close(), conn.Close(context.Background()))
}

// Shell runs a line of shell with PostgreSQL's own programs on the PATH.
func (p *Postgres) Shell(tb testing.TB, line string, env ...string) {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), "sh", "-c", line) //nolint:gosec // what our documentation says
	cmd.Env = append([]string{"PATH=" + p.bin + ":/usr/bin:/bin", "HOME=" + p.dir}, env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%s: %v\n%s", line, err, out)
	}
}

// Proxy starts what stands between the server and its clients.
func (p *Postgres) Proxy(tb testing.TB) *Proxy {
	tb.Helper()
	return StartProxy(tb, "unix", filepath.Join(p.dir, ".s.PGSQL.5432"))
}

// Through returns the URL of a database as it is through a Proxy.
func (p *Proxy) Through(tb testing.TB, database string) string {
	tb.Helper()
	u, err := url.Parse(database)
	if err != nil {
		tb.Fatal(err)
	}
	u.Host, u.RawQuery = p.addr, url.Values{"sslmode": {"disable"}}.Encode()
	return u.String()
}
