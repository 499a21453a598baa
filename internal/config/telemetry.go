package config

import (
	"slices"
	"strings"
)

func telemetrySettings() []Setting {
	return []Setting{
		{
			Name: "ONNXGATE_OTLP_ENDPOINT",
			Doc: "Base URL of an OpenTelemetry collector that gets traces, and audit records as logs; empty: what the standard OTEL_EXPORTER_OTLP_… names say; " +
				"without them nothing is sent.",
			Want:    "https://HOST:4318 for OTLP over HTTP, or grpcs://HOST:4317 for gRPC (http:// and grpc:// are not encrypted)",
			binding: text(func(c *Config) *string { return &c.OTLPEndpoint }),
		},
		{
			Name:    "ONNXGATE_SYSLOG_URL",
			Doc:     "Syslog server (RFC 5424) that gets audit records; empty: none.",
			Want:    "tls://HOST:6514, with ?ca_file=PATH where the system does not trust its certificate (tcp:// and udp:// to this machine alone)",
			binding: text(func(c *Config) *string { return &c.SyslogURL }),
		},
	}
}

// standardPrefix begins the names that OpenTelemetry's specification gives.
const standardPrefix = "OTEL_"

// changedNames returns the variables that have another value in one of the two, or
// stand in one alone, in order.
func changedNames(before, after map[string]Secret) []string {
	var changed []string
	for name, value := range after {
		if old, ok := before[name]; !ok || old.Reveal() != value.Reveal() {
			changed = append(changed, name)
		}
	}
	for name := range before {
		if _, ok := after[name]; !ok {
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	return changed
}

// standardNames returns the variables of OpenTelemetry that are set. Their values
// may be secrets, and what they mean is not known here.
func standardNames(src Source, files []*envFile) map[string]Secret {
	var all map[string]Secret
	take := func(name string) {
		if value, _ := find(name, "", src, files); strings.HasPrefix(name, standardPrefix) && value != "" {
			if all == nil {
				all = map[string]Secret{}
			}
			all[name] = NewSecret(value)
		}
	}
	for _, name := range src.Names {
		take(name)
	}
	for _, file := range files {
		for _, name := range file.names {
			take(name)
		}
	}
	return all
}
