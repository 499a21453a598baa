package sqlstore_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
	"onnxgate/internal/sqlstore"
)

// childDatabase, when set, makes the test binary a second process of a test,
// which works on that database, and childWrites says that it writes all the
// time, childSpends that it uses a quota.
const (
	childDatabase = "ONNXGATE_TEST_DATABASE"
	childWrites   = "ONNXGATE_TEST_WRITES"
	childRotates  = "ONNXGATE_TEST_ROTATES" // the key-encryption key of this file, all the time
	childSpends   = "ONNXGATE_TEST_SPENDS"
	childSigns    = "ONNXGATE_TEST_SIGNS" // with another key all the time, under the key-encryption key of this file
)

func TestMain(m *testing.M) {
	where := os.Getenv(childDatabase)
	if where == "" {
		goleak.VerifyTestMain(m)
		return
	}
	work := replaceStamps
	switch {
	case os.Getenv(childWrites) != "":
		work = writeAllTheTime
	case os.Getenv(childSpends) != "":
		work = spend
	}
	if os.Getenv(childRotates) != "" {
		work = rotateAllTheTime
	}
	if os.Getenv(childSigns) != "" {
		work = signWithAnotherAllTheTime
	}
	if err := child(where, work); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func child(where string, work func(context.Context, *sqlstore.Store) error) error {
	cfg := sqlstore.Config{Path: where}
	if strings.HasPrefix(where, "postgres:") {
		cfg = sqlstore.Config{URL: where}
	}
	ctx := context.Background()
	s, err := sqlstore.Open(ctx, cfg)
	if err != nil {
		return err
	}
	fmt.Println("open")
	return errors.Join(work(ctx, s), s.Close())
}

// replaceStamps replaces ada for each line that it reads.
func replaceStamps(ctx context.Context, s *sqlstore.Store) error {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		r := record("ada", "user")
		r.Stamp = lines.Text()
		if err := s.Update(ctx, func(tx *accounts.Tx) error { return tx.Users.Replace(r) }); err != nil {
			return err
		}
		fmt.Println("done")
	}
	return lines.Err()
}

// startChild starts a second process on a database.
func startChild(t *testing.T, cfg sqlstore.Config, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0])
	cmd.Env = append(append(os.Environ(), childDatabase+"="+cfg.Path+cfg.URL), env...)
	return cmd
}

func TestAChangeOfAnotherProcessIsKnownWithinASecond(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		t.Helper()
		cfg := b.fresh(t)
		s := open(t, cfg)
		insert(t, s, record("ada", "user"))
		service := watched(t, s)
		change := stamper(t, cfg)
		last := "stamp of ada"
		for i := range 3 {
			token := new(asked)
			if ok, err := token.stands(t.Context(), service, last); err != nil || !ok {
				t.Fatalf("the present stamp is refused: %v", err)
			}
			next := fmt.Sprint("stamp ", i)
			change(next)
			changed := time.Now()
			for ok := true; ok; time.Sleep(5 * time.Millisecond) {
				var err error
				ok, err = token.stands(t.Context(), service, last)
				must(t, err)
				if ok && time.Since(changed) > time.Second {
					t.Fatal("the former stamp is still accepted after a second")
				}
			}
			last = next
		}
	})
}

// watched returns the accounts of a store, which follow its changes.
func watched(t *testing.T, s *sqlstore.Store) *accounts.Service {
	t.Helper()
	service, err := accounts.New(accounts.Config{Store: s, Params: accounts.Params{Memory: 64, Time: 1, Threads: 1}})
	must(t, err)
	watching, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- service.Watch(watching) }()
	t.Cleanup(func() {
		stop()
		must(t, <-ended)
	})
	return service
}

// stands is what a server asks of a token: of the state at a revision, as long
// as that does not move.
func (a *asked) stands(ctx context.Context, service *accounts.Service, stamp string) (bool, error) {
	revision, err := service.Revision(ctx)
	if err != nil || revision == a.revision {
		return a.stood, err
	}
	a.stood, err = service.TokenStands(ctx, "ada", stamp, "id")
	a.revision = revision
	return a.stood, err
}

type asked struct {
	revision int64
	stood    bool
}

// stamper returns a function that has a second process give ada another stamp.
func stamper(t *testing.T, cfg sqlstore.Config) func(stamp string) {
	t.Helper()
	cmd := startChild(t, cfg) // it ends with its input
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	answers := bufio.NewReader(out)
	expect := func(want string) {
		t.Helper()
		if got, err := answers.ReadString('\n'); strings.TrimSpace(got) != want {
			t.Fatalf("the second process says %q, %v, want %q", got, err, want)
		}
	}
	expect("open")
	t.Cleanup(func() {
		must(t, in.Close())
		must(t, cmd.Wait())
	})
	return func(stamp string) {
		t.Helper()
		_, err := fmt.Fprintln(in, stamp)
		must(t, err)
		expect("done")
	}
}

