-- The keys that sign tokens, of all servers that share the database: kid is the
-- RFC 7638 thumbprint, public the public half, wrapped the private one under the
-- key-encryption key, empty once the key was retired. A key signs from since_ns on,
-- in nanoseconds since 1970, until the next of its algorithm does.
CREATE TABLE signing_keys (
  kid      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  public   TEXT    NOT NULL,
  wrapped  TEXT    NOT NULL CHECK ((wrapped = '') = retired),
  since_ns BIGINT  NOT NULL,
  retired  BOOLEAN NOT NULL
);

-- They are the installation's: no tenant's statement finds one.
ALTER TABLE signing_keys ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY of_installation ON signing_keys USING (current_setting('onnxgate.tenant', true) = '*');
