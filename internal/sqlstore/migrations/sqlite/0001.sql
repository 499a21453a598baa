-- Times are seconds since 1970-01-01T00:00:00Z.
CREATE TABLE users (
  name             TEXT    NOT NULL PRIMARY KEY,
  tenant           TEXT    NOT NULL,
  password_hash    TEXT    NOT NULL,
  initial_password INTEGER NOT NULL CHECK (initial_password IN (0, 1)),
  stamp            TEXT    NOT NULL,
  disabled         INTEGER NOT NULL CHECK (disabled IN (0, 1)),
  created_at       INTEGER NOT NULL,
  updated_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE user_roles (
  user_name TEXT    NOT NULL REFERENCES users (name) ON DELETE CASCADE,
  position  INTEGER NOT NULL,
  role      TEXT    NOT NULL,
  PRIMARY KEY (user_name, position),
  UNIQUE (user_name, role)
) STRICT, WITHOUT ROWID;

CREATE INDEX user_roles_role ON user_roles (role);
