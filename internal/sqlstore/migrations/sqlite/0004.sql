-- Rates and quotas are texts such as "10/second" and "calls=10000/day"; empty is
-- none.
ALTER TABLE tenants  ADD COLUMN rate   TEXT NOT NULL DEFAULT '';
ALTER TABLE tenants  ADD COLUMN quotas TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN quotas TEXT NOT NULL DEFAULT '';

-- What tenants, and each of their keys, used in periods of the calendar, of which
-- start is the first second; an empty key is the tenant. Where a quota holds, what
-- a server has set aside for the next calls counts as used.
CREATE TABLE usage (
  tenant     TEXT    NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
  api_key    TEXT    NOT NULL,
  per        TEXT    NOT NULL CHECK (per IN ('day', 'month')),
  start      INTEGER NOT NULL,
  calls      INTEGER NOT NULL,
  input_rows INTEGER NOT NULL,
  bytes      INTEGER NOT NULL,
  compute_ns INTEGER NOT NULL,
  PRIMARY KEY (tenant, api_key, per, start)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_start ON usage (start);
