-- The versions that models were rolled back to, by the models' folders.
CREATE TABLE model_pins (
  folder  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  tenant  TEXT COLLATE "C" NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
  version TEXT NOT NULL,
  newest  TEXT NOT NULL
);
CREATE INDEX model_pins_tenant ON model_pins (tenant, folder);

ALTER TABLE model_pins ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON model_pins USING (current_setting('onnxgate.tenant', true) IN (tenant, '*'));
