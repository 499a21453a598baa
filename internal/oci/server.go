package oci

import (
	"bytes"
	"debug/elf"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// What follows is what deploy/Dockerfile and scripts/image.sh say of the image
// without models; a test compares them.

// user is whom the server runs as, and the group. It is a number, so that
// Kubernetes' runAsNonRoot can check it.
const user = 65532

const (
	programPath = "usr/bin/onnxgate"
	rootsPath   = "etc/ssl/certs/ca-certificates.crt"
	users       = "onnxgate:x:65532:65532:onnxgate:/data:/sbin/nologin\n"
	modelsPath  = "models"
)

// Program is the server's binary.
type Program struct{ file file }

// ReadProgram remembers what is in a binary. One that needs shared libraries, or
// that is not for Linux, is an error.
func ReadProgram(path string) (*Program, error) {
	if err := static(path); err != nil {
		return nil, err
	}
	f, err := measured(programPath, modeProgram, func() (io.ReadCloser, error) { return os.Open(path) }) //nolint:gosec // G304: the caller's own program
	return &Program{f}, err
}

// serverFiles are those of the image but for the models.
func serverFiles(program *Program) []file {
	return []file{
		program.file,
		content(rootsPath, roots()),
		content("etc/passwd", []byte(users)),
		// A new volume takes over the owner and the mode of this folder.
		{name: "data/", mode: modePrivate, owner: user},
	}
}

// static refuses a program that an image without libraries could not run.
func static(path string) error {
	f, err := elf.Open(path)
	if _, wrong := errors.AsType[*elf.FormatError](err); wrong || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s is no Linux program: an image is made by onnxgate's build for Linux", path)
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read from
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s needs shared libraries, and an image has none: use the static build (make build, or CGO_ENABLED=0 go build)", path)
		}
	}
	return nil
}

// roots are the certificate authorities that Mozilla trusts without conditions:
// a file of certificates could not state any. They are not the machine's, so
// that an image does not depend on where it is made.
func roots() []byte {
	var all bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&all, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // a buffer takes everything
		}
	}
	return all.Bytes()
}

// configFile is how a container of the image is run. Administration and metrics
// stay on its own loopback.
func configFile(cfg *Config) *v1.ConfigFile {
	return &v1.ConfigFile{
		Architecture: cfg.Architecture, OS: "linux", Created: epoch(), RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{}},
		Config: v1.Config{
			User: fmt.Sprintf("%d:%d", user, user),
			Env: []string{
				"PATH=/usr/bin", "ONNXGATE_ADDR=0.0.0.0:8443", "ONNXGATE_GRPC_ADDR=0.0.0.0:8445", "ONNXGATE_ADMIN_ADDR=127.0.0.1:8444",
				"ONNXGATE_DATA_DIR=/data", "ONNXGATE_MODELS_DIR=/" + modelsPath,
			},
			Entrypoint:   []string{"/" + programPath},
			Cmd:          []string{"serve"},
			Volumes:      map[string]struct{}{"/data": {}},
			ExposedPorts: map[string]struct{}{"8443/tcp": {}, "8445/tcp": {}},
			// OCI has no health checks; docker reads them from here all the same.
			Healthcheck: &v1.HealthConfig{
				Test: []string{"CMD", "/" + programPath, "healthcheck"}, Interval: 10 * time.Second, Timeout: 5 * time.Second,
				StartPeriod: 5 * time.Second, Retries: 3,
			},
			Labels: map[string]string{
				"org.opencontainers.image.title":       "onnxgate",
				"org.opencontainers.image.description": "Serves ONNX models as an HTTPS API with tokens, roles, validated input and rate limits",
				"org.opencontainers.image.version":     cfg.Version,
				"org.opencontainers.image.revision":    cfg.Revision,
			},
		},
	}
}
