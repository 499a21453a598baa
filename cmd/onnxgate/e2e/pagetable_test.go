package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

// token is typed by readers who come from docs/get-a-token.md.
const token = `TOKEN=$(curl --cacert data/tls/cert.pem https://127.0.0.1:8443/token -d username=admin \
	--data-urlencode "password=$(cat data/initial-admin-password)" | sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p')`

// Why a block is not pasted.
const (
	ofProviders  = "needs a provider's service"
	ofContainers = "needs docker; TestImage and TestPackage run the images"
	ofPostgres   = "TestDisasterRecoveryGoesAsItsPageSays pastes the same"
)

// notPasted are the pages with something to paste that TestPagesArePasted leaves out,
// and where they are pasted, or what they need.
var notPasted = map[string]string{
	"conformance.md":       "TestServerConformsToTheOpenInferenceProtocol runs its program",
	"container.md":         ofContainers,
	"disaster-recovery.md": "TestDisasterRecoveryGoesAsItsPageSays",
	"engine.md":            "is make test and make proof",
	"from-mlserver.md":     "TestMLServersBatchClientWorks",
	"onnx-runtime.md":      "needs the second build",
	"replicas.md":          "TestWhatReplicasReadIsMadeAsTheirPageSays; the rest is for three machines",
	"sizing.md":            "is a benchmark of minutes",
	"systemd.md":           "needs root and systemd, as replicas.md does",
}

// visits are the servers, and their pages in the order in which they are pasted.
var visits = []visit{
	{name: "make run", settings: []string{"ONNXGATE_DOCS=on", "ONNXGATE_PPROF=on"}, pages: []page{
		{name: "open-inference-protocol.md"},
		{name: "grpc.md", not: map[string]string{"grpcurl": "is no package of Debian"}},
		{name: "csv.md", first: token},
		{name: "tracing.md", first: token, not: map[string]string{"docker run": "needs docker"}},
		{name: "encrypt-text.md", first: token, counts: true, with: []string{
			"retire KID", `retire "$(bin/onnxgate keys list --use fernet | awk '/former/ {print $1}')"`,
		}},
		{name: "api-keys.md"},
		{name: "service-clients.md"},
		{name: "tenants.md"},
		{name: "administration.md"},
		{name: "audit-events.md", at: acts{
			`"what":"roles"`: types(`openssl rand -base64 24 | bin/onnxgate user add ann --role user,admin --password-stdin`),
		}},
		{name: "quotas.md", counts: true, at: acts{
			"https://localhost:8443/usage": types("P=$(openssl rand -base64 24); bin/onnxgate user add zoe --tenant acme --role user --password-stdin <<< \"$P\"\n" +
				`TOKEN=$(curl --cacert data/tls/cert.pem https://127.0.0.1:8443/token -d username=zoe --data-urlencode "password=$P" | sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p')`),
			"admin/v1/usage": types(token),
		}, with: []string{
			"change ID", `change "$(bin/onnxgate apikey list --tenant acme | awk '/nightly/ {print $1}')"`,
		}},
		{name: "metrics.md", first: token, at: acts{"sed -i": copies("deploy/observability/alert-rules.yaml")}, with: []string{
			"seconds=10", "seconds=1", "go tool pprof -top bin/onnxgate", "test -s",
		}},
		{name: "doctor.md"},
		{name: "limits.md"},
		{name: "ship-the-audit.md", with: []string{"/etc/ssl/logs-ca.pem", "data/tls/cert.pem"}},
		{name: "rules.md", first: token, at: acts{
			"authz explain": types(`openssl rand -base64 24 | bin/onnxgate user add anna --role user --password-stdin; echo "$TOKEN" > token`),
			"authz test":    writesRecipes,
		}, with: []string{
			"bin/onnxgate authz explain --model iris --as", "! bin/onnxgate authz explain --model iris --as", // refused
		}},
		{name: "audit.md", with: []string{
			"0123456789abcdef0123456789abcdef", "0", "/elsewhere/", "", "ssh archive", "bash -c",
			"} | sha256sum", "} | sha256sum | cut -c-64 > leaf", "head -c 32", `test "$(cat leaf)" = "$(head -c 32`, "; echo   # the same", `)"`,
		}},
		{name: "outside-issuers.md", at: acts{"ISSUERS_FILE": writes("issuers.yaml", "outside-issuers.md", "# issuers.yaml")}, with: []string{
			"bin/onnxgate doctor ", "bin/onnxgate doctor || test $? = 1 ", // there is no such issuer
		}, not: map[string]string{"keycloak.example": ofProviders, "gcloud": ofProviders}},
		{name: "database.md"},
		{name: "get-a-token.md", first: "bin/onnxgate user delete anna", with: []string{
			"add anna --role user", `add anna --role user --password-stdin <<< "$(openssl rand -base64 24)"`,
			`"current_password": "…", "new_password": "…"`,
			`"current_password": "'"$(cat data/initial-admin-password)"'", "new_password": "harbor-Violet-58-comet"`,
			"passwd admin", `passwd admin --password-stdin <<< "$(openssl rand -base64 24)"`,
		}},
		{name: "backup.md", at: acts{"--force": stops}, not: map[string]string{"${database_url": ofPostgres}},
	}},
	{name: "models", idle: true, pages: []page{
		{name: "serve-your-own-model.md", at: acts{
			"model init":   hasWine,
			"model check":  copiesTo("testdata/models/wine/model.yaml", "models/wine/model.yaml"),
			"wine/predict": types(token),
		}, not: map[string]string{"pip install": "needs PyPI"}},
		{name: "exporting.md", at: acts{"--golden": types(`printf 'alcohol,flavanoids,color_intensity,prediction\n13.2,2.8,4.4,0\n' > golden.csv`)}},
		{name: "deliver-models.md", at: acts{"build/2": types("mkdir -p build/2; cp models/wine/1/model.onnx build/2; cp models/wine/1/model.onnx build/wine.onnx; cp models/wine/model.yaml build")}},
		{name: "versions.md", first: token},
		{name: "packaging.md", static: true, counts: true, not: map[string]string{"docker": ofContainers}},
		{name: "from-fastapi.md", first: token, at: acts{"model check": hasFlowers}},
	}},
	{name: "client certificates", idle: true, pages: []page{
		{name: "client-certificates.md", at: acts{"client create": isAskedForCertificates}, with: []string{
			"CLIENT_ID", `"$(bin/onnxgate client list | awk '/scoring/ {print $1}')"`,
		}},
	}},
	{name: "no server", idle: true, pages: []page{
		{name: "kserve.md", with: []string{"kubectl", ": kubectl"}, not: map[string]string{"iris.example.com": "needs a cluster"}},
		{name: "sealed-settings.md", at: acts{
			"age-keygen -o":      types("echo ONNXGATE_MAX_ROWS=7 > .env"),
			"--passphrase-stdin": types("echo ONNXGATE_MAX_ROWS=7 > .env"),
		}, not: map[string]string{"sops": "is no package of Debian"}},
	}},
}

