-- The key-encryption keys that ever wrapped something here, by their fingerprints: each
-- has a higher number than those before it. So a file with two of them can be told from
-- one whose lines were swapped. Nothing of a key can be worked out of its fingerprint.
CREATE TABLE key_encryption_keys (
  fingerprint TEXT    NOT NULL PRIMARY KEY,
  number      INTEGER NOT NULL UNIQUE,
  since       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
