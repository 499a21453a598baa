package audit

import (
	"slices"
	"strings"
)

// Event is what a record is about: a word of a closed list.
type Event string

// The events.
const (
	// Login is a token that was given for a grant.
	Login Event = "login"
	// Refused is a request that was refused: Outcome says why.
	Refused Event = "refused"
	// RefusedSum stands for the Count requests of one address that were refused for
	// one reason in one minute, before anybody was known.
	RefusedSum Event = "refused.sum"
	// Predict is a prediction that reached the engine.
	Predict Event = "predict"

	UserAdd      Event = "user.add"
	UserUpdate   Event = "user.update"
	UserPassword Event = "user.password"
	UserRoles    Event = "user.roles"
	UserDisable  Event = "user.disable"
	UserEnable   Event = "user.enable"
	UserDelete   Event = "user.delete"
	UserRevoke   Event = "user.revoke" // of tokens
	UserRead     Event = "user.read"

	APIKeyCreate Event = "apikey.create"
	APIKeyUpdate Event = "apikey.update"
	APIKeyRotate Event = "apikey.rotate"
	APIKeyRevoke Event = "apikey.revoke"
	APIKeyRead   Event = "apikey.read"

	ClientCreate     Event = "client.create"
	ClientUpdate     Event = "client.update"
	ClientRotate     Event = "client.rotate"
	ClientDisable    Event = "client.disable"
	ClientEnable     Event = "client.enable"
	ClientDelete     Event = "client.delete"
	ClientRevoke     Event = "client.revoke" // of tokens
	ClientIntrospect Event = "client.introspect"
	ClientRead       Event = "client.read"

	TenantCreate    Event = "tenant.create"
	TenantUpdate    Event = "tenant.update"
	TenantAddresses Event = "tenant.addresses"
	TenantDisable   Event = "tenant.disable"
	TenantEnable    Event = "tenant.enable"
	TenantDelete    Event = "tenant.delete"
	TenantRead      Event = "tenant.read"

	ModelPush     Event = "model.push"
	ModelManifest Event = "model.manifest"
	ModelLoad     Event = "model.load"
	ModelUnload   Event = "model.unload"
	ModelRollback Event = "model.rollback"
	ModelRemove   Event = "model.remove"
	ModelRead     Event = "model.read"

	KeyCreate  Event = "key.create"
	KeyMove    Event = "key.move" // from a file into the database
	KeyRotate  Event = "key.rotate"
	KeyRetire  Event = "key.retire"
	KeyEncrypt Event = "key.encrypt"
	KeyDecrypt Event = "key.decrypt"
	KeyRead    Event = "key.read"

	// AuditGap stands for the Count records before it that could not be kept.
	AuditGap Event = "audit.gap"
	// AuditCut stands for what was cut off the end of the log: the beginning of a
	// line whose writer was killed or, with an outcome other than ok, Count lines
	// that were forged.
	AuditCut        Event = "audit.cut"
	AuditErase      Event = "audit.erase"
	AuditExpire     Event = "audit.expire" // of records past their age
	AuditPrune      Event = "audit.prune"  // of lines that nobody reads any more
	AuditCheckpoint Event = "audit.checkpoint"
	AuditExport     Event = "audit.export"
	AuditRead       Event = "audit.read" // by a command that shows records

	ServerStart       Event = "server.start"
	ServerStop        Event = "server.stop"
	ServerReload      Event = "server.reload"
	ServerCertificate Event = "server.certificate"
	ServerDatabase    Event = "server.database" // Object says: migrate, backup or restore
	ServerClock       Event = "server.clock"    // Object says how far it was set
	ServerRead        Event = "server.read"
)

// events is the closed list, in the order of the families.
var events = []Event{
	Login, Refused, RefusedSum, Predict,
	UserAdd, UserUpdate, UserPassword, UserRoles, UserDisable, UserEnable, UserDelete, UserRevoke, UserRead,
	APIKeyCreate, APIKeyUpdate, APIKeyRotate, APIKeyRevoke, APIKeyRead,
	ClientCreate, ClientUpdate, ClientRotate, ClientDisable, ClientEnable, ClientDelete, ClientRevoke, ClientIntrospect, ClientRead,
	TenantCreate, TenantUpdate, TenantAddresses, TenantDisable, TenantEnable, TenantDelete, TenantRead,
	ModelPush, ModelManifest, ModelLoad, ModelUnload, ModelRollback, ModelRemove, ModelRead,
	KeyCreate, KeyMove, KeyRotate, KeyRetire, KeyEncrypt, KeyDecrypt, KeyRead,
	AuditGap, AuditCut, AuditErase, AuditExpire, AuditPrune, AuditCheckpoint, AuditExport, AuditRead,
	ServerStart, ServerStop, ServerReload, ServerCertificate, ServerDatabase, ServerClock, ServerRead,
}

// uses are events of what is used and not changed. Read only.
var uses = []Event{Login, Refused, RefusedSum, Predict, KeyEncrypt, KeyDecrypt, ClientIntrospect, AuditExport}

// Changes reports whether somebody changed something.
func (e Event) Changes() bool {
	return !e.reads() && !slices.Contains(uses, e)
}

// reads reports whether the event changes nothing and uses no key.
func (e Event) reads() bool { return strings.HasSuffix(string(e), ".read") }

// family is the word before the dot.
func (e Event) family() string {
	family, _, _ := strings.Cut(string(e), ".")
	return family
}
