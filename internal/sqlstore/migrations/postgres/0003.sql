-- Rates and quotas are texts such as "10/second" and "calls=10000/day"; empty is
-- none.
ALTER TABLE tenants
  ADD COLUMN rate   TEXT NOT NULL DEFAULT '',
  ADD COLUMN quotas TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys
  ADD COLUMN quotas TEXT NOT NULL DEFAULT '';

-- What tenants, and each of their keys, used in periods of the calendar, of which
-- start is the first second; an empty key is the tenant. Where a quota holds, what
-- a server has set aside for the next calls counts as used.
CREATE TABLE usage (
  tenant     TEXT COLLATE "C" NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
  api_key    TEXT COLLATE "C" NOT NULL,
  per        TEXT   NOT NULL CHECK (per IN ('day', 'month')),
  start      BIGINT NOT NULL,
  calls      BIGINT NOT NULL,
  input_rows BIGINT NOT NULL,
  bytes      BIGINT NOT NULL,
  compute_ns BIGINT NOT NULL,
  PRIMARY KEY (tenant, api_key, per, start)
);
CREATE INDEX usage_start ON usage (start);

ALTER TABLE usage ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON usage USING (current_setting('onnxgate.tenant', true) IN (tenant, '*'));
