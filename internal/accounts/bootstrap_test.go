package accounts_test

import (
	"context"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
	"onnxgate/internal/testkit"
)

// initialPassword returns what the file holds, without its newline, or "".
func (f *fixture) initialPassword(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(f.passwordFile())
	if os.IsNotExist(err) {
		return ""
	}
	must(t, err)
	return strings.TrimSuffix(string(data), "\n")
}

func (f *fixture) bootstrap(t *testing.T, password string) bool {
	t.Helper()
	created, err := f.Bootstrap(t.Context(), password)
	must(t, err)
	return created
}

func TestTheFirstStartMakesAnAdministrator(t *testing.T) {
	f := newFixture(t)
	if !f.bootstrap(t, "") {
		t.Fatal("no administrator was made")
	}
	initial := f.initialPassword(t)
	if !regexp.MustCompile(`^[a-km-np-z2-9]{26}$`).MatchString(initial) {
		t.Errorf("the password does not have 26 characters of the alphabet")
	}
	p, _, err := f.VerifyPassword(t.Context(), "admin", initial)
	must(t, err)
	if diff := cmp.Diff([]string{"admin"}, p.Roles); diff != "" {
		t.Error(diff)
	}
	info, err := os.Stat(f.passwordFile())
	must(t, err)
	if got := info.Mode().Perm(); got != fs.FileMode(0o600) {
		t.Errorf("the file has the mode %04o", got)
	}
	if f.bootstrap(t, "") || f.initialPassword(t) != initial {
		t.Error("the second start changed something")
	}
	entries, err := os.ReadDir(f.dir)
	must(t, err)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".new-") {
			t.Errorf("%s is left", e.Name())
		}
	}
}

func TestTwoInstallationsHaveDifferentPasswords(t *testing.T) {
	a, b := newFixture(t), newFixture(t)
	a.bootstrap(t, "")
	b.bootstrap(t, "")
	if a.initialPassword(t) == b.initialPassword(t) {
		t.Error("the passwords are the same")
	}
}

func TestTheOperatorMayChooseTheFirstPassword(t *testing.T) {
	f := newFixture(t)
	if !f.bootstrap(t, password) {
		t.Fatal("no administrator was made")
	}
	if f.initialPassword(t) != "" {
		t.Error("a password that the operator chose was written to a file")
	}
	if _, _, err := f.VerifyPassword(t.Context(), "admin", password); err != nil {
		t.Error(err)
	}
	if f.bootstrap(t, another) {
		t.Error("a later start made another administrator")
	}
	if _, _, err := f.VerifyPassword(t.Context(), "admin", another); err == nil {
		t.Error("a later start changed the password")
	}
}

func TestAWeakFirstPasswordStopsEveryStart(t *testing.T) {
	f := newFixture(t)
	for range 2 {
		for _, weak := range []string{"password", "admin", "adminadminadmin", "passwordpassword", "short"} {
			_, err := f.Bootstrap(t.Context(), weak)
			wantKind(t, weak, err, fault.Content)
		}
		f.bootstrap(t, password)
	}
}

func TestTheFileGoesWithThePassword(t *testing.T) {
	for name, change := range map[string]func(ctx context.Context, s *accounts.Service) error{
		"password": func(ctx context.Context, s *accounts.Service) error {
			return s.SetPassword(ctx, administrator, "Admin", another)
		},
		"deleted": func(ctx context.Context, s *accounts.Service) error {
			_, _, err := s.Add(ctx, administrator, accounts.NewUser{Name: "root", Password: another, Roles: []string{"admin"}})
			if err != nil {
				return err
			}
			return s.Delete(ctx, administrator, "admin")
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.bootstrap(t, "")
			if f.initialPassword(t) == "" {
				t.Fatal("no file")
			}
			must(t, change(t.Context(), f.service(t))) // as another process
			if f.initialPassword(t) != "" {
				t.Error("the file is still there")
			}
		})
	}
}

