package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// swaps is how often the model is swapped: 50 times, or as SWAPS says.
func swaps(t *testing.T) int {
	t.Helper()
	text := os.Getenv("SWAPS")
	if text == "" {
		return 50
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestAModelIsSwappedUnderLoadAndNoRequestFails swaps a link between two folders,
// as Kubernetes does, while clients predict: every answer is whole, and of one of
// the two.
func TestAModelIsSwappedUnderLoadAndNoRequestFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	iris, err := os.ReadFile(source(t, "models", "iris", "1", "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range []string{"a", "b"} {
		folder := filepath.Join(dir, "states", state)
		manifest := fmt.Sprintf("labels: [%[1]s0, %[1]s1, %[1]s2]\n", state)
		for path, data := range map[string]string{"1/model.onnx": string(iris), "model.yaml": manifest} {
			put(t, filepath.Join(folder, path), data)
		}
	}
	models := filepath.Join(dir, "models")
	swapTo(t, models, "a")
	s := begin(t, "ONNXGATE_MODELS_DIR="+models, "ONNXGATE_TOKEN_TTL=24h")
	token := adminToken(t, s)
	ask := asking(t, s, token)
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var asked atomic.Int64
	for range 2 {
		load.Go(func() {
			for ctx.Err() == nil {
				if _, err := ask(); err != nil {
					t.Error(err)
					return
				}
				asked.Add(1)
			}
		})
	}
	for i := range swaps(t) {
		next := []string{"b", "a"}[i%2]
		swapTo(t, models, next)
		deadline := time.Now().Add(startTimeout)
		for {
			state, err := ask()
			if err != nil {
				t.Fatal(err)
			}
			if state == next {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("swap %d was not noticed\n%s", i, s.log)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	cancel()
	load.Wait()
	t.Logf("in all: %d swaps, %d predictions", swaps(t), asked.Load())
}

func put(tb testing.TB, path, data string) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// swapTo has the model be that of a state, at once.
func swapTo(t *testing.T, models, state string) {
	t.Helper()
	if err := os.MkdirAll(models, 0o700); err != nil {
		t.Fatal(err)
	}
	next := filepath.Join(models, "..next")
	if err := os.Symlink(filepath.Join("..", "states", state), next); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(models, "swapped")); err != nil {
		t.Fatal(err)
	}
}

// asking returns what predicts once, and returns the state that answered. An
// answer that is not whole is an error.
func asking(t *testing.T, s *server, token string) func() (state string, err error) {
	t.Helper()
	client := s.clientFor(t)
	t.Cleanup(client.CloseIdleConnections)
	const row = `{"X_0":5.1,"X_1":3.5,"X_2":1.4,"X_3":0.2}`
	return func() (string, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url()+"/models/swapped/predict", strings.NewReader(row))
		if err != nil {
			return "", err
		}
		req.Header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
		resp, err := client.Do(req)
		if err != nil {
			return "", err
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return "", err
		}
		var answer struct {
			Label         string
			Probabilities map[string]float64
		}
		if err := json.Unmarshal(body, &answer); err != nil || resp.StatusCode != http.StatusOK || len(answer.Label) != 2 || len(answer.Probabilities) != 3 {
			return "", fmt.Errorf("%s %s, %w", resp.Status, body, err)
		}
		state := answer.Label[:1]
		for name := range answer.Probabilities {
			if !strings.HasPrefix(name, state) {
				return "", fmt.Errorf("mixed: %s", body)
			}
		}
		return state, nil
	}
}
