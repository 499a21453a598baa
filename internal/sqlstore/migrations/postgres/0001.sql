-- Times are seconds since 1970-01-01T00:00:00Z. Everything belongs to a tenant.
-- Lists of words, which have no blanks, are one text with blanks between; NULL
-- is the list that names nothing because it bounds nothing. Hashes are
-- hexadecimal. Ids are ordered by their bytes (COLLATE "C"), whatever the
-- database's locale.
CREATE TABLE onnxgate_schema (
  id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  version INTEGER NOT NULL
);
INSERT INTO onnxgate_schema (id, version) VALUES (1, 0);

CREATE TABLE revision (
  id    INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  value BIGINT  NOT NULL
);
INSERT INTO revision (id, value) VALUES (1, 1);

CREATE TABLE tenants (
  name       TEXT COLLATE "C" NOT NULL PRIMARY KEY CHECK (name ~ '^[a-z0-9-]+$'),
  addresses  TEXT,
  disabled   BOOLEAN NOT NULL,
  created_at BIGINT  NOT NULL,
  updated_at BIGINT  NOT NULL
);
INSERT INTO tenants (name, disabled, created_at, updated_at)
  SELECT 'default', FALSE, now, now FROM (SELECT extract(epoch FROM now())::bigint) AS t (now);

CREATE TABLE users (
  name             TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  tenant           TEXT COLLATE "C" NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
  roles            TEXT    NOT NULL,
  password_hash    TEXT    NOT NULL,
  initial_password BOOLEAN NOT NULL,
  stamp            TEXT    NOT NULL,
  disabled         BOOLEAN NOT NULL,
  created_at       BIGINT  NOT NULL,
  updated_at       BIGINT  NOT NULL
);
CREATE INDEX users_tenant ON users (tenant, name);
CREATE INDEX users_admins ON users (name)
  WHERE tenant = 'default' AND NOT disabled AND strpos(' ' || roles || ' ', ' admin ') > 0;

CREATE TABLE clients (
  id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  tenant       TEXT COLLATE "C" NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
  name         TEXT    NOT NULL,
  roles        TEXT    NOT NULL,
  scopes       TEXT,
  grants       TEXT    NOT NULL,
  certificate  TEXT    UNIQUE CHECK (certificate <> ''),
  disabled     BOOLEAN NOT NULL,
  secret_hash  TEXT    NOT NULL,
  former_hash  TEXT    NOT NULL,
  former_until BIGINT  NOT NULL,
  stamp        TEXT    NOT NULL,
  created_by   TEXT    NOT NULL,
  created_at   BIGINT  NOT NULL,
  updated_at   BIGINT  NOT NULL
);
CREATE INDEX clients_tenant ON clients (tenant, id);

CREATE TABLE api_keys (
  id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  tenant       TEXT COLLATE "C" NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
  name         TEXT    NOT NULL,
  roles        TEXT    NOT NULL,
  scopes       TEXT,
  models       TEXT,
  addresses    TEXT,
  rate         TEXT    NOT NULL,
  bootstrap    BOOLEAN NOT NULL,
  disabled     BOOLEAN NOT NULL,
  hash         TEXT    NOT NULL,
  former_hash  TEXT    NOT NULL,
  former_until BIGINT  NOT NULL,
  expires_at   BIGINT  NOT NULL,
  created_by   TEXT    NOT NULL,
  created_at   BIGINT  NOT NULL,
  last_used    BIGINT  NOT NULL
);
CREATE INDEX api_keys_tenant ON api_keys (tenant, id);
CREATE INDEX api_keys_bootstrap ON api_keys (id) WHERE bootstrap;

CREATE TABLE refresh_families (
  id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  tenant     TEXT COLLATE "C" NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
  user_name  TEXT COLLATE "C" NOT NULL REFERENCES users (name) ON DELETE CASCADE,
  stamp      TEXT   NOT NULL,
  client_id  TEXT   NOT NULL,
  scope      TEXT   NOT NULL,
  hash       TEXT   NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX refresh_families_tenant ON refresh_families (tenant, id);
CREATE INDEX refresh_families_user ON refresh_families (user_name);
CREATE INDEX refresh_families_expiry ON refresh_families (expires_at);

CREATE TABLE revocations (
  id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  tenant     TEXT COLLATE "C" NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
  expires_at BIGINT NOT NULL
);
CREATE INDEX revocations_tenant ON revocations (tenant, id);
CREATE INDEX revocations_expiry ON revocations (expires_at);

CREATE TABLE servers (
  id   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  seen BIGINT NOT NULL,
  at   BIGINT NOT NULL
);

CREATE TABLE fernet_keys (
  kid        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  tenant     TEXT COLLATE "C" NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
  wrapped    TEXT   NOT NULL,
  state      TEXT   NOT NULL CHECK (state IN ('active', 'former', 'retired')),
  created_at BIGINT NOT NULL,
  retired_at BIGINT NOT NULL
);
CREATE INDEX fernet_keys_tenant ON fernet_keys (tenant, kid);
CREATE UNIQUE INDEX fernet_keys_active ON fernet_keys (tenant) WHERE state = 'active';

-- Whatever a statement asks for, it finds and writes the rows of the tenant
-- that its transaction has named, or of any tenant where it has named "*", and
-- without a name none. FORCE holds the owner of the tables to it too.
ALTER TABLE tenants          ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE users            ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE clients          ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE api_keys         ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE refresh_families ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE revocations      ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE fernet_keys      ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON tenants          USING (current_setting('onnxgate.tenant', true) IN (name, '*'));
CREATE POLICY of_tenant ON users            USING (current_setting('onnxgate.tenant', true) IN (tenant, '*'));
CREATE POLICY of_tenant ON clients          USING (current_setting('onnxgate.tenant', true) IN (tenant, '*'));
CREATE POLICY of_tenant ON api_keys         USING (current_setting('onnxgate.tenant', true) IN (tenant, '*'));
CREATE POLICY of_tenant ON refresh_families USING (current_setting('onnxgate.tenant', true) IN (tenant, '*'));
CREATE POLICY of_tenant ON revocations      USING (current_setting('onnxgate.tenant', true) IN (tenant, '*'));
CREATE POLICY of_tenant ON fernet_keys      USING (current_setting('onnxgate.tenant', true) IN (tenant, '*'));
