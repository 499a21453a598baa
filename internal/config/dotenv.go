package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/joho/godotenv"

	"onnxgate/internal/config/agefile"
	"onnxgate/internal/regular"
)

// The files that are read when no other is named and they are there. They may
// hold different settings: the second those that should be readable to nobody.
const (
	defaultEnvFile       = ".env"
	defaultSealedEnvFile = ".env.age"
)

// maxEnvFile bounds the text of a .env file, in bytes.
const maxEnvFile = agefile.MaxText

// envIdentityFile names the file with what opens a sealed one. It is not looked
// for in any: what is sealed cannot hold its own key, and what lies beside it
// should not.
const envIdentityFile = "ONNXGATE_ENV_IDENTITY_FILE"

// envFile is what one .env file says.
type envFile struct {
	path   string
	names  []string
	values map[string]string
	lines  map[string]int
	sealed bool
}

func (f *envFile) where(name string) string { return fmt.Sprintf("%s:%d", f.path, f.lines[name]) }

// readEnvFiles reads the file that was named, or those of the default names,
// which may be missing.
func readEnvFiles(src Source) ([]*envFile, []Problem) {
	if src.EnvFile != "" {
		f, problems := readEnvFile(src.EnvFile, src)
		return []*envFile{f}, problems
	}
	var files []*envFile
	var problems []Problem
	for _, path := range []string{defaultEnvFile, defaultSealedEnvFile} {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		f, wrong := readEnvFile(path, src)
		files, problems = append(files, f), append(problems, wrong...)
	}
	return files, append(problems, twiceSet(files)...)
}

// twiceSet refuses a setting that stands in two files with different values: a
// reader of one of them would be wrong about it.
func twiceSet(files []*envFile) []Problem {
	var problems []Problem
	for i, f := range files {
		for _, name := range f.names {
			for _, before := range files[:i] {
				if value, ok := before.values[name]; ok && value != f.values[name] {
					problems = append(problems, Problem{f.where(name), fmt.Sprintf("%s has another value in %s; keep one of them", name, before.where(name))})
				}
			}
		}
	}
	return problems
}

// readEnvFile reads one file, and opens it in memory when it is sealed.
func readEnvFile(path string, src Source) (*envFile, []Problem) {
	text, sealed, err := readEnvText(path, src)
	if err != nil {
		return &envFile{path: path}, []Problem{{Setting: path, Detail: err.Error()}}
	}
	f, problems := parseEnvFile(path, string(text))
	f.sealed = sealed
	return f, problems
}

// CheckEnvFile says what in the text of a .env file no server would take. Its
// error is of type SettingErrors, and shows no value.
func CheckEnvFile(path string, text []byte) error {
	f, problems := parseEnvFile(path, string(text))
	problems = append(problems, unknownInFile(f)...)
	if len(problems) > 0 {
		return SettingErrors(problems)
	}
	return nil
}

func readEnvText(path string, src Source) (text []byte, sealed bool, err error) {
	data, _, err := regular.ReadFile(path, agefile.MaxFile)
	if err == nil && !agefile.IsSealed(data) && len(data) > maxEnvFile {
		err = regular.TooLargeError(maxEnvFile)
	}
	switch {
	case err != nil:
		return nil, false, fmt.Errorf("cannot be read: %s; name a file with settings that this user can read", reason(err))
	case agefile.IsSealed(data):
		text, err = openEnvText(data, src)
		return text, true, err
	case strings.HasSuffix(path, filepath.Ext(defaultSealedEnvFile)):
		return nil, false, errors.New("is not encrypted, though its name says so; run: onnxgate config encrypt")
	}
	return data, false, nil
}

func openEnvText(data []byte, src Source) ([]byte, error) {
	path, _ := src.Lookup(envIdentityFile)
	if path == "" {
		return nil, errors.New("is encrypted; set " + envIdentityFile + " in the environment to the file with the age identity or the passphrase that decrypts it")
	}
	secret, _, err := regular.ReadFile(path, maxSecretFile)
	if err != nil {
		return nil, fmt.Errorf("cannot be opened: cannot read %s, which %s names: %s", shownPath(path), envIdentityFile, reason(err))
	}
	text, err := agefile.Open(data, secret)
	if err != nil {
		return nil, fmt.Errorf("cannot be opened with %s, which %s names: %w", shownPath(path), envIdentityFile, err)
	}
	return text, nil
}

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// parseEnvFile gives godotenv one statement at a time, so that every problem
// has a line and what godotenv would do silently (expand "$", let the last of
// two values win, cut a value at "#", take off some quotes, read YAML's "name:
// value", skip a name that starts with a byte order mark) is refused.
func parseEnvFile(path, text string) (*envFile, []Problem) {
	f := &envFile{path: path, values: map[string]string{}, lines: map[string]int{}}
	text = strings.TrimPrefix(text, "\ufeff")
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	var problems []Problem
	for i := 0; i < len(lines); {
		statement, used := nextStatement(lines[i:])
		if detail := f.add(statement, i+1); detail != "" {
			problems = append(problems, Problem{Setting: fmt.Sprintf("%s:%d", path, i+1), Detail: detail})
		}
		i += used
	}
	if f.values[envIdentityFile] != "" {
		problems = append(problems, Problem{f.where(envIdentityFile), envIdentityFile + " is read from the real environment alone; set it there"})
	}
	return f, problems
}

// maxStatementLines bounds a quoted value, so that a quote that never ends does
// not cost the square of the file.
const maxStatementLines = 200

// nextStatement returns the first line, with as many more as its quoted value
// spans. A quote that never ends takes the first line alone.
func nextStatement(lines []string) (statement string, used int) {
	for n := 1; n <= min(len(lines), maxStatementLines); n++ {
		statement = strings.Join(lines[:n], "\n")
		_, err := godotenv.Unmarshal(statement)
		if err == nil || !strings.HasPrefix(err.Error(), "unterminated quoted value") {
			return statement, n
		}
	}
	return lines[0], 1
}

// assignment is NAME=value, as a shell reads it too, and what begins the value.
var assignment = regexp.MustCompile(`^\s*(?:export\s+)?[^\s=:]+\s*=\s*((?s:.*))$`)

// add takes in one statement. It returns what is wrong, without any part of
// the value, which may be a secret.
func (f *envFile) add(statement string, line int) string {
	values, err := godotenv.Unmarshal(statement)
	if err != nil {
		return "is not NAME=value; write one setting a line, a value with quotes, # or $ in single quotes"
	}
	if len(values) > 1 {
		return "holds more than one setting; write one a line"
	}
	for name, value := range values {
		switch {
		case !envName.MatchString(name):
			return "is not NAME=value; a name has letters, digits and _ only"
		case f.lines[name] != 0:
			return fmt.Sprintf("%s is set again (first on line %d); keep one", name, f.lines[name])
		case expands(statement):
			return name + ` has a $ outside single quotes, which would be expanded; write '…' around the value`
		case !assignment.MatchString(statement):
			return "is not NAME=value; write = between the name and the value"
		case needsQuotes(assignment.FindStringSubmatch(statement)[1]):
			return name + ` has a # or a quote in a value without quotes, which could be cut there; write '…' around the value, and a comment on its own line`
		}
		f.names = append(f.names, name)
		f.values[name], f.lines[name] = value, line
	}
	return ""
}

// needsQuotes reports whether a value that is not in quotes holds what godotenv
// may take for a comment or for a quotation.
func needsQuotes(value string) bool {
	return !strings.HasPrefix(value, "'") && !strings.HasPrefix(value, `"`) && strings.ContainsAny(value, "#'\"`")
}

// expands reports whether the value of a statement has a dollar sign where
// godotenv would expand it. A mark in its place comes through exactly when it
// is part of the value, not of a comment.
func expands(statement string) bool {
	const mark = "\x01"
	_, value, _ := strings.Cut(strings.ReplaceAll(statement, ":", "="), "=")
	if strings.HasPrefix(strings.TrimSpace(value), "'") || !strings.Contains(statement, "$") {
		return false
	}
	marked, err := godotenv.Unmarshal(strings.ReplaceAll(statement, "$", mark))
	if err != nil {
		return true
	}
	for _, v := range marked {
		if strings.Contains(v, mark) {
			return true
		}
	}
	return false
}

// reason returns the last part of a file error: "no such file or directory".
func reason(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}
