package seal_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"onnxgate/internal/seal"
)

// messages is how many random messages go each way: MESSAGES, or 500.
func messages(t *testing.T) int {
	t.Helper()
	text := os.Getenv("MESSAGES")
	if text == "" {
		return 500
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// python answers each line with one of Python's cryptography, under a key.
func python(t *testing.T, secret []byte, lines []string) []string {
	t.Helper()
	if err := exec.CommandContext(t.Context(), "python3", "-c", "import cryptography.fernet").Run(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("python3 with cryptography is missing")
		}
		t.Skip("python3 with cryptography is missing; make test installs it, or: apt-get install python3-cryptography")
	}
	cmd := exec.CommandContext(t.Context(), "python3", "testdata/fernet.py")
	cmd.Stdin = strings.NewReader(base64.URLEncoding.EncodeToString(secret) + "\n" + strings.Join(lines, "\n") + "\n")
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var answers []string
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		answers = append(answers, s.Text())
	}
	if len(answers) != len(lines) {
		t.Fatalf("%d answers to %d lines", len(answers), len(lines))
	}
	return answers
}

// S4: random messages each way.
func TestPythonOpensOurTokensAndWeOpenPythons(t *testing.T) {
	key, secret := randomKey(t)
	texts, lines := make([][]byte, messages(t)), make([]string, 0, 2*messages(t))
	for i := range texts {
		texts[i] = make([]byte, mathrand.IntN(200))
		_, _ = rand.Read(texts[i]) // never fails
		token, err := key.Seal(rand.Reader, time.Now(), texts[i])
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("open %s", token), "seal "+hex.EncodeToString(texts[i]))
	}
	for i, answers := 0, python(t, secret, lines); i < len(texts); i++ {
		if want := hex.EncodeToString(texts[i]); answers[2*i] != want {
			t.Errorf("Python read %s, want %s", answers[2*i], want)
		}
		got, err := seal.Open([]*seal.FernetKey{key}, []byte(answers[2*i+1]), time.Now(), 3600)
		if err != nil || !bytes.Equal(got, texts[i]) {
			t.Errorf("we read %x, %v, want %x", got, err, texts[i])
		}
	}
	t.Logf("in all: %d messages each way", len(texts))
}
