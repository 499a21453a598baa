package oci

import (
	"encoding/json"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Annotations of an image in index.json: its tag alone (image-spec v1.1,
// annotations.md), and, as containerd, docker and podman read it, its whole name.
const (
	tagAnnotation  = "org.opencontainers.image.ref.name"
	nameAnnotation = "io.containerd.image.name"
)

// layout is the file oci-layout (image-spec v1.1, image-layout.md).
const layout = `{"imageLayoutVersion":"1.0.0"}`

// dockerImage is one image in manifest.json, the index of `docker save`.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// writeArchive writes a tar file of the image's blobs, each under its digest,
// and two indexes of them: that of an OCI layout and docker's.
func writeArchive(w io.Writer, i *Image) error {
	manifest, err := i.image.RawManifest()
	if err != nil {
		return err
	}
	config, err := i.image.RawConfigFile()
	if err != nil {
		return err
	}
	blobs, docker, err := layerBlobs(i.image)
	if err != nil {
		return err
	}
	docker.Config, docker.RepoTags = blobPath(i.id), []string{i.tag.full()}
	index, err := json.Marshal(i.index(int64(len(manifest))))
	if err != nil {
		return err
	}
	dockerIndex, err := json.Marshal([]dockerImage{docker})
	if err != nil {
		return err
	}
	return writeTar(w, withFolders(append(blobs,
		content(blobPath(i.digest), manifest), content(blobPath(i.id), config),
		content("oci-layout", []byte(layout)), content("index.json", index), content("manifest.json", dockerIndex))))
}

// layerBlobs returns the layers as files of the archive, and where they are for
// docker.
func layerBlobs(img v1.Image) ([]file, dockerImage, error) {
	layers, err := img.Layers()
	if err != nil {
		return nil, dockerImage{}, err
	}
	manifest, err := img.Manifest()
	if err != nil {
		return nil, dockerImage{}, err
	}
	var blobs []file
	var docker dockerImage
	for n, described := range manifest.Layers {
		at := blobPath(described.Digest)
		blobs = append(blobs, file{name: at, mode: modeFile, size: described.Size, open: layers[n].Compressed})
		docker.Layers = append(docker.Layers, at)
	}
	return blobs, docker, nil
}

// index is index.json with the one image, whose manifest has so many bytes.
func (i *Image) index(size int64) *v1.IndexManifest {
	return &v1.IndexManifest{
		SchemaVersion: 2, MediaType: types.OCIImageIndex,
		Manifests: []v1.Descriptor{{
			MediaType: types.OCIManifestSchema1, Digest: i.digest, Size: size,
			Annotations: map[string]string{nameAnnotation: i.tag.full(), tagAnnotation: i.tag.tag.TagStr()},
		}},
	}
}

func blobPath(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }
