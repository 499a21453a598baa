package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"onnxgate/internal/app"
	"onnxgate/internal/inference"
	"onnxgate/internal/oci"
)

// packaged is what `package` prints of the image.
type packaged struct {
	Image  string          `json:"image"`
	Digest string          `json:"digest"`
	ID     string          `json:"id"`
	Size   int64           `json:"size"`
	Models []packagedModel `json:"models"`
}

type packagedModel struct {
	Name     string   `json:"name"`
	Versions []string `json:"versions"`
}

func packageCommand(p *Process) *cobra.Command {
	cmd := &cobra.Command{
		Use: "package --models DIR --tag NAME -o FILE", Short: "Write a container image with this program and your models",
		Long: "Check every model in DIR as a server would, and write an image with this program and the models to FILE (- for standard\n" +
			"output), for `docker load`, `podman load` or `buildah pull`. Only the models' own files are taken from DIR.",
		Args: exactly(),
	}
	dir := cmd.Flags().String("models", "", "`DIR` with the models: NAME/model.yaml, NAME/VERSION/model.onnx")
	tag := cmd.Flags().String("tag", "", "`NAME` of the image, such as registry.example/team/iris:1")
	output := cmd.Flags().StringP("output", "o", "", "`FILE` to write, - for standard output")
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object")
	cmd.RunE = func(*cobra.Command, []string) error {
		switch {
		case *dir == "":
			return usagef("say where the models are: --models DIR")
		case *tag == "":
			return usagef("name the image: --tag NAME")
		case *output == "":
			return usagef("say where to write the image: -o image.tar")
		case *output == "-" && *asJSON:
			return usagef("--json needs standard output for itself; write the image to a file: -o image.tar")
		}
		named, err := oci.ParseTag(*tag)
		if err != nil {
			return &usageError{err}
		}
		made, err := p.packageModels(cmd.Context(), *dir, named, *output)
		switch {
		case err != nil || *output == "-":
			return err
		case *asJSON:
			return p.printJSON(made)
		}
		return p.printf("%s holds the image %s with %s\ndigest    %s\nimage id  %s\nsize      %d bytes\n",
			*output, made.Image, counted(len(made.Models), "model"), made.Digest, made.ID, made.Size)
	}
	return cmd
}

// packageModels checks the models in dir and writes the image.
func (p *Process) packageModels(ctx context.Context, dir string, tag oci.Tag, output string) (*packaged, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	program, err := oci.ReadProgram(self)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir) // which no link leads out of
	if err != nil {
		return nil, err
	}
	defer root.Close() //nolint:errcheck // only read from
	models, err := oci.ReadModels(root.FS())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	catalog, err := app.CheckModels(ctx, root.FS())
	if err != nil {
		return nil, err
	}
	p.warnOf(catalog)
	img, err := oci.New(&oci.Config{
		Tag: tag, Program: program, Architecture: runtime.GOARCH, Version: p.version(), Revision: revision(), Models: models,
	})
	if err != nil {
		return nil, err
	}
	size, err := p.writeImage(img, output)
	return &packaged{Image: tag.String(), Digest: img.Digest(), ID: img.ID(), Size: size, Models: modelsOf(catalog)}, err
}

// warnOf says what a server would accept, and its owner may not mean.
func (p *Process) warnOf(catalog *inference.Catalog) {
	for _, w := range catalog.Warnings() {
		p.complain(fmt.Sprintf("warning: model %s, version %s: %s", w.Model, w.Version, w.Text))
	}
	all := catalog.All()
	for i := range all {
		for _, text := range undescribed(all[i].Schema) {
			p.complain(fmt.Sprintf("warning: model %s: %s", all[i].Label(), text))
		}
	}
	for _, tenant := range catalog.Tenants() {
		p.complain(fmt.Sprintf("warning: a container starts only if the tenant %[1]s exists: create it first, in its volume, with `onnxgate tenant create %[1]s`", tenant))
	}
}

func modelsOf(catalog *inference.Catalog) []packagedModel {
	all := catalog.All()
	models := make([]packagedModel, len(all))
	for i := range all {
		models[i] = packagedModel{Name: all[i].Label(), Versions: all[i].Versions}
	}
	return models
}

// revision is the commit that Go recorded in the program.
func revision() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}

// modeImage is that of the archive, which holds no secret.
const modeImage = 0o644

// writeImage writes the archive so that it is whole or not changed, and returns
// how many bytes it has.
func (p *Process) writeImage(img *oci.Image, output string) (int64, error) {
	if output == "-" {
		return 0, img.Write(p.Stdout)
	}
	temp, err := os.CreateTemp(filepath.Dir(output), ".image-*")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.Remove(temp.Name()) }() // gone once it was renamed
	err = img.Write(temp)
	info, statErr := temp.Stat()
	if err = errors.Join(err, statErr, temp.Chmod(modeImage), temp.Sync(), temp.Close()); err != nil {
		return 0, err
	}
	return info.Size(), os.Rename(temp.Name(), output)
}
