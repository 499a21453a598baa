package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/testkit"
)

// shipped builds the binary as it is shipped, without the race detector, which
// needs shared libraries. scripts/image.sh builds with the same flags.
func shipped(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "onnxgate")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -X main.version=v0.0.0-test", "-o", program, "./cmd/onnxgate")
	cmd.Dir, cmd.Env = repository, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// modelsFolder lays out the embedded model as a folder, beside what has no place
// in an image.
func modelsFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "iris"), os.DirFS(filepath.Dir(source(t, "models", "iris", "model.yaml")))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".env", "notes.txt", filepath.Join("iris", "id_ed25519")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// packageImage writes an image of the models in dir, and returns what is said of
// it.
func packageImage(t *testing.T, program, dir, output string) map[string]any {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, "package", "--models", dir, "--tag", "registry.example/iris:1", "-o", output, "--json")
	cmd.Env = []string{"HOME=" + t.TempDir(), "HOSTNAME=host.example", "ONNXGATE_JWT_SECRET=not to be in an image, ever"}
	out, err := cmd.Output()
	if err != nil {
		failed, _ := errors.AsType[*exec.ExitError](err)
		t.Fatalf("%v\n%s", err, failed.Stderr)
	}
	var said map[string]any
	if err := json.Unmarshal(out, &said); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return said
}

// TestPackage writes an image of models, loads it as docker and podman do, looks
// into it, and runs it.
func TestPackage(t *testing.T) {
	buildah := testkit.Tool(t, "buildah", "--no-install-recommends buildah")
	if os.Geteuid() != 0 {
		testkit.Missing(t, "running the image as another user needs root")
	}
	t.Parallel()
	program := shipped(t)
	archive := filepath.Join(t.TempDir(), "image.tar")
	said := packageImage(t, program, modelsFolder(t), archive)
	img := readImage(t, archive)
	t.Logf("%v bytes", said["size"])

	t.Run("says what it wrote", func(t *testing.T) {
		info, err := os.Stat(archive)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]any{
			"image": "registry.example/iris:1", "size": float64(info.Size()), "digest": said["digest"], "id": said["id"],
			"models": []any{map[string]any{"name": "iris", "versions": []any{"1"}}},
		}
		if diff := cmp.Diff(want, said); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
	t.Run("config", func(t *testing.T) {
		want := imageConfigWanted()
		want.Env = append(want.Env, "ONNXGATE_MODELS_DIR=/models")
		img.Config.Labels["org.opencontainers.image.revision"] = "not recorded by -buildvcs=false"
		checkImageConfig(t, img.Config, want)
	})
	t.Run("files", func(t *testing.T) {
		want := imageFilesWanted()
		for name, mode := range map[string]int64{
			"models/": 0o755, "models/iris/": 0o755, "models/iris/1/": 0o755, "models/iris/1/model.onnx": 0o444, "models/iris/model.yaml": 0o444,
		} {
			want[name] = imageFile{mode, 0}
		}
		checkImageFiles(t, img, want)
	})
	t.Run("written again is the same image", func(t *testing.T) {
		again := filepath.Join(t.TempDir(), "again.tar")
		packageImage(t, program, modelsFolder(t), again)
		if !sameFiles(t, archive, again) {
			t.Error("the archives differ")
		}
	})
	for _, format := range []string{"docker-archive", "oci-archive"} {
		t.Run("loads as "+format, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), buildah, "pull", "--quiet", format+":"+archive)
			cmd.Env = append(os.Environ(), imageStorage(t))
			out, err := cmd.CombinedOutput()
			if id, _ := said["id"].(string); err != nil || "sha256:"+strings.TrimSpace(string(out)) != id {
				t.Errorf("%v\n%s, want %s", err, out, id)
			}
		})
	}
	t.Run("serves as its user with a read-only root", func(t *testing.T) { runImage(t, img) })
}

// TestPackageRefuses packages what must not be in an image.
func TestPackageRefuses(t *testing.T) {
	t.Parallel()
	program := binary
	if raceDetector {
		program = shipped(t)
	}
	for name, tc := range map[string]struct {
		spoil func(dir string) error
		want  string
	}{
		"a model that is none": {
			func(dir string) error {
				return os.WriteFile(filepath.Join(dir, "iris", "1", "model.onnx"), []byte("no model"), 0o600)
			},
			"model iris, version 1",
		},
		"a contract that does not fit": {
			func(dir string) error {
				return os.WriteFile(filepath.Join(dir, "iris", "model.yaml"), []byte("features: [a]"), 0o600)
			},
			"iris/model.yaml",
		},
		"rules that fail their tests": {
			func(dir string) error {
				return os.WriteFile(filepath.Join(dir, "iris", "access_test.yaml"), []byte("- {as: {subject: eve, roles: [nobody]}, action: predict, expect: allow}\n"), 0o600)
			},
			"model iris, version 1",
		},
		"a link to a file elsewhere": {
			func(dir string) error { return os.Symlink("/etc/passwd", filepath.Join(dir, "iris", "golden.csv")) },
			"iris/golden.csv is a link out of the models folder",
		},
		"a folder without models": {
			func(dir string) error { return os.RemoveAll(filepath.Join(dir, "iris")) },
			"there is no model",
		},
		"no folder": {os.RemoveAll, "no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, out := modelsFolder(t), t.TempDir()
			if err := tc.spoil(dir); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), program, "package", "--models", dir, "--tag", "iris", "-o", filepath.Join(out, "image.tar"))
			said, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(said), tc.want) {
				t.Errorf("%v: %s, want %q", err, said, tc.want)
			}
			if left, err := os.ReadDir(out); err != nil || len(left) > 0 {
				t.Errorf("it leaves %v (%v)", left, err)
			}
		})
	}
}

func sameFiles(t *testing.T, a, b string) bool {
	t.Helper()
	one, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(one) == string(other)
}
