package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/testkit"
)

// imageUser is the uid and gid that the image runs as.
const imageUser = 65532

// maxImageBytes bounds the image; the binary is nearly all of it.
const maxImageBytes = 40 << 20

// image is what a docker-archive says about one image.
type image struct {
	Config imageConfig `json:"config"`
	layers [][]byte    // tar files
}

type imageConfig struct {
	User         string
	Env          []string
	Entrypoint   []string
	Cmd          []string
	Labels       map[string]string
	Volumes      map[string]struct{}
	ExposedPorts map[string]struct{}
	Healthcheck  struct{ Test []string }
}

// TestImage builds the image with buildah, which needs no daemon and pulls
// nothing, looks into it, and runs it.
func TestImage(t *testing.T) {
	buildah := testkit.Tool(t, "buildah", "--no-install-recommends buildah")
	if os.Geteuid() != 0 {
		testkit.Missing(t, "building and running the image as another user needs root")
	}
	t.Parallel()
	source(t, "deploy", "Dockerfile")
	img := buildImage(t, buildah)

	t.Run("config", func(t *testing.T) { checkImageConfig(t, img.Config, imageConfigWanted()) })
	t.Run("files", func(t *testing.T) { checkImageFiles(t, img, imageFilesWanted()) })
	t.Run("built again is the same image", func(t *testing.T) {
		again := buildImage(t, buildah)
		if !slices.EqualFunc(img.layers, again.layers, bytes.Equal) {
			t.Error("the layers of two builds differ")
		}
	})
	t.Run("serves as its user with a read-only root", func(t *testing.T) { runImage(t, img) })
}

// buildImage runs make image's script with a storage of its own.
func buildImage(t *testing.T, buildah string) *image {
	t.Helper()
	storage := imageStorage(t)
	archive := filepath.Join(t.TempDir(), "image.tar")
	for _, args := range [][]string{
		{source(t, "scripts", "image.sh")},
		{buildah, "push", "onnxgate:v0.0.0-test", "docker-archive:" + archive},
	} {
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Dir = repository
		cmd.Env = append(os.Environ(), "IMAGE_TOOL=buildah", "VERSION=v0.0.0-test", storage)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", args, err, out)
		}
	}
	return readImage(t, archive)
}

