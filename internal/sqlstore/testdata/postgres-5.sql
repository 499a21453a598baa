-- A database of schema version 5, behind its migrations. The setting is for the
-- session, as if one transaction had written it all.
SET onnxgate.tenant = '*';
UPDATE onnxgate_schema SET version = 5;
INSERT INTO tenants (name, addresses, rate, quotas, disabled, created_at, updated_at) VALUES ('acme', '10.0.0.0/8 fd00::/8', '10/second', 'calls=10000/day', false, 1772366400, 1772370000);
INSERT INTO api_keys (id, tenant, name, roles, scopes, models, addresses, rate, quotas, bootstrap, disabled, hash, former_hash, former_until, expires_at, created_by, created_at, last_used) VALUES ('key', 'acme', 'nightly job', 'user', NULL, '', '192.0.2.0/24', '100/minute', 'rows=1000000/month', true, false, 'hash', '', 0, 1772370000, 'root', 1772366400, 1772366400);
INSERT INTO clients (id, tenant, name, roles, scopes, grants, certificate, disabled, secret_hash, former_hash, former_until, stamp, created_by, created_at, updated_at) VALUES ('ogc_1', 'acme', 'scoring', 'user analyst', 'models:predict', 'client_credentials', 'dns:ogc_1.example', true, 'hash', 'former', 1772366400, 'stamp', 'root', 1772366400, 1772370000);
INSERT INTO users (name, tenant, roles, password_hash, initial_password, stamp, disabled, created_at, updated_at) VALUES ('admin', 'default', 'admin', '$argon2id$of admin', true, 'stamp of admin', false, 1772366400, 1772370000);
INSERT INTO users (name, tenant, roles, password_hash, initial_password, stamp, disabled, created_at, updated_at) VALUES ('ada', 'default', 'admin user', '$argon2id$of ada', false, 'stamp of ada', false, 1772366400, 1772370000);
INSERT INTO users (name, tenant, roles, password_hash, initial_password, stamp, disabled, created_at, updated_at) VALUES ('dora', 'acme', 'analyst', '$argon2id$of dora', false, 'stamp of dora', true, 1772366400, 1772370000);
INSERT INTO refresh_families (id, tenant, user_name, stamp, client_id, scope, hash, created_at, expires_at) VALUES ('family', 'acme', 'dora', 'stamp', 'onnxgate', 'models:read', 'hash', 1772366400, 1772370000);
INSERT INTO revocations (id, tenant, expires_at) VALUES ('token', 'acme', 1772366400);
INSERT INTO model_pins (folder, tenant, version, newest) VALUES ('@acme/iris', 'acme', '1', '2');
INSERT INTO usage (tenant, api_key, per, start, calls, input_rows, bytes, compute_ns) VALUES ('acme', 'key', 'month', 1772323200, 12, 34, 56, 78);
INSERT INTO signing_keys (kid, public, wrapped, since_ns, retired) VALUES ('kid', 'cHVibGlj', 'd3JhcHBlZA==', 1772366400123456789, false);
INSERT INTO key_encryption_keys (fingerprint, number, since) VALUES ('5b0f2c9e', 1, 1772366400);
