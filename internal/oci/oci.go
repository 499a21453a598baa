// Package oci writes container images: this server and models in one archive
// that docker, podman, containerd and buildah load without a registry. The
// archive is an OCI image layout (image-spec v1.1, image-layout.md) and at once
// what `docker load` reads. The same binary and models give the same bytes:
// entries are sorted, belong to no host, and all times are the epoch.
//
// It owns what the image holds and how it is written, and hides the library for
// that. It must not know whether a model can be served.
package oci

import (
	"compress/gzip"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Tag is the name of an image.
type Tag struct{ tag name.Tag }

// ParseTag reads a name as `docker run` takes it: iris:1, or
// registry.example/team/iris:1. Without a tag it is latest.
func ParseTag(s string) (Tag, error) {
	tag, err := name.NewTag(s)
	if err != nil {
		return Tag{}, fmt.Errorf("%q cannot be the name of an image: %w", s, err)
	}
	// The library takes what docker does not load.
	if !registryName.MatchString(tag.RegistryStr()) || !repositoryName.MatchString(tag.RepositoryStr()) {
		return Tag{}, fmt.Errorf("%q cannot be the name of an image: write small letters and digits, such as registry.example/team/iris:1", s)
	}
	return Tag{tag}, nil
}

var (
	registryName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?$`)
	// repositoryName is as distribution-spec v1.1 has it ("Pulling manifests").
	repositoryName = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
)

// String returns the name as docker shows it, with its registry unless that is
// docker's own.
func (t Tag) String() string {
	return strings.TrimPrefix(strings.TrimPrefix(t.full(), "docker.io/"), "library/")
}

// full is the name with its registry, that of docker written as everybody but
// the library writes it.
func (t Tag) full() string {
	registry := t.tag.RegistryStr()
	if registry == name.DefaultRegistry {
		registry = "docker.io"
	}
	return registry + "/" + t.tag.RepositoryStr() + ":" + t.tag.TagStr()
}

// Config is what an image is made of.
type Config struct {
	Tag     Tag
	Program *Program
	// Architecture is the one the program was built for, in the words of Go.
	Architecture string
	// Version and Revision say what the server was built from, for the labels.
	Version, Revision string
	// Models are what it serves.
	Models *Models
}

// Image is one that is ready to be written.
type Image struct {
	tag    Tag
	image  v1.Image
	digest v1.Hash
	id     v1.Hash
}

// New lays out the image, for which it reads every file that will be in it. One
// that has changed since is an error.
func New(cfg *Config) (*Image, error) {
	img, err := mutate.ConfigFile(
		mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), configFile(cfg))
	if err != nil {
		return nil, err
	}
	// The models are a layer of their own: images that differ in them alone
	// share the server's.
	server, err := addendum(serverFiles(cfg.Program), "onnxgate "+cfg.Version)
	if err != nil {
		return nil, err
	}
	models, err := addendum(cfg.Models.files, "models")
	if err != nil {
		return nil, err
	}
	if img, err = mutate.Append(img, server, models); err != nil {
		return nil, err
	}
	made := &Image{tag: cfg.Tag, image: img}
	if made.digest, err = img.Digest(); err != nil {
		return nil, err
	}
	made.id, err = img.ConfigName()
	return made, err
}

// addendum is a layer with its line in the image's history.
func addendum(files []file, comment string) (mutate.Addendum, error) {
	layer, err := tarball.LayerFromOpener(opener(files), tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.DefaultCompression))
	return mutate.Addendum{
		Layer: layer, History: v1.History{Created: epoch(), CreatedBy: "onnxgate package", Comment: comment},
	}, err
}

// epoch is the time of everything in the image.
func epoch() v1.Time { return v1.Time{Time: time.Unix(0, 0).UTC()} }

// Digest is that of the manifest, sha256:…, by which registries know the image.
func (i *Image) Digest() string { return i.digest.String() }

// ID is the digest of the configuration, sha256:…, by which docker knows it.
func (i *Image) ID() string { return i.id.String() }

// Write writes the archive. A file that is not as New read it is an error, and
// what has been written then is no image.
func (i *Image) Write(w io.Writer) error { return writeArchive(w, i) }
