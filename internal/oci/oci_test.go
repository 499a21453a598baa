package oci_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/x509"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"onnxgate/internal/oci"
)

// program is the least that the header of a Linux program says, with one
// segment of the type.
func program(t *testing.T, segment elf.ProgType) string {
	t.Helper()
	var file bytes.Buffer
	header := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
	}
	copy(header.Ident[:], elf.ELFMAG+string([]byte{byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)}))
	for _, part := range []any{header, elf.Prog64{Type: uint32(segment)}} {
		if err := binary.Write(&file, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	return write(t, t.TempDir(), "program", file.String())
}

func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
		t.Fatal(err)
	}
	return path
}

func readModels(t *testing.T, dir string) (*oci.Models, error) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return oci.ReadModels(root.FS())
}

func newImage(t *testing.T, dir string) (*oci.Image, error) {
	t.Helper()
	models, err := readModels(t, dir)
	if err != nil {
		return nil, err
	}
	server, err := oci.ReadProgram(program(t, elf.PT_LOAD))
	if err != nil {
		t.Fatal(err)
	}
	tag, err := oci.ParseTag("registry.example/team/iris:1")
	if err != nil {
		t.Fatal(err)
	}
	return oci.New(&oci.Config{Tag: tag, Program: server, Architecture: "arm64", Version: "v1.2.3", Revision: "abcdef", Models: models})
}

func writeImage(t *testing.T, dir string) (*oci.Image, []byte) {
	t.Helper()
	img, err := newImage(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := img.Write(&archive); err != nil {
		t.Fatal(err)
	}
	return img, archive.Bytes()
}

// entries returns the files and folders of a tar file by name.
func entries(t *testing.T, r io.Reader) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		if h.ModTime.Unix() != 0 || h.Uname+h.Gname != "" {
			t.Errorf("%s is of %v, %q and %q", h.Name, h.ModTime, h.Uname, h.Gname)
		}
		all[h.Name] = data
	}
}

// layer returns the files of the n-th layer.
func layer(t *testing.T, archive []byte, n int) map[string][]byte {
	t.Helper()
	files := entries(t, bytes.NewReader(archive))
	var docker []struct{ Layers []string }
	if err := json.Unmarshal(files["manifest.json"], &docker); err != nil || len(docker) != 1 || len(docker[0].Layers) != 2 {
		t.Fatalf("manifest.json: %s (%v)", files["manifest.json"], err)
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(files[docker[0].Layers[n]]))
	if err != nil {
		t.Fatal(err)
	}
	return entries(t, unpacked)
}

func TestTheImageIsTheSameWhereverItIsMade(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	for _, name := range []string{"b/1/model.onnx", "a/2/model.onnx", "a/model.yaml"} {
		write(t, first, name, name)
	}
	for _, name := range []string{"a/model.yaml", "b/1/model.onnx", "a/2/model.onnx", ".git/config"} {
		path := write(t, second, name, name)
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	one, archive := writeImage(t, first)
	other, again := writeImage(t, second)
	if !bytes.Equal(archive, again) {
		t.Error("the archives differ")
	}
	if one.Digest() != other.Digest() || one.ID() != other.ID() {
		t.Errorf("%s and %s, %s and %s", one.Digest(), other.Digest(), one.ID(), other.ID())
	}
}

func TestBothIndexesLeadToTheSameBlobs(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a/1/model.onnx", "model")
	made, archive := writeImage(t, dir)
	loaded, err := tarball.ImageFromPath(write(t, t.TempDir(), "image.tar", string(archive)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(loaded); err != nil {
		t.Error(err)
	}
	if id, err := loaded.ConfigName(); err != nil || id.String() != made.ID() {
		t.Errorf("docker's index leads to the configuration %v (%v), not %s", id, err, made.ID())
	}
	files := entries(t, bytes.NewReader(archive))
	for name, data := range files {
		digest := sha256.Sum256(data)
		if hexed, ok := strings.CutPrefix(name, "blobs/sha256/"); ok && hexed != "" && hexed != hex.EncodeToString(digest[:]) {
			t.Errorf("%s holds other bytes", name)
		}
	}
	var index any
	if err := json.Unmarshal(files["index.json"], &index); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"schemaVersion": 2.0, "mediaType": "application/vnd.oci.image.index.v1+json",
		"manifests": []any{map[string]any{
			"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": made.Digest(),
			"size": float64(len(files["blobs/sha256/"+strings.TrimPrefix(made.Digest(), "sha256:")])),
			"annotations": map[string]any{
				"io.containerd.image.name": "registry.example/team/iris:1", "org.opencontainers.image.ref.name": "1",
			},
		}},
	}
	if diff := cmp.Diff(any(want), index); diff != "" {
		t.Errorf("index.json (-want +got):\n%s", diff)
	}
	if got := string(files["oci-layout"]); got != `{"imageLayoutVersion":"1.0.0"}` {
		t.Errorf("oci-layout: %s", got)
	}
}

func TestOnlyFilesOfModelsAreTaken(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		".env", "secret.pem", "a/id_rsa", "a/1/model.onnx~", "a/1/weights.bin", "a/1/notes/old/model.onnx", ".hidden/1/model.onnx", "a/.git/model.yaml",
		"a/1/model.onnx", "a/model.yaml", "a/access_test.yaml", "a/1/golden.csv", "@acme/b/1/golden.json", "..data/c/1/model.onnx",
	} {
		write(t, dir, name, "x")
	}
	// As Kubernetes lays out a volume.
	if err := os.Symlink("..data/c", filepath.Join(dir, "c")); err != nil {
		t.Fatal(err)
	}
	_, archive := writeImage(t, dir)
	want := []string{
		"models/", "models/@acme/", "models/@acme/b/", "models/@acme/b/1/", "models/@acme/b/1/golden.json",
		"models/a/", "models/a/1/", "models/a/1/golden.csv", "models/a/1/model.onnx", "models/a/access_test.yaml", "models/a/model.yaml",
		"models/c/", "models/c/1/", "models/c/1/model.onnx",
	}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(layer(t, archive, 1)))); diff != "" {
		t.Errorf("the models in the image (-want +got):\n%s", diff)
	}
}