func TestProcessesThatStartAtOnceShareTheDatabase(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		t.Helper()
		cfg := b.fresh(t)
		const n = 6
		errs := make(chan error, n)
		for range n {
			go func() {
				s, err := sqlstore.Open(context.WithoutCancel(t.Context()), cfg)
				if err == nil {
					err = s.Close()
				}
				errs <- err
			}()
		}
		for range n {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestTheFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := openFile(t, filepath.Join(dir, "onnxgate.db"))
	insert(t, s, record("ada", "user"))
	modes := map[string]fs.FileMode{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		must(t, err)
		info, err := os.Stat(path)
		must(t, err)
		modes[filepath.Base(path)] = info.Mode().Perm()
		return nil
	})
	must(t, err)
	want := map[string]fs.FileMode{"data": 0o700, "onnxgate.db": 0o600, "onnxgate.db-wal": 0o600, "onnxgate.db-shm": 0o600}
	if diff := cmp.Diff(want, modes); diff != "" {
		t.Error(diff)
	}
}

func TestPathsAreTakenLiterally(t *testing.T) {
	for _, name := range []string{"a?mode=memory.db", "b#c.db", "d%41.db", "e f.db", "ünïcode.db", "g&_pragma=x.db"} {
		dir := t.TempDir()
		s := openFile(t, filepath.Join(dir, name))
		insert(t, s, record("ada", "user"))
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
		entries, err := os.ReadDir(dir)
		must(t, err)
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), name) {
				t.Errorf("%q made the file %q", name, e.Name())
			}
		}
	}
}

func TestARelativePathIsOpened(t *testing.T) {
	t.Chdir(t.TempDir())
	s := openFile(t, filepath.Join("data", "onnxgate.db"))
	insert(t, s, record("ada", "user"))
	if info, err := os.Stat("data/onnxgate.db"); err != nil || info.Size() == 0 {
		t.Errorf("data/onnxgate.db: %v, %v", info, err)
	}
}

func TestADatabaseThatIsNotOursIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare func(t *testing.T, path string)
		want    string
	}{
		"of a newer version": {func(t *testing.T, path string) {
			t.Helper()
			must(t, openFile(t, path).Close())
			execute(t, path, "PRAGMA user_version = 1000")
		}, "schema version 1000"},
		"of another program": {func(t *testing.T, path string) {
			t.Helper()
			execute(t, path, "CREATE TABLE t (x)")
		}, "another program"},
		"no database": {func(t *testing.T, path string) {
			t.Helper()
			must(t, os.WriteFile(path, []byte(strings.Repeat("not a database\n", 100)), 0o600))
		}, "not a database"},
		"readable by others": {func(t *testing.T, path string) {
			t.Helper()
			must(t, os.WriteFile(path, nil, 0o600))
			must(t, os.Chmod(path, 0o644))
		}, "chmod 600"},
		"a directory": {func(t *testing.T, path string) {
			t.Helper()
			must(t, os.Mkdir(path, 0o700))
		}, "is a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "onnxgate.db")
			tc.prepare(t, path)
			s, err := sqlstore.Open(t.Context(), sqlstore.Config{Path: path})
			if err == nil {
				must(t, s.Close())
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("Open = %v, want %q and the path", err, tc.want)
			}
		})
	}
	if _, err := sqlstore.Open(t.Context(), sqlstore.Config{}); err == nil {
		t.Error("no path: no error")
	}
}

func execute(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	must(t, err)
	_, err = db.ExecContext(t.Context(), statement)
	must(t, errors.Join(err, db.Close()))
	must(t, os.Chmod(path, 0o600))
}

func TestAStoreOutOfReachIsUnavailable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "onnxgate.db")
	first := openFile(t, path)
	insert(t, first, record("ada", "user"))
	must(t, first.Close())
	if _, err := first.Revision(t.Context()); err == nil {
		t.Error("a closed store answers")
	}

	s := openFile(t, path)
	info, err := os.Stat(path)
	must(t, err)
	garbage := bytes.Repeat([]byte{0xff}, int(info.Size())-4096)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt(garbage, 4096) // everything but the schema
	must(t, errors.Join(err, f.Close()))
	_, errUsers := list(t.Context(), s)
	_, errRecord := get(t.Context(), s, "ada")
	_, errRevision := s.Revision(t.Context())
	errUpdate := s.Update(t.Context(), func(tx *accounts.Tx) error { return tx.Users.Delete(accounts.AnyTenant, "ada") })
	for _, err := range []error{errUsers, errRecord, errRevision, errUpdate} {
		if f := fault.As(err); f == nil || f.Kind != fault.Unavailable || f.RetryAfter < time.Second {
			t.Errorf("a broken database: %v, want unavailable", err)
		}
	}
}
