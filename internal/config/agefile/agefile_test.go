package agefile_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"

	"onnxgate/internal/config/agefile"
	"onnxgate/internal/testkit"
)

const settings = "ONNXGATE_JWT_SECRET='q7Jm0Y2cVv6mS1cW3r8u0e5bTz4hXk9L'\n"

// identity returns a file as age-keygen writes it, and its public key.
func identity(tb testing.TB) (file []byte, public string) {
	tb.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		tb.Fatal(err)
	}
	public = id.Recipient().String()
	return []byte("# created: today\n# public key: " + public + "\n" + id.String() + "\n"), public
}

func sealFor(tb testing.TB, text string, armored bool, keys ...string) []byte {
	tb.Helper()
	to, err := agefile.Recipients(keys)
	if err != nil {
		tb.Fatal(err)
	}
	sealed, err := agefile.Seal([]byte(text), to, armored)
	if err != nil {
		tb.Fatal(err)
	}
	return sealed
}

func TestSealedFilesOpenForTheirRecipients(t *testing.T) {
	first, firstKey := identity(t)
	second, secondKey := identity(t)
	other, _ := identity(t)
	for _, armored := range []bool{false, true} {
		sealed := sealFor(t, settings, armored, firstKey, secondKey)
		if !agefile.IsSealed(sealed) || bytes.Contains(sealed, []byte("JWT")) {
			t.Errorf("armored %t: %.60q", armored, sealed)
		}
		for _, secret := range [][]byte{first, second, append(bytes.Clone(other), second...)} {
			if got, err := agefile.Open(sealed, secret); err != nil || string(got) != settings {
				t.Errorf("armored %t: %q, %v", armored, got, err)
			}
		}
		if _, err := agefile.Open(sealed, other); err == nil || !strings.Contains(err.Error(), "another identity") {
			t.Errorf("another identity: %v", err)
		}
	}
	to, err := agefile.RecipientsOf(first)
	if err != nil {
		t.Fatal(err)
	}
	again, err := agefile.Seal([]byte(settings), to, false)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := agefile.Open(again, first); err != nil || string(got) != settings {
		t.Errorf("for one's own identity: %q, %v", got, err)
	}
}

func TestFilesForAPassphraseOpenWithIt(t *testing.T) {
	to, err := agefile.Passphrase("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := agefile.Seal([]byte(settings), to, true)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := agefile.Open(sealed, []byte("correct horse\n")); err != nil || string(got) != settings {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := agefile.Open(sealed, []byte("wrong")); err == nil || !strings.Contains(err.Error(), "another identity or passphrase") {
		t.Errorf("a wrong one: %v", err)
	}
	if _, err := agefile.Open(sealed, []byte("\n")); err == nil || !strings.Contains(err.Error(), "none is given") {
		t.Errorf("none: %v", err)
	}
}

func TestAPassphraseThatWouldTakeTooLongIsRefusedUntried(t *testing.T) {
	r, err := age.NewScryptRecipient("x")
	if err != nil {
		t.Fatal(err)
	}
	r.SetWorkFactor(1)
	var file bytes.Buffer
	w, err := age.Encrypt(&file, r)
	if err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	dear := bytes.Replace(file.Bytes(), []byte(" 1\n"), []byte(" 30\n"), 1) // a terabyte
	if _, err := agefile.Open(dear, []byte("x")); err == nil || !strings.Contains(err.Error(), "work factor") {
		t.Errorf("error = %v", err)
	}
}

