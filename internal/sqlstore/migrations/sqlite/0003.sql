-- The versions that models were rolled back to, by the models' folders.
CREATE TABLE model_pins (
  folder  TEXT NOT NULL PRIMARY KEY,
  tenant  TEXT NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
  version TEXT NOT NULL,
  newest  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX model_pins_tenant ON model_pins (tenant, folder);
