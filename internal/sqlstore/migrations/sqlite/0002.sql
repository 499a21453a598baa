-- Everything belongs to a tenant. Lists of words, which have no blanks, are one
-- text with blanks between; NULL is the list that names nothing because it
-- bounds nothing. Hashes are hexadecimal.
CREATE TABLE revision (
  id    INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  value INTEGER NOT NULL
) STRICT;

INSERT INTO revision (id, value) VALUES (1, 1);

CREATE TABLE tenants (
  name       TEXT    NOT NULL PRIMARY KEY CHECK (name <> '' AND name NOT GLOB '*[^a-z0-9-]*'),
  addresses  TEXT,
  disabled   INTEGER NOT NULL CHECK (disabled IN (0, 1)),
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO tenants (name, disabled, created_at, updated_at) VALUES ('default', 0, unixepoch(), unixepoch());
INSERT OR IGNORE INTO tenants (name, disabled, created_at, updated_at)
  SELECT DISTINCT tenant, 0, unixepoch(), unixepoch() FROM users;

CREATE TABLE users_next (
  name             TEXT    NOT NULL PRIMARY KEY,
  tenant           TEXT    NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
  roles            TEXT    NOT NULL,
  password_hash    TEXT    NOT NULL,
  initial_password INTEGER NOT NULL CHECK (initial_password IN (0, 1)),
  stamp            TEXT    NOT NULL,
  disabled         INTEGER NOT NULL CHECK (disabled IN (0, 1)),
  created_at       INTEGER NOT NULL,
  updated_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO users_next
  SELECT u.name, u.tenant,
    (SELECT coalesce(group_concat(r.role, ' ' ORDER BY r.position), '') FROM user_roles r WHERE r.user_name = u.name),
    u.password_hash, u.initial_password, u.stamp, u.disabled, u.created_at, u.updated_at
  FROM users u;

DROP TABLE user_roles;
DROP TABLE users;
ALTER TABLE users_next RENAME TO users;
CREATE INDEX users_tenant ON users (tenant, name);
CREATE INDEX users_admins ON users (name)
  WHERE tenant = 'default' AND NOT disabled AND instr(' ' || roles || ' ', ' admin ') > 0;

CREATE TABLE clients (
  id           TEXT    NOT NULL PRIMARY KEY,
  tenant       TEXT    NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
  name         TEXT    NOT NULL,
  roles        TEXT    NOT NULL,
  scopes       TEXT,
  grants       TEXT    NOT NULL,
  certificate  TEXT    UNIQUE CHECK (certificate <> ''),
  disabled     INTEGER NOT NULL CHECK (disabled IN (0, 1)),
  secret_hash  TEXT    NOT NULL,
  former_hash  TEXT    NOT NULL,
  former_until INTEGER NOT NULL,
  stamp        TEXT    NOT NULL,
  created_by   TEXT    NOT NULL,
  created_at   INTEGER NOT NULL,
  updated_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX clients_tenant ON clients (tenant, id);

CREATE TABLE api_keys (
  id           TEXT    NOT NULL PRIMARY KEY,
  tenant       TEXT    NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
  name         TEXT    NOT NULL,
  roles        TEXT    NOT NULL,
  scopes       TEXT,
  models       TEXT,
  addresses    TEXT,
  rate         TEXT    NOT NULL,
  bootstrap    INTEGER NOT NULL CHECK (bootstrap IN (0, 1)),
  disabled     INTEGER NOT NULL CHECK (disabled IN (0, 1)),
  hash         TEXT    NOT NULL,
  former_hash  TEXT    NOT NULL,
  former_until INTEGER NOT NULL,
  expires_at   INTEGER NOT NULL,
  created_by   TEXT    NOT NULL,
  created_at   INTEGER NOT NULL,
  last_used    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX api_keys_tenant ON api_keys (tenant, id);
CREATE INDEX api_keys_bootstrap ON api_keys (id) WHERE bootstrap;

CREATE TABLE refresh_families (
  id         TEXT    NOT NULL PRIMARY KEY,
  tenant     TEXT    NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
  user_name  TEXT    NOT NULL REFERENCES users (name) ON DELETE CASCADE,
  stamp      TEXT    NOT NULL,
  client_id  TEXT    NOT NULL,
  scope      TEXT    NOT NULL,
  hash       TEXT    NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_families_tenant ON refresh_families (tenant, id);
CREATE INDEX refresh_families_user ON refresh_families (user_name);
CREATE INDEX refresh_families_expiry ON refresh_families (expires_at);

CREATE TABLE revocations (
  id         TEXT    NOT NULL PRIMARY KEY,
  tenant     TEXT    NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX revocations_tenant ON revocations (tenant, id);
CREATE INDEX revocations_expiry ON revocations (expires_at);

CREATE TABLE servers (
  id   TEXT    NOT NULL PRIMARY KEY,
  seen INTEGER NOT NULL,
  at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE fernet_keys (
  kid        TEXT    NOT NULL PRIMARY KEY,
  tenant     TEXT    NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
  wrapped    TEXT    NOT NULL,
  state      TEXT    NOT NULL CHECK (state IN ('active', 'former', 'retired')),
  created_at INTEGER NOT NULL,
  retired_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX fernet_keys_tenant ON fernet_keys (tenant, kid);
CREATE UNIQUE INDEX fernet_keys_active ON fernet_keys (tenant) WHERE state = 'active';
