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
		{settingInvalid, "A setting has a value that no server starts with. Nothing else is looked at until it is right."},
		{startRefused, "A server with this configuration would not start."},
		{tlsOff, "Passwords and tokens travel in the clear; an error where another machine can reach a listener."},
		{telemetryInTheClear, "Traces and audit records leave for another machine without TLS."},
		{docsOn, "`/docs` and `/openapi.json` show the API to everybody."},
		{ratesOff, "Passwords can be guessed, or predictions asked for, without any limit per address."},
		{auditOff, "Nothing that happens is on record."},
		{auditBestEffort, "Requests go ahead without a record while the audit log cannot be written."},
		{auditDamaged, "The audit log is not what its checkpoints sign, or cannot be read. A server does not start with it."},
		{diskFull, "The file system of the data directory has less than 1 GiB left, or less than 64 MiB (an error)."},
		{kekFormer, "The key-encryption key's file holds two keys: a rotation is to be begun or ended, the former key is to be removed, or the lines are swapped."},
		{shippingUnreachable, "The collector or the syslog server of the configuration cannot be reached, or takes nothing that is sent."},
		{pprofOn, "Profiles of the program can be taken."},
		{proxiesAny, "Clients in a network that is too wide may claim any address; an error where that is every client."},
		{corsAny, "Pages of every site were to call the API; a server refuses that."},
		{hs256, "Tokens are signed with a shared secret: who can verify them can make them, and no key is published."},
		{initialPassword, "The first administrator's password still lies in its file."},
		{dataDirMode, "Other users may enter the data directory, or write to it (an error)."},
		{keyFileMode, "Other users may read or change a file with a key that the operator brings. With one of its own making in the data directory a server does not start (`start-refused`)."},
		{certificateExpires, "The certificate ends within 14 days, or has ended (an error)."},
		{certificateName, "The certificate does not name the host that clients are told to call."},
		{databaseInsecure, "What is sent to the database can be read or changed on the way, or is not safe on its disk."},
		{databaseUnreachable, "The database cannot be reached or read."},
		{databaseSchema, "The database's schema is of another version; an error where it is of a newer program."},
		{redisInsecure, "What is sent to Redis can be read or changed on the way, or by whoever reaches it."},
		{redisUnreachable, "The Redis server cannot be reached, or does not let us count. Each server then counts rates and wrong passwords by itself."},
		{issuerUnreachable, "The keys of an outside issuer cannot be fetched."},
		{issuerKey, "A key of an outside issuer is not used."},
		{modelNotServed, "A model or a version is not served as it is, or none is at all (an error)."},
		{modelRules, "A model's rules name a role or a tenant that there is not."},
		{roleUndefined, "A user, an API key or a client has a role that nobody has defined: it permits nothing."},
		{keyModel, "An API key is for a model that there is not."},
		{keyRate, "An API key has a rate that `ONNXGATE_RATE_PREDICT` never lets it reach."},
		{serverUnreachable, "Something answers at the server's address, and not as this configuration's server does."},
		{serverNotReady, "The running server refuses requests."},
		{serverDegraded, "The running server refuses some requests: it is without its database, or its best-effort audit log cannot be written."},
		{reloadFailed, "The running server goes on with a part as it was before, since what there is now cannot be used."},
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
