package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/spf13/cobra"

	"onnxgate/internal/app"
	"onnxgate/internal/delivery"
	"onnxgate/internal/fault"
	"onnxgate/internal/regular"
)

func modelPush(p *Process) *cobra.Command {
	cmd := &cobra.Command{
		Use: "push NAME VERSION FILE", Short: "Add a model version to the models folder or a server, if it can be served",
		Args: exactly("NAME", "VERSION", "FILE"),
	}
	s := addSettings(cmd, p, "ONNXGATE_MODELS_DIR")
	manifest := cmd.Flags().String("manifest", "", "`FILE` with the model.yaml for all versions")
	to := addRemote(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		change := &delivery.Change{Model: args[0], Version: args[1]}
		server, err := to.open()
		if err != nil {
			return err
		}
		if *manifest != "" {
			if change.Manifest, _, err = regular.ReadFile(*manifest, delivery.MaxManifest); err != nil {
				return err
			}
		}
		file, err := openModel(args[2], change)
		if err != nil {
			return err
		}
		var served bool
		if server != nil {
			served, err = server.push(cmd.Context(), change, file)
		} else {
			served, err = pushHere(cmd, s, change)
		}
		if err = errors.Join(err, file.Close()); err != nil {
			return err
		}
		return p.printPushed(change, served)
	}
	return cmd
}

// printPushed says what was stored, and whether anybody gets it.
func (p *Process) printPushed(change *delivery.Change, served bool) error {
	if err := p.printf("pushed %s, version %s (SHA-256 %x)\n", change.Model, change.Version, change.Digest); err != nil {
		return err
	}
	if !served {
		p.complain(fmt.Sprintf("warning: version %s is not served: the versions section of model.yaml leaves it out", change.Version))
	}
	return nil
}

// openModel opens the file of a new version and finds its digest.
func openModel(name string, change *delivery.Change) (*os.File, error) {
	file, err := regular.Open(name)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	if _, err = io.Copy(sum, file); err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	change.File, change.Digest = file, [sha256.Size]byte(sum.Sum(nil))
	return file, nil
}

// pushHere puts the model into the folder of the configuration.
func pushHere(cmd *cobra.Command, s *settings, change *delivery.Change) (served bool, err error) {
	cfg, err := s.loadForUsers(cmd)
	if err != nil {
		return false, err
	}
	return app.PushModel(cmd.Context(), cfg, localActor().Name, change)
}

func modelRollback(p *Process) *cobra.Command {
	cmd := &cobra.Command{
		Use: "rollback NAME", Short: "Serve an older version to requests that name none, until a newer one arrives",
		Args: exactly("NAME"),
	}
	s := addSettings(cmd, p, "ONNXGATE_MODELS_DIR", "ONNXGATE_DATA_DIR")
	version := cmd.Flags().String("to", "", "`VERSION` to serve (default the one before the current one)")
	to := addRemote(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		server, err := to.open()
		if err != nil {
			return err
		}
		if server != nil {
			serving, err := server.rollback(cmd.Context(), args[0], *version)
			if err != nil {
				return err
			}
			return p.printf("%s serves version %s\n", args[0], serving)
		}
		next, err := rollbackHere(cmd, s, args[0], *version)
		if err != nil {
			return err
		}
		return p.printf("%s serves version %s; a running server follows as soon as it notices\n", args[0], next)
	}
	return cmd
}

func rollbackHere(cmd *cobra.Command, s *settings, model, to string) (string, error) {
	cfg, err := s.loadForUsers(cmd)
	if err != nil {
		return "", err
	}
	return app.RollbackModel(cmd.Context(), cfg, localActor().Name, model, to)
}

func modelRemove(p *Process) *cobra.Command {
	cmd := &cobra.Command{
		Use: "remove NAME VERSION", Short: "Remove a model version that is not in use from the models folder or a server",
		Args: exactly("NAME", "VERSION"),
	}
	s := addSettings(cmd, p, "ONNXGATE_MODELS_DIR", "ONNXGATE_DATA_DIR")
	to := addRemote(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		server, err := to.open()
		if err != nil {
			return err
		}
		if server != nil {
			err = server.remove(cmd.Context(), args[0], args[1])
		} else {
			err = removeHere(cmd, s, args[0], args[1])
		}
		if err != nil {
			return err
		}
		return p.printf("removed %s, version %s\n", args[0], args[1])
	}
	return cmd
}