func TestTheFileGoesWhenAnotherServerChangesThePassword(t *testing.T) {
	f := newFixture(t)
	f.bootstrap(t, "")
	other := f.service(t, func(c *accounts.Config) { c.InitialPasswordFile = "" }) // with a data directory of its own
	stop := watch(t, f.Service)
	defer stop()
	must(t, other.SetPassword(t.Context(), administrator, "admin", another))
	testkit.Eventually(t, "the file is gone", func() bool { return f.initialPassword(t) == "" })
}

func TestTheFileStaysWithOtherChanges(t *testing.T) {
	f := newFixture(t)
	f.bootstrap(t, "")
	f.add(t, "ada", "admin")
	ctx := t.Context()
	must(t, f.SetPassword(ctx, administrator, "ada", another))
	must(t, f.SetRoles(ctx, administrator, "admin", []string{"admin", "user"}))
	must(t, f.Disable(ctx, administrator, "admin"))
	must(t, f.Enable(ctx, administrator, "admin"))
	must(t, f.Delete(ctx, administrator, "ada"))
	f.bootstrap(t, "")
	if _, _, err := f.VerifyPassword(ctx, "admin", f.initialPassword(t)); err != nil {
		t.Errorf("the file's password: %v", err)
	}
}

func TestAFileThatWasLeftBehindIsRemovedAtTheNextStart(t *testing.T) {
	f := newFixture(t)
	f.bootstrap(t, "")
	stale := f.initialPassword(t)
	must(t, f.SetPassword(t.Context(), administrator, "admin", another))
	must(t, os.WriteFile(f.passwordFile(), []byte(stale), 0o600))
	f.bootstrap(t, "")
	if f.initialPassword(t) != "" {
		t.Error("the file is still there")
	}
}

func TestAStartThatFailedIsRepeated(t *testing.T) {
	f := newFixture(t)
	must(t, os.Mkdir(f.passwordFile(), 0o700)) // nothing can be renamed over it
	must(t, os.WriteFile(f.passwordFile()+"/x", nil, 0o600))
	if _, err := f.Bootstrap(t.Context(), ""); err == nil {
		t.Fatal("no error without a file")
	}
	users, err := f.Users(t.Context(), accounts.AnyTenant, accounts.Page{})
	if err != nil || len(users) != 0 {
		t.Errorf("List = %v, %v: a user whose password nobody knows", users, err)
	}
	must(t, os.RemoveAll(f.passwordFile()))
	f.bootstrap(t, "")
	if _, _, err := f.VerifyPassword(t.Context(), "admin", f.initialPassword(t)); err != nil {
		t.Error(err)
	}
}

func TestProcessesThatStartAtOnceMakeOneAdministrator(t *testing.T) {
	f := newFixture(t)
	const n = 4
	ctx := context.WithoutCancel(t.Context())
	type outcome struct {
		created bool
		err     error
	}
	outcomes := make(chan outcome, n)
	for range n {
		other := &fixture{dir: f.dir, now: f.now, store: openStore(t, f.dir)}
		other.Service = other.service(t)
		go func() {
			created, err := other.Bootstrap(ctx, "")
			outcomes <- outcome{created, err}
		}()
	}
	made := 0
	for range n {
		o := <-outcomes
		must(t, o.err)
		if o.created {
			made++
		}
	}
	if made != 1 {
		t.Errorf("%d processes made the administrator", made)
	}
	if _, _, err := f.VerifyPassword(t.Context(), "admin", f.initialPassword(t)); err != nil {
		t.Errorf("the file's password: %v", err)
	}
}

func TestBootstrapMakesNobodyBesideAnAdministrator(t *testing.T) {
	f := newFixture(t)
	f.add(t, "root", "admin")
	if f.bootstrap(t, "") || f.initialPassword(t) != "" {
		t.Error("an administrator was made beside another")
	}
}

func TestBootstrapRaisesNobody(t *testing.T) {
	f := newFixture(t)
	f.add(t, "admin", "user")
	_, err := f.Bootstrap(t.Context(), "")
	wantKind(t, "a user admin without the role", err, fault.Conflict)
}
