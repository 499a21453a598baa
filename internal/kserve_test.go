package internal_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"onnxgate/internal/apikey"
	"onnxgate/internal/config"
)

// servingRuntime is what deploy/kserve/serving-runtime.yaml may say, of KServe's
// v1alpha1 and Kubernetes' core v1.
type servingRuntime struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name string }
	Spec       struct {
		SupportedModelFormats []struct {
			Name, Version string
			AutoSelect    bool `yaml:"autoSelect"`
		} `yaml:"supportedModelFormats"`
		ProtocolVersions []string `yaml:"protocolVersions"`
		Containers       []container
		Volumes          []struct {
			Name     string
			EmptyDir *struct{} `yaml:"emptyDir"`
			Secret   *struct {
				SecretName string `yaml:"secretName"`
			}
		}
	}
}

type container struct {
	Name, Image string
	Args        []string
	Env         []struct{ Name, Value string }
	Ports       []struct {
		Name, Protocol string
		ContainerPort  int `yaml:"containerPort"`
	}
	ReadinessProbe  probe `yaml:"readinessProbe"`
	LivenessProbe   probe `yaml:"livenessProbe"`
	Resources       struct{ Requests, Limits map[string]string }
	SecurityContext struct {
		RunAsNonRoot             bool  `yaml:"runAsNonRoot"`
		RunAsUser                int   `yaml:"runAsUser"`
		RunAsGroup               int   `yaml:"runAsGroup"`
		AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
		Privileged               bool
		ReadOnlyRootFilesystem   bool `yaml:"readOnlyRootFilesystem"`
		Capabilities             struct{ Drop []string }
		SeccompProfile           struct{ Type string } `yaml:"seccompProfile"`
	} `yaml:"securityContext"`
	VolumeMounts []struct {
		Name      string
		MountPath string `yaml:"mountPath"`
		ReadOnly  bool   `yaml:"readOnly"`
	} `yaml:"volumeMounts"`
}

type probe struct {
	HTTPGet struct {
		Path string
		Port int
	} `yaml:"httpGet"`
	PeriodSeconds int `yaml:"periodSeconds"`
}

// readYAML reads one document, and refuses members that into does not have.
func readYAML(t *testing.T, into any, path ...string) {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader([]byte(readPage(t, filepath.Join(path...)))))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		t.Fatal(err)
	}
}

func TestTheServingRuntimeIsOneThatKServeAndWeTake(t *testing.T) {
	var runtime servingRuntime
	readYAML(t, &runtime, "..", "deploy", "kserve", "serving-runtime.yaml")
	if len(runtime.Spec.Containers) != 1 {
		t.Fatalf("there are %d containers", len(runtime.Spec.Containers))
	}
	c := &runtime.Spec.Containers[0]
	got := map[string]any{
		"kind": runtime.APIVersion + " " + runtime.Kind, "container": c.Name, "args": c.Args, "formats": fmt.Sprint(runtime.Spec.SupportedModelFormats),
		"user": c.SecurityContext.RunAsUser, "no root": c.SecurityContext.RunAsNonRoot && c.SecurityContext.ReadOnlyRootFilesystem,
		"ready": c.ReadinessProbe.HTTPGet.Path, "live": c.LivenessProbe.HTTPGet.Path, "drop": c.SecurityContext.Capabilities.Drop,
	}
	want := map[string]any{
		"kind": "serving.kserve.io/v1alpha1 ServingRuntime", "container": "kserve-container", "args": []string{"serve", "--insecure-http"},
		"formats": "[{onnx 1 false}]", "user": 65532, "no root": true,
		"ready": "/v2/health/ready", "live": "/v2/health/live", "drop": []string{"ALL"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	cfg := loadEnvironment(t, c)
	for what, port := range map[string]int{"port": c.Ports[0].ContainerPort, "readiness": c.ReadinessProbe.HTTPGet.Port, "liveness": c.LivenessProbe.HTTPGet.Port} {
		if !strings.HasSuffix(cfg.Addr, fmt.Sprintf(":%d", port)) {
			t.Errorf("the %s is %d, and the server listens on %s", what, port, cfg.Addr)
		}
	}
	if cfg.ModelsDir == "" || cfg.DefaultModel != "iris" {
		t.Errorf("the model is %q in %q", cfg.DefaultModel, cfg.ModelsDir)
	}
	mounted := map[string]bool{}
	for _, m := range c.VolumeMounts {
		mounted[m.Name] = true
	}
	for _, v := range runtime.Spec.Volumes {
		if !mounted[v.Name] {
			t.Errorf("the volume %s is mounted nowhere", v.Name)
		}
	}
}

// loadEnvironment returns the configuration of the container as KServe fills it
// in for an InferenceService that is called iris.
func loadEnvironment(t *testing.T, c *container) *config.Config {
	t.Helper()
	dir := t.TempDir()
	key, err := apikey.New(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, secret := range map[string]string{
		"jwt-secret": "9f2c7e51b8d04a36c1e97f5a20d8b64e73a5c0d1", "admin-password": "violet-river-lantern-42", "api-key": key, "env": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env, names := map[string]string{}, []string(nil)
	for _, e := range c.Env {
		env[e.Name] = strings.NewReplacer("{{.Name}}", "iris", "/run/secrets/onnxgate", dir, "/mnt/models", dir).Replace(e.Value)
		names = append(names, e.Name)
	}
	cfg, err := config.Load(config.Source{
		InsecureHTTP: true, Names: names, EnvFile: filepath.Join(dir, "env"),
		Lookup: func(name string) (string, bool) { value, ok := env[name]; return value, ok },
	})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// inferenceService is what the InferenceServices in deploy/kserve may say.
type inferenceService struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name string }
	Spec       struct {
		Predictor struct {
			Model struct {
				Runtime         string
				ModelFormat     struct{ Name, Version string } `yaml:"modelFormat"`
				ProtocolVersion string                         `yaml:"protocolVersion"`
				StorageURI      string                         `yaml:"storageUri"`
				Ports           []struct {
					Name, Protocol string
					ContainerPort  int `yaml:"containerPort"`
				}
			}
		}
	}
}

func TestInferenceServicesNameTheRuntime(t *testing.T) {
	var runtime servingRuntime
	readYAML(t, &runtime, "..", "deploy", "kserve", "serving-runtime.yaml")
	files, err := filepath.Glob(filepath.Join("..", "deploy", "kserve", "inference-service*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		var service inferenceService
		readYAML(t, &service, file)
		model := &service.Spec.Predictor.Model
		got := []string{service.APIVersion, service.Kind, model.Runtime, model.ModelFormat.Name, model.ModelFormat.Version}
		want := []string{"serving.kserve.io/v1beta1", "InferenceService", runtime.Metadata.Name, "onnx", "1"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
		spoken := false
		for _, protocol := range runtime.Spec.ProtocolVersions {
			spoken = spoken || protocol == model.ProtocolVersion
		}
		for _, port := range model.Ports { // the one that KServe passes on
			if cfg := loadEnvironment(t, &runtime.Spec.Containers[0]); port.Name != "h2c" || !strings.HasSuffix(cfg.GRPCAddr, fmt.Sprintf(":%d", port.ContainerPort)) {
				t.Errorf("%s has the port %s %d, and gRPC listens on %s", file, port.Name, port.ContainerPort, cfg.GRPCAddr)
			}
		}
		if !spoken {
			t.Errorf("%s asks for %s, which the runtime does not list", file, model.ProtocolVersion)
		}
	}
}