func TestWhatCannotBeOpenedIsRefusedWithoutShowingIt(t *testing.T) {
	secret, key := identity(t)
	good := sealFor(t, settings, false, key)
	armored := sealFor(t, settings, true, key)
	long := sealFor(t, strings.Repeat("x", agefile.MaxText), false, key)
	if got, err := agefile.Open(long, secret); err != nil || len(got) != agefile.MaxText {
		t.Errorf("the longest text: %d bytes, %v", len(got), err)
	}
	// One byte more, as another program may make it.
	var more bytes.Buffer
	to, err := agefile.Recipients([]string{key})
	if err != nil {
		t.Fatal(err)
	}
	w, err := age.Encrypt(&more, to...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, agefile.MaxText+1)); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		data, secret []byte
		want         string
	}{
		"nothing":                      {nil, secret, "not an age file"},
		"plain text":                   {[]byte(settings), secret, "not an age file"},
		"cut in its header":            {good[:60], secret, "not an age file"},
		"cut in its text":              {good[:len(good)-1], secret, "decrypt"},
		"a byte changed":               {append(bytes.Clone(good[:len(good)-1]), good[len(good)-1]^1), secret, "decrypt"},
		"something behind":             {append(bytes.Clone(armored), "x=1\n"...), secret, "armor"},
		"too long":                     {more.Bytes(), secret, "more than 1048576"},
		"no identity":                  {good, nil, "age-keygen"},
		"a secret that is no identity": {good, []byte("AGE-SECRET-KEY-1CANARY\n"), "age-keygen"},
	} {
		text, err := agefile.Open(tc.data, tc.secret)
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "CANARY") || strings.Contains(string(text), "JWT") {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	if _, err := agefile.Seal(make([]byte, agefile.MaxText+1), to, false); err == nil {
		t.Error("sealed a text that is too long")
	}
	for _, bad := range []string{"", "age1", "ssh-ed25519 AAAA", key + "\n" + key, "# comment"} {
		if _, err := agefile.Recipients([]string{bad}); err == nil {
			t.Errorf("%q is a recipient", bad)
		}
	}
	if _, err := agefile.Passphrase(""); err == nil {
		t.Error("an empty passphrase was taken")
	}
}

func TestTheAgeCommandReadsAndWritesTheSameFiles(t *testing.T) {
	command, keygen := testkit.Tool(t, "age", "age"), testkit.Tool(t, "age-keygen", "age")
	dir := t.TempDir()
	key := filepath.Join(dir, "key.txt")
	if out, err := exec.CommandContext(t.Context(), keygen, "-o", key).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	secret, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := exec.CommandContext(t.Context(), keygen, "-y", key).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, armored := range []bool{false, true} {
		cmd := exec.CommandContext(t.Context(), command, "-d", "-i", key)
		cmd.Stdin = bytes.NewReader(sealFor(t, settings, armored, strings.TrimSpace(string(public))))
		if out, err := cmd.Output(); err != nil || string(out) != settings {
			t.Errorf("age read %q, %v", out, err)
		}
		args := []string{"-r", strings.TrimSpace(string(public))}
		if armored {
			args = append(args, "-a")
		}
		cmd = exec.CommandContext(t.Context(), command, args...)
		cmd.Stdin = strings.NewReader(settings)
		sealed, err := cmd.Output()
		if err != nil || bytes.HasPrefix(sealed, []byte(armor.Header)) != armored {
			t.Fatalf("%v: %.40q", err, sealed)
		}
		if got, err := agefile.Open(sealed, secret); err != nil || string(got) != settings {
			t.Errorf("we read %q, %v", got, err)
		}
	}
}

func TestTheAgeCommandTakesTheSamePassphrases(t *testing.T) {
	command, python := testkit.Tool(t, "age", "age"), testkit.Tool(t, "python3", "python3")
	dir := t.TempDir()
	plain, ours, theirs, opened := filepath.Join(dir, "plain"), filepath.Join(dir, "ours"), filepath.Join(dir, "theirs"), filepath.Join(dir, "opened")
	to, err := agefile.Passphrase("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := agefile.Seal([]byte(settings), to, false)
	if err = errors.Join(err, os.WriteFile(ours, sealed, 0o600), os.WriteFile(plain, []byte(settings), 0o600)); err != nil {
		t.Fatal(err)
	}
	typed := func(args ...string) {
		t.Helper()
		args = append([]string{"testdata/typed.py", "correct horse", command}, args...)
		if out, err := exec.CommandContext(t.Context(), python, args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	typed("-d", "-o", opened, ours)
	if got, err := os.ReadFile(opened); err != nil || string(got) != settings {
		t.Errorf("age read %q, %v", got, err)
	}
	typed("-p", "-o", theirs, plain)
	sealed, err = os.ReadFile(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := agefile.Open(sealed, []byte("correct horse\n")); err != nil || string(got) != settings {
		t.Errorf("we read %q, %v", got, err)
	}
}

func FuzzOpenNeverPanics(f *testing.F) {
	secret, key := identity(f)
	f.Add(sealFor(f, settings, false, key))
	f.Add(sealFor(f, settings, true, key))
	f.Add([]byte("age-encryption.org/v1\n-> scrypt AAAA 18\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.Contains(data, []byte("-> scrypt ")) {
			t.Skip("a passphrase costs a second")
		}
		text, err := agefile.Open(data, secret)
		if err == nil && string(text) != settings {
			t.Errorf("opened %q", text)
		}
	})
}
