package app

import (
	"slices"
	"strings"

	"onnxgate/internal/config"
)

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	// Error is what does not work, or lets in somebody who should stay out.
	Error Severity = "error"
	// Warning is what works, and is probably not what the operator means.
	Warning Severity = "warning"
)

// Finding is one thing that is insecure, expiring, unreachable or set wrongly.
type Finding struct {
	// ID is one of the closed list of Diagnoses.
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	// Detail says what was found, and Fix what to write or to do.
	Detail string `json:"detail"`
	Fix    string `json:"fix"`
}

// Text returns the finding as one line.
func (f *Finding) Text() string { return f.Detail + "; " + f.Fix }

// texts returns each finding as one line.
func texts(all []Finding) []string {
	lines := make([]string, len(all))
	for i := range all {
		lines[i] = all[i].Text()
	}
	return lines
}

// The ids of findings.
const (
	settingInvalid      = "setting-invalid"
	startRefused        = "start-refused"
	tlsOff              = "tls-off"
	telemetryInTheClear = "telemetry-in-the-clear"
	docsOn              = "docs-on"
	ratesOff            = "rates-off"
	auditOff            = "audit-off"
	auditBestEffort     = "audit-best-effort"
	auditDamaged        = "audit-damaged"
	diskFull            = "disk-full"
	kekFormer           = "kek-former"
	shippingUnreachable = "telemetry-unreachable"
	pprofOn             = "pprof-on"
	proxiesAny          = "proxies-any"
	corsAny             = "cors-any"
	hs256               = "hs256"
	initialPassword     = "initial-password"
	dataDirMode         = "data-dir-mode"
	keyFileMode         = "key-file-mode"
	certificateExpires  = "certificate-expires"
	certificateName     = "certificate-name"
	databaseInsecure    = "database-insecure"
	databaseUnreachable = "database-unreachable"
	databaseSchema      = "database-schema"
	redisInsecure       = "redis-insecure"
	redisUnreachable    = "redis-unreachable"
	issuerUnreachable   = "issuer-unreachable"
	issuerKey           = "issuer-key"
	modelNotServed      = "model-not-served"
	modelRules          = "model-rules"
	roleUndefined       = "role-undefined"
	keyModel            = "key-model"
	keyRate             = "key-rate"
	serverUnreachable   = "server-unreachable"
	serverNotReady      = "server-not-ready"
	serverDegraded      = "server-degraded"
	reloadFailed        = "reload-failed"
)

// Diagnosis is one kind of finding.
type Diagnosis struct{ ID, Means string }

// Diagnoses returns every kind that there is, in the order of the documentation.
func Diagnoses() []Diagnosis {
	return []Diagnosis{
		{settingInvalid, "A setting has a value that no server starts with. Nothing else is checked until it is right."},
		{startRefused, "A server with this configuration would not start."},
		{tlsOff, "Passwords and tokens travel in the clear; an error if another machine can reach a listener."},
		{telemetryInTheClear, "Traces and audit records leave for another machine without TLS."},
		{docsOn, "`/docs` and `/openapi.json` show the API to everybody."},
		{ratesOff, "There is no limit per address on guessing passwords, or on predictions."},
		{auditOff, "Nothing is recorded."},
		{auditBestEffort, "Requests go ahead without a record while the audit log cannot be written."},
		{auditDamaged, "The audit log does not match its checkpoints, or cannot be read. A server does not start with it."},
		{diskFull, "The file system of the data directory has less than 1 GiB left, or less than 64 MiB (an error)."},
		{kekFormer, "The key-encryption key's file holds two keys: begin or finish a rotation, remove the former key, or swap the lines."},
		{shippingUnreachable, "The collector or the syslog server of the configuration cannot be reached, or accepts nothing."},
		{pprofOn, "Profiles of the program are available."},
		{proxiesAny, "Clients in a network that is too wide may claim any address; an error if that is every client."},
		{corsAny, "Pages of every site may call the API; a server refuses that setting."},
		{hs256, "Tokens are signed with a shared secret: whoever can verify them can make them, and no key is published."},
		{initialPassword, "The first administrator's password is still in its file."},
		{dataDirMode, "Other users may enter the data directory, or write to it (an error)."},
		{keyFileMode, "Other users may read or change a file with a key that you provide. If it is one that the server made in the data directory, the server does not start (`start-refused`)."},
		{certificateExpires, "The certificate expires within 14 days, or has expired (an error)."},
		{certificateName, "The certificate does not name the host that clients are told to call."},
		{databaseInsecure, "What is sent to the database can be read or changed on the way, or is not safe on its disk."},
		{databaseUnreachable, "The database cannot be reached or read."},
		{databaseSchema, "The database's schema has another version; an error if a newer program made it."},
		{redisInsecure, "What is sent to Redis can be read or changed on the way, or by whoever reaches it."},
		{redisUnreachable, "The Redis server cannot be reached, or does not let the server count. Each server then counts rates and wrong passwords by itself."},
		{issuerUnreachable, "The keys of an outside issuer cannot be fetched."},
		{issuerKey, "A key of an outside issuer is not used."},
		{modelNotServed, "A model or a version is not served as it is, or no model is served at all (an error)."},
		{modelRules, "A model's rules name a role or a tenant that does not exist."},
		{roleUndefined, "A user, an API key or a client has a role that nobody has defined: it permits nothing."},
		{keyModel, "An API key is for a model that does not exist."},
		{keyRate, "An API key has a rate that `ONNXGATE_RATE_PREDICT` never lets it reach."},
		{serverUnreachable, "Something answers at the server's address, but not as this configuration's server would."},
		{serverNotReady, "The running server refuses requests."},
		{serverDegraded, "The running server refuses some requests, because its database is away or its best-effort audit log cannot be written."},
		{reloadFailed, "The running server still uses an old version of something, because the new one cannot be used."},
	}
}

// change says where to write a setting, so that its value is the given one.
func change(cfg *config.Config, name, value string) string {
	line := "write " + name + "=" + value
	if value == "" {
		line = "remove " + cfg.Variable(name)
	}
	switch origin := cfg.Origin(name); {
	case origin == "default":
		return line
	case origin == "environment":
		return line + " in the environment"
	case strings.HasPrefix(origin, "--"):
		return "leave out " + origin
	default: // a line of a file
		return origin + ": " + line
	}
}

// worst returns the errors before the warnings, otherwise as they were.
func worst(all []Finding) []Finding {
	slices.SortStableFunc(all, func(a, b Finding) int { return strings.Compare(string(a.Severity), string(b.Severity)) })
	return all
}
