package oci_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// settings reads what a Dockerfile says of containers.
func settings(t *testing.T, file string) v1.Config {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("\\\n", " ", "${VERSION}", "v1.2.3", "${REVISION}", "abcdef").Replace(string(data))
	c := v1.Config{Labels: map[string]string{}, Volumes: map[string]struct{}{}, ExposedPorts: map[string]struct{}{}}
	for line := range strings.Lines(text) {
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch rest = strings.TrimSpace(rest); verb {
		case "ENV":
			c.Env = strings.Fields(rest)
		case "USER":
			c.User = rest
		case "VOLUME":
			c.Volumes[rest] = struct{}{}
		case "EXPOSE":
			for port := range strings.FieldsSeq(rest) {
				c.ExposedPorts[port+"/tcp"] = struct{}{}
			}
		case "ENTRYPOINT":
			c.Entrypoint = list(t, rest)
		case "CMD":
			c.Cmd = list(t, rest)
		case "LABEL":
			for _, pair := range regexp.MustCompile(`(\S+)="([^"]*)"`).FindAllStringSubmatch(rest, -1) {
				c.Labels[pair[1]] = pair[2]
			}
		case "HEALTHCHECK":
			c.Healthcheck = health(t, rest)
		case "", "#", "FROM", "ARG", "COPY":
		default:
			if !strings.HasPrefix(verb, "#") {
				t.Errorf("the Dockerfile says %s, of which the package knows nothing", verb)
			}
		}
	}
	return c
}

func list(t *testing.T, text string) (words []string) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &words); err != nil {
		t.Fatal(err)
	}
	return words
}

func health(t *testing.T, text string) *v1.HealthConfig {
	t.Helper()
	options, command, _ := strings.Cut(text, " CMD ")
	h := &v1.HealthConfig{Test: append([]string{"CMD"}, list(t, strings.TrimSpace(command))...)}
	into := map[string]*time.Duration{"interval": &h.Interval, "timeout": &h.Timeout, "start-period": &h.StartPeriod}
	for option := range strings.FieldsSeq(options) {
		name, value, _ := strings.Cut(strings.TrimPrefix(option, "--"), "=")
		var err error
		if d := into[name]; d != nil {
			*d, err = time.ParseDuration(value)
		} else if name == "retries" {
			err = json.Unmarshal([]byte(value), &h.Retries)
		} else {
			t.Errorf("the Dockerfile has --%s, of which the package knows nothing", name)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func TestAContainerRunsAsThoseOfTheDockerfile(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a/1/model.onnx", "model")
	made, archive := writeImage(t, dir)
	var got v1.ConfigFile
	files := entries(t, bytes.NewReader(archive))
	if err := json.Unmarshal(files["blobs/sha256/"+strings.TrimPrefix(made.ID(), "sha256:")], &got); err != nil {
		t.Fatal(err)
	}
	want := settings(t, filepath.Join("..", "..", "deploy", "Dockerfile"))
	want.Env = append(want.Env, "ONNXGATE_MODELS_DIR=/models") // the one that it has models of its own
	if diff := cmp.Diff(want, got.Config); diff != "" {
		t.Errorf("the Dockerfile's and the package's (-want +got):\n%s", diff)
	}
	if got.OS != "linux" || got.Architecture != "arm64" || got.Created.Unix() != 0 {
		t.Errorf("%s/%s of %v", got.OS, got.Architecture, got.Created)
	}
}

func TestTheUserIsThatOfTheScript(t *testing.T) {
	script, err := os.ReadFile(filepath.Join("..", "..", "scripts", "image.sh"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir, "a/1/model.onnx", "model")
	_, archive := writeImage(t, dir)
	users := layer(t, archive, 0)["etc/passwd"]
	if !strings.Contains(string(script), "'"+strings.TrimSpace(string(users))+"'") {
		t.Errorf("scripts/image.sh does not write %s", users)
	}
}
