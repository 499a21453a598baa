package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

// exampleLines are lines to paste, for the help of each command, by its path.
var exampleLines = map[string][]string{
	"serve":       {"onnxgate serve --models models", "onnxgate serve --env-file /etc/onnxgate/.env"},
	"doctor":      {"onnxgate doctor", "onnxgate doctor --models models --token-file token --json"},
	"healthcheck": {"onnxgate healthcheck"},
	"version":     {"onnxgate version"},
	"package":     {"onnxgate package --models models --tag registry.example/team/iris:1 -o image.tar"},

	"user add":     {"onnxgate user add ann --role user", "onnxgate user add ann --role user,owner --password-stdin < password"},
	"user list":    {"onnxgate user list --tenant acme"},
	"user passwd":  {"onnxgate user passwd ann", "onnxgate user passwd ann --password-stdin < password"},
	"user role":    {"onnxgate user role ann --role user,auditor"},
	"user disable": {"onnxgate user disable ann"},
	"user enable":  {"onnxgate user enable ann"},
	"user delete":  {"onnxgate user delete ann"},

	"apikey create":   {"onnxgate apikey create scoring --role user --model iris --expires 90d", "onnxgate apikey create nightly --role user --rate 100/minute --quota calls=10000/day --secret-file key"},
	"apikey list":     {"onnxgate apikey list"},
	"apikey change":   {"onnxgate apikey change 3rKd90TqLm2x --rate 200/minute --quota off"},
	"apikey rotate":   {"onnxgate apikey rotate 3rKd90TqLm2x --overlap 7d"},
	"apikey revoke":   {"onnxgate apikey revoke 3rKd90TqLm2x"},
	"apikey generate": {"onnxgate apikey generate > key"},

	"client create":      {"onnxgate client create billing --role user --secret-file secret", "onnxgate client create scoring --role user --certificate uri:spiffe://example.org/scoring"},
	"client list":        {"onnxgate client list"},
	"client certificate": {"onnxgate client certificate ogc_3rKd90TqLm2x --certificate dns:scoring.example.org", "onnxgate client certificate ogc_3rKd90TqLm2x --none"},
	"client rotate":      {"onnxgate client rotate ogc_3rKd90TqLm2x --secret-file secret"},
	"client disable":     {"onnxgate client disable ogc_3rKd90TqLm2x"},
	"client enable":      {"onnxgate client enable ogc_3rKd90TqLm2x"},
	"client delete":      {"onnxgate client delete ogc_3rKd90TqLm2x"},

	"tenant create":    {"onnxgate tenant create acme --rate 1000/minute --quota calls=1e6/month"},
	"tenant list":      {"onnxgate tenant list"},
	"tenant change":    {"onnxgate tenant change acme --quota calls=2e6/month,soft:calls=1e6/month"},
	"tenant addresses": {"onnxgate tenant addresses acme --address 192.0.2.0/24", "onnxgate tenant addresses acme --any"},
	"tenant usage":     {"onnxgate tenant usage acme"},
	"tenant disable":   {"onnxgate tenant disable acme"},
	"tenant enable":    {"onnxgate tenant enable acme"},
	"tenant delete":    {"onnxgate tenant delete acme"},

	"model init":     {"onnxgate model init models/wine/1/model.onnx --sample wine.csv --target cultivar"},
	"model check":    {"onnxgate model check models/wine/1/model.onnx --golden golden.csv"},
	"model inspect":  {"onnxgate model inspect models/wine/1/model.onnx"},
	"model run":      {"onnxgate model run models/wine/1/model.onnx --input wine.csv --target cultivar"},
	"model bench":    {"onnxgate model bench models/wine/1/model.onnx --rows 1,1000 --time 2s"},
	"model ops":      {"onnxgate model ops"},
	"model push":     {"onnxgate model push wine 2 model.onnx --models models", "onnxgate model push wine 2 model.onnx --server https://localhost:8444 --cacert data/tls/cert.pem --token-file token"},
	"model rollback": {"onnxgate model rollback wine --to 1 --server https://localhost:8444 --cacert data/tls/cert.pem --token-file token"},
	"model remove":   {"onnxgate model remove wine 1 --server https://localhost:8444 --cacert data/tls/cert.pem --token-file token"},

	"authz explain": {"onnxgate authz explain --models models --model wine --as ann", "onnxgate authz explain --models models --model wine --token-file token --action write"},
	"authz test":    {"onnxgate authz test --models models", "onnxgate authz test wine --models models --json"},

	"keys list":   {"onnxgate keys list"},
	"keys rotate": {"onnxgate keys rotate", "onnxgate keys rotate --use fernet --tenant acme"},
	"keys retire": {"onnxgate keys retire d5d4f6d2a4a3b2c1d0e9f8a7 --use fernet"},

	"audit verify":     {"onnxgate audit verify --checkpoint checkpoint.txt"},
	"audit checkpoint": {"onnxgate audit checkpoint > checkpoint.txt"},
	"audit show":       {"onnxgate audit show c82285bbb4cacc71ea9b3cc88e92fd66 --json"},
	"audit tail":       {"onnxgate audit tail"},
	"audit search":     {"onnxgate audit search event=refused actor=ann", "onnxgate audit search 'event=user.*' --from 2026-03-01"},
	"audit export":     {"onnxgate audit export --tenant acme --from 2026-03-01 --to 2026-04-01 --format csv > march.csv"},
	"audit erase":      {"onnxgate audit erase --subject ann"},
	"audit expire":     {"onnxgate audit expire --older-than 400d"},

	"db status":  {"onnxgate db status"},
	"db migrate": {"onnxgate db migrate"},
	"db backup":  {"onnxgate db backup onnxgate.backup"},
	"db restore": {"onnxgate db restore onnxgate.backup"},

	"config check":   {"onnxgate config check --env-file /etc/onnxgate/.env"},
	"config encrypt": {"onnxgate config encrypt .env --recipient age1…"},
	"config decrypt": {"onnxgate config decrypt .env.age --identity key.txt"},
}

// addExamples gives every command below cmd its examples.
func addExamples(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		addExamples(c)
	}
	_, path, _ := strings.Cut(cmd.CommandPath(), " ")
	if lines := exampleLines[path]; len(lines) > 0 {
		cmd.Example = "  " + strings.Join(lines, "\n  ")
	}
}