// copies puts a file of the repository where make run has it.
func copies(path string) act { return copiesTo(path, path) }

func copiesTo(path, to string) act {
	return func(t *testing.T, r *reader) {
		t.Helper()
		text, err := os.ReadFile(source(t, path))
		if err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(r.dir, to), string(text))
	}
}

// writes puts the first example of a page that begins with the text into a file.
func writes(file, page, begin string) act {
	return func(t *testing.T, r *reader) {
		t.Helper()
		put(t, filepath.Join(r.dir, file), example(t, page, begin))
	}
}

// hasWine is at the end of the export, with the data that it trained on.
func hasWine(t *testing.T, r *reader) {
	t.Helper()
	copiesTo("testdata/models/wine/1/model.onnx", "models/wine/1/model.onnx")(t, r)
	put(t, filepath.Join(r.dir, "wine.csv"), "alcohol,flavanoids,color_intensity,cultivar\n13.2,2.8,4.4,0\n12.3,1.8,2.6,1\n13.1,0.7,7.3,2\n")
}

// hasFlowers has exported the model of docs/from-fastapi.md, which is the shipped one.
func hasFlowers(t *testing.T, r *reader) {
	t.Helper()
	copiesTo("models/iris/1/model.onnx", "models/flowers/1/model.onnx")(t, r)
	writes("models/flowers/model.yaml", "from-fastapi.md", "# models/flowers/model.yaml")(t, r)
}

// isAskedForCertificates has put the settings of the page into .env, and starts the server.
func isAskedForCertificates(t *testing.T, r *reader) {
	t.Helper()
	writes(".env", "client-certificates.md", "# or require")(t, r)
	r.restart(t, "bin/onnxgate", "serve")
}

// stops ends the server, as a page says in words.
func stops(t *testing.T, r *reader) {
	t.Helper()
	r.terminate(t)
}

// types is what a reader does on their own.
func types(lines string) act {
	return func(t *testing.T, r *reader) {
		t.Helper()
		r.paste(t, lines+"\n")
	}
}