func TestLinksOutOfTheFolderAndOddFilesAreRefused(t *testing.T) {
	outside := write(t, t.TempDir(), "1/model.onnx", "secret")
	for name, tc := range map[string]struct {
		make func(dir string) error
		want string
	}{
		"a file elsewhere":   {func(dir string) error { return os.Symlink(outside, filepath.Join(dir, "model.onnx")) }, "model.onnx is a link out of"},
		"a folder elsewhere": {func(dir string) error { return os.Symlink(filepath.Dir(outside), filepath.Join(dir, "b")) }, "b is a link out of"},
		"up and down again": {func(dir string) error {
			return os.Symlink("../../../../../../etc/passwd", filepath.Join(dir, "model.yaml"))
		}, "model.yaml is a link out of"},
		"nothing":                {func(dir string) error { return os.Symlink("gone", filepath.Join(dir, "b")) }, "or to nothing"},
		"itself":                 {func(dir string) error { return os.Symlink("b", filepath.Join(dir, "b")) }, "or to nothing"},
		"a pipe for a model":     {func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "model.onnx"), 0o600) }, "not a regular file"},
		"a folder for a model":   {func(dir string) error { return os.MkdirAll(filepath.Join(dir, "x", "1", "model.onnx"), 0o700) }, "not a regular file"},
		"a folder with no model": {func(string) error { return nil }, "there is no model"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := tc.make(dir); err != nil {
				t.Fatal(err)
			}
			_, err := readModels(t, dir)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

func TestAFileThatChangesMeanwhileIsRefused(t *testing.T) {
	for name, later := range map[string]string{"other bytes": "modex", "fewer": "mode", "more": "models"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "a/1/model.onnx", "model")
			img, err := newImage(t, dir)
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir, "a/1/model.onnx", later)
			if err := img.Write(io.Discard); err == nil || !strings.Contains(err.Error(), "models/a/1/model.onnx changed while it was packaged") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestOnlyAStaticLinuxProgramIsTaken(t *testing.T) {
	if _, err := oci.ReadProgram(program(t, elf.PT_LOAD)); err != nil {
		t.Error(err)
	}
	for path, want := range map[string]string{
		program(t, elf.PT_INTERP):                                      "needs shared libraries",
		write(t, t.TempDir(), "program.exe", "MZ, not of this system"): "no Linux program",
		write(t, t.TempDir(), "empty", ""):                             "no Linux program",
	} {
		if _, err := oci.ReadProgram(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestNamesOfImages(t *testing.T) {
	for written, want := range map[string]string{
		"iris": "iris:latest", "iris:1": "iris:1", "team/iris:1": "team/iris:1",
		"localhost:5000/iris:v1": "localhost:5000/iris:v1", "registry.example/team/iris": "registry.example/team/iris:latest",
		"": "", "Iris:1": "", "iris:": "", "iris:a b": "", "../iris": "", "iris@sha256:" + strings.Repeat("0", 64): "",
	} {
		tag, err := oci.ParseTag(written)
		if (err != nil) != (want == "") {
			t.Errorf("%q: %v", written, err)
		}
		if err == nil && tag.String() != want {
			t.Errorf("%q is %s, want %s", written, tag, want)
		}
	}
}

func TestTheAuthoritiesAreCertificates(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a/1/model.onnx", "model")
	_, archive := writeImage(t, dir)
	count := 0
	for rest := layer(t, archive, 0)["etc/ssl/certs/ca-certificates.crt"]; len(rest) > 0; count++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			t.Fatal("what follows is no PEM")
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			t.Error(err)
		}
	}
	if count < 100 {
		t.Errorf("there are %d authorities", count)
	}
}