func removeHere(cmd *cobra.Command, s *settings, model, version string) error {
	cfg, err := s.loadForUsers(cmd)
	if err != nil {
		return err
	}
	return app.RemoveModel(cmd.Context(), cfg, localActor().Name, model, version)
}

// push sends a version, and a manifest if there is one. The manifest goes first
// where it fits what is there, so that the version is never served by the rules of
// another; else, for a new model or for a manifest that speaks of the version, it
// comes after.
func (r *remote) push(ctx context.Context, change *delivery.Change, file io.ReadSeeker) (served bool, err error) {
	if change.Manifest == nil {
		return r.putVersion(ctx, change, file)
	}
	err = r.putManifest(ctx, change)
	late := fault.KindOf(err) == fault.NotFound || fault.KindOf(err) == fault.Content
	if err != nil && !late {
		return false, err
	}
	served, err = r.putVersion(ctx, change, file)
	if err != nil || !late {
		return served, err
	}
	if err := r.putManifest(ctx, change); err != nil {
		return false, err
	}
	return r.serves(ctx, change)
}

// serves reports whether the server serves the version now.
func (r *remote) serves(ctx context.Context, change *delivery.Change) (bool, error) {
	answer, err := r.do(ctx, http.MethodGet, []string{"models"}, nil, http.NoBody, 0)
	if err != nil {
		return false, err
	}
	var all struct {
		Models []struct {
			Name     string `json:"name"`
			Versions []struct {
				Version string `json:"version"`
				Served  bool   `json:"served"`
			} `json:"versions"`
		} `json:"models"`
	}
	err = json.Unmarshal(answer, &all)
	for _, m := range all.Models {
		for _, v := range m.Versions {
			if m.Name == change.Model && v.Version == change.Version {
				return v.Served, err
			}
		}
	}
	return false, err
}

func (r *remote) putVersion(ctx context.Context, change *delivery.Change, file io.ReadSeeker) (served bool, err error) {
	size, err := file.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return false, err
	}
	header := http.Header{
		"Content-Type": {"application/octet-stream"}, "Expect": {"100-continue"},
		"Repr-Digest": {"sha-256=:" + base64.StdEncoding.EncodeToString(change.Digest[:]) + ":"},
	}
	answer, err := r.do(ctx, http.MethodPut, []string{"models", change.Model, "versions", change.Version}, header, io.NopCloser(file), size)
	if err != nil {
		return false, err
	}
	stored := struct {
		Served bool `json:"served"`
	}{Served: true} // by servers that do not say
	return stored.Served, json.Unmarshal(answer, &stored)
}

func (r *remote) putManifest(ctx context.Context, change *delivery.Change) error {
	header := http.Header{"Content-Type": {"application/yaml"}}
	_, err := r.do(ctx, http.MethodPut, []string{"models", change.Model, "manifest"}, header, bytes.NewReader(change.Manifest), int64(len(change.Manifest)))
	return err
}

func (r *remote) remove(ctx context.Context, model, version string) error {
	_, err := r.do(ctx, http.MethodDelete, []string{"models", model, "versions", version}, nil, http.NoBody, 0)
	return err
}

func (r *remote) rollback(ctx context.Context, model, to string) (string, error) {
	asked := map[string]string{}
	if to != "" {
		asked["to"] = to
	}
	body, err := json.Marshal(asked)
	if err != nil {
		return "", err
	}
	header := http.Header{"Content-Type": {"application/json"}}
	answer, err := r.do(ctx, http.MethodPost, []string{"models", model, "rollback"}, header, bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return "", err
	}
	var now struct {
		Serving string `json:"serving"`
	}
	return now.Serving, json.Unmarshal(answer, &now)
}
