-- The keys that sign tokens, of servers that share a database. Where a server has its
-- database to itself, its keys are files, and nothing is here. A key signs from
-- since_ns on, in nanoseconds since 1970, until the next of its algorithm does.
CREATE TABLE signing_keys (
  kid      TEXT    NOT NULL PRIMARY KEY,
  public   TEXT    NOT NULL,
  wrapped  TEXT    NOT NULL CHECK ((wrapped = '') = retired),
  since_ns INTEGER NOT NULL,
  retired  INTEGER NOT NULL CHECK (retired IN (0, 1))
) STRICT, WITHOUT ROWID;
