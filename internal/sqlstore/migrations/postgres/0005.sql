-- The key-encryption keys that ever wrapped something here, by their fingerprints: each
-- has a higher number than those before it. So a file with two of them can be told from
-- one whose lines were swapped. Nothing of a key can be worked out of its fingerprint.
CREATE TABLE key_encryption_keys (
  fingerprint TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  number      BIGINT NOT NULL UNIQUE,
  since       BIGINT NOT NULL
);

-- They are the installation's: no tenant's statement finds one.
ALTER TABLE key_encryption_keys ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY of_installation ON key_encryption_keys USING (current_setting('onnxgate.tenant', true) = '*');
