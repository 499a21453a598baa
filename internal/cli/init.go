package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"onnxgate/internal/schema"
)

func modelInit(p *Process) *cobra.Command {
	cmd := &cobra.Command{
		Use: "init FILE", Args: exactly("FILE"),
		Short: "Write a first model.yaml from the graph and a sample of the training data",
	}
	sample := cmd.Flags().String("sample", "", "CSV `FILE` of training data with a header, in the order of the model's columns")
	target := cmd.Flags().StringSlice("target", nil, "`COLUMN` of the sample that the model was trained to predict; may be repeated or comma-separated")
	output := cmd.Flags().String("output", "", "`FILE` to write, - for standard output (default model.yaml, where a server looks for it)")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		draft, place, err := p.draftManifest(args[0], *sample, *target)
		if err != nil {
			return err
		}
		if *output == "-" {
			_, err := p.Stdout.Write(draft)
			return err
		}
		if *output != "" {
			place = *output
		}
		if err := writeNew(place, draft); err != nil {
			return err
		}
		return p.printf("wrote %s; check what is marked as a guess, then run: onnxgate model check %s\n", place, args[0])
	}
	return cmd
}

// draftManifest returns a manifest that fits the model, and where a server
// looks for it.
func (p *Process) draftManifest(file, sampleFile string, target []string) (draft []byte, place string, err error) {
	if len(target) > 0 && sampleFile == "" {
		return nil, "", usagef("--target names a column of a sample; give one with --sample")
	}
	m, err := p.engines().LoadGraph(file)
	if err != nil {
		return nil, "", err
	}
	graph, err := schema.Compile(nil, m.Name, m.Program.Inputs(), m.Program.Outputs())
	if err != nil {
		return nil, "", err
	}
	sample, err := readSample(sampleFile)
	if err != nil {
		return nil, "", err
	}
	if draft, err = schema.Draft(graph, sample, target, schema.Shown{FreeText: m.TextInputs(), Categories: m.Categories()}); err != nil {
		return nil, "", err
	}
	dir := filepath.Dir(file)
	if m.Version != "" {
		dir = filepath.Dir(dir)
	}
	place = filepath.Join(dir, "model.yaml")
	// Nobody should get a draft that cannot be served.
	manifest, err := schema.Parse(place, draft)
	if err == nil {
		_, err = schema.Compile(manifest, m.Name, m.Program.Inputs(), m.Program.Outputs())
	}
	return draft, place, err
}

func readSample(file string) (*schema.Sample, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // a draft needs no sample
	}
	f, err := os.Open(file) //nolint:gosec // the user's own choice
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	sample, err := schema.ReadSample(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return sample, nil
}

// writeNew writes a file that must not be there yet.
func writeNew(place string, content []byte) error {
	f, err := os.OpenFile(place, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // a model.yaml holds no secret
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s already exists and is not overwritten; name another file with --output, or - to print", place)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}