// imageStorage returns the setting by which buildah keeps its images in a folder
// of the test.
func imageStorage(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	storage := filepath.Join(dir, "storage.conf")
	conf := fmt.Sprintf("[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n",
		filepath.Join(dir, "graph"), filepath.Join(dir, "run"))
	if err := os.WriteFile(storage, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	return "CONTAINERS_STORAGE_CONF=" + storage
}

func readImage(t *testing.T, archive string) *image {
	t.Helper()
	files := map[string][]byte{}
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	eachEntry(t, f, func(h *tar.Header, body io.Reader) {
		data, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = data
	})
	var manifest []struct {
		Config string
		Layers []string
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil || len(manifest) != 1 {
		t.Fatalf("manifest.json: %v: %s", err, files["manifest.json"])
	}
	img := &image{}
	if err := json.Unmarshal(files[manifest[0].Config], img); err != nil {
		t.Fatal(err)
	}
	for _, layer := range manifest[0].Layers {
		img.layers = append(img.layers, uncompressed(t, files[layer]))
	}
	return img
}

func uncompressed(t *testing.T, layer []byte) []byte {
	t.Helper()
	packed, err := gzip.NewReader(bytes.NewReader(layer))
	if errors.Is(err, gzip.ErrHeader) {
		return layer
	}
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(packed)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func eachEntry(t *testing.T, r io.Reader, visit func(*tar.Header, io.Reader)) {
	t.Helper()
	for entries := tar.NewReader(r); ; {
		h, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		visit(h, entries)
	}
}

// imageConfigWanted is how a container runs.
func imageConfigWanted() imageConfig {
	return imageConfig{
		User: "65532:65532",
		Env: []string{
			"PATH=/usr/bin", "ONNXGATE_ADDR=0.0.0.0:8443", "ONNXGATE_GRPC_ADDR=0.0.0.0:8445", "ONNXGATE_ADMIN_ADDR=127.0.0.1:8444",
			"ONNXGATE_DATA_DIR=/data",
		},
		Entrypoint:   []string{"/usr/bin/onnxgate"},
		Cmd:          []string{"serve"},
		Volumes:      map[string]struct{}{"/data": {}},
		ExposedPorts: map[string]struct{}{"8443/tcp": {}, "8445/tcp": {}},
		Healthcheck:  struct{ Test []string }{[]string{"CMD", "/usr/bin/onnxgate", "healthcheck"}},
	}
}

func checkImageConfig(t *testing.T, got, want imageConfig) {
	t.Helper()
	labels := got.Labels
	got.Labels = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the config differs (-want +got):\n%s", diff)
	}
	for _, name := range []string{"title", "description", "version", "revision"} {
		if value := labels["org.opencontainers.image."+name]; value == "" || value == "unknown" {
			t.Errorf("the label %s is %q", name, value)
		}
	}
	if version := labels["org.opencontainers.image.version"]; version != "v0.0.0-test" {
		t.Errorf("the version is labelled %q", version)
	}
}

// imageFile is one file of an image.
type imageFile struct {
	Mode int64
	User int
}

// imageFilesWanted are exactly the files that the server needs.
func imageFilesWanted() map[string]imageFile {
	return map[string]imageFile{
		"data/":                             {0o700, imageUser},
		"etc/":                              {0o755, 0},
		"etc/passwd":                        {0o444, 0},
		"etc/ssl/":                          {0o755, 0},
		"etc/ssl/certs/":                    {0o755, 0},
		"etc/ssl/certs/ca-certificates.crt": {0o444, 0},
		"usr/":                              {0o755, 0},
		"usr/bin/":                          {0o755, 0},
		"usr/bin/onnxgate":                  {0o555, 0},
	}
}

// checkImageFiles wants nobody but root to be able to change a file.
func checkImageFiles(t *testing.T, img *image, want map[string]imageFile) {
	t.Helper()
	got, size := map[string]imageFile{}, int64(0)
	for _, layer := range img.layers {
		eachEntry(t, bytes.NewReader(layer), func(h *tar.Header, _ io.Reader) {
			got[h.Name] = imageFile{h.Mode & 0o7777, h.Uid}
			size += h.Size
			if h.Uid != h.Gid {
				t.Errorf("%s belongs to user %d and group %d", h.Name, h.Uid, h.Gid)
			}
		})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the files differ (-want +got):\n%s", diff)
	}
	if size > maxImageBytes {
		t.Errorf("the image holds %d bytes, more than %d", size, maxImageBytes)
	}
}

// unpack lays the image out below root, with its owners.
func unpack(t *testing.T, img *image, root string) {
	t.Helper()
	for _, layer := range img.layers {
		eachEntry(t, bytes.NewReader(layer), func(h *tar.Header, body io.Reader) {
			path := filepath.Join(root, filepath.FromSlash(h.Name))
			var err error
			if h.Typeflag == tar.TypeDir {
				err = os.MkdirAll(path, 0o755)
			} else {
				var data []byte
				if data, err = io.ReadAll(body); err == nil {
					err = os.WriteFile(path, data, 0o600)
				}
			}
			if err = errors.Join(err, os.Chown(path, h.Uid, h.Gid), os.Chmod(path, os.FileMode(h.Mode&0o777))); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// inRoot runs its arguments as the image's user, in the root given first: a
// mount namespace where that root is read-only but for /data, without a way to
// gain privileges. It is what a container runtime does, without one.
const inRoot = `set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
root=$1; shift
mount --bind "$root" "$root"
mount --bind "$root/data" "$root/data"
mount -o remount,bind,ro "$root"
if touch "$root/probe" 2>/dev/null; then echo "the root is not read-only" >&2; exit 99; fi
exec setpriv --no-new-privs --bounding-set=-all,+sys_chroot,+setuid,+setgid \
	chroot --userspec=65532:65532 --groups= "$root" "$@"`

func runImage(t *testing.T, img *image) {
	t.Helper()
	unshare := testkit.Tool(t, "unshare", "util-linux")
	root := filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	unpack(t, img, root)
	for dir := root; dir != filepath.Dir(dir) && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	prefix := []string{unshare, "--mount", "sh", "-c", inRoot, "sh", root}
	s, err := newServer(root)
	if err != nil {
		t.Fatal(err)
	}
	s.command = slices.Concat(prefix, img.Config.Entrypoint, img.Config.Cmd)
	everywhere := strings.NewReplacer("127.0.0.1", "0.0.0.0")
	settings := slices.Concat(img.Config.Env, ratesOff, []string{
		"ONNXGATE_ADDR=" + everywhere.Replace(s.addr), "ONNXGATE_GRPC_ADDR=" + everywhere.Replace(s.grpc), "ONNXGATE_ADMIN_ADDR=" + s.admin,
	})
	if err := s.start(t.Context(), settings...); err != nil {
		t.Fatal(err)
	}
	predictOnce(t, s, adminToken(t, s))

	health := exec.CommandContext(t.Context(), prefix[0], slices.Concat(prefix[1:], img.Config.Healthcheck.Test[1:])...)
	health.Env = append(s.environ(), settings...)
	if out, err := health.CombinedOutput(); err != nil {
		t.Errorf("healthcheck: %v\n%s", err, out)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if out, err := health.CombinedOutput(); err == nil {
		t.Errorf("healthcheck of a server that has stopped: %s", out)
	}
}
